/* SPDX-License-Identifier: Apache-2.0 */
/* The first light: 64-bit code runs, the port answers, power off works. */
#include "lib.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)pvh_info;
	CHECK(boot_params != NULL);
	CHECK_EQ(boot_params[0x1fe] | boot_params[0x1ff] << 8, 0xaa55);
	guest_print("Hello from long mode\nPASS\n");
}
