/* SPDX-License-Identifier: Apache-2.0 */
/* 256 KiB of output in lines of 64 bytes, polled as printk does, then the last word. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	for (unsigned line = 0; line < 4096; line++) {
		for (unsigned i = 0; i < 63; i++)
			outb(COM1, (uint8_t)('!' + (line + i) % 90));
		outb(COM1, '\n');
	}
	guest_print("END OF FLOOD\n");
}
