/* SPDX-License-Identifier: Apache-2.0 */
/* Names for guest code addresses, from the symbol table of an ELF vmlinux. Used for crash reports
 * only. */
#pragma once

#include "base/base.h"

/*
 * Writes "name+0x1c" for the function of the kernel file at `path` that holds `address`
 * (guest-virtual, or guest-physical as early boot runs) into buf. False when the file has no
 * symbols or none fits.
 */
bool symbol_for(const char *path, uint64_t address, char *buf, size_t size);
