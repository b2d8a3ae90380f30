/* SPDX-License-Identifier: Apache-2.0 */
/* Queues that are set up wrongly, and devices whose state is. */
#include "hostile.h"

#define DRIVER_OK (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)

/* A queue of size a with its three parts where they belong. */
static enum verdict size(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint8_t *rings = pool_alloc(65536);
	uint16_t max;

	if (!vdev_negotiate(d, b))
		return WEDGED;
	vdev_select(d, 0);
	max = vdev_queue_max(d);
	if (a == 0x10000)
		a = max + 1u;
	vdev_set_queue(d, (uint16_t)a, (uint64_t)rings, (uint64_t)rings + 32768,
		       (uint64_t)rings + 40960);
	vdev_enable(d);
	vdev_set_status(d, DRIVER_OK);
	vdev_kick(d, 0);
	if (a == 1 || a == 2 || (b & F_PACKED && a == 3)) /* these are allowed */
		return vdev_enabled(d) ? PASS : FAIL;
	return vdev_enabled(d) ? FAIL : REJECT;
}

/* A queue whose part a (0 to 2) is at b; below 4096: so many bytes before the end of RAM. */
static enum verdict place(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint64_t part[3];

	for (unsigned i = 0; i < 3; i++)
		part[i] = (uint64_t)pool_alloc(4096);
	part[a] = b < 4096 ? h->ram_end - b : b;
	if (!vdev_negotiate(d, 0))
		return WEDGED;
	vdev_select(d, 0);
	vdev_set_queue(d, HOSTILE_SIZE, part[0], part[1], part[2]);
	vdev_enable(d);
	vdev_set_status(d, DRIVER_OK);
	vdev_kick(d, 0);
	return vdev_enabled(d) ? FAIL : REJECT;
}

static enum verdict misaligned(struct hostile *h, uint64_t a, uint64_t b)
{
	return place(h, a, (uint64_t)pool_alloc(8192) + b);
}

/* All three parts at one place: a foolish driver, whose requests are nonsense, but RAM is RAM. */
static enum verdict overlapping(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint64_t at = (uint64_t)pool_alloc(8192);

	(void)a, (void)b;
	if (!vdev_negotiate(d, 0))
		return WEDGED;
	vdev_select(d, 0);
	vdev_set_queue(d, HOSTILE_SIZE, at, at, at);
	vdev_enable(d);
	vdev_set_status(d, DRIVER_OK);
	for (unsigned i = 0; i < 4; i++) {
		((volatile uint16_t *)at)[1] = (uint16_t)i;
		vdev_kick(d, 0);
	}
	return hostile_witness(h) ? PASS : WEDGED;
}

/* While the queue is live: none of its registers takes another value, and requests go on. */
static enum verdict live_change(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	static uint8_t data[512];

	(void)b;
	if (!vdev_start(d, 0, HOSTILE_SIZE))
		return WEDGED;
	vdev_select(d, 0);
	vdev_set_queue(d, (uint16_t)a, 0xd0000000, 0xfffffffffffffffe, h->ram_end);
	vdev_enable(d);
	return blk_request(d, 0, 1, data, 512) == 0 && data[0] == 1 ? REJECT : FAIL;
}

/* Queue a does not exist. */
static enum verdict select(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	(void)b;
	if (!vdev_negotiate(d, 0))
		return WEDGED;
	vdev_select(d, (uint16_t)a);
	if (vdev_queue_max(d) != 0)
		return FAIL;
	vdev_set_queue(d, 16, 4096, 8192, 12288);
	vdev_enable(d);
	return vdev_enabled(d) ? FAIL : REJECT;
}

static enum verdict notify(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)b;
	if (!vdev_start(h->disk, 0, HOSTILE_SIZE))
		return WEDGED;
	if (h->disk->mmio || a < 64)
		vdev_kick(h->disk, (uint16_t)a);
	else
		*(volatile uint16_t *)h->disk->notify = (uint16_t)a;
	return hostile_witness(h) ? PASS : WEDGED;
}

static enum verdict enable_too_early(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	(void)a, (void)b;
	if (!vdev_reset(d))
		return WEDGED;
	vdev_select(d, 0);
	vdev_set_queue(d, HOSTILE_SIZE, (uint64_t)pool_alloc(4096), (uint64_t)pool_alloc(4096),
		       (uint64_t)pool_alloc(4096));
	vdev_enable(d);
	return vdev_enabled(d) ? FAIL : REJECT;
}

