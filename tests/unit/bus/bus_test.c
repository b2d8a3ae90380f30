// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"
#include "bus/irq.h"

/* A device that remembers the accesses it got. */
struct fake {
	unsigned reads, writes;
	uint64_t off[16];
	unsigned len[16];
	uint8_t data[16];
};

static void fake_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct fake *f = dev;

	f->off[f->reads] = off;
	f->len[f->reads++] = len;
	memset(data, (int)(0x10 + off), len);
}

static void fake_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct fake *f = dev;

	f->off[f->writes] = off;
	f->len[f->writes] = len;
	f->data[f->writes++] = *(const uint8_t *)data;
}

static const struct bus_ops fake_ops = {.read = fake_read, .write = fake_write};
static struct err e;

static int add(struct bus *b, struct fake *f, uint64_t base, uint64_t last, unsigned width)
{
	return bus_add(b,
		       (struct bus_region){.base = base,
					   .last = last,
					   .name = "fake",
					   .ops = &fake_ops,
					   .dev = f,
					   .width = width},
		       &e);
}

TEST(access_is_relative_to_its_region)
{
	struct fake f = {0};
	struct bus b;
	uint8_t v;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, 0x3f8, 0x3ff, 0));
	bus_read(&b, 0x3fd, &v, 1);
	CHECK_EQ(0x15, v);
	CHECK_EQ(5, f.off[0]);
	bus_fini(&b);
}

TEST(both_ends_of_a_region_belong_to_it)
{
	struct fake f = {0};
	struct bus b;
	uint8_t v;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, 0x100, 0x10f, 0));
	bus_read(&b, 0xff, &v, 1);
	CHECK_EQ(0xff, v);
	bus_read(&b, 0x110, &v, 1);
	CHECK_EQ(0xff, v);
	CHECK_EQ(0, f.reads);
	bus_read(&b, 0x100, &v, 1);
	bus_read(&b, 0x10f, &v, 1);
	CHECK_EQ(2, f.reads);
	CHECK_EQ(2, b.unclaimed);
	bus_fini(&b);
}

TEST(access_over_the_edge_belongs_to_nobody)
{
	struct fake f = {0};
	uint32_t v = 0;
	struct bus b;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, 0x100, 0x103, 0));
	bus_read(&b, 0x101, &v, 4);
	CHECK_EQ(0xffffffff, v);
	bus_write(&b, 0xff, &v, 2);
	CHECK_EQ(0, f.reads + f.writes);
	bus_fini(&b);
}

TEST(region_may_end_at_the_last_address)
{
	struct fake f = {0};
	struct bus b;
	uint16_t v;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, UINT64_MAX - 3, UINT64_MAX, 0));
	bus_read(&b, UINT64_MAX - 1, &v, 2);
	CHECK_EQ(1, f.reads);
	bus_read(&b, UINT64_MAX, &v, 2); /* would wrap to address 0 */
	CHECK_EQ(1, f.reads);
	bus_fini(&b);
}

TEST(wide_access_to_a_narrow_device_is_split)
{
	struct fake f = {0};
	uint32_t v = 0x44332211;
	struct bus b;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, 0x600, 0x60f, 2));
	bus_write(&b, 0x604, &v, 4);
	CHECK_EQ(2, f.writes);
	CHECK_EQ(4, f.off[0]);
	CHECK_EQ(2, f.len[0]);
	CHECK_EQ(0x11, f.data[0]);
	CHECK_EQ(6, f.off[1]);
	CHECK_EQ(0x33, f.data[1]);
	bus_fini(&b);
}

TEST(overlap_is_refused_and_names_both)
{
	struct fake f = {0};
	struct bus b;

	bus_init(&b, "ports");
	CHECK_EQ(0, add(&b, &f, 0x10, 0x1f, 0));
	CHECK_EQ(-EEXIST, add(&b, &f, 0x1f, 0x20, 0));
	CHECK_HAS(e.text, "ports: fake overlaps fake");
	CHECK_EQ(-EEXIST, add(&b, &f, 0x0f, 0x10, 0));
	CHECK_EQ(-EEXIST, add(&b, &f, 0x00, 0xff, 0));
	CHECK_EQ(-EEXIST, add(&b, &f, 0x14, 0x15, 0));
	CHECK_EQ(0, add(&b, &f, 0x20, 0x20, 0));
	CHECK_EQ(0, add(&b, &f, 0x0f, 0x0f, 0));
	CHECK_EQ(-EINVAL, add(&b, &f, 0x31, 0x30, 0));
	bus_fini(&b);
}

