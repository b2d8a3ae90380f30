/* SPDX-License-Identifier: Apache-2.0 */
/* The initial RAM disk: a file, page-aligned, as high in guest RAM as the kernel can reach. */
#pragma once

#include "boot/kernel.h"

struct boot_initrd {
	uint64_t addr, size; /* size 0: none */
};

/* -E2BIG when it fits neither above the kernel nor below. */
MUST_CHECK int initrd_load(struct boot_initrd *out, struct gmem *m, const char *path,
			   const struct boot_kernel *k, struct err *e);
