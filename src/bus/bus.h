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
 *
 * A doorbell is a place in a region whose writes need no answer, only a wake-up: the host's kernel signals
 * an eventfd and the vCPU goes on, without an exit to user space (KVM_IOEVENTFD). Doorbells come and go
 * with their region. Where the host cannot do it, or a write does not match, the region's write function
 * is called as for any other place: a device must handle both.
 *
 * Memory of a region is a part of it that the guest reads and writes without an exit, because it is host memory
 * that is mapped there (a passed-through device's registers). It comes and goes with its region, too; where the
 * host refuses it, accesses come to the region's functions.
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

struct bus_doorbell {
	uint64_t off; /* relative to the region */
	unsigned len; /* bytes of the write: 1, 2, 4 or 8; 0: any */
	bool match;   /* only writes of `value` */
	uint64_t value;
	int fd; /* eventfd */
};

/*
 * Who signals doorbells: the machine, by KVM. `addr` is that of the doorbell itself. Called with the table
 * locked, one at a time: must not call back. add: 0 or -errno; after the first refusal the region's other
 * doorbells are not tried, since what is refused is a kind of host or one more of a limited number.
 */
struct bus_doorbell_ops {
	int (*add)(void *arg, uint64_t addr, const struct bus_doorbell *d);
	void (*remove)(void *arg, uint64_t addr, const struct bus_doorbell *d);
	void *arg;
};

struct bus_memory {
	uint64_t off, len; /* relative to the region; multiples of the page size */
	void *host;        /* page-aligned; lives as long as the region */
	bool readonly;     /* writes come to the region's write function */
};

/* Who maps memory: the machine, by KVM. As struct bus_doorbell_ops. */
struct bus_memory_ops {
	int (*add)(void *arg, uint64_t addr, const struct bus_memory *m);
	void (*remove)(void *arg, uint64_t addr, const struct bus_memory *m);
	void *arg;
};

struct bus_region {
	uint64_t base, last; /* inclusive, so that 2^64-1 can be the last address */
	const char *name;
	const struct bus_ops *ops;
	void *dev;
	unsigned width; /* widest access it takes; wider ones are split, as ISA does. 0: any */
	const struct bus_doorbell
		*doorbell; /* n_doorbells of them; they live as long as the region */
	unsigned n_doorbells;
	const struct bus_memory *memory; /* n_memories of them; as the doorbells */
	unsigned n_memories;
};

struct bus {
	const char *name;
	pthread_rwlock_t lock;
	struct bus_region region[BUS_MAX_REGIONS];
	unsigned n;
	atomic_ulong unclaimed; /* accesses that belonged to nobody */
	struct bus_doorbell_ops
		doorbells;            /* set after bus_init(); add NULL: doorbells come as writes */
	struct bus_memory_ops memory; /* the same; add NULL: all accesses come */
	bool memory_trapped;          /* bus_trap_memory() was called */
};

void bus_init(struct bus *b, const char *name);
void bus_fini(struct bus *b);

/* -EEXIST when it overlaps, -EINVAL when empty, -ENOSPC when the table is full. */
int bus_add(struct bus *b, struct bus_region r, struct err *e);
/* Removes the region that starts at base; -ENOENT if there is none. */
int bus_remove(struct bus *b, uint64_t base);
/*
 * Takes all memory of regions away, for good: from now on their functions are called, and those of regions that come
 * later. How many pieces it was.
 */
unsigned bus_trap_memory(struct bus *b);

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len);
