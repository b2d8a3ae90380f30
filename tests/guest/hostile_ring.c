/* SPDX-License-Identifier: Apache-2.0 */
/* Split rings whose descriptors, heads and indices are wrong. */
#include "hostile.h"

static uint8_t header[512] __attribute__((aligned(64)));
static uint8_t data[4096] __attribute__((aligned(4096)));
static volatile uint8_t status[64];

/* A read of sector 1 in the usual three descriptors, at 0, 1 and 2; not offered yet. */
static struct ring *start(struct hostile *h, uint64_t features)
{
	struct ring *r = &h->disk->ring;

	if (!vdev_start(h->disk, features, HOSTILE_SIZE))
		return NULL;
	for (unsigned i = 0; i < sizeof(header); i++)
		header[i] = 0;
	header[8] = 1;
	status[0] = 0xee;
	ring_desc(r, 0, (uint64_t)header, 16, DESC_NEXT, 1);
	ring_desc(r, 1, (uint64_t)data, 512, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(r, 2, (uint64_t)status, 1, DESC_WRITE, 0);
	return r;
}

static enum verdict go(struct hostile *h, uint16_t head)
{
	ring_offer(&h->disk->ring, head);
	vdev_kick(h->disk, 0);
	return hostile_judge(h);
}

/* a: the next of descriptor 2, which goes on instead of ending */
static enum verdict loop(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	(void)b;
	if (!r)
		return WEDGED;
	ring_desc(r, 2, (uint64_t)status, 1, DESC_WRITE | DESC_NEXT, (uint16_t)a);
	return go(h, 0);
}

/* All descriptors in one chain, the last leads to the first. */
static enum verdict loop_of_all(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	(void)a, (void)b;
	if (!r)
		return WEDGED;
	for (uint16_t i = 0; i < r->size; i++)
		ring_desc(r, i, (uint64_t)header, 1, DESC_NEXT, (uint16_t)((i + 1) % r->size));
	return go(h, 0);
}

static enum verdict head(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)b;
	return start(h, 0) ? go(h, (uint16_t)a) : WEDGED;
}

/* a: what is added to the available index beyond the one request that is there */
static enum verdict index_jump(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, b);

	if (!r)
		return WEDGED;
	r->avail[1] = (uint16_t)(r->avail[1] + a);
	vdev_kick(h->disk, 0);
	return hostile_judge(h);
}

static enum verdict same_head_twice(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	(void)b;
	if (!r)
		return WEDGED;
	for (unsigned i = 0; i < a; i++)
		ring_offer(r, 0);
	vdev_kick(h->disk, 0);
	return hostile_judge(h);
}

/* Descriptor a gets length b. */
static enum verdict length(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	if (!r)
		return WEDGED;
	r->desc[a].len = (uint32_t)b;
	return go(h, 0);
}

/* Descriptor a gets address b; below 4096, relative to the end of RAM. */
static enum verdict address(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	if (!r)
		return WEDGED;
	r->desc[a].addr = b < 4096 ? h->ram_end - 256 + b : b;
	r->desc[a].len = a == 1 ? 512 : r->desc[a].len;
	return go(h, 0);
}

/* DMA into the device's own registers: not RAM, and the request must not come through. */
static enum verdict own_registers(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	(void)b;
	if (!r)
		return WEDGED;
	r->desc[1].addr = h->disk->mmio ? h->disk->base + a : h->disk->common + a;
	return go(h, 0);
}

/* Descriptor a gets flags b. */
static enum verdict flags(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	if (!r)
		return WEDGED;
	r->desc[a].flags = (uint16_t)b;
	return go(h, 0);
}

/* Only descriptor a, with flags b. */
static enum verdict alone(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);

	if (!r)
		return WEDGED;
	r->desc[a].flags = (uint16_t)b;
	return go(h, (uint16_t)a);
}

/* 2.7.4.2: no assumptions about layout. The header in pieces of one byte: this is no fault. */
static enum verdict header_in_pieces(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = &h->disk->ring;
	uint32_t id, len;

	(void)a, (void)b;
	if (!start(h, 0) || !vdev_start(h->disk, 0, 32))
		return WEDGED;
	for (uint16_t i = 0; i < 16; i++)
		ring_desc(r, i, (uint64_t)header + i, 1, DESC_NEXT, (uint16_t)(i + 1));
	ring_desc(r, 16, (uint64_t)data, 512, DESC_NEXT | DESC_WRITE, 17);
	ring_desc(r, 17, (uint64_t)status, 1, DESC_WRITE, 0);
	ring_offer(r, 0);
	vdev_kick(h->disk, 0);
	if (!ring_wait(r, &id, &len))
		return WEDGED;
	return status[0] == 0 && len == 513 && data[0] == 1 ? PASS : FAIL;
}

