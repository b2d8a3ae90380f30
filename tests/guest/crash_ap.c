/* SPDX-License-Identifier: Apache-2.0 */
/* The second processor triple-faults with an empty IDT, as one does that fails in Linux's trampoline: a crash. */
#include "lib.h"

#define LAPIC      0xfee00000ULL
#define TRAMPOLINE 0x8000ULL

/* Real mode at 0x800:0: xor ax,ax; mov ds,ax; lidt [0x8100] (zeros); ud2 */
static const uint8_t trampoline[] = {0x31, 0xc0, 0x8e, 0xd8, 0x0f, 0x01,
				     0x1e, 0x00, 0x81, 0x0f, 0x0b};

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	for (unsigned i = 0; i < sizeof(trampoline); i++)
		((volatile uint8_t *)TRAMPOLINE)[i] = trampoline[i];
	for (unsigned i = 0; i < 8; i++)
		((volatile uint8_t *)TRAMPOLINE)[0x100 + i] = 0;
	guest_print("about to crash\n");
	mmio_write32(LAPIC + 0xf0, 0x1ff);
	mmio_write32(LAPIC + 0x310, 1u << 24);
	mmio_write32(LAPIC + 0x300, 0x4500);
	mmio_write32(LAPIC + 0x310, 1u << 24);
	mmio_write32(LAPIC + 0x300, 0x4600 | TRAMPOLINE >> 12);
	for (;;)
		__asm__ volatile("pause");
}
