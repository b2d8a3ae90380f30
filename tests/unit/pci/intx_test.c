// SPDX-License-Identifier: Apache-2.0
#include "pci_rig.h"

static struct rig r;

static struct pci_dev *dev(unsigned slot)
{
	return &r.fake[slot].dev;
}

static void fill_bus(void)
{
	rig_init(&r);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		fake_pci_init(&r.fake[slot]);
		CHECK_EQ(0, pci_add(&r.pci, dev(slot), &r.e));
	}
}

static bool status(unsigned slot)
{
	return cfg_read(&r, slot, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

TEST(line_is_high_while_any_of_its_slots_asserts)
{
	fill_bus();
	pci_set_intx(dev(1), true);
	CHECK(r.line[1]);
	CHECK_EQ(1, r.line_changes);
	pci_set_intx(dev(1), true); /* not a second time */
	pci_set_intx(dev(5), true);
	pci_set_intx(dev(29), true);
	CHECK_EQ(1, r.line_changes);
	pci_set_intx(dev(1), false);
	pci_set_intx(dev(29), false);
	CHECK(r.line[1]);
	pci_set_intx(dev(5), false);
	CHECK(!r.line[1]);
	CHECK_EQ(2, r.line_changes);
	rig_fini(&r);
}

TEST(every_slot_drives_the_line_of_the_swizzle_and_no_other)
{
	fill_bus();
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		pci_set_intx(dev(slot), true);
		for (unsigned line = 0; line < PCI_INTX_LINES; line++)
			CHECK_EQ(line == slot % 4, r.line[line]);
		pci_set_intx(dev(slot), false);
		CHECK(!r.line[slot % 4]);
	}
	rig_fini(&r);
}

TEST(lines_do_not_depend_on_each_other)
{
	fill_bus();
	for (unsigned slot = 1; slot <= 4; slot++)
		pci_set_intx(dev(slot), true);
	CHECK_EQ(4, r.line_changes);
	pci_set_intx(dev(2), false);
	CHECK(r.line[0] && r.line[1] && !r.line[2] && r.line[3]);
	rig_fini(&r);
}

TEST(interrupt_disable_lowers_the_line_but_not_the_status_bit)
{
	fill_bus();
	CHECK(!status(2));
	pci_set_intx(dev(2), true);
	CHECK(r.line[2] && status(2) && !status(6));
	set_command(&r, 2, PCI_COMMAND_INTX_DISABLE);
	CHECK(!r.line[2] && status(2));
	CHECK_EQ(PCI_STATUS_INTERRUPT, cfg_read(&r, 2, PCI_STATUS, 1));
	CHECK_EQ(PCI_STATUS_INTERRUPT << 8, cfg_read(&r, 2, PCI_STATUS - 1, 2) & 0xff00);
	pci_set_intx(dev(6), true); /* another one may */
	CHECK(r.line[2]);
	pci_set_intx(dev(6), false);
	set_command(&r, 2, 0);
	CHECK(r.line[2]);
	set_command(&r, 2, PCI_COMMAND_INTX_DISABLE);
	pci_set_intx(dev(2), false);
	set_command(&r, 2, 0);
	CHECK(!r.line[2] && !status(2));
	rig_fini(&r);
}

TEST(status_bit_cannot_be_written)
{
	fill_bus();
	cfg_write(&r, 3, PCI_STATUS, 0xffff, 2);
	CHECK(!status(3));
	pci_set_intx(dev(3), true);
	cfg_write(&r, 3, PCI_STATUS, 0xffff, 2);
	CHECK(status(3) && r.line[3]);
	rig_fini(&r);
}

TEST(device_without_a_pin_or_a_bus_has_no_line)
{
	struct pci_dev loose;

	rig_init(&r);
	pci_dev_init(&loose, "loose", DEFAULT_ID);
	pci_set_intx(&loose, true);
	pci_dev_init(dev(1), "no pin", (struct pci_id){.vendor = 1});
	CHECK_EQ(0, pci_add(&r.pci, dev(1), &r.e));
	pci_set_intx(dev(1), true);
	CHECK_EQ(0, r.line_changes);
	CHECK(!status(1));
	rig_fini(&r);
}
