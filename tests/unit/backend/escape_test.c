// SPDX-License-Identifier: Apache-2.0
#include "backend/escape.h"

#include <string.h>

#include "../test.h"

/* What the guest gets of `keys`; the actions as letters in `actions`. */
static void type(const char *keys, char *guest, char *actions)
{
	struct escape esc = {0};
	uint8_t out[2];
	size_t n, len = 0;

	for (; *keys; keys++) {
		switch (escape_key(&esc, (uint8_t)*keys, out, &n)) {
		case ESCAPE_QUIT:
			*actions++ = 'q';
			break;
		case ESCAPE_HELP:
			*actions++ = 'h';
			break;
		default:
			break;
		}
		memcpy(guest + len, out, n);
		len += n;
	}
	guest[len] = *actions = '\0';
}

TEST(escape_table)
{
	static const struct {
		const char *keys, *guest, *actions;
	} cases[] = {
		{"abc\x03\r", "abc\x03\r", ""},
		{"\001x", "", "q"},
		{"\001h", "", "h"},
		{"\001\001", "\001", ""},
		{"\001a", "\001", ""},
		{"\001\001x", "\001x", ""}, /* the second Ctrl-A ended the escape */
		{"\001z", "\001z", ""},     /* no key of ours: nothing is lost */
		{"\001\033[A", "\001\033[A", ""},
		{"\001", "", ""}, /* waits for the next key */
		{"x\001hx\001xq", "xxq", "hq"},
	};
	char guest[32], actions[8];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		type(cases[i].keys, guest, actions);
		CHECK_STR(cases[i].guest, guest);
		CHECK_STR(cases[i].actions, actions);
	}
}

TEST(escape_help_is_fit_for_raw_mode)
{
	const char *help = escape_help();

	for (const char *p = strchr(help, '\n'); p; p = strchr(p + 1, '\n'))
		CHECK_EQ('\r', p[-1]);
	CHECK_HAS(help, "Ctrl-A x");
}
