// SPDX-License-Identifier: Apache-2.0
/* Base address registers: sizes, places, moves. */
#include "pci_rig.h"

#include <pthread.h>

static struct rig r;

#define MEM PCI_COMMAND_MEMORY
#define IO  PCI_COMMAND_IO

static struct fake_pci *add_fake(unsigned slot)
{
	CHECK_EQ(0, pci_add(&r.pci, &r.fake[slot].dev, &r.e));
	CHECK_EQ(slot, r.fake[slot].dev.slot);
	return &r.fake[slot];
}

/* Slot 1: BAR 0 of 4 KiB, BAR 2 of 64 KiB and 64 bits, BAR 4 of 32 ports. */
static struct fake_pci *start(void)
{
	rig_init(&r);
	fake_pci_init(&r.fake[1]);
	fake_pci_bar(&r.fake[1], 0, 4 * KIB);
	fake_pci_bar(&r.fake[1], 2, 64 * KIB)->is_64 = true;
	fake_pci_bar(&r.fake[1], 4, 32)->io = true;
	return add_fake(1);
}

static void write_bar64(unsigned slot, unsigned i, uint64_t at)
{
	write_bar(&r, slot, i, (uint32_t)at);
	write_bar(&r, slot, i + 1, (uint32_t)(at >> 32));
}

/* Regions are sorted, disjoint, and those of BARs are inside the windows. */
static void check_map(void)
{
	for (unsigned i = 0; i < r.mmio.n; i++) {
		const struct bus_region *m = &r.mmio.region[i];
		CHECK(m->base <= m->last);
		CHECK(i == 0 || m[-1].last < m->base);
		CHECK(m->ops != &fake_bar_ops || (m->base >= WINDOW32 && m->last <= LAST32) ||
		      (m->base >= WINDOW64 && m->last <= LAST64));
	}
}

TEST(all_ones_read_back_as_the_size_of_32_bit_bars)
{
	for (unsigned bits = 4; bits < 32; bits++)
		for (unsigned prefetch = 0; prefetch < 2; prefetch++) {
			uint32_t size = 1u << bits, flags = prefetch ? 8 : 0;
			rig_init(&r);
			r.pci.window32 = 0x80000000, r.pci.window32_last = 0xffffffff;
			fake_pci_init(&r.fake[1]);
			fake_pci_bar(&r.fake[1], 3, size)->prefetchable = prefetch;
			add_fake(1);
			CHECK_EQ(0x80000000 | flags, read_bar(&r, 1, 3));
			write_bar(&r, 1, 3, 0xffffffff);
			CHECK_EQ(-size | flags, read_bar(&r, 1, 3));
			write_bar(&r, 1, 3, 0);
			CHECK_EQ(flags, read_bar(&r, 1, 3));
			for (unsigned i = 0; i < 4; i++) /* byte by byte, by ports */
				port_cfg_write(&r, 1, PCI_BASE_ADDRESS_3 + i, 0xff, 1);
			CHECK_EQ(-size | flags, read_bar(&r, 1, 3));
			CHECK_EQ(0, read_bar(&r, 1, 4));
			rig_fini(&r);
		}
}

TEST(all_ones_read_back_as_the_size_of_64_bit_bars)
{
	for (unsigned bits = 4; bits < 64; bits++) {
		uint64_t size = 1ULL << bits, got;
		rig_init(&r);
		r.pci.window64 = 1ULL << 63, r.pci.window64_last = UINT64_MAX;
		fake_pci_init(&r.fake[1]);
		fake_pci_bar(&r.fake[1], 4, size)->is_64 = true;
		add_fake(1);
		/* small ones where guests in 32-bit mode can reach them */
		CHECK_EQ((size > MIB ? 1ULL << 63 : WINDOW32) | 4,
			 cfg_read(&r, 1, PCI_BASE_ADDRESS_4, 8));
		write_bar64(1, 4, UINT64_MAX);
		got = read_bar(&r, 1, 4) | (uint64_t)read_bar(&r, 1, 5) << 32;
		CHECK_EQ(-size | 4, got);
		cfg_write(&r, 1, PCI_BASE_ADDRESS_4, 0, 8);
		CHECK_EQ(4, cfg_read(&r, 1, PCI_BASE_ADDRESS_4, 8));
		rig_fini(&r);
	}
}

