// SPDX-License-Identifier: Apache-2.0
#include "backend/escape.h"

enum escape_action escape_key(struct escape *esc, uint8_t key, uint8_t out[2], size_t *n)
{
	*n = 0;
	if (!esc->pending) {
		esc->pending = key == ESCAPE_KEY;
		if (!esc->pending)
			out[(*n)++] = key;
		return ESCAPE_NONE;
	}
	esc->pending = false;
	switch (key) {
	case 'x':
		return ESCAPE_QUIT;
	case 'h':
		return ESCAPE_HELP;
	case ESCAPE_KEY:
	case 'a':
		out[(*n)++] = ESCAPE_KEY;
		return ESCAPE_NONE;
	default:
		out[(*n)++] = ESCAPE_KEY;
		out[(*n)++] = key;
		return ESCAPE_NONE;
	}
}

const char *escape_help(void)
{
	return "\r\n"
	       "Ctrl-A x       quit toyvmm\r\n"
	       "Ctrl-A h       show these keys\r\n"
	       "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";
}
