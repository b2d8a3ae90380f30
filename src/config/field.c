// SPDX-License-Identifier: Apache-2.0
#include "config/field.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/set.h"
#include "config/text.h"

static bool is_name(const char *name, const char *a, const char *b)
{
	return (a && strcmp(name, a) == 0) || (b && strcmp(name, b) == 0);
}

const struct field *field_of_option(const struct field *fields, const char *name)
{
	for (const struct field *f = fields; f->type != FIELD_END; f++)
		if (is_name(name, f->option, f->option_alias))
			return f;
	return NULL;
}

const struct field *field_of_key(const struct field *fields, const char *name)
{
	for (const struct field *f = fields; f->type != FIELD_END; f++)
		if (is_name(name, f->key, f->key_alias))
			return f;
	return NULL;
}

/* All the names that could have been meant, and the nearest of them. */
struct names {
	struct near near;
	char text[256];
	size_t len;
};

static void add_name(struct names *n, const char *name)
{
	int len;

	if (!name)
		return;
	near_try(&n->near, name);
	len = snprintf(n->text + n->len, sizeof(n->text) - n->len, "%s%s", n->len ? ", " : "",
		       name);
	n->len = MIN(n->len + (size_t)len, sizeof(n->text) - 1);
}

static int unknown_word(const struct names *n, const char *word, struct err *e)
{
	if (n->near.best)
		return err_set(e, EINVAL, "'%s' is unknown; did you mean '%s'?", show(word).text,
			       n->near.best);
	return err_set(e, EINVAL, "'%s' is none of %s", show(word).text, n->text);
}

int field_unknown_option(const struct field *fields, const char *name, struct err *e)
{
	struct names names = {.near = near_start(name)};

	for (const struct field *f = fields; f->type != FIELD_END; f++)
		add_name(&names, f->option);
	return unknown_word(&names, name, e);
}

int field_unknown_key(const struct field *fields, const char *name, struct err *e)
{
	struct names names = {.near = near_start(name)};

	for (const struct field *f = fields; f->type != FIELD_END; f++) {
		add_name(&names, f->key);
		add_name(&names, f->key_alias);
	}
	if (names.near.best)
		return err_set(e, EINVAL, "unknown key; did you mean '%s'?", names.near.best);
	return err_set(e, EINVAL, "unknown key");
}

int field_not_in_range(const struct field *f, const char *written, struct err *e)
{
	return err_set(e, EINVAL, "'%s' is not a whole number from %llu to %llu",
		       show(written).text, (unsigned long long)f->min, (unsigned long long)f->max);
}

static void store(const struct field *f, void *target, uint64_t value)
{
	char *to = (char *)target + f->offset;

	switch (f->size) {
	case 1:
		*(uint8_t *)to = (uint8_t)value;
		break;
	case 2:
		*(uint16_t *)to = (uint16_t)value;
		break;
	case 4:
		*(uint32_t *)to = (uint32_t)value;
		break;
	case 8:
		*(uint64_t *)to = value;
		break;
	default:
		break;
	}
}

static int set_word(const struct field *f, void *target, const char *text, struct err *e)
{
	struct names names = {.near = near_start(text)};

	for (const struct word *w = f->words; w->name; w++) {
		if (strcmp(w->name, text) == 0) {
			store(f, target, w->value);
			return 0;
		}
		add_name(&names, w->name);
	}
	return unknown_word(&names, text, e);
}

static int set_string(const struct field *f, void *target, const char *text, struct err *e)
{
	char **to = (char **)((char *)target + f->offset);

	if (f->max && strlen(text) > f->max)
		return err_set(e, EINVAL, "'%s' is longer than %llu bytes", show(text).text,
			       (unsigned long long)f->max);
	if (f->type == FIELD_PATH)
		return set_path(to, text, e);
	return set_line(to, text, e);
}

int field_set(const struct field *f, void *target, const struct given *given, struct err *e)
{
	if (f->set)
		return f->set(target, given, e);
	switch (f->type) {
	case FIELD_FLAG:
		store(f, target, given->number ^ f->inverted);
		return 0;
	case FIELD_NUMBER:
		if (given->number < f->min || given->number > f->max)
			return field_not_in_range(f, given->text, e);
		store(f, target, given->number);
		return 0;
	case FIELD_WORD:
		return set_word(f, target, given->text, e);
	case FIELD_TEXT:
	case FIELD_PATH:
		return f->size ? set_string(f, target, given->text, e) : 0;
	default:
		return 0;
	}
}
