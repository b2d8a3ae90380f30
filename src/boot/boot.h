/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts a kernel, its initrd and what it wants to know into guest RAM: bytes in, bytes out, no KVM.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mem/gmem.h"

enum boot_mode {
	BOOT_LINUX64, /* long mode, RSI = boot_params (Linux boot.rst, "64-bit Boot Protocol") */
	BOOT_LINUX32, /* protected mode, no paging, ESI = boot_params ("32-bit Boot Protocol") */
	BOOT_PVH, /* protected mode, no paging, EBX = hvm_start_info (Xen docs/misc/pvh.pandoc) */
};

struct boot_source {
	const char *kernel;   /* path: ELF vmlinux or bzImage */
	const char *initrd;   /* path or NULL */
	const char *cmdline;  /* the user's, never NULL */
	const char *defaults; /* words to put before it where they fit; never NULL */
};

struct boot_entry {
	enum boot_mode mode;
	uint64_t entry;  /* guest-physical address of the first instruction */
	uint64_t params; /* guest-physical: boot_params or hvm_start_info */
};

/*
 * Loads everything; on success *out says how to start the first vCPU. ACPI tables are expected at
 * BIOS_START (boot/acpi.h). Errors: -ENOEXEC not a kernel this machine runs, -EBADMSG corrupt,
 * -E2BIG does not fit, -errno of file access; the text names the file and the mend.
 */
int boot_load(struct boot_entry *out, struct gmem *m, const struct boot_source *src, struct err *e);