const struct hostile_case hostile_queue[] = {
	{"queue: size 0", size, 0, 0},
	{"queue: size 1", size, 1, 0},
	{"queue: size 2", size, 2, 0},
	{"queue: size 3", size, 3, 0},
	{"queue: size above the maximum", size, 0x10000, 0},
	{"queue: size 65535", size, 0xffff, 0},
	{"queue: packed, size 0", size, 0, F_PACKED},
	{"queue: packed, size above the maximum", size, 0x10000, F_PACKED},
	{"queue: packed, size 65535", size, 0xffff, F_PACKED},
	{"queue: table misaligned", misaligned, 0, 8},
	{"queue: table misaligned by 1", misaligned, 0, 1},
	{"queue: available ring misaligned", misaligned, 1, 1},
	{"queue: used ring misaligned", misaligned, 2, 2},
	{"queue: table ends behind RAM", place, 0, 240},
	{"queue: available ring ends behind RAM", place, 1, 36},
	{"queue: used ring ends behind RAM", place, 2, 132},
	{"queue: table in the PCI hole", place, 0, 0xd0000000},
	{"queue: available ring in the local APIC", place, 1, 0xfee00000},
	{"queue: used ring in ECAM", place, 2, 0xe0000000},
	{"queue: table wraps", place, 0, 0xfffffffffffffff0},
	{"queue: available ring wraps", place, 1, 0xfffffffffffffffe},
	{"queue: used ring wraps", place, 2, 0xfffffffffffffffc},
	{"queue: three parts in one place", overlapping, 0, 0},
	{"queue: changed while live", live_change, 3, 0},
	{"queue: larger while live", live_change, 0xffff, 0},
	{"queue: select one too many", select, 1000, 0},
	{"queue: select 65535", select, 0xffff, 0},
	{"queue: notify one that does not exist", notify, 63, 0},
	{"queue: notify 65535", notify, 0xffff, 0},
	{"queue: enabled before FEATURES_OK", enable_too_early, 0, 0},
	{0},
};

/* ---- the device's state ---- */

