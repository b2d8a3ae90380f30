// SPDX-License-Identifier: Apache-2.0
#include "virtio/vq_impl.h"

int vq_enable(struct vq *q, const struct gmem *mem, uint64_t features)
{
	int rc;

	if (q->enabled || q->size == 0 || q->size > q->max)
		return -EINVAL;
	q->mem = mem;
	q->packed = features >> VIRTIO_F_RING_PACKED & 1;
	q->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
	q->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	q->avail_wrap = q->used_wrap = true; /* 2.8.1; indices and counts are 0 since vq_reset() */
	rc = q->packed ? vq_packed_enable(q) : vq_split_enable(q);
	q->enabled = rc == 0;
	return rc;
}

void vq_reset(struct vq *q)
{
	*q = (struct vq){.max = q->max, .size = q->max};
}

/* The request keeps its place in the ring, but no buffers. */
static void refuse(struct vq_chain *c)
{
	c->bad = true;
	c->n_out = c->n_in = 0;
	c->out_len = c->in_len = 0;
}

void vq_chain_add(const struct vq *q, struct vq_chain *c, uint64_t gpa, uint32_t len, bool write)
{
	unsigned n = c->n_out + c->n_in;
	void *host;

	if (c->bad)
		return;
	/* 2.7.4.2: what we may read comes before what we may write; 2.7.5.2: at most 4 GiB. */
	if (n == c->iov_max || len == 0 || (!write && c->n_in > 0) ||
	    c->out_len + c->in_len + len > UINT32_MAX || !(host = gmem_slice(q->mem, gpa, len))) {
		refuse(c);
		return;
	}
	c->iov[n] = (struct iovec){.iov_base = host, .iov_len = len};
	if (write) {
		c->n_in++;
		c->in_len += len;
	} else {
		c->n_out++;
		c->out_len += len;
	}
}

const uint8_t *vq_indirect_table(const struct vq *q, uint64_t gpa, uint32_t len, unsigned *n)
{
	*n = len / sizeof(struct vring_desc);
	if (!q->indirect || len == 0 || len % sizeof(struct vring_desc) || *n > q->max)
		return NULL;
	return gmem_slice(q->mem, gpa, len);
}

int vq_pop(struct vq *q, struct vq_chain *c)
{
	c->n_out = c->n_in = 0;
	c->out_len = c->in_len = 0;
	c->bad = false;
	return q->packed ? vq_packed_pop(q, c) : vq_split_pop(q, c);
}

void vq_unpop(struct vq *q, const struct vq_chain *c)
{
	if (q->packed)
		vq_packed_unpop(q, c);
	else
		vq_split_unpop(q);
}

void vq_stage(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	if (q->packed)
		vq_packed_stage(q, c, written);
	else
		vq_split_stage(q, c, written);
}

void vq_publish(struct vq *q)
{
	if (q->packed)
		vq_packed_publish(q);
	else
		vq_split_publish(q);
}

void vq_push(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	vq_stage(q, c, written);
	vq_publish(q);
}

bool vq_wants_interrupt(struct vq *q)
{
	return q->packed ? vq_packed_wants_interrupt(q) : vq_split_wants_interrupt(q);
}

void vq_kicks_off(struct vq *q)
{
	if (q->packed)
		vq_packed_kicks_off(q);
	else
		vq_split_kicks_off(q);
}

bool vq_kicks_on(struct vq *q)
{
	return q->packed ? vq_packed_kicks_on(q) : vq_split_kicks_on(q);
}

unsigned vq_pending(const struct vq *q)
{
	if (!q->enabled)
		return 0;
	return q->packed ? vq_packed_pending(q) : vq_split_pending(q);
}

/* Copies between memory and iov[0, n), from byte `off` of the buffers on. */
static size_t copy(const struct iovec *iov, unsigned n, size_t off, void *mem, size_t len, bool out)
{
	uint8_t *at = mem;
	size_t left = len;

	for (unsigned i = 0; i < n && left > 0; i++) {
		size_t part;

		if (off >= iov[i].iov_len) {
			off -= iov[i].iov_len;
			continue;
		}
		part = MIN(left, iov[i].iov_len - off);
		if (out)
			memcpy(at, (const uint8_t *)iov[i].iov_base + off, part);
		else
			memcpy((uint8_t *)iov[i].iov_base + off, at, part);
		at += part;
		left -= part;
		off = 0;
	}
	return len - left;
}

size_t vq_copy_out(const struct vq_chain *c, size_t off, void *to, size_t len)
{
	return copy(c->iov, c->n_out, off, to, len, true);
}

size_t vq_copy_in(const struct vq_chain *c, size_t off, const void *from, size_t len)
{
	return copy(c->iov + c->n_out, c->n_in, off, (void *)(uintptr_t)from, len, false);
}
