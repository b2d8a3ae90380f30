// SPDX-License-Identifier: Apache-2.0
/* Header, capabilities, status register. */
#include "pci_rig.h"

static struct rig r;

static struct pci_dev *add_one(struct pci_id id)
{
	struct pci_dev *d = &r.fake[1].dev;

	rig_init(&r);
	pci_dev_init(d, "one", id);
	CHECK_EQ(0, pci_add(&r.pci, d, &r.e));
	return d;
}

TEST(header_says_who_it_is_and_cannot_be_changed)
{
	add_one((struct pci_id){0x1234, 0x5678, 0x9abc, 0xdef0, 0x112233, 0x44, true});
	for (unsigned pass = 0; pass < 2; pass++) {
		CHECK_EQ(0x56781234, cfg_read(&r, 1, PCI_VENDOR_ID, 4));
		CHECK_EQ(0x11223344, cfg_read(&r, 1, PCI_CLASS_REVISION, 4));
		CHECK_EQ(0xdef09abc, cfg_read(&r, 1, PCI_SUBSYSTEM_VENDOR_ID, 4));
		CHECK_EQ(0, cfg_read(&r, 1, PCI_HEADER_TYPE, 1)); /* type 0, one function */
		CHECK_EQ(1, cfg_read(&r, 1, PCI_INTERRUPT_PIN, 1));
		CHECK_EQ(0, cfg_read(&r, 1, PCI_ROM_ADDRESS, 4));
		CHECK_EQ(0, cfg_read(&r, 1, PCI_STATUS, 2));
		for (unsigned off = 0; off < PCI_CONFIG_LEN; off += 4)
			cfg_write(&r, 1, off, pass ? 0 : 0xffffffff, 4);
	}
	rig_fini(&r);
}

/* All that a device without BARs and capabilities lets a guest change. */
TEST(writable_bits_of_a_header)
{
	for (unsigned intx = 0; intx < 2; intx++) {
		add_one((struct pci_id){.vendor = 1, .intx = intx});
		for (unsigned off = 0; off < PCI_CONFIG_LEN; off++) {
			uint8_t before = (uint8_t)cfg_read(&r, 1, off, 1), want = 0;
			cfg_write(&r, 1, off, (uint8_t)~before, 1);
			if (off == PCI_COMMAND)
				want = PCI_COMMAND_MASTER;
			else if (off == PCI_COMMAND + 1)
				want = intx ? PCI_COMMAND_INTX_DISABLE >> 8 : 0;
			else if (off == PCI_CACHE_LINE_SIZE)
				want = 0xff;
			else if (off == PCI_INTERRUPT_LINE)
				want = intx ? 0xff : 0;
			CHECK_EQ(want, before ^ cfg_read(&r, 1, off, 1));
		}
		rig_fini(&r);
	}
}

TEST(status_errors_are_cleared_by_writing_ones_to_them)
{
	struct pci_dev *d = add_one((struct pci_id){.vendor = 1});

	d->config[PCI_STATUS] = 0x06;
	d->config[PCI_STATUS + 1] = 0xff;
	cfg_write(&r, 1, PCI_STATUS, 0, 2);
	CHECK_EQ(0xff06, cfg_read(&r, 1, PCI_STATUS, 2));
	cfg_write(&r, 1, PCI_STATUS, 0x8000, 2);
	CHECK_EQ(0x7f06, cfg_read(&r, 1, PCI_STATUS, 2));
	cfg_write(&r, 1, PCI_COMMAND, 0x79000000, 4);
	CHECK_EQ(0x0606, cfg_read(&r, 1, PCI_STATUS, 2));
	cfg_write(&r, 1, PCI_STATUS, 0xffff, 2); /* DEVSEL timing is none of them */
	CHECK_EQ(0x0606, cfg_read(&r, 1, PCI_STATUS, 2));
	rig_fini(&r);
}

TEST(capabilities_are_found_by_walking_the_list)
{
	static const uint8_t vendor[] = {PCI_CAP_ID_VNDR, 0xee, 5, 1, 2},
			     power[] = {PCI_CAP_ID_PM, 0xee, 3, 0, 0, 0, 0, 0};
	struct pci_dev *d = &r.fake[1].dev;
	unsigned at;

	rig_init(&r);
	pci_dev_init(d, "one", DEFAULT_ID);
	CHECK_EQ(0x40, pci_add_cap(d, vendor, sizeof(vendor)));
	CHECK_EQ(0x48, pci_add_cap(d, power, sizeof(power))); /* on a multiple of 4 */
	CHECK_EQ(0x50, pci_add_cap(d, vendor, sizeof(vendor)));
	CHECK_EQ(0, pci_add(&r.pci, d, &r.e));
	CHECK(cfg_read(&r, 1, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	at = (unsigned)cfg_read(&r, 1, PCI_CAPABILITY_LIST, 1);
	CHECK_EQ(0x40, at);
	CHECK_EQ(0x01054809, cfg_read(&r, 1, at, 4));
	at = (unsigned)cfg_read(&r, 1, at + 1, 1);
	CHECK_EQ(0x00035001, cfg_read(&r, 1, at, 4));
	at = (unsigned)cfg_read(&r, 1, at + 1, 1);
	CHECK_EQ(0x01050009, cfg_read(&r, 1, at, 4)); /* the end */
	rig_fini(&r);
}

TEST(capability_that_does_not_fit_is_refused_and_the_last_byte_can_be_used)
{
	uint8_t cap[PCI_CONFIG_LEN] = {PCI_CAP_ID_VNDR};
	struct pci_dev d;

	pci_dev_init(&d, "one", DEFAULT_ID);
	CHECK_EQ(-ENOSPC, pci_add_cap(&d, cap, 193));
	CHECK_EQ(-ENOSPC, pci_add_cap(&d, cap, 1)); /* no room for the link */
	CHECK_EQ(0, d.config[PCI_CAPABILITY_LIST]);
	CHECK_EQ(0, d.config[PCI_STATUS]);
	CHECK_EQ(0x40, pci_add_cap(&d, cap, 188));
	CHECK_EQ(-ENOSPC, pci_add_cap(&d, cap, 5));
	CHECK_EQ(0xfc, pci_add_cap(&d, cap, 3));
	CHECK_EQ(-ENOSPC, pci_add_cap(&d, cap, 2));
	CHECK_EQ(0, d.config[0xfd]);
}

TEST(slot_0_is_a_host_bridge_and_nothing_else)
{
	rig_init(&r);
	CHECK_EQ(0x00081b36, cfg_read(&r, 0, PCI_VENDOR_ID, 4));
	CHECK_EQ(0x06000000, cfg_read(&r, 0, PCI_CLASS_REVISION, 4));
	CHECK_EQ(0, cfg_read(&r, 0, PCI_HEADER_TYPE, 1));
	for (unsigned i = 0; i < PCI_BARS; i++) {
		write_bar(&r, 0, i, 0xffffffff);
		CHECK_EQ(0, read_bar(&r, 0, i));
	}
	rig_fini(&r);
}
