// SPDX-License-Identifier: Apache-2.0
/* The man page and docs/options.md name everything that the tables of src/config/ have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "capture.h"
#include "config/cli.h"
#include "config/json.h"
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

static void check_names_all_options(const char *text)
{
	for (int i = 0; i < N_OPTIONS; i++) {
		char word[64];

		snprintf(word, sizeof(word), "-%c, --%s%s%s", option_rows[i].letter,
			 option_rows[i].name, option_rows[i].value ? " " : "",
			 option_rows[i].value ? option_rows[i].value : "");
		CHECK_HAS(text, word);
	}
}

static void check_names_all_keys(const char *text)
{
	for (const struct json_section *s = json_sections; s->name; s++) {
		CHECK_HAS(text, s->name);
		for (const struct json_key *k = s->keys; k->name; k++) {
			CHECK_HAS(text, k->name);
			if (k->alias)
				CHECK_HAS(text, k->alias);
		}
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

	check_names_all_options(text);
	check_names_all_keys(text);
	for (int i = 0; i < N_OPTIONS; i++)
		CHECK_HAS(text, option_rows[i].example);
	free(text);
}
