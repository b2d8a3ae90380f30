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

TEST(show_turns_c1_controls_into_hex_whether_they_are_bytes_or_utf8)
{
	CHECK_STR("a\\x9b31m", show("a\x9b"
				    "31m")
				       .text);
	CHECK_STR("\\x80\\x9f", show("\x80\x9f").text);
	CHECK_STR("\\xc2\\x9b", show("\xc2\x9b").text);
	CHECK_STR("\xc2\xa0", show("\xc2\xa0").text);
}

TEST(show_turns_what_is_not_utf8_into_hex)
{
	CHECK_STR("\\xe9t", show("\xe9t").text);                          /* Latin-1 */
	CHECK_STR("\\xe2\\x82", show("\xe2\x82").text);                   /* cut short */
	CHECK_STR("\\xc0\\xaf", show("\xc0\xaf").text);                   /* longer than needed */
	CHECK_STR("\\xe0\\x82\\x9b", show("\xe0\x82\x9b").text);          /* a C1 in three bytes */
	CHECK_STR("\\xed\\xa0\\x80", show("\xed\xa0\x80").text);          /* a surrogate */
	CHECK_STR("\\xf4\\x90\\x80\\x80", show("\xf4\x90\x80\x80").text); /* past U+10FFFF */
	CHECK_STR("\\xf8\\xff", show("\xf8\xff").text);
	CHECK_STR("\xe2\x82\xac\xf0\x9f\x92\xa9", show("\xe2\x82\xac\xf0\x9f\x92\xa9").text);
	CHECK_STR("\xf4\x8f\xbf\xbf", show("\xf4\x8f\xbf\xbf").text);
}

TEST(show_has_room_for_a_character_of_four_bytes_at_the_cut)
{
	char text[SHOWN_MAX + 8];

	memset(text, 'x', sizeof(text));
	strcpy(text + SHOWN_MAX - 1, "\xf0\x9f\x92\xa9y");
	CHECK_EQ(SHOWN_MAX + 6, strlen(show(text).text));
	CHECK_HAS(show(text).text, "x\xf0\x9f\x92\xa9...");
}

static long control_at(const char *text)
{
	const char *p = find_control(text);

	return p ? p - text : -1;
}

TEST(find_control_finds_ascii_and_c1_controls_only)
{
	CHECK_EQ(-1, control_at(""));
	CHECK_EQ(-1, control_at("/tmp/\xe2\x82\xac \xc3\x9b.img")); /* 0x9b as a part of UTF-8 */
	CHECK_EQ(-1, control_at("caf\xe9"));                        /* a file name in Latin-1 */
	CHECK_EQ(1, control_at("a\nb"));
	CHECK_EQ(0, control_at("\x7f"));
	CHECK_EQ(3, control_at("abc\x1b[31m"));
	CHECK_EQ(2, control_at("ab\x9b"));
	CHECK_EQ(1, control_at("\xe9\x9b")); /* no letter before it makes it harmless */
	CHECK_EQ(1, control_at("\xc2\x9b"));
	CHECK_EQ(1, control_at("\xe2\x82")); /* cut short */
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
