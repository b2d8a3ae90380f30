/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that tells pvpanic, prints its last words a little later, and then spins for ever. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	CHECK_EQ(inb(0x505) & 1, 1);
	outb(0x505, 1);
	guest_print("last words\n");
	for (;;)
		__asm__ volatile("pause");
}
