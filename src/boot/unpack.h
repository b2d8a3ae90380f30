/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacks a compressed kernel on the host: faster than the kernel itself would in the guest. */
#pragma once

#include "boot/file.h"

/* No kernel is larger unpacked; what says so is corrupt or hostile. */
#define UNPACK_MAX GIB

/*
 * The most that a kernel for this RAM may unpack to: a small file must not make the host give a lot
 * of memory to a small guest. What is never loaded (symbols, debug information) comes on top.
 */
#define UNPACK_SLACK (256 * MIB)
static inline uint64_t unpack_limit(const struct gmem *m)
{
	uint64_t ram = gmem_size(m);

	return ram < UNPACK_MAX - UNPACK_SLACK ? ram + UNPACK_SLACK : UNPACK_MAX;
}

struct unpack_method; /* one compression format */

/* The format that `head` begins with, or NULL: none that this build knows. */
const struct unpack_method *unpack_find(const uint8_t *head, size_t len);
const char *unpack_name(const struct unpack_method *method);
/* In a bzImage, 4 bytes with the unpacked size follow the data. In gzip they are a part of it. */
bool unpack_has_own_size(const struct unpack_method *method);

/*
 * Unpacks all of `f` into memory: *out, closed with boot_file_close(). `size` is what it must
 * unpack to, or 0: not known; `limit` is the most it may (unpack_limit()). -EBADMSG: the data is
 * corrupt; -E2BIG: more than the limit.
 */
MUST_CHECK int unpack_file(struct boot_file *out, const struct unpack_method *method,
			   const struct boot_file *f, uint64_t size, uint64_t limit, struct err *e);
