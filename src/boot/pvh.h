/* SPDX-License-Identifier: Apache-2.0 */
/* hvm_start_info, what the PVH boot protocol tells the kernel (Xen docs/misc/pvh.pandoc). */
#pragma once

#include "boot/initrd.h"
#include "mem/gmem.h"

#define XEN_HVM_START_MAGIC_VALUE 0x336ec578
#define PVH_VERSION               1 /* with a memory map */

struct hvm_start_info {
	uint32_t magic, version, flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct hvm_modlist_entry { /* the first module is the initrd */
	uint64_t paddr, size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct hvm_memmap_table_entry {
	uint64_t addr, size;
	uint32_t type; /* as E820 */
	uint32_t reserved;
};

/* Writes hvm_start_info to BOOT_PARAMS, followed by what it points to. */
MUST_CHECK int pvh_write_start_info(struct gmem *m, const struct boot_initrd *initrd,
				    struct err *e);
