/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An address space with devices in it: I/O ports, MMIO, PCI configuration space.
 *
 * Invariants: regions are sorted by base and never overlap. An access lies wholly inside one region or
 * belongs to nobody: then a read gives all ones, a write is lost, and it is counted.
 * Lock: `lock` guards the table only and is never held while a device's function runs, so a device may
 * add, move or remove regions (a BAR) from its own write function. A vCPU that looked a region up just
 * before it moved finishes its access at the old place, as on hardware; hence a device must stay alive
 * until the vCPUs have stopped. Each device guards its own state with its own lock, taken last.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "base/err.h"

#define BUS_MAX_REGIONS 256

struct bus_ops {
	/* `off` is relative to the region, off + len never leaves it; len is 1, 2, 4 or 8 bytes. */
	void (*read)(void *dev, uint64_t off, void *data, unsigned len);
	void (*write)(void *dev, uint64_t off, const void *data, unsigned len);
};

struct bus_region {
	uint64_t base, last; /* inclusive, so that 2^64-1 can be the last address */
	const char *name;
	const struct bus_ops *ops;
	void *dev;
	unsigned width; /* widest access it takes; wider ones are split, as ISA does. 0: any */
};

struct bus {
	const char *name;
	pthread_rwlock_t lock;
	struct bus_region region[BUS_MAX_REGIONS];
	unsigned n;
	atomic_ulong unclaimed; /* accesses that belonged to nobody */
};

void bus_init(struct bus *b, const char *name);
void bus_fini(struct bus *b);

/* -EEXIST when it overlaps, -EINVAL when empty, -ENOSPC when the table is full. */
int bus_add(struct bus *b, struct bus_region r, struct err *e);
/* Removes the region that starts at base; -ENOENT if there is none. */
int bus_remove(struct bus *b, uint64_t base);

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len);
