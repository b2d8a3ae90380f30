/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe controller of tests/vfio_user, without a driver: its registers answer, are all ones once the server has gone,
 * and answer again when another has come. test_vfio_user.py does the killing, by what is printed.
 */
#include "lib_virtio.h"

#define SLOT    1
#define REG_VS  0x08
#define REG_ASQ 0x28
#define VERSION 0x00010400u

static void wait_for(uint64_t reg, uint32_t value)
{
	while (mmio_read32(reg) != value)
		;
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	uint64_t bar;

	(void)boot_params;
	(void)pvh_info;
	CHECK_EQ(pci_read(SLOT, 0, 4), 0x00014e58);
	bar = pci_read(SLOT, 0x10, 4) & ~15u;
	pci_write(SLOT, 4, 2, 2);
	CHECK_EQ(mmio_read32(bar + REG_VS), VERSION);
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