/* Data and status in one buffer: no fault either. */
static enum verdict status_behind_data(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, 0);
	uint32_t id, len;

	(void)a, (void)b;
	if (!r)
		return WEDGED;
	data[512] = 0xee;
	ring_desc(r, 1, (uint64_t)data, 513, DESC_WRITE, 0);
	ring_offer(r, 0);
	vdev_kick(h->disk, 0);
	if (!ring_wait(r, &id, &len))
		return WEDGED;
	return data[512] == 0 && len == 513 ? PASS : FAIL;
}

static struct desc table[64] __attribute__((aligned(4096)));

/* An indirect table with a good read in it; descriptor 0 points to it with length a and flags b. */
static struct ring *start_indirect(struct hostile *h, uint64_t features, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, features);

	if (!r)
		return NULL;
	for (unsigned i = 0; i < 3; i++)
		table[i] = (struct desc){r->desc[i].addr, r->desc[i].len, r->desc[i].flags,
					 r->desc[i].next};
	ring_desc(r, 0, (uint64_t)table, (uint32_t)a, (uint16_t)b, 1);
	return r;
}

static enum verdict indirect(struct hostile *h, uint64_t a, uint64_t b)
{
	return start_indirect(h, F_INDIRECT, a, b) ? go(h, 0) : WEDGED;
}

static enum verdict indirect_not_accepted(struct hostile *h, uint64_t a, uint64_t b)
{
	return start_indirect(h, 0, a, b) ? go(h, 0) : WEDGED;
}

/* Entry 1 of the table gets flags a and next b. */
static enum verdict indirect_entry(struct hostile *h, uint64_t a, uint64_t b)
{
	if (!start_indirect(h, F_INDIRECT, 48, DESC_INDIRECT))
		return WEDGED;
	table[1].flags = (uint16_t)a;
	table[1].next = (uint16_t)b;
	return go(h, 0);
}

static enum verdict indirect_place(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start_indirect(h, F_INDIRECT, 48, DESC_INDIRECT);

	(void)b;
	if (!r)
		return WEDGED;
	r->desc[0].addr = a < 4096 ? h->ram_end - 256 + a : a;
	return go(h, 0);
}

/* 2.7.5.3.2: direct descriptors first, then a table: a good request. */
static enum verdict direct_then_indirect(struct hostile *h, uint64_t a, uint64_t b)
{
	struct ring *r = start(h, F_INDIRECT);
	uint32_t id, len;

	(void)a, (void)b;
	if (!r || !(h->disk->features & F_INDIRECT))
		return SKIP;
	table[0] = (struct desc){(uint64_t)data, 512, DESC_NEXT | DESC_WRITE, 1};
	table[1] = (struct desc){(uint64_t)status, 1, DESC_WRITE, 0};
	ring_desc(r, 1, (uint64_t)table, 32, DESC_INDIRECT, 0);
	ring_offer(r, 0);
	vdev_kick(h->disk, 0);
	if (!ring_wait(r, &id, &len))
		return WEDGED;
	return status[0] == 0 && len == 513 ? PASS : FAIL;
}

/* The ring goes round many times: indices wrap, nothing is lost. */
static enum verdict many(struct hostile *h, uint64_t a, uint64_t features)
{
	if (!vdev_start(h->disk, features, HOSTILE_SIZE))
		return WEDGED;
	if ((h->disk->features & features) != features)
		return SKIP;
	for (uint64_t i = 0; i < a; i++) {
		*(uint64_t *)data = ~0ULL;
		int rc = blk_request(h->disk, 0, i % 8, data, 512);
		if (rc != 0)
			return rc < 0 ? WEDGED : FAIL;
		if (*(uint64_t *)data != i % 8)
			return FAIL;
	}
	return PASS;
}

/* A million doorbells for nothing would keep the host busy, and must not keep others waiting. */
static enum verdict storm(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)b;
	if (!start(h, 0))
		return WEDGED;
	for (uint64_t i = 0; i < a; i++)
		vdev_kick(h->disk, 0);
	return hostile_witness(h) ? PASS : WEDGED;
}

