// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a configuration file: a valid configuration, or an error in one printable line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An error's text is there when rc says so, and only then, in printable characters. */
static void check_line(int rc, const struct err *e)
{
	if ((rc < 0) != (e->text[0] != '\0'))
		abort();
	for (const char *p = e->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char words[CONFIG_ROOT_WORDS_MAX];
	struct err e = {""};
	struct vm_config c;
	int rc;

	config_init(&c);
	rc = json_merge(&c, "fuzz.json", (const char *)data, size, &e);
	check_line(rc, &e);
	if (rc == 0) {
		if (config_complete(&c, &e) < 0)
			abort();
		config_root_words(&c, words);
		/* What single keys say is right; together they may contradict each other. */
		check_line(config_validate(&c, &e), &e);
	}
	config_fini(&c);
	return 0;
}
