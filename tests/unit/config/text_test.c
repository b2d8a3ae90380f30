// SPDX-License-Identifier: Apache-2.0
#include "config/text.h"

#include <string.h>

#include "../test.h"

TEST(show_leaves_plain_text_and_utf8_alone)
{
	CHECK_STR("/tmp/a b \xc3\xa9", show("/tmp/a b \xc3\xa9").text);
	CHECK_STR("", show("").text);
}

TEST(show_turns_control_characters_into_hex)
{
	CHECK_STR("a\\x0ab\\x1b[31m\\x7f", show("a\nb\x1b[31m\x7f").text);
}

TEST(show_cuts_long_text_with_dots)
{
	char text[SHOWN_MAX + 2], expected[SHOWN_MAX + 4];

	memset(text, 'x', sizeof(text));
	text[SHOWN_MAX] = '\0';
	CHECK_STR(text, show(text).text);
	memset(expected, 'x', SHOWN_MAX);
	strcpy(expected + SHOWN_MAX, "...");
	text[SHOWN_MAX] = 'x';
	text[SHOWN_MAX + 1] = '\0';
	CHECK_STR(expected, show(text).text);
}

TEST(show_has_room_for_a_control_character_at_the_cut)
{
	char text[SHOWN_MAX + 2];

	memset(text, 'x', sizeof(text));
	text[SHOWN_MAX - 1] = '\n';
	text[SHOWN_MAX + 1] = '\0';
	CHECK_EQ(SHOWN_MAX + 6, strlen(show(text).text));
	CHECK_HAS(show(text).text, "x\\x0a...");
}

static const char *nearest(const char *word)
{
	static const char *const names[] = {"kernel", "initrd", "memory", "cpus", "serial"};
	struct near n = near_start(word);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		near_try(&n, names[i]);
	return n.best ? n.best : "none";
}

TEST(near_finds_a_letter_changed_added_left_out_and_two_swapped)
{
	CHECK_STR("kernel", nearest("kernal"));
	CHECK_STR("kernel", nearest("kerneel"));
	CHECK_STR("kernel", nearest("krnel"));
	CHECK_STR("cpus", nearest("cpsu"));
	CHECK_STR("cpus", nearest("cpu"));
}

TEST(near_takes_an_abbreviation_of_three_letters)
{
	CHECK_STR("memory", nearest("mem"));
	CHECK_STR("serial", nearest("ser"));
	CHECK_STR("none", nearest("me"));
}

TEST(near_finds_nothing_for_a_word_far_from_all)
{
	CHECK_STR("none", nearest("network"));
	CHECK_STR("none", nearest(""));
	CHECK_STR("none", nearest("x"));
	CHECK_STR("none", nearest("kernelkernelkernelkernelkernelkernelkernelkernel"));
}
