// SPDX-License-Identifier: Apache-2.0
#include "boot/cmdline.h"

#include <errno.h>
#include <string.h>

int cmdline_write(struct gmem *m, const char *before, const char *cmdline, uint64_t max,
		  struct err *e)
{
	size_t len = strlen(cmdline), more = strlen(before);
	uint64_t to = BOOT_CMDLINE;

	max = MIN(max, BOOT_CMDLINE_MAX - 1);
	if (len > max)
		return err_set(
			e, E2BIG,
			"the command line has %zu characters, %llu more than the %llu this kernel takes",
			len, (unsigned long long)(len - max), (unsigned long long)max);
	if (more > 0 && more + 1 + len <= max) {
		if (gmem_write(m, to, before, more) < 0 || gmem_write(m, to + more, " ", 1) < 0)
			return err_set(e, E2BIG, "no memory at 0x%llx for the command line",
				       BOOT_CMDLINE);
		to += more + 1;
	}
	if (gmem_write(m, to, cmdline, len + 1) < 0)
		return err_set(e, E2BIG, "no memory at 0x%llx for the command line", BOOT_CMDLINE);
	return 0;
}

bool cmdline_sets(const char *cmdline, const char *name)
{
	size_t len = strlen(name), word;

	for (const char *p = cmdline; *p; p += word) {
		p += strspn(p, " ");
		word = strcspn(p, " ");
		if (word == 2 && !strncmp(p, "--", 2))
			return false;
		if (word > len && !strncmp(p, name, len) && p[len] == '=')
			return true;
	}
	return false;
}