TEST(all_ones_read_back_as_the_size_of_port_bars)
{
	for (uint32_t size = 4; size <= 256; size *= 2) {
		rig_init(&r);
		fake_pci_init(&r.fake[1]);
		fake_pci_bar(&r.fake[1], 0, size)->io = true;
		add_fake(1);
		CHECK_EQ(WINDOW_IO | 1, read_bar(&r, 1, 0));
		write_bar(&r, 1, 0, 0xffffffff);
		CHECK_EQ(-size | 1, read_bar(&r, 1, 0));
		rig_fini(&r);
	}
}

TEST(sizing_with_decode_on_leaves_everything_where_it_was)
{
	static struct bus_region before[BUS_MAX_REGIONS];
	unsigned n;

	start();
	set_command(&r, 1, MEM | IO);
	n = r.mmio.n;
	memcpy(before, r.mmio.region, sizeof(before[0]) * n);
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t v = read_bar(&r, 1, i);
		write_bar(&r, 1, i, 0xffffffff);
		check_map();
		write_bar(&r, 1, i, v);
	}
	CHECK_EQ(n, r.mmio.n);
	CHECK(memcmp(before, r.mmio.region, sizeof(before[0]) * n) == 0);
	rig_fini(&r);
}

TEST(decode_bits_turn_memory_and_ports_on_and_off)
{
	uint64_t at64 = WINDOW32 + 64 * KIB; /* behind BAR 0, aligned */
	unsigned n;

	start();
	n = r.mmio.n;
	for (unsigned pass = 0; pass < 2; pass++) {
		CHECK_EQ(n, r.mmio.n);
		CHECK_EQ(0xff, peek(&r.mmio, WINDOW32));
		CHECK_EQ(0xff, peek(&r.mmio, at64));
		CHECK_EQ(0xff, peek(&r.pio, WINDOW_IO));
		set_command(&r, 1, MEM);
		CHECK_EQ(0x10, peek(&r.mmio, WINDOW32));
		CHECK_EQ(0x12, peek(&r.mmio, at64));
		CHECK_EQ(0xff, peek(&r.pio, WINDOW_IO));
		set_command(&r, 1, IO);
		CHECK_EQ(0xff, peek(&r.mmio, WINDOW32));
		CHECK_EQ(0x14, peek(&r.pio, WINDOW_IO + 31));
		CHECK_EQ(0xff, peek(&r.pio, WINDOW_IO + 32));
		set_command(&r, 1, MEM | IO);
		CHECK_EQ(0x12, peek(&r.mmio, at64 + 64 * KIB - 1));
		CHECK_EQ(64 * KIB - 1, r.fake[1].off);
		CHECK_EQ(0xff, peek(&r.mmio, at64 + 64 * KIB));
		port_cfg_write(&r, 1, PCI_COMMAND, 0, 1);
	}
	rig_fini(&r);
}

TEST(device_has_only_the_decode_bits_of_its_bars)
{
	static const struct {
		bool mem, io;
		uint16_t bits;
	} cases[] = {{0, 0, 0}, {1, 0, MEM}, {0, 1, IO}, {1, 1, MEM | IO}};

	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		rig_init(&r);
		fake_pci_init(&r.fake[1]);
		if (cases[c].mem)
			fake_pci_bar(&r.fake[1], 1, 16);
		if (cases[c].io)
			fake_pci_bar(&r.fake[1], 0, 4)->io = true;
		add_fake(1);
		set_command(&r, 1, 0xffff);
		CHECK_EQ(cases[c].bits, cfg_read(&r, 1, PCI_COMMAND, 2) & (MEM | IO));
		rig_fini(&r);
	}
}

TEST(bar_moves_while_decode_is_on)
{
	start();
	set_command(&r, 1, MEM | IO);
	write_bar(&r, 1, 0, 0xd0000000);
	CHECK_EQ(0xff, peek(&r.mmio, WINDOW32));
	CHECK_EQ(0x10, peek(&r.mmio, 0xd0000123));
	CHECK_EQ(0x123, r.fake[1].off);
	CHECK_EQ(0xd0000000, r.fake[1].dev.bar[0].at);
	cfg_write(&r, 1, PCI_BASE_ADDRESS_2, WINDOW64 + 0x100000, 8);
	CHECK_EQ(0x12, peek(&r.mmio, WINDOW64 + 0x100000));
	write_bar64(1, 2, 0xd0010000); /* a 64-bit BAR may lie below 4 GiB, too */
	CHECK_EQ(0x12, peek(&r.mmio, 0xd001ffff));
	write_bar(&r, 1, 4, 0xffe1);
	CHECK_EQ(0x14, peek(&r.pio, 0xffff));
	CHECK_EQ(31, r.fake[1].off);
	CHECK_EQ(0xff, peek(&r.pio, WINDOW_IO));
	check_map();
	rig_fini(&r);
}

