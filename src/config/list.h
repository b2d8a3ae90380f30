/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of options that describe a device: "FIRST,flag,name=value". Words are separated by commas; a
 * comma that belongs to a word, say to a path, is written twice.
 */
#pragma once

#include "config/field.h"

struct list {
	/* The first word, which has no name: what it is called, and what takes it. NULL: there is none. */
	const char *first;
	int (*set_first)(void *target, const char *word, struct err *e);
	const struct field *fields;
	/* What the words say together. NULL: nothing. */
	int (*finish)(void *target, struct err *e);
};

/* Puts all words of `text` into the struct at `target`. -EINVAL with a text that names the word. */
int list_parse(const struct list *list, void *target, const char *text, struct err *e);
