/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that toyvmm keeps for itself, each after Ctrl-A: x quits, h shows the keys, Ctrl-A (or
 * a) sends one Ctrl-A. Any other key is sent together with the Ctrl-A: nothing typed is lost, so
 * that "start of line, then a letter" does in a guest's shell what it always does.
 */
#pragma once

#include "base/base.h"

#define ESCAPE_KEY 0x01 /* Ctrl-A */

enum escape_action { ESCAPE_NONE, ESCAPE_QUIT, ESCAPE_HELP };

struct escape {
	bool pending; /* a Ctrl-A came and we do not know yet what it means */
};

/* Filters one key: writes the 0 to 2 bytes the guest gets to out[2], their number to *n. */
enum escape_action escape_key(struct escape *esc, uint8_t key, uint8_t out[2], size_t *n);
const char *escape_help(void);
