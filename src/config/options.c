// SPDX-License-Identifier: Apache-2.0
#include "config/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/text.h"

static int find_long(const char *name, size_t len)
{
	for (int i = 0; i < N_OPTIONS; i++)
		if (strlen(option_rows[i].name) == len &&
		    strncmp(option_rows[i].name, name, len) == 0)
			return i;
	return -1;
}

static int find_letter(char letter)
{
	for (int i = 0; i < N_OPTIONS; i++)
		if (letter && option_rows[i].letter == letter)
			return i;
	return -1;
}

int option_find(const char *word)
{
	if (word[0] != '-')
		return -1;
	if (word[1] == '-')
		return find_long(word + 2, strcspn(word + 2, "="));
	return find_letter(word[1]);
}

static int unknown_option(const char *word, struct err *e)
{
	char name[64]; /* without "=value" */
	struct near near;

	snprintf(name, sizeof(name), "%.*s", (int)MIN(strcspn(word, "="), sizeof(name)), word);
	near = near_start(name + strspn(name, "-"));
	for (int i = 0; i < N_OPTIONS; i++)
		near_try(&near, option_rows[i].name);
	if (near.best)
		return err_set(e, EINVAL, "unknown option '%s'; did you mean '--%s'?",
			       show(name).text, near.best);
	return err_set(e, EINVAL, "unknown option '%s'; 'toyvmm run --help' shows all",
		       show(name).text);
}

static int note(struct options *o, int id, const char *value, struct err *e)
{
	const struct option_row *row = &option_rows[id];

	if (o->count[id]++ && !row->repeats)
		return err_set(e, EINVAL, "--%s is given twice", row->name);
	if (o->n_given == OPTIONS_MAX)
		return err_set(e, EINVAL, "more than %d options", OPTIONS_MAX);
	o->value[id] = value;
	o->given[o->n_given].id = (enum option_id)id;
	o->given[o->n_given++].value = value;
	return 0;
}

/* The words that are left to parse. */
struct words {
	char **next, **end;
};

/* The word after an option as its value. An option there means that the value was forgotten. */
static int take_value(struct words *w, int id, const char **value, struct err *e)
{
	const struct option_row *row = &option_rows[id];
	const char *word = w->next < w->end ? *w->next : NULL;
	bool is_option = word && word[0] == '-' && (word[1] == '-' || strlen(word) == 2) &&
			 option_find(word) >= 0;

	if (!word)
		return err_set(e, EINVAL, "--%s needs a value: --%s %s", row->name, row->name,
			       row->value);
	if (is_option)
		return err_set(e, EINVAL, "--%s needs a value, but the option '%s' follows",
			       row->name, show(word).text);
	*value = word;
	w->next++;
	return 0;
}

static int parse_long(struct options *o, struct words *w, const char *word, struct err *e)
{
	int id = option_find(word);
	const char *value = strchr(word, '=');
	int rc;

	if (id < 0)
		return unknown_option(word, e);
	if (!option_rows[id].value && value)
		return err_set(e, EINVAL, "--%s takes no value", option_rows[id].name);
	if (value)
		return note(o, id, value + 1, e);
	if (!option_rows[id].value)
		return note(o, id, NULL, e);
	rc = take_value(w, id, &value, e);
	return rc < 0 ? rc : note(o, id, value, e);
}

/* "-v", "-vq", "-m1G", "-m 1G": letters without a value may share a dash, a value ends the word. */
static int parse_letters(struct options *o, struct words *w, const char *word, struct err *e)
{
	const char *value;
	int rc;

	for (const char *p = word + 1; *p; p++) {
		int id = find_letter(*p);

		if (id < 0)
			return unknown_option(word, e);
		if (option_rows[id].value) {
			value = p + 1;
			rc = *value ? 0 : take_value(w, id, &value, e);
			return rc < 0 ? rc : note(o, id, value, e);
		}
		rc = note(o, id, NULL, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int unexpected(const char *word, struct err *e)
{
	return err_set(e, EINVAL,
		       "unexpected argument '%s': files are named by options, a kernel by --kernel",
		       show(word).text);
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
	struct words w = {argv, argv + argc};
	int rc = 0;

	*o = (struct options){0};
	while (rc == 0 && w.next < w.end && !o->count[OPT_HELP]) {
		const char *word = *w.next++;

		if (strcmp(word, "--") == 0)
			return w.next < w.end ? unexpected(*w.next, e) : 0;
		if (word[0] != '-' || word[1] == '\0')
			rc = unexpected(word, e);
		else if (word[1] == '-')
			rc = parse_long(o, &w, word, e);
		else
			rc = parse_letters(o, &w, word, e);
	}
	if (rc == 0 && o->count[OPT_VERBOSE] && o->count[OPT_QUIET] && !o->count[OPT_HELP])
		rc = err_set(e, EINVAL, "--verbose and --quiet contradict each other");
	return rc;
}

int options_apply(const struct options *o, struct vm_config *c, struct err *e)
{
	for (unsigned i = 0; i < o->n_given; i++) {
		const struct option_row *row = &option_rows[o->given[i].id];
		int rc = row->apply ? row->apply(c, o->given[i].value, e) : 0;

		if (rc < 0)
			return err_wrap(e, rc, "--%s: ", row->name);
	}
	return 0;
}
