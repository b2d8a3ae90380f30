/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device that does nothing, with a fake driver before it: for tests of the queues themselves. The test
 * plays the device, by vq_pop() and so on, and the driver, by the fake's functions and those here.
 */
#pragma once

#include "fake/driver.h"

#define RIG_PACKED    (1ULL << VIRTIO_F_RING_PACKED)
#define RIG_INDIRECT  (1ULL << VIRTIO_RING_F_INDIRECT_DESC)
#define RIG_EVENT_IDX (1ULL << VIRTIO_RING_F_EVENT_IDX)

#define RIG_QUEUES 2
#define RIG_MAX    64 /* entries at most of a queue */

struct rig_device {
	struct virtio_dev dev;
	uint8_t config[8];
	unsigned kicks[RIG_QUEUES], activations, resets;
	unsigned in_flight_at_reset; /* of queue 0 */
	bool again;                  /* kick() asks for another one */
};

struct rig {
	struct fake_driver f;
	struct rig_device *d;
	struct virtio_dev *dev; /* &d->dev */
	struct vq *q;           /* queue 0 */
	struct iovec iov[FAKE_SEGS_MAX];
};

/* A device alone, which fake_fini() destroys once it is attached; else virtio_destroy(). */
struct rig_device *rig_device(const struct virtio_host *host, uint16_t queue_max);
/* `size` entries a queue; 0: FAKE_QUEUE_SIZE. At DRIVER_OK. */
void rig_init(struct rig *r, uint64_t features, uint16_t size);
void rig_fini(struct rig *r);
/* The test on a split ring, then on a packed one. */
void rig_both(void (*test)(struct rig *r), uint64_t features);

/* vq_pop() with room for FAKE_SEGS_MAX buffers. */
int rig_pop(struct rig *r, struct vq_chain *c);
/* Offers one readable buffer of `len` bytes; its head. */
uint16_t rig_add(struct rig *r, uint32_t len);
/* One used entry is there, with this head and length. */
void rig_used(struct rig *r, uint16_t head, uint32_t len);
void rig_nothing_used(struct rig *r);

/*
 * The driver wants an interrupt for the used entry (packed: descriptor) that comes `after` further ones; needs
 * EVENT_IDX. And: for each, or for none.
 */
void rig_want_interrupt_after(struct rig *r, unsigned after);
void rig_want_interrupts(struct rig *r, bool on);
/* Having just offered `n` entries (packed: descriptors), must the driver ring? Decided as Linux does. */
bool rig_must_ring(const struct rig *r, unsigned n);
