// SPDX-License-Identifier: Apache-2.0
/* Slots and the two mechanisms. */
#include "pci_rig.h"

static struct rig r;

/* A configuration space in which each byte is another one, and all may be written. */
static struct fake_pci *add_patterned(void)
{
	struct fake_pci *f = &r.fake[1];

	rig_init(&r);
	fake_pci_init(f);
	CHECK_EQ(0, pci_add(&r.pci, &f->dev, &r.e));
	CHECK_EQ(1, f->dev.slot);
	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++)
		f->dev.config[i] = (uint8_t)(i ^ 0x5a);
	return f;
}

/* What `len` bytes at `off` are in configuration space, in a little-endian number. */
static uint64_t expected(const struct pci_dev *d, unsigned off, unsigned len)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < len; i++)
		v |= (uint64_t)(off + i < PCI_CONFIG_LEN ? d->config[off + i] : 0) << (8 * i);
	return v;
}

TEST(every_offset_and_width_reads_the_same_through_both_mechanisms)
{
	struct fake_pci *f = add_patterned();

	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned off = 0; off < 4096; off++) {
			bool over = off + len > 4096;
			uint64_t want = expected(&f->dev, off, len);
			if (over)
				want = len == 8 ? UINT64_MAX : (1ULL << (8 * len)) - 1;
			CHECK_EQ(want, cfg_read(&r, 1, off, len));
			if (off < 256 && (off & 3) + len <= 4)
				CHECK_EQ(want, port_cfg_read(&r, 1, off, len));
		}
	rig_fini(&r);
}

TEST(every_offset_and_width_writes_only_writable_bits_and_only_there)
{
	struct fake_pci *f = add_patterned();
	struct pci_dev *d = &f->dev;

	for (unsigned i = 0; i < PCI_CONFIG_LEN; i++)
		d->writable[i] = (uint8_t)(0x0f << i % 5);
	/* Decoding and INTx are other tests'. */
	memset(d->writable + PCI_COMMAND, 0, 4);
	for (unsigned how = 0; how < 2; how++)
		for (unsigned len = 1; len <= (how ? 4 : 8); len *= 2)
			for (unsigned off = 0; off < PCI_CONFIG_LEN + 8; off++) {
				uint8_t before[PCI_CONFIG_LEN];
				uint64_t v = 0x123456789abcdef0ULL * (off + 1);
				if (how && ((off & 3) + len > 4 || off >= PCI_CONFIG_LEN))
					continue;
				memcpy(before, d->config, sizeof(before));
				if (how)
					port_cfg_write(&r, 1, off, (uint32_t)v, len);
				else
					cfg_write(&r, 1, off, v, len);
				for (unsigned i = 0; i < PCI_CONFIG_LEN; i++) {
					bool hit = i >= off && i < off + len;
					uint8_t to = (uint8_t)(v >> (8 * ((i - off) & 7)));
					uint8_t mask = hit ? d->writable[i] : 0;
					uint8_t want = (before[i] & (uint8_t)~mask) | (to & mask);
					if (i == PCI_STATUS + 1 && hit)
						want &= (uint8_t) ~(to & 0xf9);
					CHECK_EQ(want, d->config[i]);
				}
			}
	CHECK(f->configs > 1000);
	rig_fini(&r);
}

TEST(who_is_not_there_reads_as_all_ones_and_takes_no_writes)
{
	struct fake_pci *f = add_patterned();
	struct pci_dev before = f->dev, bridge = r.pci.bridge;

	for (unsigned devfn = 0; devfn < 256; devfn++) {
		if (devfn == 0 || devfn == 8)
			continue;
		for (unsigned off = 0; off < 4096; off += 8) {
			uint64_t at = ECAM + (devfn << 12) + off, v = 0;
			for (unsigned len = 1; len <= 8; len *= 2) {
				v = 0;
				bus_write(&r.mmio, at, &v, len);
				bus_read(&r.mmio, at, &v, len);
				CHECK_EQ(len == 8 ? UINT64_MAX : (1ULL << (8 * len)) - 1, v);
			}
		}
	}
	CHECK(memcmp(&before, &f->dev, sizeof(before)) == 0);
	CHECK(memcmp(&bridge, &r.pci.bridge, sizeof(bridge)) == 0);
	rig_fini(&r);
}

TEST(only_bus_0_exists)
{
	uint32_t v, address;

	add_patterned();
	for (unsigned bus = 0; bus < 256; bus++) {
		address = 0x80000000 | bus << 16 | 1 << 11;
		bus_write(&r.pio, 0xcf8, &address, 4);
		bus_read(&r.pio, 0xcfc, &v, 4);
		CHECK_EQ(bus ? 0xffffffff : expected(&r.fake[1].dev, 0, 4), v);
	}
	rig_fini(&r);
}

