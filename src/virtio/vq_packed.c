// SPDX-License-Identifier: Apache-2.0
/*
 * Packed virtqueues (virtio 1.2, 2.8). One ring, which the driver writes with available and we overwrite with
 * used descriptors, each side going round and round:
 *
 *   +------+-----+----+-------+
 *   | addr | len | id | flags |  [size]       driver event:  when it wants an interrupt   [off_wrap, flags]
 *   +------+-----+----+-------+               device event:  when we want a doorbell      [off_wrap, flags]
 *
 * Each side has a wrap counter, 1 in the first lap, 0 in the second and so on. A descriptor is available in
 * a lap whose counter is w when its flags are AVAIL = w, USED = !w, and used when both are w. So flags that
 * we wrote never look available again, and those of the driver do so in one lap only: without the driver's
 * help there are at most `size` descriptors to pop.
 *
 * Slots between next_used and next_avail, going round, are those of the chains in flight.
 */
#include "virtio/vq_impl.h"

#define F_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define F_USED  (1u << VRING_PACKED_DESC_F_USED)

#define MAX_SIZE 32768 /* 2.8.10.1; the offsets in event structures have 15 bits */

static uint16_t *flags_at(const struct vq *q, unsigned slot)
{
	struct vring_packed_desc *table = (struct vring_packed_desc *)q->desc_host;

	return &table[slot].flags;
}

static bool available(uint16_t flags, bool wrap)
{
	return (flags & (F_AVAIL | F_USED)) == (wrap ? F_AVAIL : F_USED);
}

static void advance(const struct vq *q, uint16_t *slot, bool *wrap, unsigned n)
{
	unsigned next = *slot + n;

	if (next >= q->size) {
		next -= q->size;
		*wrap = !*wrap;
	}
	*slot = (uint16_t)next;
}

int vq_packed_enable(struct vq *q)
{
	if (q->size > MAX_SIZE)
		return -EINVAL;
	if (vq_misaligned(q->desc, 16) || vq_misaligned(q->driver, 4) ||
	    vq_misaligned(q->device, 4))
		return -EINVAL;
	q->desc_host = gmem_slice(q->mem, q->desc, sizeof(struct vring_packed_desc) * q->size);
	q->driver_host = gmem_slice(q->mem, q->driver, sizeof(struct vring_packed_desc_event));
	q->device_host = gmem_slice(q->mem, q->device, sizeof(struct vring_packed_desc_event));
	return q->desc_host && q->driver_host && q->device_host ? 0 : -EINVAL;
}

/* 2.8.7: all entries, one after the other; of their flags only WRITE means anything. */
static int walk_indirect(const struct vq *q, struct vq_chain *c, const struct vring_packed_desc *d)
{
	unsigned n;
	const uint8_t *table = vq_indirect_table(q, d->addr, d->len, &n);

	if (!table)
		return -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc entry;

		vq_copy_desc(&entry, table, i);
		vq_chain_add(q, c, entry.addr, entry.len, entry.flags & VRING_DESC_F_WRITE);
	}
	return 0;
}

/*
 * The first descriptor's flags tell that all of the chain is there; the driver writes them last, and we read
 * them before the rest. Those of the others must say the same (2.8.6, 2.8.17).
 */
