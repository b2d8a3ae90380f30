/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel or initrd: a file, a part of one, or bytes that were unpacked in memory. The size of a
 * file is looked at once; one that shrinks later is a read error.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mem/gmem.h"

struct boot_file {
	int fd;         /* -1: in memory */
	uint8_t *data;  /* NULL: in a file */
	size_t map_len; /* of the mapping that data is */
	uint64_t base;  /* where it begins in fd: not 0 for a kernel inside a bzImage */
	uint64_t size;  /* never 0 */
};

/* Opens a regular, non-empty file for reading. The text does not name it. */
MUST_CHECK int boot_file_open(struct boot_file *f, const char *path, struct err *e);
void boot_file_close(struct boot_file *f);

/* Copies `len` bytes out. */
MUST_CHECK int boot_file_read(const struct boot_file *f, void *buf, size_t len, uint64_t offset,
			      struct err *e);
/* Copies `len` bytes to `gpa` in guest RAM. */
MUST_CHECK int boot_file_place(const struct boot_file *f, struct gmem *m, uint64_t gpa,
			       uint64_t offset, uint64_t len, struct err *e);

/* What the first `len` bytes of a file that is no kernel look like: "is ...", with the mend if any.
 */
const char *boot_file_looks_like(const uint8_t *head, size_t len);