/* Where a BAR must not be, and then is nowhere; what was there stays there. */
TEST(bar_at_a_bad_place_is_nowhere_until_it_is_written_to_a_good_one)
{
	static const uint64_t bad[] = {0,
				       0x10000000,
				       0xbfff0000, /* RAM up to the hole */
				       WINDOW32 - 64 * KIB,
				       LAST32 + 1,
				       0xfee00000,
				       0xffff0000,
				       0x100000000,
				       WINDOW64 - 64 * KIB,
				       LAST64 + 1,
				       UINT64_MAX,
				       ECAM,
				       WINDOW32,
				       WINDOW32 + 0x1000000,
				       1ULL << 63};

	start();
	/* Not ours, in the window: 16 bytes in the middle of what would be the BAR. */
	CHECK_EQ(0, bus_add(&r.mmio,
			    (struct bus_region){.base = WINDOW32 + 0x1008000,
						.last = WINDOW32 + 0x100800f,
						.name = "other",
						.ops = &fake_bar_ops,
						.dev = &r.fake[1].fake_bar[0]},
			    &r.e));
	set_command(&r, 1, MEM);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		unsigned n = r.mmio.n;
		write_bar64(1, 2, bad[i]);
		CHECK_EQ(n - 1, r.mmio.n);
		CHECK(!r.fake[1].dev.bar[2].mapped);
		CHECK_EQ((bad[i] & ~0xffffULL) | 4, cfg_read(&r, 1, PCI_BASE_ADDRESS_2, 8));
		CHECK(peek(&r.mmio, bad[i] & ~0xffffULL) != 0x12);
		CHECK_EQ(0x10, peek(&r.mmio, WINDOW32));
		check_map();
		write_bar64(1, 2, WINDOW64 + i * MIB);
		CHECK_EQ(n, r.mmio.n);
		CHECK_EQ(0x12, peek(&r.mmio, WINDOW64 + i * MIB));
	}
	rig_fini(&r);
}

TEST(bar_that_reaches_over_the_end_of_its_window_is_nowhere)
{
	start();
	r.pci.window32 += 0x800, r.pci.window32_last -= 0x800;
	r.pci.window_io_last -= 16;
	set_command(&r, 1, MEM | IO);
	CHECK_EQ(0xff, peek(&r.mmio, WINDOW32 + 0x800));
	write_bar(&r, 1, 0, LAST32 - 0xfff);
	CHECK_EQ(0xff, peek(&r.mmio, LAST32 - 0xfff));
	write_bar(&r, 1, 0, LAST32 - 0x1fff);
	CHECK_EQ(0x10, peek(&r.mmio, LAST32 - 0x1000));
	write_bar(&r, 1, 4, 0xffe0);
	CHECK_EQ(0xff, peek(&r.pio, 0xffe0));
	write_bar(&r, 1, 4, 0x10000);
	CHECK_EQ(0xff, peek(&r.pio, 0x10000));
	write_bar(&r, 1, 4, 0xcf8); /* below the window, over the address register */
	CHECK(!r.fake[1].dev.bar[4].mapped);
	CHECK_EQ(0, port_cfg_read(&r, 1, PCI_HEADER_TYPE, 1));
	rig_fini(&r);
}

TEST(a_32_bit_bar_cannot_be_in_the_64_bit_window)
{
	start();
	r.pci.window64 = 0xe0000000, r.pci.window64_last = 0xefffffff;
	set_command(&r, 1, MEM);
	write_bar(&r, 1, 0, 0xe0000000);
	CHECK(!r.fake[1].dev.bar[0].mapped);
	write_bar64(1, 2, 0xe0000000);
	CHECK(r.fake[1].dev.bar[2].mapped);
	rig_fini(&r);
}

