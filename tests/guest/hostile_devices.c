/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each queue of each device that is no disk, fed with broken rings: a table of chains, then what takes a loop. The
 * devices differ in what they do with a request, the code that reads it is the same, or should be.
 */
#include "hostile.h"

/* Instead of an address. */
enum place { DATA = 1, END, TOP, HOLE, SELF, LAPIC, TABLE, TABLE_AT_END, NULL_PAGE };

/* Instead of WRITE: the direction that the queue has, or the other one. Then the flags of the specification. */
#define RIGHT 0x4000
#define WRONG 0x2000

#define N_SHAPES  (sizeof(shapes) / sizeof(shapes[0]))
#define TABLE_LEN 256u

struct part {
	uint8_t place;
	uint32_t len;
	uint16_t flags, next;
};

struct shape {
	const char *name;
	bool indirect;       /* negotiated */
	bool split_only;     /* packed rings have no such thing */
	uint16_t head, jump; /* what is offered; by how much more than 1 the index goes on */
	struct part ring[3], table[3];
};

static const struct shape shapes[] = {
	{"loop to itself", .split_only = true, .ring = {{DATA, 64, RIGHT | DESC_NEXT, 0}}},
	{"loop of two", .split_only = true,
	 .ring = {{DATA, 64, RIGHT | DESC_NEXT, 1}, {DATA, 64, RIGHT | DESC_NEXT, 0}}},
	{"next beyond the table", .split_only = true, .ring = {{DATA, 64, RIGHT | DESC_NEXT, 16}}},
	{"next 65535", .split_only = true, .ring = {{DATA, 64, RIGHT | DESC_NEXT, 0xffff}}},
	{"head beyond the table", .split_only = true, .head = 16},
	{"head 65535", .split_only = true, .head = 0xffff},
	{"index jumps by the size and 1", .split_only = true, .jump = 16},
	{"index goes back", .split_only = true, .jump = 0xfffe},
	{"index jumps by half", .split_only = true, .jump = 0x8000},
	{"chain without end", .ring = {{DATA, 64, RIGHT | DESC_NEXT, 1},
				       {DATA, 64, RIGHT | DESC_NEXT, 2},
				       {DATA, 64, RIGHT | DESC_NEXT, 3}}},
	{"length 0", .ring = {{DATA, 0, RIGHT, 0}}},
	{"length 0 in the middle", .ring = {{DATA, 64, RIGHT | DESC_NEXT, 1},
					    {DATA, 0, RIGHT | DESC_NEXT, 2},
					    {DATA, 64, RIGHT, 0}}},
	{"length 2^32-1", .ring = {{DATA, 0xffffffff, RIGHT, 0}}},
	{"length 2^31 twice",
	 .ring = {{DATA, 0x80000000, RIGHT | DESC_NEXT, 1}, {DATA, 0x80000000, RIGHT, 0}}},
	{"across the end of RAM", .ring = {{END, 2, RIGHT, 0}}},
	{"address 2^64-1", .ring = {{TOP, 2, RIGHT, 0}}},
	{"address 0 to 4 GiB", .ring = {{NULL_PAGE, 0xffffffff, RIGHT, 0}}},
	{"in the hole", .ring = {{HOLE, 4096, RIGHT, 0}}},
	{"in its own registers", .ring = {{SELF, 4, RIGHT, 0}}},
	{"in the LAPIC", .ring = {{LAPIC, 4096, RIGHT, 0}}},
	{"the wrong direction", .ring = {{DATA, 4096, WRONG, 0}}},
	{"readable after writable",
	 .ring = {{DATA, 64, DESC_WRITE | DESC_NEXT, 1}, {DATA, 64, 0, 0}}},
	{"both directions", .ring = {{DATA, 64, DESC_NEXT, 1}, {DATA, 64, DESC_WRITE, 0}}},
	{"a byte", .ring = {{DATA, 1, RIGHT, 0}}},
	{"three times a byte", .ring = {{DATA, 1, RIGHT | DESC_NEXT, 1},
					{DATA, 1, RIGHT | DESC_NEXT, 2},
					{DATA, 1, RIGHT, 0}}},
	{"64 KiB", .ring = {{DATA, SUBJECT_DATA, RIGHT, 0}}},
	{"indirect, not negotiated", .ring = {{TABLE, 16, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect, empty", true, .ring = {{TABLE, 0, DESC_INDIRECT, 0}}},
	{"indirect, 17 bytes", true, .ring = {{TABLE, 17, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect, 4 GiB", true, .ring = {{TABLE, 0xfffffff0, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect, across the end of RAM", true, .ring = {{TABLE_AT_END, 32, DESC_INDIRECT, 0}}},
	{"indirect in an indirect table", true, .ring = {{TABLE, 32, DESC_INDIRECT, 0}},
	 .table = {{TABLE, 16, DESC_INDIRECT, 0}}},
	{"indirect with a next", true,
	 .ring = {{TABLE, 16, DESC_INDIRECT | DESC_NEXT, 1}, {DATA, 64, RIGHT, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect after another", true,
	 .ring = {{DATA, 64, RIGHT | DESC_NEXT, 1}, {TABLE, 16, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect, writable", true, .ring = {{TABLE, 16, DESC_INDIRECT | DESC_WRITE, 0}},
	 .table = {{DATA, 64, RIGHT, 0}}},
	{"indirect, loop in the table", true, .ring = {{TABLE, 32, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT | DESC_NEXT, 1}, {DATA, 64, RIGHT | DESC_NEXT, 0}}},
	{"indirect, next beyond the table", true, .ring = {{TABLE, 32, DESC_INDIRECT, 0}},
	 .table = {{DATA, 64, RIGHT | DESC_NEXT, 2}}},
	{"indirect, the device's registers", true, .ring = {{SELF, 32, DESC_INDIRECT, 0}}},
};

static volatile struct desc table[TABLE_LEN] __attribute__((aligned(4096)));

static uint64_t address(const struct subject *s, unsigned place, uint32_t len, bool write)
{
	bool canary = !write && len <= sizeof(subject_canary);

	switch (place) {
	case DATA:
		return canary ? (uint64_t)subject_canary : (uint64_t)subject_data;
	case END:
		return s->h->ram_end - 1;
	case TOP:
		return ~0ULL;
	case HOLE:
		return 0xd0000000;
	case SELF:
		return s->d->mmio ? s->d->base + 0x70 : s->d->common;
	case LAPIC:
		return 0xfee00000;
	case TABLE:
		return (uint64_t)table;
	case TABLE_AT_END:
		return s->h->ram_end - 16;
	default:
		return 0;
	}
}

static struct desc descriptor(const struct subject *s, unsigned queue, const struct part *p)
{
	bool receives = subject_receives(s, queue);
	uint16_t flags = p->flags & (DESC_NEXT | DESC_WRITE | DESC_INDIRECT);

	if ((p->flags & RIGHT && receives) || (p->flags & WRONG && !receives))
		flags |= DESC_WRITE;
	return (struct desc){address(s, p->place, p->len, flags & DESC_WRITE), p->len, flags,
			     p->next};
}

/* Three descriptors of the ring and of the table, as they are in the shape. */
static void lay_out(struct subject *s, unsigned queue, const struct shape *shape)
{
	struct ring *r = &s->q[queue];
	volatile struct pdesc *packed = (volatile struct pdesc *)r->desc;

	for (unsigned i = 0; i < 3; i++) {
		struct desc d = descriptor(s, queue, &shape->ring[i]);
		struct desc t = descriptor(s, queue, &shape->table[i]);

		table[i].addr = t.addr;
		table[i].len = t.len;
		table[i].flags = t.flags;
		table[i].next = t.next;
		if (!shape->ring[i].place)
			continue;
		ring_desc(r, i, d.addr, d.len, d.flags, d.next);
		if (r->packed) {
			packed[i].id = (uint16_t)i;
			packed[i].flags = (uint16_t)(d.flags | 1u << 7);
		}
	}
}

static enum verdict try_shape(struct subject *s, unsigned queue, const struct shape *shape,
			      uint64_t without)
{
	struct ring *r = &s->q[queue];

	if (shape->split_only && !(without & F_PACKED))
		return SKIP;
	if (!subject_start(s, without | (shape->indirect ? 0 : F_INDIRECT), -1))
		return WEDGED;
	lay_out(s, queue, shape);
	if (!r->packed) {
		ring_offer(r, shape->head);
		r->avail[1] = (uint16_t)(r->avail[1] + shape->jump);
	}
	vdev_kick(s->d, (uint16_t)queue);
	return subject_judge(s);
}

/* ---- what takes a loop ---- */

/* A linear congruential generator: the same numbers in each run. */
static uint32_t seed;

static uint32_t number(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Rings of nonsense. A buffer that is writable is in subject_data, or where no RAM is. */
static enum verdict nonsense(struct subject *s, uint64_t queue, uint64_t without)
{
	static const uint32_t lens[] = {0, 1, 2, 4, 12, 16, 44, 64, 512, 4096, 0x8000, 0xffffffff};

	for (unsigned round = 0; round < 8; round++) {
		struct ring *r = &s->q[queue];

		if (!subject_start(s, without, -1))
			return WEDGED;
		for (unsigned i = 0; i < HOSTILE_SIZE; i++) {
			uint16_t flags = number() % 16 ? number() & 3 : number() & 7;
			unsigned place = number() % 8 ? DATA : 1 + number() % LAPIC;
			uint32_t len = lens[number() % (sizeof(lens) / sizeof(lens[0]))];

			if (r->packed)
				flags |= 1u << 7;
			ring_desc(r, i, address(s, place, len, flags & DESC_WRITE), len, flags,
				  (uint16_t)(number() % (HOSTILE_SIZE + 1)));
			if (!r->packed)
				ring_offer(r, (uint16_t)(number() % HOSTILE_SIZE));
		}
		vdev_kick(s->d, (uint16_t)queue);
		if (!hostile_witness(s->h))
			return WEDGED;
	}
	return subject_judge(s);
}

/* As many requests as fit, of `len` bytes. */
static void fill(struct subject *s, unsigned queue, uint32_t len)
{
	bool receives = subject_receives(s, queue);
	struct desc d = {receives ? (uint64_t)subject_data : (uint64_t)subject_canary, len,
			 receives ? DESC_WRITE : 0, 0};

	for (unsigned i = 0; i < HOSTILE_SIZE; i++)
		ring_add(&s->q[queue], &d, 1);
}

static enum verdict full_of(struct subject *s, uint64_t queue, uint32_t len, uint64_t without)
{
	if (!subject_start(s, without, -1))
		return WEDGED;
	fill(s, (unsigned)queue, len);
	vdev_kick(s->d, (uint16_t)queue);
	return subject_judge(s);
}

static enum verdict full_of_bytes(struct subject *s, uint64_t queue, uint64_t without)
{
	return full_of(s, queue, 1, without);
}

static enum verdict full_of_pages(struct subject *s, uint64_t queue, uint64_t without)
{
	return full_of(s, queue, 4096, without);
}

/* The queue was never enabled, and the doorbell rings. */
static enum verdict not_enabled(struct subject *s, uint64_t queue, uint64_t without)
{
	if (!subject_start(s, without, (int)queue))
		return WEDGED;
	for (uint16_t i = 0; i < s->n; i++) {
		if (i != queue)
			fill(s, i, 64);
		vdev_kick(s->d, i);
	}
	return subject_judge(s);
}

/* Doorbells before DRIVER_OK, and again once the device has failed. */
static enum verdict at_the_wrong_time(struct subject *s, uint64_t queue, uint64_t without)
{
	if (!subject_start(s, without, -1))
		return WEDGED;
	vdev_set_status(s->d, 0);
	fill(s, (unsigned)queue, 64);
	vdev_kick(s->d, (uint16_t)queue);
	vdev_set_status(s->d, S_ACKNOWLEDGE | S_FAILED);
	vdev_kick(s->d, (uint16_t)queue);
	return subject_judge(s);
}

/* Registers of a live queue: no address takes another value. */
static enum verdict live_change(struct subject *s, uint64_t queue, uint64_t without)
{
	if (!subject_start(s, without, -1))
		return WEDGED;
	vdev_select(s->d, (uint16_t)queue);
	vdev_set_queue(s->d, 0, ~0ULL, 0xd0000000, s->h->ram_end);
	vdev_enable(s->d);
	fill(s, (unsigned)queue, 64);
	vdev_kick(s->d, (uint16_t)queue);
	return vdev_enabled(s->d) == 1 ? subject_judge(s) : FAIL;
}

/* The rings are shot to pieces while the device may be looking at them. */
static enum verdict changed_meanwhile(struct subject *s, uint64_t queue, uint64_t without)
{
	for (unsigned round = 0; round < 4; round++) {
		if (!subject_start(s, without, -1))
			return WEDGED;
		fill(s, (unsigned)queue, 64);
		vdev_kick(s->d, (uint16_t)queue);
		for (unsigned i = 0; i < 1000; i++) {
			volatile struct desc *d = &s->q[queue].desc[i % HOSTILE_SIZE];

			d->len = i % 3 ? 64 : 0xffffffff;
			d->addr = i % 5 ? (uint64_t)subject_data : s->h->ram_end - 1;
		}
	}
	return subject_judge(s);
}

static const struct {
	const char *name;
	enum verdict (*run)(struct subject *s, uint64_t queue, uint64_t without);
} queue_cases[] = {
	{"nonsense", nonsense},
	{"full of bytes", full_of_bytes},
	{"full of pages", full_of_pages},
	{"not enabled, others full", not_enabled},
	{"doorbells at the wrong time", at_the_wrong_time},
	{"registers while it is live", live_change},
	{"descriptors change meanwhile", changed_meanwhile},
};

/* ---- the whole device ---- */

static void fill_all(struct subject *s)
{
	for (uint16_t i = 0; i < s->n; i++)
		fill(s, i, 512);
	for (uint16_t i = 0; i < s->n; i++)
		vdev_kick(s->d, i);
}

/* When the reset is reported, nothing is under way: what is in memory then stays as it is. */
static enum verdict reset_under_traffic(struct subject *s, uint64_t without, uint64_t rounds)
{
	static uint8_t copy[4096];

	for (uint64_t round = 0; round < rounds; round++) {
		if (!subject_start(s, without, -1))
			return WEDGED;
		fill_all(s);
		if (!vdev_reset(s->d))
			return WEDGED;
		mem_copy(copy, subject_data, sizeof(copy));
		if (!hostile_witness(s->h))
			return WEDGED;
		if (!mem_same(copy, subject_data, sizeof(copy)))
			return FAIL;
	}
	return subject_judge(s);
}

/* Every offset of the configuration, in all widths, read and written, with the device running. */
static enum verdict configuration(struct subject *s, uint64_t without, uint64_t value)
{
	uint64_t at = s->d->mmio ? s->d->base + 0x100 : s->d->config;

	if (!at)
		return SKIP;
	if (!subject_start(s, without, -1))
		return WEDGED;
	for (unsigned off = 0; off < 128; off++) {
		*(volatile uint8_t *)(at + off) = (uint8_t)value;
		*(volatile uint16_t *)(at + off) = (uint16_t)value;
		*(volatile uint32_t *)(at + off) = (uint32_t)value;
		*(volatile uint64_t *)(at + off) = value;
		(void)*(volatile uint8_t *)(at + off);
		(void)*(volatile uint64_t *)(at + off);
	}
	fill_all(s);
	return subject_judge(s);
}

/* MSI-X is enabled, masked, moved and disabled while all queues have something to tell. */
static enum verdict vectors(struct subject *s, uint64_t without, uint64_t rounds)
{
	struct vdev *d = s->d;
	unsigned control = d->msix_cap + 2u;

	if (d->mmio)
		return SKIP;
	for (uint64_t round = 0; round < rounds; round++) {
		if (!subject_start(s, without, -1))
			return WEDGED;
		for (unsigned v = 0; v <= s->n; v++) {
			mmio_write32(d->msix + 16 * v, 0xfee00000);
			mmio_write32(d->msix + 16 * v + 4, round % 3 ? 0 : number());
			mmio_write32(d->msix + 16 * v + 8, 0x80 + number() % 64);
			mmio_write32(d->msix + 16 * v + 12, number() & 1);
			vdev_select(d, (uint16_t)(v - 1));
			*(volatile uint16_t *)(d->common + (v ? 26 : 16)) =
				number() % 4 ? (uint16_t)v : (uint16_t)number();
		}
		pci_write(d->slot, control, 2, 0x8000 | (number() & 1) << 14);
		fill_all(s);
		pci_write(d->slot, control, 2, 0xc000);
		mmio_write32(d->msix + 16 * (number() % (s->n + 1u)) + 12, 0);
		pci_write(d->slot, control, 2, number() & 1 ? 0x8000 : 0);
	}
	pci_write(d->slot, control, 2, 0);
	return subject_judge(s);
}

static const struct subject_case device_cases[] = {
	{"reset under traffic", reset_under_traffic, 0, 10},
	{"configuration, all zeros", configuration, 0, 0},
	{"configuration, all ones", configuration, 0, ~0ULL},
	{"interrupt vectors", vectors, 0, 4},
};

/* ---- all of it ---- */

static void finish(struct subject *s, enum verdict v, const char *name, uint64_t queue,
		   uint64_t without)
{
	if (v != SKIP && v != WEDGED && !hostile_witness(s->h))
		v = WEDGED;
	if (v != SKIP && !subject_works(s, without))
		v = v == WEDGED ? WEDGED : FAIL;
	hostile_say(v, s->name, name, queue, !(without & F_PACKED));
}

static const char *name_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_NET:
		return "net: ";
	case VIRTIO_CONSOLE:
		return "console: ";
	case VIRTIO_RNG:
		return "rng: ";
	case VIRTIO_BALLOON:
		return "balloon: ";
	default:
		return "vsock: ";
	}
}

static void each_queue(struct subject *s, uint16_t queue, uint64_t without)
{
	for (const struct shape *shape = shapes; shape < shapes + N_SHAPES; shape++)
		finish(s, try_shape(s, queue, shape, without), shape->name, queue, without);
	for (unsigned i = 0; i < sizeof(queue_cases) / sizeof(queue_cases[0]); i++)
		finish(s, queue_cases[i].run(s, queue, without), queue_cases[i].name, queue,
		       without);
}

void hostile_device(struct subject *s, uint64_t without)
{
	const struct subject_case *c = hostile_commands(s);
	uint16_t n = vdev_queues(s->d);

	s->name = name_of(s->d->id);
	subject_set_canary();
	mem_fill(subject_data, 0, sizeof(subject_data)); /* a balloon takes it for page frames */
	if (!subject_works(s, without)) {
		hostile_say(FAIL, s->name, "does not work to begin with", 0, 0);
		return;
	}
	for (uint16_t queue = 0; queue < n; queue++)
		each_queue(s, queue, without);
	for (unsigned i = 0; i < sizeof(device_cases) / sizeof(device_cases[0]); i++)
		finish(s, device_cases[i].run(s, without, device_cases[i].b), device_cases[i].name,
		       device_cases[i].b, without);
	for (; c && c->name; c++) {
		if (!subject_start(s, without, -1))
			finish(s, WEDGED, c->name, c->a, without);
		else
			finish(s, c->run(s, c->a, c->b), c->name, c->a, without);
	}
}
