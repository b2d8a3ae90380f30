/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues (virtio 1.2, 2.6 to 2.8): the device's side of split and packed rings, over guest RAM.
 *
 *   split ring     descriptor table        available ring        used ring
 *                  [addr len flags next]   idx -> heads          idx -> (head, bytes written)
 *                     written by the driver                      written by us
 *   packed ring    one table of [addr len id flags], read and written in place by both
 *
 * Everything about the ring is validated once, when the driver enables the queue, and kept as host pointers;
 * it cannot change until reset. Each descriptor is copied once and judged on the copy. A walk is bounded: by
 * `size` in the ring, by `max` in an indirect table. Two kinds of fault (docs/virtqueue.md):
 * - the ring is broken (an index jumps, a chain loops, a head does not exist): -EINVAL, and the device is
 *   finished until reset (DEVICE_NEEDS_RESET);
 * - one request is bad (a buffer is empty or not RAM, readable after writable, too many segments, 4 GiB or
 *   more in all): the chain comes out with `bad` set and no buffers, and the device hands it back with a
 *   length of 0.
 *
 * What a kick() pops is bounded by nobody here: a driver that goes on offering while we work can keep
 * vq_pop() at 1 for ever. A device counts, and comes back by virtio_kick_again().
 *
 * Lock: the device's. Nothing here blocks or allocates.
 */
#pragma once

#include <sys/uio.h>

#include "base/base.h"
#include "mem/gmem.h"

#define VQ_MAX_SIZE 1024 /* entries; the specification allows 32768 */

struct vq {
	/* The driver's, through the transport, while not enabled. Addresses are guest-physical. */
	uint16_t size;
	uint64_t desc, driver,
		device; /* table, available ring or driver event, used ring or device event */

	uint16_t max; /* the device's: entries at most, a power of two */

	/* From vq_enable() on. */
	bool enabled;
	bool packed, event_idx, indirect;
	const struct gmem *mem;
	uint8_t *desc_host, *driver_host, *device_host;
	uint16_t inflight; /* chains popped and not pushed yet (packed: their descriptors) */

	uint16_t next_avail; /* split: free running. packed: below size */
	uint16_t next_used;
	uint16_t avail_seen;        /* split: the driver's index when it was last read */
	bool avail_wrap, used_wrap; /* packed: wrap counters, 2.8.1 */
	uint32_t
		fresh; /* used since vq_wants_interrupt() last looked: chains; packed: descriptors */

	/* packed: the first used descriptor of a batch waits for its flags until vq_publish(). */
	bool staged;
	uint16_t staged_slot, staged_flags;
};

/* What one request consists of. The caller provides iov and iov_max; the buffers are in guest RAM. */
struct vq_chain {
	struct iovec *iov;
	unsigned iov_max;

	unsigned n_out,
		n_in; /* iov[0, n_out) for us to read, the n_in after that for us to write */
	uint64_t out_len, in_len; /* bytes of each; together less than 4 GiB */
	bool bad;                 /* not to be carried out: push it with length 0 */
	uint16_t id;              /* for vq_push */
	uint16_t n_desc;          /* packed: descriptors it took of the ring */
};

/*
 * Validates and enables: sizes, alignment, and that the rings lie in RAM (2.7, 2.8.10.1). `features` are those
 * the driver accepted. -EINVAL: refused, the queue stays disabled.
 */
MUST_CHECK int vq_enable(struct vq *q, const struct gmem *mem, uint64_t features);
/* After reset: disabled, size = max, addresses 0. */
void vq_reset(struct vq *q);

/* 1: *c is the next chain; 0: none is there; -EINVAL: the driver broke the ring. */
MUST_CHECK int vq_pop(struct vq *q, struct vq_chain *c);
/* Gives back the chain that was popped last, as if it had not been; the ones before may follow. */
void vq_unpop(struct vq *q, const struct vq_chain *c);
/* Hands a chain back to the driver, with the number of bytes that were written into its buffers. */
void vq_push(struct vq *q, const struct vq_chain *c, uint32_t written);
/*
 * The same for several chains that must become visible at once (a packet over several buffers, 5.1.6.4):
 * vq_stage() each in the order in which they were popped, then vq_publish().
 */
void vq_stage(struct vq *q, const struct vq_chain *c, uint32_t written);
void vq_publish(struct vq *q);

/* Does the driver want an interrupt for what was pushed since this was last asked? A full fence if any was. */
MUST_CHECK bool vq_wants_interrupt(struct vq *q);
/* While we look at the queue anyway the driver need not ring; afterwards: true: more has come meanwhile. */
void vq_kicks_off(struct vq *q);
MUST_CHECK bool vq_kicks_on(struct vq *q);
/* Chains that can be popped now, at least (packed: 0 or 1); 0 also when the ring is broken. Pops nothing. */
unsigned vq_pending(const struct vq *q);

/*
 * Copies between a chain's buffers and memory: bytes [off, off + len) of its readable, or of its writable
 * part. The number of bytes that were there to copy.
 */
size_t vq_copy_out(const struct vq_chain *c, size_t off, void *to, size_t len);
size_t vq_copy_in(const struct vq_chain *c, size_t off, const void *from, size_t len);