TEST(removed_region_is_gone_and_its_place_free)
{
	struct fake f = {0};
	struct bus b;
	uint8_t v;

	bus_init(&b, "test");
	CHECK_EQ(0, add(&b, &f, 0x10, 0x1f, 0));
	CHECK_EQ(0, add(&b, &f, 0x30, 0x3f, 0));
	CHECK_EQ(-ENOENT, bus_remove(&b, 0x11));
	CHECK_EQ(0, bus_remove(&b, 0x10));
	bus_read(&b, 0x10, &v, 1);
	CHECK_EQ(0, f.reads);
	bus_read(&b, 0x30, &v, 1);
	CHECK_EQ(1, f.reads);
	CHECK_EQ(0, add(&b, &f, 0x00, 0x2f, 0));
	bus_fini(&b);
}

TEST(full_table_refuses_one_more)
{
	struct fake f = {0};
	struct bus b;

	bus_init(&b, "test");
	for (uint64_t i = 0; i < BUS_MAX_REGIONS; i++)
		CHECK_EQ(0, add(&b, &f, (i * 37 % BUS_MAX_REGIONS) * 16,
				(i * 37 % BUS_MAX_REGIONS) * 16 + 15, 0));
	CHECK_EQ(-ENOSPC, add(&b, &f, 1 << 20, 1 << 20, 0));
	for (unsigned i = 1; i < b.n; i++)
		CHECK(b.region[i - 1].last < b.region[i].base);
	bus_fini(&b);
}

/* A host that signals doorbells, as many as it likes to. */
struct fake_host {
	unsigned n, limit, removed;
	uint64_t addr[8];
	const struct bus_doorbell *d[8];
};

static int host_add(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct fake_host *h = arg;

	if (h->n == h->limit)
		return -ENOSPC;
	h->addr[h->n] = addr;
	h->d[h->n++] = d;
	return 0;
}

static void host_remove(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct fake_host *h = arg;
	unsigned i = 0;

	while (h->addr[i] != addr || h->d[i] != d)
		CHECK(++i < h->n);
	h->n--;
	h->addr[i] = h->addr[h->n];
	h->d[i] = h->d[h->n];
	h->removed++;
}

static const struct bus_doorbell bells[] = {{.off = 0}, {.off = 4, .len = 2}, {.off = 0xc}};

static void init_with_host(struct bus *b, struct fake_host *h)
{
	bus_init(b, "test");
	b->doorbells = (struct bus_doorbell_ops){host_add, host_remove, h};
}

static int add_with_doorbells(struct bus *b, struct fake *f, uint64_t base)
{
	return bus_add(b,
		       (struct bus_region){.base = base,
					   .last = base + 0xf,
					   .name = "fake",
					   .ops = &fake_ops,
					   .dev = f,
					   .doorbell = bells,
					   .n_doorbells = ARRAY_SIZE(bells)},
		       &e);
}

TEST(doorbells_come_and_go_with_their_region)
{
	struct fake_host h = {.limit = 8};
	struct fake f = {0};
	struct bus b;

	init_with_host(&b, &h);
	CHECK_EQ(0, add_with_doorbells(&b, &f, 0x1000));
	CHECK_EQ(3, h.n);
	for (unsigned i = 0; i < h.n; i++) {
		CHECK_EQ(0x1000 + bells[i].off, h.addr[i]);
		CHECK(h.d[i] == &bells[i]);
	}
	CHECK_EQ(0, add_with_doorbells(&b, &f, 0x2000)); /* another region, the same doorbells */
	CHECK_EQ(6, h.n);
	CHECK_EQ(0, bus_remove(&b, 0x1000));
	CHECK_EQ(3, h.n);
	for (unsigned i = 0; i < h.n; i++)
		CHECK(h.addr[i] >= 0x2000);
	CHECK_EQ(0, bus_remove(&b, 0x2000));
	CHECK_EQ(0, h.n);
	bus_fini(&b);
}

TEST(region_that_is_refused_adds_no_doorbells)
{
	struct fake_host h = {.limit = 8};
	struct fake f = {0};
	struct bus b;

	init_with_host(&b, &h);
	CHECK_EQ(0, add(&b, &f, 0x1008, 0x1008, 0));
	CHECK_EQ(-EEXIST, add_with_doorbells(&b, &f, 0x1000));
	CHECK_EQ(-ENOENT, bus_remove(&b, 0x1000));
	CHECK_EQ(0, h.n + h.removed);
	bus_fini(&b);
}

TEST(doorbell_that_the_host_refuses_is_a_write_and_the_region_is_there)
{
	uint16_t v = 1;

	for (unsigned limit = 0; limit <= ARRAY_SIZE(bells); limit++) {
		struct fake_host h = {.limit = limit};
		struct fake f = {0};
		struct bus b;
		init_with_host(&b, &h);
		CHECK_EQ(0, add_with_doorbells(&b, &f, 0x1000));
		CHECK_EQ(limit, h.n);
		bus_write(&b, 0x100c, &v,
			  2); /* the kernel would not let one that it took come here */
		CHECK_EQ(1, f.writes);
		CHECK_EQ(0xc, f.off[0]);
		CHECK_EQ(0, bus_remove(&b, 0x1000)); /* only those that were added */
		CHECK_EQ(limit, h.removed);
		h.limit = 8; /* the host has room again: all are tried */
		CHECK_EQ(0, add_with_doorbells(&b, &f, 0x1000));
		CHECK_EQ(3, h.n);
		bus_fini(&b);
	}
}

