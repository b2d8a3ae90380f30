/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel command line: a NUL-terminated string at BOOT_CMDLINE, for both boot protocols. */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/*
 * Writes `cmdline`, with the words of `before` in front of it where there is room for both: later words
 * win, so the user's do. -E2BIG when cmdline has more than `max` characters (NUL not counted) or more
 * than our own room.
 */
MUST_CHECK int cmdline_write(struct gmem *m, const char *before, const char *cmdline, uint64_t max,
			     struct err *e);

/* Does it set the parameter `name`? A whole word "name=...", before "--" (what follows is init's). */
bool cmdline_sets(const char *cmdline, const char *name);
