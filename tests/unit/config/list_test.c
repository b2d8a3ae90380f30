// SPDX-License-Identifier: Apache-2.0
#include "config/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"

struct thing {
	char *first, *text, *path;
	bool flag, inverted;
	uint16_t number;
	uint8_t word;
	uint64_t size;
	unsigned n_many;
	bool finished;
};

static int set_first(void *target, const char *word, struct err *e)
{
	struct thing *t = target;

	if (!*word)
		return err_set(e, EINVAL, "nothing");
	t->first = strdup(word);
	return 0;
}

static int set_size(void *target, const struct given *given, struct err *e)
{
	(void)e;
	((struct thing *)target)->size = given->number;
	return 0;
}

static int set_many(void *target, const struct given *given, struct err *e)
{
	if (strcmp(given->text, "bad") == 0)
		return err_set(e, EINVAL, "bad");
	((struct thing *)target)->n_many++;
	return 0;
}

static const struct word words[] = {{"one", 1}, {"three", 3}, {0}};

#define THING(member) MEMBER(struct thing, member)
static const struct field fields[] = {
	{.option = "flag", .option_alias = "fl", .type = FIELD_FLAG, THING(flag)},
	{.option = "other", .type = FIELD_FLAG, .inverted = true, THING(inverted)},
	{.option = "number",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 2,
	 .max = 65535,
	 THING(number)},
	{.option = "text", .value = "TEXT", .type = FIELD_TEXT, .max = 5, THING(text)},
	{.option = "path", .value = "FILE", .type = FIELD_PATH, THING(path)},
	{.option = "word", .value = "W", .type = FIELD_WORD, .words = words, THING(word)},
	{.option = "size", .value = "SIZE", .type = FIELD_SIZE, .set = set_size},
	{.option = "many", .value = "X", .type = FIELD_TEXTS, .set = set_many},
	{.key = "only_in_json", .type = FIELD_FLAG, THING(flag)},
	{0},
};

static int finish(void *target, struct err *e)
{
	struct thing *t = target;

	t->finished = true;
	return t->number == 13 ? err_set(e, EINVAL, "13 brings bad luck") : 0;
}

static const struct list list = {"FIRST", set_first, fields, finish};
static const struct list plain = {.fields = fields};

static void free_thing(struct thing *t)
{
	free(t->first);
	free(t->text);
	free(t->path);
}

static struct thing good(const char *text)
{
	struct thing t = {0};
	struct err e = {""};

	list_parse(&list, &t, text, &e);
	CHECK_STR("", e.text);
	CHECK(t.finished);
	return t;
}

static void bad(const char *expected, const char *text)
{
	struct thing t = {0};
	struct err e = {""};

	CHECK_EQ(-EINVAL, list_parse(&list, &t, text, &e));
	CHECK_STR(expected, e.text);
	free_thing(&t);
}

TEST(list_may_be_its_first_word_alone)
{
	struct thing t = good("a=b:c d");

	CHECK_STR("a=b:c d", t.first);
	CHECK(!t.flag && !t.inverted && !t.text);
	free_thing(&t);
}

TEST(list_takes_every_type_once_in_any_order)
{
	struct thing t =
		good("f,size=2K,word=three,path=/a=b,text=hello,number=65535,other=off,fl");

	CHECK_EQ(2048, t.size);
	CHECK_EQ(3, t.word);
	CHECK_STR("/a=b", t.path);
	CHECK_STR("hello", t.text);
	CHECK_EQ(65535, t.number);
	CHECK(t.inverted && t.flag);
	free_thing(&t);
}

TEST(list_flag_is_bare_or_on_or_off)
{
	struct thing t = good("f,flag=off,other");

	CHECK(!t.flag && !t.inverted);
	free_thing(&t);
	t = good("f,flag=on");
	CHECK(t.flag);
	free_thing(&t);
	bad("flag: '1' is neither on nor off", "f,flag=1");
	bad("flag: '' is neither on nor off", "f,flag=");
}

TEST(list_comma_written_twice_is_one_of_the_word)
{
	struct thing t = good("a,,b,,,,c,path=,,,flag");

	CHECK_STR("a,b,,c", t.first);
	CHECK_STR(",", t.path);
	CHECK(t.flag);
	free_thing(&t);
	t = good("a,,,flag"); /* the first two belong together */
	CHECK_STR("a,", t.first);
	free_thing(&t);
}

TEST(list_word_that_may_be_repeated_is)
{
	struct thing t = good("f,many=a,many=b,many=a");

	CHECK_EQ(3, t.n_many);
	free_thing(&t);
	bad("many: bad", "f,many=a,many=bad");
}

TEST(list_errors_name_the_word)
{
	bad("nothing", ",flag");
	bad("nothing", "");
	bad("a word is missing at a comma; a comma in a file name is written twice", "f,");
	bad("a word is missing at a comma; a comma in a file name is written twice", "f,=x");
	bad("'flga' is unknown; did you mean 'flag'?", "f,flga");
	bad("'only_in_json' is none of flag, other, number, text, path, word, size, many",
	    "f,only_in_json");
	bad("'\\x1b' is none of flag, other, number, text, path, word, size, many", "f,\x1b=1");
	bad("'flag' is given twice", "f,flag,fl");
	bad("number: a value is missing: number=N", "f,number");
	bad("number: a value is missing: number=N", "f,number=");
	bad("number: '1' is not a whole number from 2 to 65535", "f,number=1");
	bad("number: '65538' is not a whole number from 2 to 65535", "f,number=65538");
	bad("number: '18446744073709551618' is not a whole number from 2 to 65535",
	    "f,number=18446744073709551618");
	bad("number: '-3' is not a whole number from 2 to 65535", "f,number=-3");
	bad("text: 'longer' is longer than 5 bytes", "f,text=longer");
	bad("text: character 1 is a control character (0x0a); this is one line of text",
	    "f,text=\n");
	bad("path: a value is missing: path=FILE", "f,path=");
	bad("word: 'thre' is unknown; did you mean 'three'?", "f,word=thre");
	bad("word: 'x' is none of one, three", "f,word=x");
	bad("size: '1.5G' is not a size: write 512M or 2G; a plain number is MiB", "f,size=1.5G");
	bad("13 brings bad luck", "f,number=13");
}

TEST(list_size_beyond_64_bits_is_the_largest)
{
	struct thing t = good("f,size=99999999999999999999T");

	CHECK(t.size == UINT64_MAX);
	free_thing(&t);
}

TEST(list_without_a_first_word_starts_with_the_others)
{
	struct thing t = {0};
	struct err e = {""};

	CHECK_EQ(0, list_parse(&plain, &t, "number=7,flag", &e));
	CHECK_EQ(7, t.number);
	CHECK_EQ(-EINVAL, list_parse(&plain, &t, "", &e));
	CHECK_STR("a word is missing at a comma; a comma in a file name is written twice", e.text);
}
