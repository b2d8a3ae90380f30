// SPDX-License-Identifier: Apache-2.0
#include "config/text.h"

#include <stdio.h>
#include <string.h>

/* Longer words are nobody's slip of a finger for ours, and the table below stays small. */
#define WORD_MAX 40

struct shown show(const char *text)
{
	struct shown s;
	size_t n = 0;

	for (; *text && n < SHOWN_MAX; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f)
			n += (size_t)snprintf(s.text + n, sizeof(s.text) - n, "\\x%02x", c);
		else
			s.text[n++] = (char)c;
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