const struct hostile_case hostile_ring[] = {
	{"ring: chain loops to itself", loop, 2, 0},
	{"ring: chain loops to its head", loop, 0, 0},
	{"ring: next is the queue's size", loop, HOSTILE_SIZE, 0},
	{"ring: next out of range", loop, 0xffff, 0},
	{"ring: all descriptors in a loop", loop_of_all, 0, 0},
	{"ring: head is the queue's size", head, HOSTILE_SIZE, 0},
	{"ring: head out of range", head, 0xffff, 0},
	{"ring: index jumps by one more than the size", index_jump, HOSTILE_SIZE + 1, 0},
	{"ring: index jumps far", index_jump, 0x8000, 0},
	{"ring: index goes backwards", index_jump, 0xffff, 0},
	{"ring: index goes backwards, event index", index_jump, 0xffff, F_EVENT_IDX},
	{"ring: the same head twice", same_head_twice, 2, 0},
	{"ring: the same head in every place", same_head_twice, HOSTILE_SIZE, 0},
	{"ring: header of length 0", length, 0, 0},
	{"ring: data of length 0", length, 1, 0},
	{"ring: status of length 0", length, 2, 0},
	{"ring: header too short", length, 0, 15},
	{"ring: header too long", length, 0, 17},
	{"ring: data of 4 GiB", length, 1, 0xffffffff},
	{"ring: header of 4 GiB", length, 0, 0xffffffff},
	{"ring: status of 4 GiB", length, 2, 0xffffffff},
	{"ring: data not in whole sectors", length, 1, 511},
	{"ring: data at the end of memory", address, 1, 0},
	{"ring: data begins behind RAM", address, 1, 256},
	{"ring: header ends one byte behind RAM", address, 0, 256 - 15},
	{"ring: data wraps the address space", address, 1, 0xffffffffffffffff},
	{"ring: header wraps the address space", address, 0, 0xfffffffffffffff8},
	{"ring: data in the PCI hole", address, 1, 0xd0000000},
	{"ring: data in the local APIC", address, 1, 0xfee00000},
	{"ring: data in ECAM", address, 1, 0xe0000000},
	{"ring: status in the IOAPIC", address, 2, 0xfec00000},
	{"ring: data is the device's own registers", own_registers, 0, 0},
	{"ring: status readable only", flags, 2, 0},
	{"ring: header writable", flags, 0, DESC_NEXT | DESC_WRITE},
	{"ring: data to read into is readable", flags, 1, DESC_NEXT},
	{"ring: unknown flags", flags, 1, DESC_NEXT | DESC_WRITE | 0xfff0},
	{"ring: a header and nothing else", alone, 0, 0},
	{"ring: a status and nothing else", alone, 2, DESC_WRITE},
	{"ring: data and nothing else", alone, 1, DESC_WRITE},
	{"ring: header in pieces", header_in_pieces, 0, 0},
	{"ring: status behind the data", status_behind_data, 0, 0},
	{"ring: indirect, good", indirect, 48, DESC_INDIRECT},
	{"ring: indirect, not accepted", indirect_not_accepted, 48, DESC_INDIRECT},
	{"ring: indirect of length 0", indirect, 0, DESC_INDIRECT},
	{"ring: indirect of odd length", indirect, 47, DESC_INDIRECT},
	{"ring: indirect cut off", indirect, 32, DESC_INDIRECT},
	{"ring: indirect longer than the queue", indirect, 16 * 64, DESC_INDIRECT},
	{"ring: indirect of 4 GiB", indirect, 0xfffffff0, DESC_INDIRECT},
	{"ring: indirect with next", indirect, 48, DESC_INDIRECT | DESC_NEXT},
	{"ring: indirect and writable", indirect, 48, DESC_INDIRECT | DESC_WRITE},
	{"ring: indirect in indirect", indirect_entry, DESC_INDIRECT, 0},
	{"ring: indirect loops", indirect_entry, DESC_NEXT | DESC_WRITE, 1},
	{"ring: indirect next out of range", indirect_entry, DESC_NEXT | DESC_WRITE, 3},
	{"ring: indirect next far out of range", indirect_entry, DESC_NEXT | DESC_WRITE, 0xffff},
	{"ring: indirect table behind RAM", indirect_place, 256, 0},
	{"ring: indirect table ends behind RAM", indirect_place, 256 - 16, 0},
	{"ring: indirect table wraps", indirect_place, 0xfffffffffffffff0, 0},
	{"ring: indirect table in the PCI hole", indirect_place, 0xd0000000, 0},
	{"ring: direct, then indirect", direct_then_indirect, 0, 0},
	{"ring: three times round", many, 3 * HOSTILE_SIZE, 0},
	{"ring: three times round, event index", many, 3 * HOSTILE_SIZE, F_EVENT_IDX},
	{"ring: three times round, packed", many, 3 * HOSTILE_SIZE, F_PACKED},
	{"ring: three times round, packed, event index", many, 3 * HOSTILE_SIZE,
	 F_PACKED | F_EVENT_IDX},
	{"ring: doorbells for nothing", storm, 2000, 0},
	{0},
};
