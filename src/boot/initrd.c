// SPDX-License-Identifier: Apache-2.0
#include "boot/initrd.h"

#include <errno.h>

#include "boot/file.h"

/* The highest place for `span` bytes in [low, high), or 0. Addresses and sizes are multiples of a
 * page. */
static uint64_t highest_place(uint64_t low, uint64_t high, uint64_t span)
{
	return high > low && high - low >= span ? high - span : 0;
}

static int place_initrd(uint64_t *addr, const struct gmem *m, uint64_t size,
			const struct boot_kernel *k, struct err *e)
{
	/* Up to initrd_max inclusive; the rest of its last page may be cut off by that. */
	uint64_t reach = MIN(k->initrd_max + 1, RAM_HOLE_START);
	uint64_t top = align_down(MIN(reach, boot_ram_end(m)), PAGE_SIZE);
	uint64_t above = align_up(k->end, PAGE_SIZE), below = align_down(k->start, PAGE_SIZE);
	uint64_t span = align_up(size, PAGE_SIZE);

	*addr = size > RAM_HOLE_START ? 0 : highest_place(above, top, span);
	if (*addr == 0 && size <= RAM_HOLE_START)
		*addr = highest_place(HIGH_RAM_START, MIN(below, top), span);
	if (*addr)
		return 0;
	if (size <= RAM_HOLE_START && above + span <= align_down(reach, PAGE_SIZE))
		return err_set(e, E2BIG,
			       "has %llu MiB and does not fit: kernel and initrd need more than "
			       "%llu MiB of "
			       "memory and there are %llu: give more with --memory",
			       mib_up(size), mib_up(above + span),
			       (unsigned long long)(gmem_size(m) / MIB));
	return err_set(e, E2BIG,
		       "has %llu MiB, and this kernel takes at most %llu MiB between its own end "
		       "and 0x%llx",
		       mib_up(size), (unsigned long long)((reach - MIN(above, reach)) / MIB),
		       (unsigned long long)reach);
}

int initrd_load(struct boot_initrd *out, struct gmem *m, const char *path,
		const struct boot_kernel *k, struct err *e)
{
	struct boot_file f;
	int rc;

	if ((rc = boot_file_open(&f, path, e)) < 0)
		return rc;
	*out = (struct boot_initrd){.size = f.size};
	rc = place_initrd(&out->addr, m, f.size, k, e);
	if (rc == 0)
		rc = boot_file_place(&f, m, out->addr, 0, f.size, e);
	boot_file_close(&f);
	return rc;
}
