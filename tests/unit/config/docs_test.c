// SPDX-License-Identifier: Apache-2.0
/* The man page and docs/options.md name everything that the tables of src/config/ have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "capture.h"
#include "config/cli.h"
#include "config/json.h"
#include "config/list.h"
#include "config/options.h"

/* troff source without its dressing: "\-" is "-"; fonts, quotes and a second space are nothing. */
static void strip_troff(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (p[0] == '\\' && p[1] == 'f' && p[2])
			p += 2;
		else if (p[0] == '\\' && p[1] == '-')
			*to++ = *++p;
		else if (p[0] != '"' && (p[0] != ' ' || to == text || to[-1] != ' '))
			*to++ = *p;
	}
	*to = '\0';
}

/* In a table of Markdown a "|" that is none of the table's is written "\\|". */
static void strip_markdown(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++)
		if (p[0] != '\\' || p[1] != '|')
			*to++ = *p;
	*to = '\0';
}

/* Every word that an option's value is made of: its name, and what its own value is called. */
static void check_names_all_words(const char *text, const struct list *list)
{
	if (list->first)
		CHECK_HAS(text, list->first);
	for (const struct field *f = list->fields; f->type != FIELD_END; f++) {
		char word[64];

		if (!f->option)
			continue;
		snprintf(word, sizeof(word), "%s%s%s", f->option, f->value ? "=" : "",
			 f->value ? f->value : "");
		CHECK_HAS(text, word);
		if (f->option_alias)
			CHECK_HAS(text, f->option_alias);
	}
}

static void check_names_all_options(const char *text)
{
	for (int i = 0; i < N_OPTIONS; i++) {
		const struct option_row *row = &option_rows[i];
		char word[96], letter[8] = "";

		if (row->letter)
			snprintf(letter, sizeof(letter), "-%c, ", row->letter);
		snprintf(word, sizeof(word), "%s--%s%s%s", letter, row->name, row->value ? " " : "",
			 row->value ? row->value : "");
		CHECK_HAS(text, word);
		if (row->list)
			check_names_all_words(text, row->list);
	}
}

static void check_names_keys(const char *text, const struct field *fields)
{
	for (const struct field *f = fields; f->type != FIELD_END; f++) {
		if (f->key)
			CHECK_HAS(text, f->key);
		if (f->key_alias)
			CHECK_HAS(text, f->key_alias);
		if (f->type == FIELD_OBJECT)
			check_names_keys(text, f->fields);
	}
}

static void check_names_all_keys(const char *text)
{
	for (const struct json_section *s = json_sections; s->name; s++) {
		CHECK_HAS(text, s->name);
		check_names_keys(text, s->fields);
	}
	for (const char *const *later = json_later_sections; *later; later++)
		CHECK_HAS(text, *later);
}

TEST(man_page_names_every_option_and_key)
{
	char *text = tree_file("docs/toyvmm.1");

	strip_troff(text);
	CHECK_HAS(text, "toyvmm " TOYVMM_VERSION);
	check_names_all_options(text);
	check_names_all_keys(text);
	free(text);
}

TEST(options_md_names_every_option_and_key_and_shows_every_example)
{
	char *text = tree_file("docs/options.md");

	strip_markdown(text);
	check_names_all_options(text);
	check_names_all_keys(text);
	for (int i = 0; i < N_OPTIONS; i++)
		CHECK_HAS(text, option_rows[i].example);
	free(text);
}
