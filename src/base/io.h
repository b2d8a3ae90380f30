/* SPDX-License-Identifier: Apache-2.0 */
/* File descriptors: close once, read and write whole. */
#pragma once

#include "base/base.h"

/* Closes *fd if it is open and sets it to -1, so that a second call does nothing. */
void fd_close(int *fd);

/* Reads `len` bytes at `offset`, whatever number of calls it takes. 0, or -errno; -EIO at an early end. */
MUST_CHECK int pread_full(int fd, void *buf, size_t len, uint64_t offset);

/* Writes all `len` bytes (blocking descriptors). 0 or -errno. */
MUST_CHECK int write_full(int fd, const void *buf, size_t len);
