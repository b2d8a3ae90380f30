// SPDX-License-Identifier: Apache-2.0
#include "boot/cmdline.h"

#include <errno.h>
#include <string.h>

int cmdline_write(struct gmem *m, const char *cmdline, uint64_t max, struct err *e)
{
	size_t len = strlen(cmdline);

	max = MIN(max, BOOT_CMDLINE_MAX - 1);
	if (len > max)
		return err_set(e, E2BIG,
			       "the command line has %zu characters, %llu more than the %llu this "
			       "kernel takes",
			       len, (unsigned long long)(len - max), (unsigned long long)max);
	if (gmem_write(m, BOOT_CMDLINE, cmdline, len + 1) < 0)
		return err_set(e, E2BIG, "no memory at 0x%llx for the command line", BOOT_CMDLINE);
	return 0;
}
