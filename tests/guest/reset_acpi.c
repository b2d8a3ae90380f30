/* SPDX-License-Identifier: Apache-2.0 */
/* Resets by the ACPI reset register. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	guest_print("PASS\n");
	outb(0x608, 0x06);
	guest_print("FAIL still here\n");
}
