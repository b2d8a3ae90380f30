/* SPDX-License-Identifier: Apache-2.0 */
/* The user's own words in our messages: shown safely, and the known word nearest to an unknown one.
 */
#pragma once

#include "base/base.h"

#define SHOWN_MAX 200

struct shown {
	char text[SHOWN_MAX + 8];
};

/*
 * `text` fit for one line of a terminal: control characters and bytes that are not UTF-8 as \xNN,
 * a long one cut with "...". For use inside one call: err_set(e, EINVAL, "'%s' is not a size",
 * show(word).text).
 */
struct shown show(const char *text);

/*
 * The first control character, or NULL: ASCII's, and the C1 controls 0x80 to 0x9f, which a terminal
 * may obey as single bytes (0x9b is ESC [) or as UTF-8 (of which the second byte is found). Other
 * bytes that are not UTF-8 are let through: file names have them.
 */
const char *find_control(const char *text);

/* Finds the nearest of several names: near_start(), near_try() each, then .best (NULL: none is
 * near). */
struct near {
	const char *word;
	const char *best;
	unsigned distance; /* of best; one more than what is still taken as a slip when there is
			      none */
};

struct near near_start(const char *word);
void near_try(struct near *n, const char *name);
