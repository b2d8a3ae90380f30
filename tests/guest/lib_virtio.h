/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of virtio devices for bare-metal guests, on both transports: small enough to be wrong on purpose.
 * Addresses are identity-mapped; nothing here allocates but from a fixed pool.
 */
#pragma once

#include "lib.h"

#define VDEV_MAX       32
#define VIRTIO_NET     1
#define VIRTIO_BLK     2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG     4
#define VIRTIO_BALLOON 5
#define VIRTIO_VSOCK   19

#define S_ACKNOWLEDGE 1
#define S_DRIVER      2
#define S_DRIVER_OK   4
#define S_FEATURES_OK 8
#define S_NEEDS_RESET 0x40
#define S_FAILED      0x80

#define F_INDIRECT  (1ULL << 28)
#define F_EVENT_IDX (1ULL << 29)
#define F_VERSION_1 (1ULL << 32)
#define F_PACKED    (1ULL << 34)

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define RING_MAX 256

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct pdesc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

/* A queue's memory, and where the driver is in it. Split rings use all three parts, packed ones `desc`. */
struct ring {
	uint16_t size;
	volatile struct desc *desc;
	volatile uint16_t *avail; /* flags, idx, ring[size], used_event */
	volatile uint16_t *used;  /* flags, idx, then (id, len) in 32-bit words */
	uint16_t seen;            /* used entries taken */
	bool packed, wrap;
	uint16_t at;    /* next slot to fill; packed and by blk_request(): and to look at */
	bool fill_wrap; /* packed: of the lap in which `at` is */
	uint8_t count[RING_MAX]; /* packed: of each id, its descriptors */
};

struct vdev {
	bool mmio;
	uint16_t id;   /* VIRTIO_BLK and so on */
	uint64_t base; /* MMIO registers */
	/* PCI */
	unsigned slot;
	uint64_t bar, common, notify, isr, config, msix;
	uint32_t notify_multiplier;
	uint16_t msix_cap;

	uint64_t features; /* accepted */
	struct ring ring;  /* of queue 0 */
};

/* PCI configuration space by ports 0xcf8 and 0xcfc; function 0 of bus 0. */
uint32_t pci_read(unsigned slot, unsigned off, unsigned len);
void pci_write(unsigned slot, unsigned off, unsigned len, uint32_t value);
bool pci_present(void);

/* All virtio devices, PCI first. Memory decoding is switched on. */
unsigned vdev_find_all(struct vdev found[VDEV_MAX]);

uint8_t vdev_status(const struct vdev *d);
void vdev_set_status(const struct vdev *d, uint8_t status);
uint64_t vdev_offered(const struct vdev *d);
void vdev_accept(const struct vdev *d, uint64_t features);
void vdev_select(const struct vdev *d, uint16_t queue);
uint16_t vdev_queue_max(const struct vdev *d);
void vdev_set_queue(const struct vdev *d, uint16_t size, uint64_t desc, uint64_t avail,
		    uint64_t used);
void vdev_enable(const struct vdev *d);
uint32_t vdev_enabled(const struct vdev *d);
void vdev_kick(const struct vdev *d, uint16_t queue);
uint64_t vdev_config64(const struct vdev *d, unsigned off);

/* Writes 0 and waits until it reads back. False: it never does. */
bool vdev_reset(const struct vdev *d);
/* Reset to FEATURES_OK; false when the device does not agree. Always with VERSION_1. */
bool vdev_negotiate(struct vdev *d, uint64_t features);
/* The rest, with one ring of `size` in d->ring as queue 0. */
bool vdev_start(struct vdev *d, uint64_t features, uint16_t size);

/* How many queues there are. */
uint16_t vdev_queues(const struct vdev *d);
/* Between vdev_negotiate() and vdev_go(): memory for a ring, as queue `queue`. False: it does not get enabled. */
bool vdev_add_ring(const struct vdev *d, struct ring *r, uint16_t queue, uint16_t size);
void vdev_go(const struct vdev *d); /* DRIVER_OK */

/* Page-aligned, zeroed memory that is never given back but by vdev_pool_reset(). */
void *pool_alloc(unsigned len);
void pool_reset(void);

/* Split rings: writes one descriptor, offers a head. */
void ring_desc(struct ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
	       uint16_t next);
void ring_offer(struct ring *r, uint16_t head);
/* A used entry within some seconds; false: none came. */
bool ring_wait(struct ring *r, uint32_t *id, uint32_t *len);
bool ring_poll(struct ring *r, uint32_t *id, uint32_t *len);

/*
 * Either kind of ring, also with many chains in flight: offers a chain of `n` descriptors, of which address, length and
 * WRITE count; the caller sees to it that there is room. Its id. And takes the next used one, if there is one.
 */
uint16_t ring_add(struct ring *r, const struct desc *d, unsigned n);
bool ring_take(struct ring *r, uint32_t *id, uint32_t *len);
/* The same, within some seconds. */
bool ring_take_soon(struct ring *r, uint32_t *id, uint32_t *len);

/* A block request over the ring that was started: status byte, or -1 when it never came back. */
int blk_request(struct vdev *d, uint32_t type, uint64_t sector, void *data, uint32_t len);

/* Has roughly so much time passed? */
uint64_t deadline(void);
bool passed(uint64_t deadline);
