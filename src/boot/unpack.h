/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks a compressed kernel on the host: faster than the kernel itself would in the guest. */
#pragma once

#include "boot/file.h"

/* No kernel is larger unpacked; what says so is corrupt or hostile. */
#define UNPACK_MAX GIB

struct unpack_method; /* one compression format */

/* The format that `head` begins with, or NULL: none that this build knows. */
const struct unpack_method *unpack_find(const uint8_t *head, size_t len);
const char *unpack_name(const struct unpack_method *method);
/* In a bzImage, 4 bytes with the unpacked size follow the data. In gzip they are a part of it. */
bool unpack_has_own_size(const struct unpack_method *method);

/*
 * Unpacks all of `f` into memory: *out, closed with boot_file_close(). `size` is what it must
 * unpack to, or 0: not known. -EBADMSG: the data is corrupt.
 */
MUST_CHECK int unpack_file(struct boot_file *out, const struct unpack_method *method,
			   const struct boot_file *f, uint64_t size, struct err *e);