TEST(bar_in_anothers_way_gives_place_when_it_leaves)
{
	start();
	fake_pci_init(&r.fake[2]);
	fake_pci_bar(&r.fake[2], 5, 16);
	add_fake(2);
	set_command(&r, 1, MEM);
	set_command(&r, 2, MEM);
	CHECK_EQ(0x15, peek(&r.mmio, WINDOW32 + 128 * KIB));
	write_bar(&r, 2, 5, WINDOW32 + 0xff0); /* over the end of slot 1's BAR 0 */
	CHECK_EQ(0xff, peek(&r.mmio, WINDOW32 + 128 * KIB));
	CHECK_EQ(0x10, peek(&r.mmio, WINDOW32 + 0xff0));
	set_command(&r, 1, 0);
	CHECK_EQ(0x15, peek(&r.mmio, WINDOW32 + 0xff0));
	set_command(&r, 1, MEM); /* who is there, stays */
	CHECK_EQ(0xff, peek(&r.mmio, WINDOW32));
	CHECK_EQ(0x15, peek(&r.mmio, WINDOW32 + 0xff0));
	write_bar(&r, 2, 5, WINDOW32 + 0x1000);
	CHECK_EQ(0x10, peek(&r.mmio, WINDOW32 + 0xff0));
	CHECK_EQ(0x15, peek(&r.mmio, WINDOW32 + 0x1000));
	rig_fini(&r);
}

TEST(place_that_a_bar_has_left_is_no_longer_its_own)
{
	start();
	fake_pci_init(&r.fake[2]);
	fake_pci_bar(&r.fake[2], 5, 16);
	add_fake(2);
	set_command(&r, 1, MEM);
	set_command(&r, 2, MEM);
	write_bar(&r, 1, 0, 0);
	write_bar(&r, 2, 5, WINDOW32);
	for (unsigned pass = 0; pass < 2; pass++) { /* whoever is written to */
		CHECK_EQ(0x15, peek(&r.mmio, WINDOW32));
		set_command(&r, 1, pass ? MEM : 0);
		write_bar(&r, 1, 0, pass ? 0 : 0x1000);
	}
	CHECK_EQ(0x15, peek(&r.mmio, WINDOW32));
	rig_fini(&r);
}

TEST(tiny_port_bar_may_be_at_any_multiple_of_its_size)
{
	rig_init(&r);
	fake_pci_init(&r.fake[1]);
	fake_pci_bar(&r.fake[1], 0, 4)->io = true;
	add_fake(1);
	set_command(&r, 1, IO);
	for (uint32_t at = WINDOW_IO; at < WINDOW_IO + 64; at += 4) {
		write_bar(&r, 1, 0, at | 2); /* bit 1 is reserved */
		CHECK_EQ(at | 1, read_bar(&r, 1, 0));
		CHECK_EQ(0x10, peek(&r.pio, at));
		CHECK_EQ(0, r.fake[1].off);
		CHECK_EQ(0xff, peek(&r.pio, at - 1));
		CHECK_EQ(0xff, peek(&r.pio, at + 4));
	}
	rig_fini(&r);
}

TEST(two_bars_can_change_places_in_one_access)
{
	rig_init(&r);
	fake_pci_init(&r.fake[1]);
	fake_pci_bar(&r.fake[1], 0, 4 * KIB);
	fake_pci_bar(&r.fake[1], 1, 4 * KIB);
	add_fake(1);
	set_command(&r, 1, MEM);
	cfg_write(&r, 1, PCI_BASE_ADDRESS_0, WINDOW32 << 32 | (WINDOW32 + 0x1000), 8);
	CHECK_EQ(0x11, peek(&r.mmio, WINDOW32));
	CHECK_EQ(0x10, peek(&r.mmio, WINDOW32 + 0x1000));
	rig_fini(&r);
}

