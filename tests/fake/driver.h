/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The driver's side of a virtio device, for unit tests: plain memory, no KVM, no thread. It lays out rings in a
 * few MiB of fake guest RAM, offers chains, and reads what was used. With VIRTIO_F_RING_PACKED among the features
 * of fake_attach() the rings are packed, and "head" is the buffer id; but for fake_desc() and fake_offer() all
 * functions do the same on both kinds.
 */
#pragma once

#include "virtio/virtio.h"

#define FAKE_QUEUES     16
#define FAKE_QUEUE_SIZE 16
#define FAKE_QUEUE_MAX  256
#define FAKE_RAM        (4 * MIB)
#define FAKE_SEGS_MAX   64

struct fake_seg {
	uint64_t gpa;
	uint32_t len;
	bool write; /* for the device to write */
};

struct fake_queue {
	/* Guest-physical. Packed: descriptor ring, driver and device event suppression. */
	uint64_t desc, avail, used;
	uint16_t size, next_desc, avail_idx,
		used_seen; /* packed: next_desc and used_seen are slots */
	bool packed, avail_wrap, used_wrap;
	/* Split: of each descriptor, the head of its chain + 1. Packed: of each id, its descriptors. 0: free. */
	uint16_t busy[FAKE_QUEUE_MAX];
};

struct fake_driver {
	struct gmem mem;
	struct loop loop;
	struct virtio_host host; /* for the device's create function */
	struct virtio_dev *dev;
	struct fake_queue queue[FAKE_QUEUES];
	uint64_t next; /* free guest memory from here on */
	unsigned interrupts[FAKE_QUEUES], config_interrupts, resets;
	uint16_t queue_size; /* may be set before fake_attach(); 0: FAKE_QUEUE_SIZE */
};

/* RAM and loop; then the device is created with &f->host. */
void fake_init(struct fake_driver *f);
/* Takes the device to DRIVER_OK with all its queues, accepting `features` and VERSION_1. */
void fake_attach(struct fake_driver *f, struct virtio_dev *dev, uint64_t features);
/* Destroys the device, if one was attached, and all the rest. */
void fake_fini(struct fake_driver *f);

/* Fresh guest memory, zeroed; its address. And a host pointer to any of it. */
uint64_t fake_alloc(struct fake_driver *f, uint32_t len);
void *fake_host(struct fake_driver *f, uint64_t gpa);

/* Writes one raw descriptor of a split ring. fake_add() does not know that it is in use. */
void fake_desc(struct fake_driver *f, unsigned queue, uint16_t i, uint64_t gpa, uint32_t len,
	       uint16_t flags, uint16_t next);
/* Offers a head as it is. */
void fake_offer(struct fake_driver *f, unsigned queue, uint16_t head);
/*
 * Writes a chain and offers it; its head. The descriptors follow one another unless some are still in use (a
 * split ring that nobody reads is overwritten in the end; a packed one must have room).
 */
uint16_t fake_add(struct fake_driver *f, unsigned queue, const struct fake_seg *seg, unsigned n);
/*
 * The same with the chain's descriptors in an indirect table.
 */
uint16_t fake_add_indirect(struct fake_driver *f, unsigned queue, const struct fake_seg *seg,
			   unsigned n);
/* Both rings as if `idx` (split: entries, packed: descriptors) had been offered and used. The queue is idle. */
void fake_start_at(struct fake_driver *f, unsigned queue, uint16_t idx);
/* Rings the doorbell and lets the device work: calls its kick(). */
void fake_kick(struct fake_driver *f, unsigned queue);
/* Serves the loop's sources once, waiting at most `ms`; false when there was nothing. */
bool fake_turn(struct fake_driver *f, int ms);
/* Serves the loop until a used entry is there (5 s at most), and takes it. False: none came. */
bool fake_wait_used(struct fake_driver *f, unsigned queue, uint16_t *head, uint32_t *len);
/* The next used entry, if there is one. */
bool fake_used(struct fake_driver *f, unsigned queue, uint16_t *head, uint32_t *len);
