/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel command line: a NUL-terminated string at BOOT_CMDLINE, for both boot protocols. */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/* -E2BIG when it has more than `max` characters (NUL not counted) or more than our own room. */
MUST_CHECK int cmdline_write(struct gmem *m, const char *cmdline, uint64_t max, struct err *e);
