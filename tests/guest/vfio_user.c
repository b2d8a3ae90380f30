/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe controller of tests/vfio_user, without a driver: its registers answer, are all ones once the server has gone,
 * and answer again when another has come. With a page in BAR 2, its file is made empty: then it is the server's to answer,
 * by messages. test_vfio_user.py does the killing and the cutting, by what is printed.
 */
#include "lib_virtio.h"

#define SLOT    1
#define REG_VS  0x08
#define REG_ASQ 0x28
#define VERSION 0x00010400u
#define PAGE    0x600df00du /* what the page begins with */

static void wait_for(uint64_t reg, uint32_t value)
{
	while (mmio_read32(reg) != value)
		;
}

static void lose_page(uint64_t page)
{
	CHECK_EQ(mmio_read32(page), PAGE);
	mmio_write32(page + 8, 0x12345678);
	CHECK_EQ(mmio_read32(page + 8), 0x12345678);
	guest_print("CUT\n");
	wait_for(page, 0);
	CHECK_EQ(mmio_read32(page + 8), 0);
	mmio_write32(page + 8, 0x12345678);
	CHECK_EQ(mmio_read32(page + 8), 0);
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	uint64_t bar, page;

	(void)boot_params;
	(void)pvh_info;
	CHECK_EQ(pci_read(SLOT, 0, 4), 0x00014e58);
	bar = pci_read(SLOT, 0x10, 4) & ~15u;
	pci_write(SLOT, 4, 2, 2);
	CHECK_EQ(mmio_read32(bar + REG_VS), VERSION);
	page = pci_read(SLOT, 0x18, 4) & ~15u;
	if (page) {
		lose_page(page);
		CHECK_EQ(mmio_read32(bar + REG_VS), VERSION);
		guest_print("PASS\n");
		return;
	}
	mmio_write32(bar + REG_ASQ, 0x5000);
	CHECK_EQ(mmio_read32(bar + REG_ASQ), 0x5000);
	guest_print("UP\n");
	wait_for(bar + REG_VS, 0xffffffff);
	mmio_write32(bar + REG_ASQ, 0x6000);
	guest_print("AWAY\n");
	wait_for(bar + REG_VS, VERSION);
	CHECK_EQ(mmio_read32(bar + REG_ASQ), 0);
	CHECK_EQ(pci_read(SLOT, 4, 2) & 2, 2);
	guest_print("PASS\n");
}
