// SPDX-License-Identifier: Apache-2.0
/*
 * Split virtqueues (virtio 1.2, 2.7).
 *
 *   available ring (driver writes)          used ring (we write)
 *   +-------+-----+--------------+          +-------+-----+-------------------+
 *   | flags | idx | heads[size]  | used_    | flags | idx | (id, len)[size]   | avail_
 *   +-------+-----+--------------+ event    +-------+-----+-------------------+ event
 *
 * Both indices run freely and wrap at 65536. The pairs *_event belong to EVENT_IDX: each side says at which
 * index of the other it wants to be woken next.
 */
#include "virtio/vq_impl.h"

#define AVAIL_LEN(size) (6u + 2u * (size)) /* 2.7: flags, idx, ring, used_event */
#define USED_LEN(size)  (6u + 8u * (size))

static uint16_t *avail_idx(const struct vq *q)
{
	return (uint16_t *)q->driver_host + 1;
}

static uint16_t *avail_ring(const struct vq *q)
{
	return (uint16_t *)q->driver_host + 2;
}

static uint16_t *used_event(const struct vq *q)
{
	return avail_ring(q) + q->size;
}

static uint16_t *used_flags(const struct vq *q)
{
	return (uint16_t *)q->device_host;
}

static uint16_t *used_idx(const struct vq *q)
{
	return (uint16_t *)q->device_host + 1;
}

static struct vring_used_elem *used_ring(const struct vq *q)
{
	return (struct vring_used_elem *)(q->device_host + 4);
}

static uint16_t *avail_event(const struct vq *q)
{
	return (uint16_t *)(used_ring(q) + q->size);
}

int vq_split_enable(struct vq *q)
{
	if (q->size & (q->size - 1)) /* 2.7: a power of two */
		return -EINVAL;
	if (vq_misaligned(q->desc, 16) || vq_misaligned(q->driver, 2) ||
	    vq_misaligned(q->device, 4))
		return -EINVAL;
	q->desc_host = gmem_slice(q->mem, q->desc, sizeof(struct vring_desc) * q->size);
	q->driver_host = gmem_slice(q->mem, q->driver, AVAIL_LEN(q->size));
	q->device_host = gmem_slice(q->mem, q->device, USED_LEN(q->size));
	return q->desc_host && q->driver_host && q->device_host ? 0 : -EINVAL;
}

/* 2.7.5.3: a table of its own, whose links lead nowhere else, and in which there is no further table. */
static int walk_indirect(const struct vq *q, struct vq_chain *c, const struct vring_desc *in)
{
	unsigned n, i = 0;
	const uint8_t *table = vq_indirect_table(q, in->addr, in->len, &n);

	if (!table)
		return -EINVAL;
	for (unsigned steps = 0; steps < n && i < n; steps++) {
		struct vring_desc d;

		vq_copy_desc(&d, table, i);
		if (d.flags & VRING_DESC_F_INDIRECT)
			return -EINVAL;
		vq_chain_add(q, c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EINVAL;
}

/* A chain is at most as long as the table: more steps are a loop. */
static int walk(const struct vq *q, struct vq_chain *c, unsigned head)
{
	unsigned i = head;

	for (unsigned steps = 0; steps < q->size && i < q->size; steps++) {
		struct vring_desc d;

		vq_copy_desc(&d, q->desc_host, i);
		/* 2.7.5.3.2: after any number of others, but 2.7.5.3.1: the last. */
		if (d.flags & VRING_DESC_F_INDIRECT)
			return d.flags & VRING_DESC_F_NEXT ? -EINVAL : walk_indirect(q, c, &d);
		vq_chain_add(q, c, d.addr, d.len, d.flags & VRING_DESC_F_WRITE);
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EINVAL;
}

/*
 * Reads the driver's index again. The acquire pairs with the driver's barrier before it moved the index
 * (2.7.13): the heads and descriptors that it stands for are there. Each chain needs a descriptor, so there
 * are never more than `size`, counting those in flight.
 */
static int look_for_more(struct vq *q)
{
	uint16_t idx = __atomic_load_n(avail_idx(q), __ATOMIC_ACQUIRE);
	uint16_t pending = (uint16_t)(idx - q->next_avail);

	if (pending > q->size - q->inflight)
		return -EINVAL;
	q->avail_seen = idx;
	return pending;
}

int vq_split_pop(struct vq *q, struct vq_chain *c)
{
	uint16_t head;
	int rc;

	/* The index is on a cache line that the driver writes to: not fetched before it is needed. */
	if (q->next_avail == q->avail_seen && (rc = look_for_more(q)) <= 0)
		return rc;
	head = __atomic_load_n(&avail_ring(q)[q->next_avail & (q->size - 1)], __ATOMIC_RELAXED);
	if ((rc = walk(q, c, head)) < 0)
		return rc;
	c->id = head;
	q->next_avail++;
	q->inflight++;
	return 1;
}

void vq_split_unpop(struct vq *q)
{
	q->next_avail--;
	q->inflight--;
}

void vq_split_stage(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	used_ring(q)[q->next_used & (q->size - 1)] =
		(struct vring_used_elem){.id = c->id, .len = written};
	q->next_used++;
	q->inflight--;
	q->fresh++;
}

/* The release is the device's half of the bargain: who sees the index sees the entries before it (2.7.8.2). */
void vq_split_publish(struct vq *q)
{
	__atomic_store_n(used_idx(q), q->next_used, __ATOMIC_RELEASE);
}

/*
 * Without the fence our index could still wait in a store buffer when we read what the driver wants, while the
 * driver, for the same reason, does not see the index after having said that it wants: neither would move.
 */
bool vq_split_wants_interrupt(struct vq *q)
{
	uint32_t fresh = q->fresh;
	uint16_t event;

	if (fresh == 0)
		return false;
	q->fresh = 0;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_idx)
		return !(__atomic_load_n((uint16_t *)q->driver_host, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	event = __atomic_load_n(used_event(q), __ATOMIC_RELAXED);
	return fresh > UINT16_MAX ||
	       vring_need_event(event, q->next_used, (uint16_t)(q->next_used - fresh));
}

/* With EVENT_IDX there is nothing to do: the driver rings once it passes avail_event, which stays behind. */
void vq_split_kicks_off(struct vq *q)
{
	if (!q->event_idx)
		__atomic_store_n(used_flags(q), VRING_USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

bool vq_split_kicks_on(struct vq *q)
{
	if (q->event_idx)
		__atomic_store_n(avail_event(q), q->next_avail, __ATOMIC_RELAXED);
	else
		__atomic_store_n(used_flags(q), 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* what we want, before what the driver has done */
	return __atomic_load_n(avail_idx(q), __ATOMIC_RELAXED) != q->next_avail;
}

unsigned vq_split_pending(const struct vq *q)
{
	uint16_t idx = __atomic_load_n(avail_idx(q), __ATOMIC_RELAXED);
	uint16_t pending = (uint16_t)(idx - q->next_avail);

	return pending <= q->size - q->inflight ? pending : 0;
}