/* Rung before DRIVER_OK: nothing may happen; with DRIVER_OK the request is served. */
static enum verdict kick_early(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	struct ring *r = &d->ring;
	static uint8_t header[16], data[512];
	static volatile uint8_t status;
	uint32_t id, len;

	(void)a, (void)b;
	if (!vdev_negotiate(d, 0))
		return WEDGED;
	*r = (struct ring){.size = HOSTILE_SIZE};
	r->desc = pool_alloc(4096);
	r->avail = pool_alloc(4096);
	r->used = pool_alloc(4096);
	vdev_select(d, 0);
	vdev_set_queue(d, r->size, (uint64_t)r->desc, (uint64_t)r->avail, (uint64_t)r->used);
	vdev_enable(d);
	ring_desc(r, 0, (uint64_t)header, 16, DESC_NEXT, 1);
	ring_desc(r, 1, (uint64_t)data, 512, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(r, 2, (uint64_t)&status, 1, DESC_WRITE, 0);
	ring_offer(r, 0);
	vdev_kick(d, 0);
	for (unsigned i = 0; i < 3; i++)
		if (!hostile_witness(h))
			return WEDGED;
	if (ring_poll(r, &id, &len))
		return FAIL;
	vdev_set_status(d, DRIVER_OK);
	vdev_kick(d, 0);
	return ring_wait(r, &id, &len) ? PASS : WEDGED;
}

/* Accepts the bits a besides VERSION_1 (b: or without it). FEATURES_OK must not stick. */
static enum verdict features(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	if (a & vdev_offered(d))
		return SKIP;
	if (!vdev_reset(d))
		return WEDGED;
	vdev_set_status(d, S_ACKNOWLEDGE | S_DRIVER);
	vdev_accept(d, a | (b ? 0 : F_VERSION_1));
	vdev_set_status(d, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	return vdev_status(d) & S_FEATURES_OK ? FAIL : REJECT;
}

static enum verdict features_late(struct hostile *h, uint64_t a, uint64_t b)
{
	static uint8_t data[512];

	(void)b;
	if (!vdev_start(h->disk, 0, HOSTILE_SIZE))
		return WEDGED;
	vdev_accept(h->disk, a);
	return blk_request(h->disk, 0, 1, data, 512) == 0 ? REJECT : FAIL;
}

/* Writes status a to a device that runs: it goes on (a is not 0), or stops where FAILED is set. */
static enum verdict status(struct hostile *h, uint64_t a, uint64_t b)
{
	static uint8_t data[512];

	(void)b;
	if (!vdev_start(h->disk, 0, HOSTILE_SIZE))
		return WEDGED;
	vdev_set_status(h->disk, (uint8_t)a);
	if (a & S_FAILED)
		return hostile_witness(h) ? PASS : WEDGED;
	if (!(vdev_status(h->disk) & S_DRIVER_OK))
		return FAIL;
	return blk_request(h->disk, 0, 1, data, 512) == 0 ? PASS : FAIL;
}

static enum verdict driver_ok_without_features(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	if (!vdev_reset(h->disk))
		return WEDGED;
	vdev_set_status(h->disk, S_ACKNOWLEDGE | S_DRIVER | S_DRIVER_OK);
	vdev_kick(h->disk, 0);
	return vdev_status(h->disk) & S_DRIVER_OK ? FAIL : REJECT;
}

/* a requests in flight, then reset: once it reads back as 0, nothing may be written to memory. */
static enum verdict reset_in_flight(struct hostile *h, uint64_t a, uint64_t b)
{
	static uint8_t header[16], data[8][4096];
	static volatile uint8_t done[8];
	struct ring *r = &h->disk->ring;

	for (uint64_t round = 0; round < b; round++) {
		if (!vdev_start(h->disk, 0, 32))
			return WEDGED;
		for (uint16_t i = 0; i < a; i++) {
			ring_desc(r, 3u * i, (uint64_t)header, 16, DESC_NEXT,
				  (uint16_t)(3 * i + 1));
			ring_desc(r, 3u * i + 1, (uint64_t)data[i], 4096, DESC_NEXT | DESC_WRITE,
				  (uint16_t)(3 * i + 2));
			ring_desc(r, 3u * i + 2, (uint64_t)&done[i], 1, DESC_WRITE, 0);
			ring_offer(r, (uint16_t)(3 * i));
		}
		vdev_kick(h->disk, 0);
		if (!vdev_reset(h->disk))
			return WEDGED;
		for (unsigned i = 0; i < 8; i++) {
			done[i] = 0x77;
			for (unsigned k = 0; k < 4096; k++)
				data[i][k] = 0x77;
		}
		for (unsigned i = 0; i < 3; i++)
			if (!hostile_witness(h))
				return WEDGED;
		for (unsigned i = 0; i < 8; i++)
			for (unsigned k = 0; k < 4096; k++)
				if (data[i][k] != 0x77 || done[i] != 0x77)
					return FAIL;
		pool_reset();
		if (!vdev_start(h->witness, 0, HOSTILE_SIZE))
			return WEDGED;
	}
	return PASS;
}

static enum verdict resets(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)b;
	for (uint64_t i = 0; i < a; i++)
		if (!vdev_reset(h->disk))
			return WEDGED;
	return PASS;
}

/* Another size of the feature selector than there are features. */
static enum verdict feature_select(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint64_t base = d->mmio ? d->base : d->common;

	(void)b;
	mmio_write32(base + (d->mmio ? 0x14 : 0), (uint32_t)a);
	return mmio_read32(base + (d->mmio ? 0x10 : 4)) == 0 ? PASS : FAIL;
}

const struct hostile_case hostile_state[] = {
	{"state: doorbell before DRIVER_OK", kick_early, 0, 0},
	{"state: a feature that is not offered", features, 1ULL << 41, 0},
	{"state: a device feature that is not offered", features, 1ULL << 7, 0},
	{"state: feature bit 63", features, 1ULL << 63, 0},
	{"state: without VERSION_1", features, 0, 1},
	{"state: features changed late", features_late, 0xffffffffffffffff, 0},
	{"state: features cleared late", features_late, 0, 0},
	{"state: status bits cleared", status, S_ACKNOWLEDGE, 0},
	{"state: status all ones", status, 0xff, 0},
	{"state: FAILED", status, S_FAILED, 0},
	{"state: NEEDS_RESET by the driver", status, S_NEEDS_RESET, 0},
	{"state: reserved status bits", status, 0x30, 0},
	{"state: DRIVER_OK without FEATURES_OK", driver_ok_without_features, 0, 0},
	{"state: reset with requests in flight", reset_in_flight, 8, 5},
	{"state: a hundred resets", resets, 100, 0},
	{"state: feature select 2", feature_select, 2, 0},
	{"state: feature select all ones", feature_select, 0xffffffff, 0},
	{0},
};
