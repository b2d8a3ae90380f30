// SPDX-License-Identifier: Apache-2.0
/* The PCI front over a device that is not there. */
#include "front_rig.h"

static struct front f;

static void plug(void)
{
	CHECK_EQ(0, front_plug(&f));
}

TEST(identity_is_the_devices_and_the_rest_of_the_header_is_not)
{
	front_init(&f);
	plug();
	CHECK_EQ(0x00101b36, cfg(&f, PCI_VENDOR_ID, 4));
	CHECK_EQ(0x01080202, cfg(&f, PCI_CLASS_REVISION, 4));
	CHECK_EQ(0x11001af4, cfg(&f, PCI_SUBSYSTEM_VENDOR_ID, 4));
	CHECK_EQ(0, cfg(&f, PCI_HEADER_TYPE, 1)); /* one function, here */
	CHECK_EQ(1, cfg(&f, PCI_INTERRUPT_PIN, 1));
	CHECK_EQ(0, cfg(&f, PCI_COMMAND, 2));
	CHECK_EQ(0, cfg(&f, PCI_ROM_ADDRESS, 4));
	CHECK_EQ(WINDOW32 | PCI_BASE_ADDRESS_MEM_TYPE_64, cfg(&f, PCI_BASE_ADDRESS_0, 4));
	set(&f, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	CHECK_EQ(0xffffc004, cfg(&f, PCI_BASE_ADDRESS_0, 4));
	front_fini(&f);
}

TEST(command_goes_to_the_device_as_well)
{
	front_init(&f);
	plug();
	decode(&f);
	CHECK_EQ(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, f.dev.config[PCI_COMMAND]);
	set(&f, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
	CHECK_EQ(PCI_COMMAND_INTX_DISABLE >> 8, f.dev.config[PCI_COMMAND + 1]);
	CHECK_EQ(0, f.dev.config[PCI_COMMAND]);
	front_fini(&f);
}

static unsigned caps(unsigned list[16])
{
	unsigned n = 0;

	for (unsigned at = cfg(&f, PCI_CAPABILITY_LIST, 1); at && n < 16; at = cfg(&f, at + 1, 1))
		list[n++] = at;
	return n;
}

TEST(capabilities_stay_in_their_places_and_hidden_ones_are_skipped)
{
	unsigned at[16];

	front_init(&f);
	plug();
	CHECK_EQ(5, caps(at));
	CHECK(at[0] == MSIX_CAP && at[1] == EXP_CAP && at[2] == PM_CAP && at[3] == MSI_CAP &&
	      at[4] == 0xf0);
	CHECK_EQ(0, cfg(&f, 0xe0, 4)); /* vital product data */
	CHECK_EQ(PCI_EXP_TYPE_RC_END << 4 | 2, cfg(&f, EXP_CAP + PCI_EXP_FLAGS, 2));
	CHECK_EQ(0, cfg(&f, EXP_CAP + PCI_EXP_LNKCAP, 4));
	CHECK_EQ(0x0003, cfg(&f, PM_CAP + PCI_PM_PMC, 2)); /* signals no PME */
	front_fini(&f);
}

TEST(what_is_not_the_machines_goes_to_the_device)
{
	front_init(&f);
	plug();
	CHECK_EQ(0xabcd, cfg(&f, 0xf4, 4));
	set(&f, 0xf4, 0x1234, 2);
	CHECK(f.dev.last_off == 0xf4 && f.dev.last_len == 2 && f.dev.last_value == 0x1234);
	set(&f, EXP_CAP + PCI_EXP_DEVCTL, 0x8000,
	    2); /* a function level reset, by the host's leave */
	CHECK(f.dev.last_off == EXP_CAP + PCI_EXP_DEVCTL && f.dev.last_value == 0x8000);
	front_fini(&f);
}

TEST(sleep_is_kept_from_the_device)
{
	unsigned writes;

	front_init(&f);
	plug();
	writes = f.dev.writes;
	set(&f, PM_CAP + PCI_PM_CTRL, 3, 2);
	CHECK_EQ(3 | PCI_PM_CTRL_NO_SOFT_RESET, cfg(&f, PM_CAP + PCI_PM_CTRL, 2));
	CHECK_EQ(writes, f.dev.writes);
	front_fini(&f);
}

TEST(extended_capabilities_that_are_the_hosts_business_are_hidden)
{
	front_init(&f);
	fake_put(&f.dev, 0x100, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0x200u << 20, 4);
	fake_put(&f.dev, 0x104, 0x55555555, 4);
	fake_put(&f.dev, 0x200, PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x300u << 20, 4);
	fake_put(&f.dev, 0x300, PCI_EXT_CAP_ID_REBAR | 1 << 16 | 0x400u << 20, 4);
	fake_put(&f.dev, 0x400, PCI_EXT_CAP_ID_DSN | 1 << 16 | 0x200u << 20, 4); /* a loop */
	fake_put(&f.dev, 0x404, 0x77777777, 4);
	plug();
	CHECK_EQ(0x20000000, cfg(&f, 0x100, 4));
	CHECK_EQ(0, cfg(&f, 0x104, 4));
	CHECK_EQ(PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x400u << 20, cfg(&f, 0x200, 4));
	CHECK_EQ(0, cfg(&f, 0x300, 4));
	CHECK_EQ(PCI_EXT_CAP_ID_DSN | 1 << 16, cfg(&f, 0x400, 4));
	CHECK_EQ(0x77777777, cfg(&f, 0x404, 4));
	set(&f, 0x104, 1, 4);
	CHECK_EQ(0x55, f.dev.config[0x104]);
	front_fini(&f);
}

TEST(pages_are_the_guests_but_for_those_of_the_msix_table)
{
	uint32_t value = 7;

	front_init(&f);
	plug();
	CHECK_EQ(0, f.n_memory);
	decode(&f);
	CHECK_EQ(1, f.n_memory); /* the table and the pending bits are the last two pages */
	CHECK(f.memory[0].addr == WINDOW32 && f.memory[0].len == TABLE &&
	      f.memory[0].host == f.dev.bar[0]);
	bus_write(&f.bus.mmio, WINDOW32 + PBA + 0x100, &value, 4); /* beside the bits */
	CHECK_EQ(7, f.dev.bar[0][PBA + 0x100]);
	set_vector(&f, 0, 0xfee00000, 0x31, true);
	CHECK_EQ(0, f.dev.bar[0][TABLE + 2]); /* the device's own table is the host's */
	set(&f, PCI_BASE_ADDRESS_0, WINDOW32 + 0x100000, 4);
	CHECK(f.n_memory == 1 && f.memory[0].addr == WINDOW32 + 0x100000);
	set(&f, PCI_COMMAND, 0, 2);
	CHECK_EQ(0, f.n_memory);
	front_fini(&f);
}

TEST(table_in_the_middle_leaves_memory_on_both_sides)
{
	front_init(&f);
	fake_put(&f.dev, MSIX_CAP + PCI_MSIX_TABLE, 0x1ff8, 4); /* over a page boundary */
	fake_put(&f.dev, MSIX_CAP + PCI_MSIX_PBA, 0x1000, 4);
	plug();
	decode(&f);
	CHECK_EQ(2, f.n_memory);
	CHECK(f.memory[0].addr == WINDOW32 && f.memory[0].len == 0x1000);
	CHECK(f.memory[1].addr == WINDOW32 + 0x3000 && f.memory[1].len == 0x1000 &&
	      f.memory[1].host == f.dev.bar[0] + 0x3000);
	front_fini(&f);
}

TEST(small_and_port_regions_are_read_and_written_through_the_device)
{
	uint32_t value = 0x99;

	front_init(&f);
	fake_put(&f.dev, PCI_BASE_ADDRESS_2, 0, 4);
	fake_bar(&f.dev, 2, 0x20);
	fake_put(&f.dev, PCI_BASE_ADDRESS_3, 0xe001, 4);
	fake_bar(&f.dev, 3, 8);
	plug();
	set(&f, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO, 2);
	bus_write(&f.bus.mmio, cfg(&f, PCI_BASE_ADDRESS_2, 4) + 4, &value, 4);
	CHECK_EQ(0x99, f.dev.bar[2][4]);
	bus_write(&f.bus.pio, (cfg(&f, PCI_BASE_ADDRESS_3, 4) & ~3u) + 5, &value, 1);
	CHECK_EQ(0x99, f.dev.bar[3][5]);
	front_fini(&f);
}

TEST(region_of_an_odd_size_gets_a_bar_of_a_power_of_two_and_ones_behind_its_end)
{
	uint32_t value = 0;

	front_init(&f);
	fake_bar(&f.dev, 2, 0x30);
	plug();
	decode(&f);
	bus_read(&f.bus.mmio, cfg(&f, PCI_BASE_ADDRESS_2, 4) + 0x30, &value, 4);
	CHECK_EQ(0xffffffff, value);
	front_fini(&f);
}

TEST(rom_is_read_where_the_guest_put_it_and_switched_it_on)
{
	uint32_t at, value = 0;

	front_init(&f);
	fake_bar(&f.dev, PCI_ROM_BAR, 0x1800);
	f.dev.base.region[PCI_ROM_BAR].n_areas = 0; /* as vfio-pci has it */
	memcpy(f.dev.bar[PCI_ROM_BAR] + 0x1400, "\x55\xaa\x12\x34", 4);
	plug();
	at = cfg(&f, PCI_ROM_ADDRESS, 4);
	set(&f, PCI_ROM_ADDRESS, 0xffffffff, 4);
	CHECK_EQ(0xffffe001, cfg(&f, PCI_ROM_ADDRESS, 4)); /* 8 KiB */
	set(&f, PCI_ROM_ADDRESS, at, 4);
	decode(&f);
	bus_read(&f.bus.mmio, at + 0x1400, &value, 4);
	CHECK_EQ(0xffffffff, value); /* it is off */
	set(&f, PCI_ROM_ADDRESS, at | PCI_ROM_ADDRESS_ENABLE, 4);
	bus_read(&f.bus.mmio, at + 0x1400, &value, 4);
	CHECK_EQ(0x3412aa55, value);
	value = 0;
	bus_write(&f.bus.mmio, at + 0x1400, &value, 4);
	CHECK_EQ(0x55, f.dev.bar[PCI_ROM_BAR][0x1400]);
	front_fini(&f);
}

TEST(device_that_dies_is_pulled_out)
{
	front_init(&f);
	plug();
	decode(&f);
	f.dev.dead = true;
	f.dev.base.gone(f.dev.base.arg, "for a test");
	CHECK_EQ(0xffffffff, cfg(&f, PCI_VENDOR_ID, 4));
	CHECK_EQ(0, f.n_memory);
	f.dev.armed = -1; /* with the device its interrupts went */
	front_fini(&f);
}

TEST(bridge_is_refused_and_closed)
{
	front_init(&f);
	f.dev.config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	CHECK_EQ(-EINVAL, front_plug(&f));
	CHECK_HAS(f.bus.e.text, "it is a bridge");
	front_fini(&f);
}

TEST(window_without_room_is_an_error)
{
	front_init(&f);
	f.bus.pci.window32_last = WINDOW32 + 0xfff;
	f.bus.pci.window64 = f.bus.pci.window64_last = 0;
	CHECK_EQ(-ENOSPC, front_plug(&f));
	CHECK_HAS(f.bus.e.text, "no room for BAR 0");
	front_fini(&f);
}

TEST(rom_that_has_no_place_is_left_out)
{
	front_init(&f);
	f.dev.base.region[PCI_ROM_BAR].size = 8 * GIB;
	plug();
	set(&f, PCI_ROM_ADDRESS, 0xffffffff, 4);
	CHECK_EQ(0, cfg(&f, PCI_ROM_ADDRESS, 4));
	front_fini(&f);
}

TEST(capabilities_that_overlap_or_leave_the_space_are_hidden)
{
	unsigned at[16];

	front_init(&f);
	fake_put(&f.dev, MSIX_CAP, PCI_CAP_ID_MSIX | 0x44 << 8 | (VECTORS - 1) << 16, 4);
	fake_put(&f.dev, 0x44, 0,
		 4); /* the table's register, of 0: BAR 0 at 0; and no capability */
	fake_put(&f.dev, PCI_CAPABILITY_LIST, 0xfc, 1);
	fake_put(&f.dev, 0xfc, PCI_CAP_ID_MSI | MSIX_CAP << 8, 4); /* 10 bytes, and 4 are left */
	plug();
	CHECK_EQ(1, caps(at));
	CHECK_EQ(MSIX_CAP, at[0]);
	front_fini(&f);
}

TEST(msix_table_outside_of_its_bar_is_no_msix)
{
	unsigned at[16];

	front_init(&f);
	fake_put(&f.dev, MSIX_CAP + PCI_MSIX_TABLE, 0x3ff8, 4);
	plug();
	CHECK_EQ(4, caps(at));
	CHECK_EQ(EXP_CAP, at[0]);
	front_fini(&f);
}
