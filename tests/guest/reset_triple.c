/* SPDX-License-Identifier: Apache-2.0 */
/* Resets by a triple fault on purpose, as Linux's reboot=t does: reset flag in the BIOS data area, empty IDT. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) empty;

	(void)boot_params, (void)pvh_info;
	guest_print("PASS\n");
	*(volatile uint16_t *)0x472 = 0;
	__asm__ volatile("lidt %0; int3" : : "m"(empty));
	guest_print("FAIL still here\n");
}
