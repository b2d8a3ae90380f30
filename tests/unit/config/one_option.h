/* SPDX-License-Identifier: Apache-2.0 */
/* What one option alone makes of a configuration. */
#pragma once

#include <errno.h>

#include "../test.h"
#include "config/options.h"

/* A configuration with this one option; the caller frees it. */
static inline struct vm_config good(enum option_id id, const char *value)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	option_rows[id].apply(&c, value, &e);
	CHECK_STR("", e.text);
	return c;
}

/* It is refused with this text. */
static inline void bad(const char *expected, enum option_id id, const char *value)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(-EINVAL, option_rows[id].apply(&c, value, &e));
	CHECK_STR(expected, e.text);
	config_fini(&c);
}
