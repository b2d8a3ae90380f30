// SPDX-License-Identifier: Apache-2.0
#include "bus/bus.h"

#include <errno.h>
#include <string.h>

void bus_init(struct bus *b, const char *name)
{
	/* Not the table: what is behind its end is never read, and its pages stay untouched. */
	b->name = name;
	b->n = 0;
	b->memory_trapped = false;
	b->unclaimed = 0;
	b->doorbells = (struct bus_doorbell_ops){.add = NULL};
	b->memory = (struct bus_memory_ops){.add = NULL};
	pthread_rwlock_init(&b->lock, NULL);
}

void bus_fini(struct bus *b)
{
	pthread_rwlock_destroy(&b->lock);
}

/* Index of the first region that ends at or after addr; b->n if there is none. Lock held. */
static unsigned first_not_below(const struct bus *b, uint64_t addr)
{
	unsigned lo = 0, hi = b->n;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if (b->region[mid].last < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* A doorbell that the host refuses is no failure: the write then comes as an exit. */
static void add_doorbells(struct bus *b, struct bus_region *r)
{
	unsigned n = 0;

	while (b->doorbells.add && n < r->n_doorbells &&
	       b->doorbells.add(b->doorbells.arg, r->base + r->doorbell[n].off, &r->doorbell[n]) ==
		       0)
		n++;
	r->n_doorbells = n;
}

static void remove_doorbells(struct bus *b, const struct bus_region *r)
{
	for (unsigned i = 0; i < r->n_doorbells; i++)
		b->doorbells.remove(b->doorbells.arg, r->base + r->doorbell[i].off,
				    &r->doorbell[i]);
}

static void add_memory(struct bus *b, struct bus_region *r)
{
	unsigned n = 0;

	while (b->memory.add && !b->memory_trapped && n < r->n_memories &&
	       b->memory.add(b->memory.arg, r->base + r->memory[n].off, &r->memory[n]) == 0)
		n++;
	r->n_memories = n;
}

static void remove_memory(struct bus *b, const struct bus_region *r)
{
	for (unsigned i = 0; i < r->n_memories; i++)
		b->memory.remove(b->memory.arg, r->base + r->memory[i].off, &r->memory[i]);
}

int bus_add(struct bus *b, struct bus_region r, struct err *e)
{
	unsigned at;
	int rc = 0;

	if (r.last < r.base)
		return err_set(e, EINVAL, "%s: %s has an empty address range", b->name, r.name);
	pthread_rwlock_wrlock(&b->lock);
	at = first_not_below(b, r.base);
	if (at < b->n && b->region[at].base <= r.last) {
		rc = err_set(e, EEXIST, "%s: %s overlaps %s", b->name, r.name, b->region[at].name);
	} else if (b->n == BUS_MAX_REGIONS) {
		rc = err_set(e, ENOSPC, "%s: no room for %s", b->name, r.name);
	} else {
		add_doorbells(b, &r);
		add_memory(b, &r);
		memmove(&b->region[at + 1], &b->region[at], (b->n - at) * sizeof(r));
		b->region[at] = r;
		b->n++;
	}
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

int bus_remove(struct bus *b, uint64_t base)
{
	int rc = -ENOENT;
	unsigned at;

	pthread_rwlock_wrlock(&b->lock);
	at = first_not_below(b, base);
	if (at < b->n && b->region[at].base == base) {
		remove_memory(b, &b->region[at]);
		remove_doorbells(b, &b->region[at]);
		b->n--;
		memmove(&b->region[at], &b->region[at + 1], (b->n - at) * sizeof(b->region[0]));
		rc = 0;
	}
	pthread_rwlock_unlock(&b->lock);
	return rc;
}

unsigned bus_trap_memory(struct bus *b)
{
	unsigned n = 0;

	pthread_rwlock_wrlock(&b->lock);
	b->memory_trapped = true;
	for (unsigned i = 0; i < b->n; i++) {
		remove_memory(b, &b->region[i]);
		n += b->region[i].n_memories;
		b->region[i].n_memories = 0;
	}
	pthread_rwlock_unlock(&b->lock);
	return n;
}

/* Copies out the region that holds all of [addr, addr + len); false if none does. */
static bool find(struct bus *b, uint64_t addr, unsigned len, struct bus_region *r)
{
	bool found = false;
	unsigned at;

	pthread_rwlock_rdlock(&b->lock);
	at = first_not_below(b, addr);
	if (at < b->n && b->region[at].base <= addr && len - 1 <= b->region[at].last - addr) {
		*r = b->region[at];
		found = true;
	}
	pthread_rwlock_unlock(&b->lock);
	if (!found)
		atomic_fetch_add_explicit(&b->unclaimed, 1, memory_order_relaxed);
	return found;
}

static unsigned piece_size(const struct bus_region *r, unsigned left)
{
	return r->width && left > r->width ? r->width : left;
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned len)
{
	uint8_t *to = data;
	struct bus_region r;

	memset(data, 0xff, len);
	if (!find(b, addr, len, &r))
		return;
	while (len > 0) {
		unsigned n = piece_size(&r, len);
		r.ops->read(r.dev, addr - r.base, to, n);
		addr += n, to += n, len -= n;
	}
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned len)
{
	const uint8_t *from = data;
	struct bus_region r;

	if (!find(b, addr, len, &r))
		return;
	while (len > 0) {
		unsigned n = piece_size(&r, len);
		r.ops->write(r.dev, addr - r.base, from, n);
		addr += n, from += n, len -= n;
	}
}
