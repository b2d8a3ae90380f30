/* SPDX-License-Identifier: Apache-2.0 */
/* bzImage (vmlinuz): a real-mode part with the setup header, then a program that unpacks the ELF
 * kernel in it. */
#pragma once

#include "boot/file.h"
#include "boot/kernel.h"

/* Bytes of a file that bzimage_magic() wants to see: up to the end of the setup header. */
#define BZIMAGE_HEAD (offsetof(struct boot_params, hdr) + sizeof(struct setup_header))

bool bzimage_magic(const uint8_t *head, size_t len);

/*
 * Unpacks the kernel here and places it as ELF, which spares the guest its slow decompressor; where
 * the compression is unknown, or a 32-bit kernel is inside, places the bzImage itself.
 */
MUST_CHECK int bzimage_load(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
			    struct err *e);
