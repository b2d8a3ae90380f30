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
#include <string.h>

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

static bool misaligned(uint64_t address, unsigned align)
{
	return address & (align - 1);
}

int vq_split_enable(struct vq *q)
{
	if (q->size & (q->size - 1)) /* 2.7: a power of two */
		return -EINVAL;
	if (misaligned(q->desc, 16) || misaligned(q->driver, 2) || misaligned(q->device, 4))
		return -EINVAL;
	q->desc_host = gmem_slice(q->mem, q->desc, sizeof(struct vring_desc) * q->size);
	q->driver_host = gmem_slice(q->mem, q->driver, AVAIL_LEN(q->size));
	q->device_host = gmem_slice(q->mem, q->device, USED_LEN(q->size));
	return q->desc_host && q->driver_host && q->device_host ? 0 : -EINVAL;
}

static bool read_desc(const uint8_t *table, unsigned i, struct vring_desc *d)
{
	memcpy(d, table + sizeof(*d) * i, sizeof(*d)); /* once: the guest may change it meanwhile */
	return !(d->flags & VRING_DESC_F_INDIRECT);
}

/* Walks a table of `n` entries from `i` on. Bounded: a chain is at most as long as its table. */
static int walk(const struct vq *q, struct vq_chain *c, const uint8_t *table, unsigned n,
		unsigned i, struct vring_desc *indirect)
{
	for (unsigned steps = 0; steps < n && i < n; steps++) {
		struct vring_desc d;

		if (!read_desc(table, i, &d)) {
			*indirect = d;
			return indirect->flags & VRING_DESC_F_NEXT ? -EINVAL : 1; /* 2.7.5.3.1 */
		}
		vq_chain_add(q, c,
			     &(struct vq_desc){.addr = d.addr,
					       .len = d.len,
					       .write = d.flags & VRING_DESC_F_WRITE});
		if (!(d.flags & VRING_DESC_F_NEXT))
			return 0;
		i = d.next;
	}
	return -EINVAL;
}

/* 2.7.5.3: a table of its own, of which neither an entry nor the chain leads into another. */
static int walk_indirect(const struct vq *q, struct vq_chain *c, const struct vring_desc *d)
{
	struct vring_desc nested;
	const uint8_t *table;
	unsigned n = d->len / sizeof(*d);

	if (!q->indirect || d->len == 0 || d->len % sizeof(*d) || n > q->size)
		return -EINVAL;
	table = gmem_slice(q->mem, d->addr, d->len);
	if (!table)
		return -EINVAL;
	return walk(q, c, table, n, 0, &nested) == 0 ? 0 : -EINVAL;
}

int vq_split_pop(struct vq *q, struct vq_chain *c)
{
	uint16_t idx = __atomic_load_n(avail_idx(q), __ATOMIC_ACQUIRE);
	uint16_t pending = (uint16_t)(idx - q->next_avail);
	struct vring_desc indirect;
	uint16_t head;
	int rc;

	if (pending == 0)
		return 0;
	if (pending > q->size - q->inflight) /* more than there are descriptors */
		return -EINVAL;
	head = __atomic_load_n(&avail_ring(q)[q->next_avail & (q->size - 1)], __ATOMIC_RELAXED);
	if (head >= q->size)
		return -EINVAL;
	rc = walk(q, c, q->desc_host, q->size, head, &indirect);
	if (rc > 0)
		rc = walk_indirect(q, c, &indirect);
	if (rc < 0)
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
}

void vq_split_publish(struct vq *q)
{
	__atomic_store_n(used_idx(q), q->next_used, __ATOMIC_RELEASE);
}

bool vq_split_wants_interrupt(struct vq *q)
{
	uint16_t old = q->signalled, event;

	if (old == q->next_used)
		return false;
	__atomic_thread_fence(
		__ATOMIC_SEQ_CST); /* the index we wrote, before what the driver wants */
	if (!q->event_idx) {
		q->signalled = q->next_used;
		return !(__atomic_load_n((uint16_t *)q->driver_host, __ATOMIC_RELAXED) &
			 VRING_AVAIL_F_NO_INTERRUPT);
	}
	event = __atomic_load_n(used_event(q), __ATOMIC_RELAXED);
	q->signalled = q->next_used;
	return vring_need_event(event, q->next_used, old);
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
	uint16_t idx = __atomic_load_n(avail_idx(q), __ATOMIC_ACQUIRE);
	uint16_t pending = (uint16_t)(idx - q->next_avail);

	return pending <= q->size ? pending : 0;
}
