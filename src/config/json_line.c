// SPDX-License-Identifier: Apache-2.0
#include "config/json_line.h"

#include <string.h>

struct scan {
	const char *p, *end;
	unsigned line;
	unsigned depth;  /* of { and [ */
	bool in_section; /* the last name at depth 1 was the section's */
};

/* Leaves the string that starts with the quotation mark at s->p behind; returns its length. */
static size_t scan_string(struct scan *s)
{
	const char *start = s->p + 1;
	const char *p = start;

	while (p < s->end && *p != '"')
		p += *p == '\\' && s->end - p > 1 ? 2 : 1;
	s->p = p < s->end ? p + 1 : p;
	return (size_t)(p - start);
}

static bool is_name(const struct scan *s)
{
	const char *p = s->p;

	while (p < s->end && strchr(" \t\r\n", *p))
		p++;
	return p < s->end && *p == ':';
}

static bool equals(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

/* True when the string at s->p is the name that is looked for. */
static bool scan_name(struct scan *s, const char *section, const char *key)
{
	const char *text = s->p + 1;
	size_t len = scan_string(s);

	if (!is_name(s))
		return false;
	if (s->depth == 1)
		s->in_section = equals(text, len, section);
	if (!s->in_section)
		return false;
	return key ? s->depth == 2 && equals(text, len, key) : s->depth == 1;
}

unsigned json_line_of(const char *text, size_t len, const char *section, const char *key)
{
	struct scan s = {.p = text, .end = text + len, .line = 1};

	while (s.p < s.end) {
		char c = *s.p;

		if (c == '"') {
			if (scan_name(&s, section, key))
				return s.line;
			continue;
		}
		if (c == '{' || c == '[')
			s.depth++;
		else if (c == '}' || c == ']')
			s.depth--;
		else if (c == '\n')
			s.line++;
		s.p++;
	}
	return 0;
}
