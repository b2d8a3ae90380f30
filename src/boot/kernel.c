// SPDX-License-Identifier: Apache-2.0
#include "boot/kernel.h"

#include <errno.h>

int kernel_check_room(const struct gmem *m, uint64_t end, struct err *e)
{
	if (end <= boot_ram_end(m))
		return 0;
	if (end <= RAM_HOLE_START)
		return err_set(e, E2BIG,
			       "needs at least %llu MiB of memory and there are %llu: give more "
			       "with --memory",
			       mib_up(end), (unsigned long long)(gmem_size(m) / MIB));
	return err_set(e, ENOEXEC,
		       "wants memory up to 0x%llx, beyond the 3 GiB a kernel may start in",
		       (unsigned long long)end);
}
