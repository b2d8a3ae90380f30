/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON file's sections, as data; their keys are fields (config/field.h). Names are Firecracker's; those of
 * ToyVMM (the Rust one) that differ are accepted as aliases, and what neither of them has got has the name of
 * toyvmm's option, with '_' for '-'.
 */
#pragma once

#include <jansson.h>

#include "config/config.h"
#include "config/field.h"

#define JSON_FILE_MAX (1 * MIB)

struct json_section {
	const char *name;
	bool is_array; /* of objects with these keys: one device each */
	const struct field *fields;
	/* The struct that an object's values go to: a new device. NULL: the struct vm_config. */
	void *(*target)(struct vm_config *c, struct err *e);
	/* After an object's keys: what they say together. NULL: nothing. */
	int (*finish)(void *target, const json_t *object, struct err *e);
};

extern const struct json_section json_sections[]; /* json_keys.c; up to one without a name */

/*
 * Firecracker's sections for what toyvmm has not got. null, [] and {} ask for nothing and are accepted;
 * anything else is an error.
 */
extern const char *const json_later_sections[]; /* up to NULL */

/* Merges a JSON text into *c; `name` is the file's, for messages: "name:line: key: what is wrong". */
int json_merge(struct vm_config *c, const char *name, const char *text, size_t len, struct err *e);
