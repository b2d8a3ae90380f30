// SPDX-License-Identifier: Apache-2.0
#include "config/json_line.h"

#include <string.h>

struct scan {
	const char *p, *end;
	unsigned line;
};

static void skip_space(struct scan *s)
{
	for (; s->p < s->end && *s->p && strchr(" \t\r\n", *s->p); s->p++)
		s->line += *s->p == '\n';
}

/* Takes `c`, with space around it, if that is next. */
static bool take(struct scan *s, char c)
{
	skip_space(s);
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	skip_space(s);
	return true;
}

/* Leaves the string whose quotation mark is at s->p behind; returns its length. */
static size_t skip_string(struct scan *s)
{
	const char *start = s->p + 1;
	const char *p = start;

	while (p < s->end && *p != '"')
		p += *p == '\\' && s->end - p > 1 ? 2 : 1;
	s->p = p < s->end ? p + 1 : p;
	return (size_t)(p - start);
}

/* Leaves a value behind: all up to a comma or a closing bracket that is not inside of it. */
static void skip_value(struct scan *s)
{
	unsigned depth = 0;

	while (s->p < s->end) {
		char c = *s->p;

		if (depth == 0 && (c == ',' || c == '}' || c == ']'))
			return;
		if (c == '"') {
			skip_string(s);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		s->line += c == '\n';
		s->p++;
	}
}

/* From a value to that of its key. *line: the key's. */
static bool enter_key(struct scan *s, const char *key, unsigned *line)
{
	if (!take(s, '{'))
		return false;
	while (s->p < s->end && *s->p == '"') {
		const char *name = s->p + 1;
		size_t len = skip_string(s);
		bool is_it = strlen(key) == len && memcmp(name, key, len) == 0;

		*line = s->line;
		if (!take(s, ':'))
			return false;
		if (is_it)
			return true;
		skip_value(s);
		if (!take(s, ','))
			return false;
	}
	return false;
}

static bool enter_index(struct scan *s, unsigned index, unsigned *line)
{
	if (!take(s, '['))
		return false;
	for (; index > 0; index--) {
		skip_value(s);
		if (!take(s, ','))
			return false;
	}
	*line = s->line;
	return s->p < s->end;
}

unsigned json_line_of(const char *text, size_t len, const struct json_step *step, unsigned n_steps)
{
	struct scan s = {.p = text, .end = text + len, .line = 1};
	unsigned line = 1;

	for (unsigned i = 0; i < n_steps; i++) {
		bool found = step[i].key ? enter_key(&s, step[i].key, &line)
					 : enter_index(&s, step[i].index, &line);

		if (!found)
			return 0;
	}
	return line;
}
