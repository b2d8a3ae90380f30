// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a configuration file: a valid configuration, or an error in one printable line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {""};
	struct vm_config c;
	int rc;

	config_init(&c);
	rc = json_merge(&c, "fuzz.json", (const char *)data, size, &e);
	if ((rc < 0) != (e.text[0] != '\0'))
		abort();
	for (const char *p = e.text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			abort();
	/* What was accepted is valid, but that it need not name a kernel. */
	if (rc == 0 && c.kernel && config_validate(&c, &e) < 0)
		abort();
	config_fini(&c);
	return 0;
}