TEST(ten_thousand_moves_leave_the_map_unchanged)
{
	static struct bus_region before[BUS_MAX_REGIONS];
	uint64_t seed = 1, home;
	unsigned n;

	start();
	set_command(&r, 1, MEM);
	home = cfg_read(&r, 1, PCI_BASE_ADDRESS_2, 8);
	n = r.mmio.n;
	memcpy(before, r.mmio.region, sizeof(before[0]) * n);
	for (unsigned i = 0; i < 10000; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		cfg_write(&r, 1, PCI_BASE_ADDRESS_2,
			  i % 3 ? WINDOW64 + (seed & (LAST64 - WINDOW64)) : seed, 8);
		CHECK(r.mmio.n == n || r.mmio.n == n - 1);
		CHECK_EQ(n, r.mmio.n + (i % 3 == 0 && !r.fake[1].dev.bar[2].mapped));
	}
	cfg_write(&r, 1, PCI_BASE_ADDRESS_2, home, 8);
	CHECK_EQ(n, r.mmio.n);
	CHECK(memcmp(before, r.mmio.region, sizeof(before[0]) * n) == 0);
	rig_fini(&r);
}

TEST(doorbells_move_along)
{
	static const struct bus_doorbell bells[] = {{.off = 0x100}, {.off = 0x204}};
	struct pci_bar *bar;

	rig_init(&r);
	fake_pci_init(&r.fake[1]);
	bar = fake_pci_bar(&r.fake[1], 0, 4 * KIB);
	bar->doorbell = bells;
	bar->n_doorbells = ARRAY_SIZE(bells);
	add_fake(1);
	CHECK_EQ(0, r.doorbells.n);
	set_command(&r, 1, MEM);
	CHECK_EQ(2, r.doorbells.n);
	CHECK_EQ(WINDOW32 + 0x100, r.doorbells.addr[0]);
	CHECK_EQ(WINDOW32 + 0x204, r.doorbells.addr[1]);
	write_bar(&r, 1, 0, 0xc8000000);
	CHECK_EQ(2, r.doorbells.n);
	CHECK_EQ(0xc8000100, r.doorbells.addr[0]);
	CHECK_EQ(0xc8000204, r.doorbells.addr[1]);
	write_bar(&r, 1, 0, 0);
	CHECK_EQ(0, r.doorbells.n);
	write_bar(&r, 1, 0, WINDOW32);
	CHECK_EQ(2, r.doorbells.n);
	set_command(&r, 1, 0);
	CHECK_EQ(0, r.doorbells.n);
	rig_fini(&r);
}

TEST(bars_of_a_full_bus_get_pages_of_their_own_inside_the_windows)
{
	rig_init(&r);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		fake_pci_init(&r.fake[slot]);
		for (unsigned i = 0; i < PCI_BARS; i++)
			fake_pci_bar(&r.fake[slot], i, 16ULL << (slot * 7 + i * 3) % 12);
		r.fake[slot].dev.bar[4].is_64 = true;
		r.fake[slot].dev.bar[5].size = 0;
		add_fake(slot);
		set_command(&r, slot, MEM);
	}
	CHECK_EQ(31 * 5 + 1, r.mmio.n); /* and ECAM */
	check_map();
	for (unsigned i = 0; i < r.mmio.n; i++)
		CHECK_EQ(0, r.mmio.region[i].base % 4096);
	rig_fini(&r);
}

TEST(full_window_refuses_the_device_and_loses_nothing)
{
	rig_init(&r); /* 512 MiB */
	for (unsigned slot = 1; slot < 5; slot++)
		fake_pci_init(&r.fake[slot]);
	fake_pci_bar(&r.fake[1], 0, 256 * MIB);
	add_fake(1);
	fake_pci_bar(&r.fake[2], 0, 4 * KIB);
	fake_pci_bar(&r.fake[2], 1, 4 * KIB)->is_64 = true;
	fake_pci_bar(&r.fake[2], 3, 4)->io = true;
	fake_pci_bar(&r.fake[2], 4, 512 * MIB);
	CHECK_EQ(-ENOSPC, pci_add(&r.pci, &r.fake[2].dev, &r.e));
	CHECK_HAS(r.e.text, "no room for BAR 4 of fake");
	r.fake[2].dev.bar[4].size = 0;
	add_fake(2); /* the slot is free, and the places that were given away again */
	CHECK_EQ(WINDOW32 + 256 * MIB, read_bar(&r, 2, 0));
	CHECK_EQ((WINDOW32 + 256 * MIB + 4 * KIB) | 4, cfg_read(&r, 2, PCI_BASE_ADDRESS_1, 8));
	CHECK_EQ(WINDOW_IO | 1, read_bar(&r, 2, 3));
	fake_pci_bar(&r.fake[3], 0, 128 * MIB);
	add_fake(3);
	fake_pci_bar(&r.fake[4], 0, 4 * KIB);
	CHECK_EQ(-ENOSPC, pci_add(&r.pci, &r.fake[4].dev, &r.e));
	r.fake[4].dev.bar[0].is_64 = true;
	add_fake(4);
	CHECK_EQ(WINDOW64 | 4, cfg_read(&r, 4, PCI_BASE_ADDRESS_0, 8));
	rig_fini(&r);
}

