// SPDX-License-Identifier: Apache-2.0
#include "config/list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/set.h"
#include "config/text.h"

/* Takes the next word off the list: ends it, with its double commas made single. Where the rest starts, or NULL. */
static char *cut_word(char *text)
{
	char *to = text;

	for (char *from = text; *from; *to++ = *from++) {
		if (*from != ',')
			continue;
		if (from[1] != ',') {
			*to = '\0';
			return from + 1;
		}
		from++;
	}
	*to = '\0';
	return NULL;
}

static int flag_of(const char *value, struct given *given, struct err *e)
{
	given->text = value ? value : "on";
	if (strcmp(given->text, "on") && strcmp(given->text, "off"))
		return err_set(e, EINVAL, "'%s' is neither on nor off", show(value).text);
	given->number = strcmp(given->text, "on") == 0;
	return 0;
}

/* Makes a number of what is one. */
static int read_value(const struct field *f, const char *value, struct given *given, struct err *e)
{
	*given = (struct given){.text = value};
	if (f->type == FIELD_FLAG)
		return flag_of(value, given, e);
	if (!value || !*value)
		return err_set(e, EINVAL, "a value is missing: %s=%s", f->option, f->value);
	if (f->type == FIELD_NUMBER && parse_u64(value, &given->number) < 0)
		return field_not_in_range(f, value, e);
	if (f->type == FIELD_SIZE)
		return read_size(value, &given->number, e);
	return 0;
}

static int set_word(const struct list *list, uint64_t *seen, void *target, char *word,
		    struct err *e)
{
	char *value = strchr(word, '=');
	const struct field *f;
	struct given given;
	uint64_t bit;
	int rc;

	if (value)
		*value++ = '\0';
	f = field_of_option(list->fields, word);
	if (!*word)
		return err_set(e, EINVAL,
			       "a word is missing at a comma; a comma in a file name is "
			       "written twice");
	if (!f)
		return field_unknown_option(list->fields, word, e);
	bit = 1ULL << (f - list->fields);
	if (f->type != FIELD_TEXTS && *seen & bit)
		return err_set(e, EINVAL, "'%s' is given twice", f->option);
	*seen |= bit;
	rc = read_value(f, value, &given, e);
	if (rc == 0)
		rc = field_set(f, target, &given, e);
	return rc < 0 ? err_wrap(e, rc, "%s: ", f->option) : 0;
}

int list_parse(const struct list *list, void *target, const char *text, struct err *e)
{
	char *copy = strdup(text), *word = copy, *rest;
	uint64_t seen = 0;
	int rc = 0;

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	if (list->first) {
		rest = cut_word(word);
		rc = list->set_first(target, word, e);
		word = rest;
	}
	for (; rc == 0 && word; word = rest) {
		rest = cut_word(word);
		rc = set_word(list, &seen, target, word, e);
	}
	free(copy);
	return rc == 0 && list->finish ? list->finish(target, e) : rc;
}
