// SPDX-License-Identifier: Apache-2.0
/* The input is the length a kernel takes (4 bytes), then a command line: all of it arrives, or an
 * error. */
#include <stdlib.h>
#include <string.h>

#include "boot/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_arrived(const struct gmem *m, const char *text)
{
	const char *got = gmem_slice(m, BOOT_CMDLINE - 1, BOOT_CMDLINE_MAX + 2);
	size_t len = strlen(text);

	if (!got || got[0] || memcmp(got + 1, text, len + 1))
		abort();
	for (size_t i = len + 2; i < BOOT_CMDLINE_MAX + 2; i++)
		if (got[i]) /* nothing behind it was touched */
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem m;
	struct err e;
	uint32_t max;
	char *text;
	int rc;

	if (size < sizeof(max) || gmem_create(&m, MIB, false, &e) < 0)
		return -1;
	memcpy(&max, data, sizeof(max));
	text = strndup((const char *)data + sizeof(max), size - sizeof(max));
	rc = cmdline_write(&m, "", text, max, &e);
	if (rc == 0)
		check_arrived(&m, text);
	if ((rc == 0) != (strlen(text) <= max && strlen(text) < BOOT_CMDLINE_MAX))
		abort();
	free(text);
	gmem_destroy(&m);
	return 0;
}