int vq_packed_pop(struct vq *q, struct vq_chain *c)
{
	uint16_t flags = __atomic_load_n(flags_at(q, q->next_avail), __ATOMIC_ACQUIRE);
	unsigned room = q->size > q->inflight ? q->size - q->inflight : 0;
	uint16_t slot = q->next_avail;
	bool wrap = q->avail_wrap;

	if (!available(flags, wrap))
		return 0;
	for (unsigned n = 1; n <= room; n++) {
		struct vring_packed_desc d;

		vq_copy_desc(&d, q->desc_host, slot);
		if (n == 1)
			d.flags = flags;
		else if (!available(d.flags, wrap))
			return -EINVAL;
		if (!(d.flags & VRING_DESC_F_INDIRECT))
			vq_chain_add(q, c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		else if (n > 1 || d.flags & VRING_DESC_F_NEXT || walk_indirect(q, c, &d) < 0)
			return -EINVAL; /* 2.8.19: not in a chain */
		advance(q, &slot, &wrap, 1);
		if (d.flags & VRING_DESC_F_NEXT)
			continue;
		c->id = d.id; /* 2.8.6: that of the last */
		c->n_desc = (uint16_t)n;
		q->next_avail = slot;
		q->avail_wrap = wrap;
		q->inflight = (uint16_t)(q->inflight + n);
		return 1;
	}
	return -EINVAL; /* more than there are descriptors */
}

void vq_packed_unpop(struct vq *q, const struct vq_chain *c)
{
	if (q->next_avail < c->n_desc) {
		q->next_avail = (uint16_t)(q->next_avail + q->size);
		q->avail_wrap = !q->avail_wrap;
	}
	q->next_avail = (uint16_t)(q->next_avail - c->n_desc);
	q->inflight = (uint16_t)(q->inflight - c->n_desc);
}

/*
 * One used descriptor a chain, at next_used wherever the chain came from; then the slots that the chain took
 * are passed over. The driver looks at one slot only, so a batch becomes visible by the flags of its first.
 */
void vq_packed_stage(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	struct vring_packed_desc *d = (struct vring_packed_desc *)q->desc_host + q->next_used;
	uint16_t flags = q->used_wrap ? F_AVAIL | F_USED : 0;

	if (written > 0)
		flags |= VRING_DESC_F_WRITE; /* 2.8.3 */
	d->id = c->id;
	d->len = written;
	if (q->staged) {
		d->flags = flags;
	} else {
		q->staged = true;
		q->staged_slot = q->next_used;
		q->staged_flags = flags;
	}
	advance(q, &q->next_used, &q->used_wrap, c->n_desc);
	q->inflight = (uint16_t)(q->inflight - c->n_desc);
	q->fresh += c->n_desc;
}

void vq_packed_publish(struct vq *q)
{
	if (!q->staged)
		return;
	__atomic_store_n(flags_at(q, q->staged_slot), q->staged_flags, __ATOMIC_RELEASE);
	q->staged = false;
}

/* Both halves of an event structure at once: they are one aligned word. */
static struct vring_packed_desc_event load_event(const uint8_t *at)
{
	struct vring_packed_desc_event event;
	uint32_t word = __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);

	memcpy(&event, &word, sizeof(event));
	return event;
}

static void store_event(uint8_t *at, uint16_t off_wrap, uint16_t flags)
{
	struct vring_packed_desc_event event = {.off_wrap = off_wrap, .flags = flags};
	uint32_t word;

	memcpy(&word, &event, sizeof(word));
	__atomic_store_n((uint32_t *)at, word, __ATOMIC_RELAXED);
}

/*
 * Positions repeat after two laps. Going back from next_used, the one that the driver waits for is 1 to 2 * size
 * descriptors away; it has been passed now if it is among the last `fresh`.
 */
static bool passed(const struct vq *q, uint16_t off_wrap, uint32_t fresh)
{
	int off = off_wrap & ((1 << VRING_PACKED_EVENT_F_WRAP_CTR) - 1);
	bool wrap = off_wrap >> VRING_PACKED_EVENT_F_WRAP_CTR;
	int behind = q->next_used - off + (wrap == q->used_wrap ? 0 : q->size);

	if (behind <= 0)
		behind += 2 * q->size;
	return behind <= 0 || (uint32_t)behind <= fresh; /* off may be beyond the ring */
}

bool vq_packed_wants_interrupt(struct vq *q)
{
	struct vring_packed_desc_event event;
	uint32_t fresh = q->fresh;

	if (fresh == 0)
		return false;
	q->fresh = 0;
	__atomic_thread_fence(
		__ATOMIC_SEQ_CST); /* the flags we wrote, before what the driver wants */
	event = load_event(q->driver_host);
	switch (event.flags & 3) {
	case VRING_PACKED_EVENT_FLAG_DISABLE:
		return false;
	case VRING_PACKED_EVENT_FLAG_DESC:
		return !q->event_idx || passed(q, event.off_wrap, fresh);
	default: /* 3 is reserved: rather one interrupt too many */
		return true;
	}
}

void vq_packed_kicks_off(struct vq *q)
{
	store_event(q->device_host, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
}

static bool next_is_available(const struct vq *q)
{
	return available(__atomic_load_n(flags_at(q, q->next_avail), __ATOMIC_RELAXED),
			 q->avail_wrap);
}

bool vq_packed_kicks_on(struct vq *q)
{
	uint16_t at = (uint16_t)(q->next_avail | q->avail_wrap << VRING_PACKED_EVENT_F_WRAP_CTR);

	if (q->event_idx)
		store_event(q->device_host, at, VRING_PACKED_EVENT_FLAG_DESC);
	else
		store_event(q->device_host, 0, VRING_PACKED_EVENT_FLAG_ENABLE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* what we want, before what the driver has done */
	return next_is_available(q);
}

unsigned vq_packed_pending(const struct vq *q)
{
	return q->inflight < q->size && next_is_available(q);
}
