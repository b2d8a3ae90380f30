/* SPDX-License-Identifier: Apache-2.0 */
/* The memory map a kernel is given: what is RAM, what is not. Same entries for E820 and PVH. */
#pragma once

#include "mem/gmem.h"

enum memmap_type { /* ACPI specification 6.5, table 15.6 "Address Range Types" */
		   MEMMAP_RAM = 1,
		   MEMMAP_RESERVED = 2,
};

struct memmap_entry {
	uint64_t addr, size;
	enum memmap_type type;
};

#define MEMMAP_MAX (2 + GMEM_MAX_REGIONS)

/* Fills `map` from low to high and returns the number of entries. What is not named is a hole. */
unsigned memmap_fill(struct memmap_entry map[MEMMAP_MAX], const struct gmem *m);
