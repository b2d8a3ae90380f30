/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the JSON file, as data. Names are Firecracker's; those of ToyVMM (the Rust one) that
 * differ are accepted as aliases. One table: reading, "did you mean" and the test of the manual.
 */
#pragma once

#include <jansson.h>

#include "config/config.h"

#define JSON_FILE_MAX (1 * MIB)

struct json_key {
	const char *name;
	json_type type;    /* JSON_TRUE: either boolean */
	const char *alias; /* another name of the same thing, or NULL */
	/* Judges the value (never null, of the right type) and stores it; NULL: the section's
	 * finish does. */
	int (*set)(struct vm_config *c, const json_t *value, struct err *e);
};

struct json_section {
	const char *name;
	const struct json_key *keys; /* up to one without a name */
	/* After its keys: what they say together. NULL: nothing. */
	int (*finish)(struct vm_config *c, const json_t *section, struct err *e);
};

extern const struct json_section json_sections[]; /* json_keys.c; up to one without a name */

/*
 * Firecracker's sections for devices that toyvmm has not got yet. null, [] and {} ask for nothing
 * and are accepted (Firecracker demands "drives": [] of everybody); anything else is an error.
 */
extern const char *const json_later_sections[]; /* up to NULL */

/* Merges a JSON text into *c; `name` is the file's, for messages: "name:line: key: what is wrong".
 */
int json_merge(struct vm_config *c, const char *name, const char *text, size_t len, struct err *e);
