/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of overlays: overlay.c (requests) and overlay_file.c (the file's format). */
#pragma once

#include <pthread.h>

#include "backend/overlay.h"

#define OVERLAY_PAGE      4096 /* unit in which bitmaps are read, and made durable */
#define OVERLAY_SHIFT_MIN 12 /* clusters of 4 KiB: what file systems write; nothing to copy then */
#define OVERLAY_SHIFT_MAX 40 /* a bitmap of 1 MiB for anything that fits into 63 bits */
#define OVERLAY_BITMAP    (1 * MIB) /* the larger the disk, the larger the clusters, to stay below */
#define OVERLAY_BUSY_MAX  8         /* threads in overlay_do() that allocate */

/* At offset 0 of the file, little-endian, padded with zeros to OVERLAY_PAGE. */
#define OVERLAY_MAGIC   "TOYVMCOW"
#define OVERLAY_VERSION 1
struct overlay_header {
	char magic[8];
	uint32_t version;
	uint32_t shift;      /* a cluster is 2^shift bytes */
	uint64_t size;       /* of the disk, bytes */
	uint64_t base_bytes; /* size of the base file, */
	int64_t base_mtime_s;
	uint32_t base_mtime_ns; /* and when it was last written to: it must not change */
	uint32_t reserved;
	char boot_id[40];     /* of the host's kernel that pending was written under */
	char base_path[1024]; /* as it was given then; for messages */
};

struct overlay {
	struct disk_file *base;
	struct disk_file file;
	bool temporary; /* nothing of it outlives us: no bitmaps in the file, no flush */
	const char *path;

	uint64_t size, n_clusters;
	unsigned shift;
	/* Offsets in the file. The data of the disk's byte n is at data_at + n. */
	uint64_t durable_at, pending_at, data_at;

	uint64_t bitmap_len; /* bytes, whole pages */
	uint8_t *bits;       /* a bit a cluster: it is in the overlay. Never cleared */
	bool *dirty;         /* of each page: has bits that no flush has begun for */

	/* flush_lock's: a copy of the pages that are made durable now, or whose flush failed. */
	uint8_t *snapshot;
	bool *flushing;

	pthread_mutex_t lock; /* bits, dirty, busy; held while pending is written */
	pthread_cond_t unbusy;
	struct {
		uint64_t first, last; /* clusters that one thread allocates now */
		bool used;
	} busy[OVERLAY_BUSY_MAX];
	pthread_mutex_t flush_lock; /* one flush at a time; taken before `lock` */
};

/* Sets shift, bitmap_len and the offsets for o->size; shift 0: chosen. */
void overlay_layout(struct overlay *o, unsigned shift);
/* Opens o->file and fills in the bitmap; overlay_layout() has been called, and the bitmaps are allocated. */
int overlay_file_open(struct overlay *o, const struct disk_config *config, struct err *e);
/* One transfer between memory and o->file. */
int overlay_pwrite(struct overlay *o, const void *data, size_t len, uint64_t at);
