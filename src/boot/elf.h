/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ELF headers of a kernel, 32- and 64-bit alike, read once into our own form and checked
 * (System V ABI, "Object Files"; AMD64 supplement).
 */
#pragma once

#include "boot/file.h"
#include "boot/kernel.h"

#define ELF_MAX_SEGMENTS 64 /* vmlinux has five */

struct elf_segment {
	uint32_t type;
	uint64_t offset, filesz; /* in the file; inside it */
	uint64_t vaddr;
	uint64_t paddr, memsz; /* in memory; does not wrap, filesz <= memsz */
	uint64_t align;
};

struct elf {
	bool is64;
	uint64_t entry;
	unsigned n;
	struct elf_segment segment[ELF_MAX_SEGMENTS]; /* PT_LOAD (never empty) and PT_NOTE only */
};

/* `head`: at least SELFMAG bytes of the file. */
bool elf_magic(const uint8_t *head);

/*
 * -ENOEXEC unless it is a whole x86 executable without an interpreter: the caller says which class
 * it can use.
 */
MUST_CHECK int elf_read(struct elf *elf, const struct boot_file *f, struct err *e);

/*
 * Looks for the physical address of the 32-bit PVH entry, an ELF note of Xen's.
 * 1: found, 0: there is none, < 0: a note segment cannot be read.
 */
MUST_CHECK int elf_pvh_entry(const struct elf *elf, const struct boot_file *f, uint64_t *entry,
			     struct err *e);

/* Reads, checks and places the kernel in guest RAM; fills all of *k but hdr. */
MUST_CHECK int elf_load(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
			struct err *e);
