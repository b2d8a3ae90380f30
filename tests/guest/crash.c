/* SPDX-License-Identifier: Apache-2.0 */
/* Crashes: an undefined instruction with no way to handle it. toyvmm ends with exit code 4 and a report. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) garbage = {0xfff, 0x7fff00000000};

	(void)boot_params, (void)pvh_info;
	guest_print("about to crash\n");
	__asm__ volatile("lidt %0; ud2" : : "m"(garbage));
	guest_print("FAIL still here\n");
}
