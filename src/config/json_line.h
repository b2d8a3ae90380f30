/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a JSON text a value stands: the parser's tree does not remember it. */
#pragma once

#include "base/base.h"

/* A step from a value into it: to the value of a key, or, key NULL, to an element of an array. */
struct json_step {
	const char *key;
	unsigned index;
};

/*
 * The line (from 1) of the value that the steps lead to, or of its key. 0 when it is not found as it is
 * spelt, say behind a \u escape. The text must be JSON already judged right by the parser.
 */
unsigned json_line_of(const char *text, size_t len, const struct json_step *step, unsigned n_steps);
