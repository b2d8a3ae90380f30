/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-on-write overlays: what a guest writes goes to a second file, the base is only read, so that any number
 * of machines can share it. Space is divided into clusters; a bitmap says which of them are in the overlay.
 *
 * Two bitmaps are in the file (docs/disk.md): *pending* is written as soon as a cluster's data is, so nothing
 * is lost when toyvmm is killed; *durable* is written by a flush, after the data has reached the disk, and is
 * all that counts when the host has been started anew since.
 *
 * Threads: overlay_do() may be called by several at once. Its locks are taken last.
 */
#pragma once

#include "backend/disk_impl.h"

/*
 * Opens or makes the overlay that the configuration asks for, over `base` of `size` bytes (whole sectors). The
 * base is borrowed. Refused: a file that is no overlay, or one of another base, or of one that has changed.
 */
int overlay_open(struct overlay **out, const struct disk_config *config, struct disk_file *base,
		 uint64_t size, struct err *e);
/* Flushes and closes. NULL is fine. */
void overlay_close(struct overlay *o);

/* A request from start to end; blocks. 0 or -errno, in r->error too. */
int overlay_do(struct overlay *o, struct disk_request *r);

/* A read that need not wait, if it is one: see disk_file_read_now(). */
bool overlay_read_now(struct overlay *o, const struct disk_request *r);

/* For tests: the file that is written to. */
struct disk_file *overlay_file(struct overlay *o);
