/* SPDX-License-Identifier: Apache-2.0 */
/* Rings with many chains in flight, of either kind. */
#include "lib_virtio.h"

#define AVAIL 7 /* bits of a packed descriptor's flags */
#define USED  15

static uint16_t next_slot(const struct ring *r, uint16_t slot)
{
	return (uint16_t)(slot + 1 == r->size ? 0 : slot + 1);
}

static uint16_t add_split(struct ring *r, const struct desc *d, unsigned n)
{
	uint16_t head = r->at;

	for (unsigned i = 0; i < n; i++) {
		uint16_t next = next_slot(r, r->at), more = i + 1 < n ? DESC_NEXT : 0;

		ring_desc(r, r->at, d[i].addr, d[i].len,
			  (uint16_t)((d[i].flags & ~DESC_NEXT) | more), next);
		r->at = next;
	}
	ring_offer(r, head);
	return head;
}

/* The flags of the first descriptor are written last. */
static uint16_t add_packed(struct ring *r, const struct desc *d, unsigned n)
{
	volatile struct pdesc *ring = (volatile struct pdesc *)r->desc;
	uint16_t id = r->at, first_flags = 0;

	r->count[id] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		uint16_t flags =
			(uint16_t)((d[i].flags & ~DESC_NEXT) | (i + 1 < n ? DESC_NEXT : 0) |
				   (r->fill_wrap ? 1u << AVAIL : 1u << USED));

		ring[r->at].addr = d[i].addr;
		ring[r->at].len = d[i].len;
		ring[r->at].id = id;
		if (i == 0)
			first_flags = flags;
		else
			ring[r->at].flags = flags;
		r->at = next_slot(r, r->at);
		if (r->at == 0)
			r->fill_wrap = !r->fill_wrap;
	}
	__asm__ volatile("" : : : "memory");
	ring[id].flags = first_flags;
	return id;
}

uint16_t ring_add(struct ring *r, const struct desc *d, unsigned n)
{
	return r->packed ? add_packed(r, d, n) : add_split(r, d, n);
}

bool ring_take(struct ring *r, uint32_t *id, uint32_t *len)
{
	if (!ring_poll(r, id, len))
		return false;
	for (unsigned i = 0; r->packed && i < r->count[*id % r->size]; i++) {
		r->seen = next_slot(r, r->seen);
		if (r->seen == 0)
			r->wrap = !r->wrap;
	}
	return true;
}

bool ring_take_soon(struct ring *r, uint32_t *id, uint32_t *len)
{
	uint64_t end = deadline();

	while (!ring_take(r, id, len))
		if (passed(end))
			return false;
	return true;
}
