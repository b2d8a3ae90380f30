/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be set, as data: a field is a member of a struct together with its names, on the command line
 * (--disk PATH,readonly) and in the JSON file ("is_read_only": true), its type and its bounds. One table a
 * device: config/list.c and config/json.c read it, "did you mean" and the test of the manual as well.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

enum field_type {
	FIELD_END,    /* the row after the last */
	FIELD_FLAG,   /* bool. Option: bare, =on or =off. JSON: true or false */
	FIELD_NUMBER, /* min to max. JSON: a whole number */
	FIELD_SIZE,   /* bytes. Option: as --memory. JSON: a whole number of MiB */
	FIELD_TEXT,   /* char *: a line of text that is not empty; with max: of so many bytes */
	FIELD_PATH,   /* char * */
	FIELD_WORD,   /* an enum, one of words */
	FIELD_TEXTS,  /* each to set(). Option: may be repeated. JSON: an array of strings */
	FIELD_OBJECT, /* JSON only: an object with the keys of `fields`, for the struct at offset */
};

struct word {
	const char *name; /* NULL: the row after the last */
	unsigned value;
};

/* A value as it came: `text` as it was written, for messages; `number` of a flag, number or size. */
struct given {
	const char *text;
	uint64_t number;
};

struct field {
	const char *option, *option_alias; /* as a word of a list; NULL: not there */
	const char *key, *key_alias;       /* as a key in JSON; NULL: not there */
	const char *value;                 /* what the option's value is called; NULL: a flag */
	enum field_type type;
	bool inverted;       /* FIELD_FLAG: the member says the opposite */
	bool required;       /* in JSON */
	size_t offset, size; /* of the member: MEMBER(); size 0: it is not stored */
	uint64_t min, max;
	const struct word *words;
	const struct field *fields;
	/* Judges and stores it, instead of the above. FIELD_TEXTS: called for each. */
	int (*set)(void *target, const struct given *given, struct err *e);
};

#define MEMBER(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* The field of this name, or alias; NULL: there is none. */
const struct field *field_of_option(const struct field *fields, const char *name);
const struct field *field_of_key(const struct field *fields, const char *name);
/* Errors for a name that is no field's: the nearest one, or all. */
int field_unknown_option(const struct field *fields, const char *name, struct err *e);
int field_unknown_key(const struct field *fields, const char *name, struct err *e);

/* Judges the value and puts it into the struct at `target`. Strings are copied. */
int field_set(const struct field *f, void *target, const struct given *given, struct err *e);
/* "'x' is not a whole number from 1 to 16" */
int field_not_in_range(const struct field *f, const char *written, struct err *e);
