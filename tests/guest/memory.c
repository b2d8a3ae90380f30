/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the E820 map it was given and touches the first and last page of each piece of RAM. */
#include "lib.h"

#define E820_COUNT 0x1e8
#define E820_TABLE 0x2d0

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	uint64_t ram = 0;

	(void)pvh_info;
	for (unsigned i = 0; i < boot_params[E820_COUNT]; i++) {
		const uint8_t *e = boot_params + E820_TABLE + 20 * i;
		uint64_t base = *(const uint64_t *)e, len = *(const uint64_t *)(e + 8);
		if (*(const uint32_t *)(e + 16) != 1)
			continue;
		ram += len;
		if (base + len > 0x100000000ULL || base < 0x100000)
			continue; /* the boot page tables end at 4 GiB */
		volatile uint64_t *last = (volatile uint64_t *)(base + len - 8);
		*last = 0x1122334455667788ULL;
		CHECK_EQ(*last, 0x1122334455667788ULL);
	}
	guest_print("RAM ");
	guest_print_hex(ram >> 20);
	guest_print(" MiB\nPASS\n");
}
