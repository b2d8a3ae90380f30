// SPDX-License-Identifier: Apache-2.0
/*
 * Places an ELF kernel at the physical addresses of its segments. The rest of a
 * segment (bss) needs no zeroing, for RAM starts zeroed.
 */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>

/* Only what is loaded, from low to high. */
static int by_paddr(const void *a, const void *b)
{
	const struct elf_segment *x = a, *y = b;

	if ((x->type == PT_LOAD) != (y->type == PT_LOAD))
		return x->type == PT_LOAD ? -1 : 1;
	return x->paddr < y->paddr ? -1 : x->paddr > y->paddr;
}

/* Sorts the segments: PT_LOAD first. *n: how many of them. */
static int check_layout(struct elf *elf, unsigned *n, const struct gmem *m, struct err *e)
{
	const struct elf_segment *s = elf->segment;
	unsigned loads = 0;

	qsort(elf->segment, elf->n, sizeof(elf->segment[0]), by_paddr);
	while (loads < elf->n && s[loads].type == PT_LOAD)
		loads++;
	*n = loads;
	if (loads == 0)
		return err_set(e, ENOEXEC, "is an ELF file with nothing to load");
	if (s[0].paddr < HIGH_RAM_START)
		return err_set(e, ENOEXEC,
			       "wants to be loaded at 0x%llx; memory below 1 MiB is for the tables "
			       "it starts with",
			       (unsigned long long)s[0].paddr);
	for (unsigned i = 1; i < loads; i++)
		if (s[i].paddr - s[i - 1].paddr < s[i - 1].memsz)
			return err_set(e, ENOEXEC, "is corrupt: two segments overlap at 0x%llx",
				       (unsigned long long)s[i].paddr);
	return kernel_check_room(m, s[loads - 1].paddr + s[loads - 1].memsz, e);
}

/* In the part that comes from the file: bss holds no instruction. */
static bool holds_code(const struct elf *elf, unsigned loads, uint64_t entry)
{
	for (unsigned i = 0; i < loads; i++)
		if (entry >= elf->segment[i].paddr &&
		    entry - elf->segment[i].paddr < elf->segment[i].filesz)
			return true;
	return false;
}

/*
 * Linux has its 64-bit entry, by physical address, in e_entry. A kernel that has a virtual address
 * there, or is 32-bit, can only be entered where its PVH note says.
 */
static int choose_entry(struct boot_kernel *k, const struct elf *elf, unsigned loads,
			const struct boot_file *f, struct err *e)
{
	uint64_t pvh = 0;
	int has_pvh = elf_pvh_entry(elf, f, &pvh, e);

	if (has_pvh < 0)
		return has_pvh;
	k->mode = BOOT_LINUX64;
	k->entry = elf->entry;
	if (elf->is64 && holds_code(elf, loads, elf->entry) && !(has_pvh && pvh == elf->entry))
		return 0;
	k->mode = BOOT_PVH;
	k->entry = pvh;
	if (has_pvh && holds_code(elf, loads, pvh))
		return 0;
	if (has_pvh)
		return err_set(e, ENOEXEC,
			       "is corrupt: its PVH entry 0x%llx is outside of its segments",
			       (unsigned long long)pvh);
	if (!elf->is64)
		return err_set(e, ENOEXEC,
			       "is a 32-bit x86 kernel without a PVH entry; give its bzImage or a "
			       "64-bit kernel");
	return err_set(
		e, ENOEXEC,
		"has its entry 0x%llx outside of its segments, and no PVH entry: not a kernel",
		(unsigned long long)elf->entry);
}

int elf_load(struct boot_kernel *k, struct gmem *m, const struct boot_file *f, struct err *e)
{
	const struct elf_segment *last;
	unsigned loads;
	struct elf elf;
	int rc;

	*k = (struct boot_kernel){.initrd_max = RAM_HOLE_END - 1, .cmdline_max = LINUX_CMDLINE_MAX};
	if ((rc = elf_read(&elf, f, e)) < 0 || (rc = check_layout(&elf, &loads, m, e)) < 0 ||
	    (rc = choose_entry(k, &elf, loads, f, e)) < 0)
		return rc;
	for (unsigned i = 0; i < loads; i++) {
		const struct elf_segment *s = &elf.segment[i];
		if ((rc = boot_file_place(f, m, s->paddr, s->offset, s->filesz, e)) < 0)
			return rc;
	}
	last = &elf.segment[loads - 1];
	k->start = elf.segment[0].paddr;
	k->end = last->paddr + last->memsz;
	return 0;
}