TEST(without_a_64_bit_window_a_64_bit_bar_goes_below_4_gib)
{
	rig_init(&r);
	r.pci.window64 = r.pci.window64_last = 0;
	fake_pci_init(&r.fake[1]);
	fake_pci_bar(&r.fake[1], 0, 4 * KIB)->is_64 = true;
	add_fake(1);
	CHECK_EQ(WINDOW32 | 4, cfg_read(&r, 1, PCI_BASE_ADDRESS_0, 8));
	r.pci.window_io = r.pci.window_io_last = 0;
	fake_pci_init(&r.fake[2]);
	fake_pci_bar(&r.fake[2], 0, 4)->io = true;
	CHECK_EQ(-ENOSPC, pci_add(&r.pci, &r.fake[2].dev, &r.e));
	rig_fini(&r);
}

TEST(window_may_end_at_the_last_address)
{
	rig_init(&r);
	r.pci.window32_last = r.pci.window32 = 0;
	r.pci.window64 = UINT64_MAX - 8191, r.pci.window64_last = UINT64_MAX;
	for (unsigned slot = 1; slot <= 3; slot++) {
		fake_pci_init(&r.fake[slot]);
		fake_pci_bar(&r.fake[slot], 0, 4 * KIB)->is_64 = true;
	}
	add_fake(1);
	add_fake(2);
	CHECK_EQ(-ENOSPC, pci_add(&r.pci, &r.fake[3].dev, &r.e));
	set_command(&r, 2, MEM);
	CHECK_EQ(0x10, peek(&r.mmio, UINT64_MAX));
	CHECK_EQ(4095, r.fake[2].off);
	rig_fini(&r);
}

TEST(impossible_bars_are_refused)
{
	static const struct {
		unsigned i;
		struct pci_bar bar;
	} cases[] = {
		{0, {.size = 8}},
		{0, {.size = 48}},
		{0, {.size = 1ULL << 32}},
		{0, {.size = 2, .io = true}},
		{0, {.size = 512, .io = true}},
		{0, {.size = 16, .io = true, .is_64 = true}},
		{0, {.size = 16, .io = true, .prefetchable = true}},
		{5, {.size = 16, .is_64 = true}},
		{3, {.size = 16, .is_64 = true}}, /* BAR 4 is another one */
	};

	rig_init(&r);
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		fake_pci_init(&r.fake[1]);
		fake_pci_bar(&r.fake[1], 4, 16);
		r.fake[1].dev.bar[cases[c].i] = cases[c].bar;
		CHECK_EQ(-EINVAL, pci_add(&r.pci, &r.fake[1].dev, &r.e));
		CHECK_HAS(r.e.text, "of fake");
	}
	CHECK(r.pci.slot[1] == NULL);
	rig_fini(&r);
}

/* One thread moves BAR 0 between two places; the other reads at both, all the time. */

#define MOVES 20000

static void *move(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= MOVES; i++)
		write_bar(&r, 1, 0, (uint32_t)WINDOW32 + (i & 1) * 0x1000);
	return NULL;
}

TEST(access_during_a_move_gets_the_device_or_nobody)
{
	unsigned wrong = 0;
	pthread_t t;

	start();
	set_command(&r, 1, MEM);
	CHECK_EQ(0, pthread_create(&t, NULL, move, NULL));
	for (unsigned i = 0; i < MOVES; i++) {
		uint8_t v = peek(&r.mmio, WINDOW32 + (i & 1) * 0x1000 + 0xfff);
		wrong += v != 0x10 && v != 0xff;
		wrong += v == 0x10 && r.fake[1].off != 0xfff;
	}
	pthread_join(t, NULL);
	CHECK_EQ(0, wrong);
	CHECK_EQ(0x10, peek(&r.mmio, WINDOW32));
	CHECK_EQ(0xff, peek(&r.mmio, WINDOW32 + 0x1000));
	check_map();
	rig_fini(&r);
}
