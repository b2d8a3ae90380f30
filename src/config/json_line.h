/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a JSON text a key stands: the parser's tree does not remember it. */
#pragma once

#include "base/base.h"

/*
 * The line (from 1) of `key` in the object that is the value of `section` at the top, or of the
 * section's own name when key is NULL. 0 when it is not found as it is spelt, say behind a \u
 * escape. The text must be JSON already judged right by the parser.
 */
unsigned json_line_of(const char *text, size_t len, const char *section, const char *key);
