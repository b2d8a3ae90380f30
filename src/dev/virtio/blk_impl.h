/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of virtio-blk: blk.c (the device) and blk_request.c (its requests). */
#pragma once

#include <linux/virtio_blk.h>

#include "backend/disk.h"
#include "backend/ratelimit.h"
#include "dev/virtio/blk.h"

#define BLK_QUEUES_MAX 64  /* bits of `completed` */
#define BLK_SEG_MAX    254 /* data segments of a request; header and status come on top */
/* What one request may discard, and write zeros to, in sectors of one segment; and segments. */
#define BLK_DISCARD_SECTORS (1U << 22) /* 2 GiB: an instant */
#define BLK_ZEROES_SECTORS  (1U << 17) /* 64 MiB: the host may have to write them */
#define BLK_RANGES_MAX      16

/* One request on its way: in a pool, one for each entry of each queue. */
struct blk_request {
	struct disk_request io;
	struct vq_chain chain;
	struct blk *blk;
	struct blk_request *next_free;
	uint8_t *status; /* in guest RAM */
	uint32_t type;   /* VIRTIO_BLK_T_... */
	uint32_t data;   /* bytes of data that the driver gets, if all goes well */
	unsigned queue;
	unsigned range; /* of DISCARD and WRITE_ZEROES: the one that is carried out now */
};

/*
 * Slots are taken from the free list, last in first out, and beyond it in order: a guest that never has more
 * than a few requests in flight makes us touch a few pages only.
 */
struct blk_queue {
	struct blk_request *slot, *free;
	struct iovec *iov; /* iov_max of them for each slot */
	unsigned n_slots, n_touched;
};

struct blk {
	struct virtio_dev base;
	struct virtio_blk_config config;
	struct disk *disk;
	struct ratelimit limit;
	struct blk_queue *queue;
	unsigned n_queues, iov_max;
	uint64_t completed; /* a bit a queue: something was pushed since the last interrupt */
	bool dropping; /* reset: what completes is not told to anybody, and the loop does not reap */
	char id[VIRTIO_BLK_ID_BYTES];
	const char *name; /* for messages */
	struct log_limit log;
};

/* Serves a queue, starts what was found, and reaps what is finished. Lock held. */
void blk_serve(struct blk *blk, unsigned queue);
/* Looks at the image's size again, and tells the driver if it is another. Lock held. */
void blk_rescan(struct blk *blk);
/* Reaps, starts what follows from that, interrupts. Lock held. */
void blk_reap(struct blk *blk);
