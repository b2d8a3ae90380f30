/* SPDX-License-Identifier: Apache-2.0 */
/* What the loaders (elf_load.c, bzimage.c) tell the rest of this room about a kernel in guest RAM.
 */
#pragma once

#include <asm/bootparam.h>

#include "base/base.h"
#include "boot/boot.h"
#include "mem/gmem.h"

/* The command line of every x86 kernel has room for 2048 bytes, its NUL included (asm/setup.h). */
#define LINUX_CMDLINE_MAX 2047
#define LINUX_HDRS        0x53726448 /* "HdrS": setup_header.header */

struct boot_kernel {
	enum boot_mode mode;
	uint64_t entry;          /* guest-physical address of the first instruction */
	uint64_t start, end;     /* RAM that it fills or needs until it has read its memory map */
	uint64_t initrd_max;     /* highest address a byte of the initrd may have */
	uint32_t cmdline_max;    /* characters it takes, without the NUL */
	struct setup_header hdr; /* a bzImage's own, else all zero */
	const char *packing;     /* the compression that was undone here, or NULL: none was */
};

/* Where RAM for kernel and initrd ends: page tables, 32-bit entries and old kernels see 4 GiB. */
static inline uint64_t boot_ram_end(const struct gmem *m)
{
	return MIN(gmem_end(m), RAM_HOLE_START);
}

/* Bytes as mebibytes for the user, rounded up: enough is what counts. */
static inline unsigned long long mib_up(uint64_t bytes)
{
	return bytes / MIB + (bytes % MIB != 0);
}

/* -E2BIG when RAM up to `end` is more than there is; says how much would do. */
MUST_CHECK int kernel_check_room(const struct gmem *m, uint64_t end, struct err *e);
