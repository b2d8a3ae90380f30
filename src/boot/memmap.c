// SPDX-License-Identifier: Apache-2.0
#include "boot/memmap.h"

unsigned memmap_fill(struct memmap_entry map[MEMMAP_MAX], const struct gmem *m)
{
	unsigned n = 0;

	map[n++] = (struct memmap_entry){0, LOW_RAM_END, MEMMAP_RAM};
	map[n++] = (struct memmap_entry){BIOS_START, BIOS_END - BIOS_START, MEMMAP_RESERVED};
	for (unsigned i = 0; i < m->n; i++) {
		uint64_t base = MAX(m->region[i].base, HIGH_RAM_START);
		uint64_t end = m->region[i].base + m->region[i].len;
		if (end > base)
			map[n++] = (struct memmap_entry){base, end - base, MEMMAP_RAM};
	}
	return n;
}