TEST(address_register_has_only_the_bits_of_the_specification)
{
	uint32_t v = 0xffffffff;

	rig_init(&r);
	bus_write(&r.pio, 0xcf8, &v, 4);
	bus_read(&r.pio, 0xcf8, &v, 4);
	CHECK_EQ(0x80fffffc, v);
	rig_fini(&r);
}

/* Linux 6.1, arch/x86/pci/direct.c: how it finds out which mechanism there is. */
TEST(linux_probe_finds_mechanism_1_and_not_2)
{
	uint32_t v = 0x80000000;
	uint8_t one = 1, zero = 0, byte;

	rig_init(&r);
	bus_write(&r.pio, 0xcfb, &one, 1); /* pci_check_type1() */
	bus_write(&r.pio, 0xcf8, &v, 4);
	v = 0;
	bus_read(&r.pio, 0xcf8, &v, 4);
	CHECK_EQ(0x80000000, v);
	CHECK_EQ(0x0600, port_cfg_read(&r, 0, PCI_CLASS_DEVICE, 2)); /* pci_sanity_check() */
	bus_write(&r.pio, 0xcfb, &zero, 1);                          /* pci_check_type2() */
	bus_write(&r.pio, 0xcf8, &zero, 1);
	bus_write(&r.pio, 0xcfa, &zero, 1);
	bus_read(&r.pio, 0xcf8, &byte, 1);
	CHECK_EQ(0xff, byte);
	rig_fini(&r);
}

TEST(data_port_is_nobody_without_the_enable_bit_and_never_wider_than_itself)
{
	uint32_t address = 1 << 11, v = 0;
	uint64_t wide = 0;

	add_patterned();
	bus_write(&r.pio, 0xcf8, &address, 4);
	bus_write(&r.pio, 0xcfc, &v, 4);
	bus_read(&r.pio, 0xcfc, &v, 4);
	CHECK_EQ(0xffffffff, v);
	address |= 0x80000000;
	bus_write(&r.pio, 0xcf8, &address, 4);
	bus_read(&r.pio, 0xcfa, &v, 4); /* half of each register */
	CHECK_EQ(0xffffffff, v);
	v = 0;
	bus_read(&r.pio, 0xcfd, &v, 4); /* over the end */
	CHECK_EQ(0xffffffff, v);
	bus_read(&r.pio, 0xcf8, &wide, 8);
	CHECK_EQ(UINT64_MAX, wide);
	bus_read(&r.pio, 0xcfd, &v, 2);
	CHECK_EQ(expected(&r.fake[1].dev, 1, 2), v & 0xffff);
	rig_fini(&r);
}

TEST(there_are_31_devices_beside_the_bridge_and_no_32nd)
{
	rig_init(&r);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		fake_pci_init(&r.fake[slot]);
		CHECK_EQ(0, pci_add(&r.pci, &r.fake[slot].dev, &r.e));
		CHECK_EQ(slot, r.fake[slot].dev.slot);
		CHECK_EQ(0x10421af4, cfg_read(&r, slot, 0, 4));
		CHECK_EQ(0x10421af4, port_cfg_read(&r, slot, 0, 4));
	}
	fake_pci_init(&r.fake[0]);
	CHECK_EQ(-ENOSPC, pci_add(&r.pci, &r.fake[0].dev, &r.e));
	CHECK_HAS(r.e.text, "no slot left for fake");
	CHECK(r.fake[0].dev.bus == NULL);
	rig_fini(&r);
}

static void pass_on(struct pci_dev *d, unsigned off, void *data, unsigned len)
{
	CHECK(off + len <= 4096);
	pci_config_read(d, off, data, len);
	if (off <= 0x800 && 0x800 < off + len)
		((uint8_t *)data)[0x800 - off] = 0x77;
}

TEST(device_may_answer_reads_itself_beyond_256_bytes_too)
{
	static const struct pci_ops ops = {.config_read = pass_on};
	struct fake_pci *f = add_patterned();

	f->dev.ops = &ops;
	CHECK_EQ(0x77, cfg_read(&r, 1, 0x800, 4));
	CHECK_EQ(0x7700, cfg_read(&r, 1, 0x7ff, 2));
	CHECK_EQ(expected(&f->dev, 0x20, 4), cfg_read(&r, 1, 0x20, 4));
	CHECK_EQ(0xffff, cfg_read(&r, 1, 4095, 2));
	cfg_write(&r, 1, 0x800, 0, 4); /* config_written is optional */
	cfg_write(&r, 1, 0xff, 0, 4);
	rig_fini(&r);
}
