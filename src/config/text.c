// SPDX-License-Identifier: Apache-2.0
#include "config/text.h"

#include <stdio.h>
#include <string.h>

/* Longer words are nobody's slip of a finger for ours, and the table below stays small. */
#define WORD_MAX 40

/*
 * Bytes of the character at `p`, a printable ASCII or UTF-8 one; 0: a control character, or not
 * UTF-8 (RFC 3629, section 4: no longer form than needed, no surrogates, up to U+10FFFF).
 */
static size_t char_len(const char *p)
{
	static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000}; /* below U+00A0: C1 */
	uint8_t first = (uint8_t)*p;
	size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t code = first & (0x7fu >> len);

	if (len == 0 || first >= 0xf8)
		return 0;
	if (len == 1)
		return first >= ' ' && first != 0x7f;
	for (size_t i = 1; i < len; i++) {
		if (((uint8_t)p[i] & 0xc0) != 0x80) /* the end's NUL as well */
			return 0;
		code = code << 6 | ((uint8_t)p[i] & 0x3f);
	}
	return code < least[len] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff ? 0 : len;
}

const char *find_control(const char *text)
{
	size_t len;

	for (; *text; text += len ? len : 1) {
		len = char_len(text);
		if (len == 0 && (uint8_t)*text < 0xa0)
			return text;
	}
	return NULL;
}

struct shown show(const char *text)
{
	struct shown s;
	size_t n = 0;

	while (*text && n < SHOWN_MAX) {
		size_t len = char_len(text);

		if (len == 0) {
			n += (size_t)snprintf(s.text + n, sizeof(s.text) - n, "\\x%02x",
					      (uint8_t)*text++);
			continue;
		}
		memcpy(s.text + n, text, len);
		n += len;
		text += len;
	}
	strcpy(s.text + n, *text ? "..." : "");
	return s;
}

/*
 * How many slips turn a into b: a letter left out, added, changed, or two swapped (the "optimal
 * string alignment" distance). Row i holds the distances from the first i letters of a.
 */
static unsigned edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];

	for (unsigned i = 0; i <= a_len; i++)
		d[i][0] = i;
	for (unsigned j = 0; j <= b_len; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			unsigned change = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			unsigned best = MIN(change, MIN(d[i - 1][j], d[i][j - 1]) + 1);

			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[a_len][b_len];
}

struct near near_start(const char *word)
{
	size_t len = strlen(word);

	/* One slip in a short word, one in three letters of a long one. */
	return (struct near){.word = word, .distance = len > WORD_MAX ? 0 : MAX(1, len / 3) + 1};
}

void near_try(struct near *n, const char *name)
{
	size_t word_len = strlen(n->word), name_len = strlen(name);
	unsigned distance;

	if (word_len == 0 || word_len > WORD_MAX || name_len > WORD_MAX)
		return;
	/* An abbreviation is nearer than any slip: "mem" means "memory". */
	if (word_len >= 3 && strncmp(n->word, name, word_len) == 0)
		distance = 0;
	else
		distance = edit_distance(n->word, word_len, name, name_len);
	if (distance < n->distance) {
		n->distance = distance;
		n->best = name;
	}
}
