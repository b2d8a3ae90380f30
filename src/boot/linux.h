/* SPDX-License-Identifier: Apache-2.0 */
/* boot_params, the "zero page": what the Linux boot protocol tells the kernel (boot.rst,
 * zero-page.rst). */
#pragma once

#include "boot/initrd.h"
#include "boot/kernel.h"

/* Writes boot_params to BOOT_PARAMS and a random seed to BOOT_SETUP_DATA. */
MUST_CHECK int linux_write_params(struct gmem *m, const struct boot_kernel *k,
				  const struct boot_initrd *initrd, struct err *e);