TEST(bus_without_a_host_for_doorbells_gets_writes)
{
	struct fake f = {0};
	struct bus b;
	uint8_t v = 7;

	bus_init(&b, "test");
	CHECK_EQ(0, add_with_doorbells(&b, &f, 0x1000));
	bus_write(&b, 0x1004, &v, 1);
	CHECK_EQ(1, f.writes);
	CHECK_EQ(0, bus_remove(&b, 0x1000));
	bus_fini(&b);
}

TEST(raised_irq_is_one_event_and_an_unconnected_one_none)
{
	struct irq irq, loose = {.fd = -1};
	uint64_t count = 0;

	CHECK_EQ(0, irq_init(&irq, &e));
	irq_raise(&irq);
	irq_raise(&irq);
	CHECK_EQ(8, read(irq.fd, &count, 8));
	CHECK_EQ(2, count);
	irq_raise(&loose);
	irq_fini(&irq);
	CHECK_EQ(-1, irq.fd);
}

/* A host that maps memory; it refuses after `limit`. */
struct fake_memory {
	unsigned n, limit;
	uint64_t addr[4];
};

static int memory_add(void *arg, uint64_t addr, const struct bus_memory *m)
{
	struct fake_memory *h = arg;

	CHECK_EQ(0x1000, m->len);
	if (h->n == h->limit)
		return -ENOSPC;
	h->addr[h->n++] = addr;
	return 0;
}

static void memory_remove(void *arg, uint64_t addr, const struct bus_memory *m)
{
	struct fake_memory *h = arg;

	(void)m;
	CHECK_EQ(addr, h->addr[0]); /* first in, first out */
	h->addr[0] = h->addr[1];
	h->n--;
}

TEST(memory_comes_and_goes_with_its_region)
{
	static uint8_t page[2][0x1000] __attribute__((aligned(0x1000)));
	const struct bus_memory memory[] = {{.off = 0, .len = 0x1000, .host = page[0]},
					    {.off = 0x2000, .len = 0x1000, .host = page[1]}};

	for (unsigned limit = 0; limit <= 2; limit++) {
		struct fake_memory h = {.limit = limit};
		struct fake f = {0};
		struct bus b;
		uint8_t v;
		bus_init(&b, "test");
		b.memory = (struct bus_memory_ops){memory_add, memory_remove, &h};
		CHECK_EQ(0, bus_add(&b,
				    (struct bus_region){.base = 0x10000,
							.last = 0x12fff,
							.name = "fake",
							.ops = &fake_ops,
							.dev = &f,
							.memory = memory,
							.n_memories = 2},
				    &e));
		CHECK_EQ(limit, h.n);
		CHECK(limit < 1 || h.addr[0] == 0x10000);
		CHECK(limit < 2 || h.addr[1] == 0x12000);
		bus_read(&b, 0x10000, &v,
			 1); /* what the host refused, or let through, comes here */
		CHECK_EQ(1, f.reads);
		CHECK_EQ(0, bus_remove(&b, 0x10000));
		CHECK_EQ(0, h.n);
		bus_fini(&b);
	}
}

TEST(memory_can_be_taken_away_until_the_region_is_added_again)
{
	static uint8_t page[0x1000] __attribute__((aligned(0x1000)));
	const struct bus_memory memory = {.off = 0, .len = 0x1000, .host = page};
	struct fake f = {0};
	struct bus_region r = {.base = 0x10000,
			       .last = 0x10fff,
			       .name = "fake",
			       .ops = &fake_ops,
			       .dev = &f,
			       .memory = &memory,
			       .n_memories = 1};
	struct fake_memory h = {.limit = 2};
	struct bus b;

	bus_init(&b, "test");
	b.memory = (struct bus_memory_ops){memory_add, memory_remove, &h};
	CHECK_EQ(0, bus_add(&b, r, &e));
	r.base += 0x10000, r.last += 0x10000;
	CHECK_EQ(0, bus_add(&b, r, &e));
	CHECK_EQ(2, h.n);
	CHECK_EQ(2, bus_trap_memory(&b));
	CHECK_EQ(0, h.n);
	CHECK_EQ(0, bus_trap_memory(&b));
	CHECK_EQ(0, bus_remove(&b, 0x10000));
	CHECK_EQ(0, bus_remove(&b, 0x20000));
	CHECK_EQ(0, bus_add(&b, r, &e)); /* a BAR that the guest moves */
	CHECK_EQ(0, h.n);
	bus_remove(&b, r.base);
	bus_fini(&b);
}
