// SPDX-License-Identifier: Apache-2.0
#include "fake/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void need(bool ok)
{
	if (!ok)
		abort(); /* the fake itself is broken, not what is tested */
}

void fake_init(struct fake_driver *f)
{
	struct err e;

	*f = (struct fake_driver){.next = 0x10000};
	need(gmem_create(&f->mem, FAKE_RAM, false, &e) == 0);
	need(loop_init(&f->loop, &e) == 0);
	f->host = (struct virtio_host){.mem = &f->mem, .loop = &f->loop};
}

static void on_interrupt(void *arg, int queue)
{
	struct fake_driver *f = arg;

	if (queue == VIRTIO_CONFIG_CHANGED)
		f->config_interrupts++;
	else
		f->interrupts[queue]++;
}

static void on_reset(void *arg)
{
	((struct fake_driver *)arg)->resets++;
}

uint64_t fake_alloc(struct fake_driver *f, uint32_t len)
{
	uint64_t at = f->next;

	f->next = align_up(at + len, 64);
	need(f->next <= FAKE_RAM);
	memset(fake_host(f, at), 0, len);
	return at;
}

void *fake_host(struct fake_driver *f, uint64_t gpa)
{
	void *host = gmem_slice(&f->mem, gpa, 1);

	need(host != NULL);
	return host;
}

static void set_address(struct virtio_dev *dev, unsigned q, enum virtio_queue_field low,
			uint64_t gpa)
{
	virtio_queue_set(dev, q, low, (uint32_t)gpa);
	virtio_queue_set(dev, q, low + 1, (uint32_t)(gpa >> 32));
}

static bool packed(const struct fake_driver *f)
{
	return f->dev->features >> VIRTIO_F_RING_PACKED & 1;
}

static void set_up_queue(struct fake_driver *f, unsigned i)
{
	struct fake_queue *q = &f->queue[i];
	uint16_t want = f->queue_size ? f->queue_size : FAKE_QUEUE_SIZE;
	uint16_t size = (uint16_t)MIN(want, virtio_queue_get(f->dev, i, VQ_FIELD_MAX));

	need(size <= FAKE_QUEUE_MAX);
	*q = (struct fake_queue){
		.size = size, .packed = packed(f), .avail_wrap = true, .used_wrap = true};
	q->desc = fake_alloc(f, 16u * size);
	q->avail = fake_alloc(f, q->packed ? 4 : 6 + 2u * size);
	q->used = fake_alloc(f, q->packed ? 4 : 6 + 8u * size);
	virtio_queue_set(f->dev, i, VQ_FIELD_SIZE, size);
	set_address(f->dev, i, VQ_FIELD_DESC_LO, q->desc);
	set_address(f->dev, i, VQ_FIELD_DRIVER_LO, q->avail);
	set_address(f->dev, i, VQ_FIELD_DEVICE_LO, q->used);
	virtio_queue_set(f->dev, i, VQ_FIELD_ENABLE, 1);
	need(virtio_queue_get(f->dev, i, VQ_FIELD_ENABLE) == 1);
}

void fake_attach(struct fake_driver *f, struct virtio_dev *dev, uint64_t features)
{
	features |= 1ULL << VIRTIO_F_VERSION_1;
	f->dev = dev;
	dev->transport =
		(struct virtio_transport){.interrupt = on_interrupt, .reset = on_reset, .arg = f};
	need(dev->n_queues <= FAKE_QUEUES);
	virtio_set_status(dev, 0);
	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept(dev, 0, (uint32_t)features);
	virtio_accept(dev, 1, (uint32_t)(features >> 32));
	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				       VIRTIO_CONFIG_S_FEATURES_OK);
	need(virtio_status(dev) & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < dev->n_queues; i++)
		set_up_queue(f, i);
	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				       VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

void fake_fini(struct fake_driver *f)
{
	virtio_destroy(f->dev);
	loop_fini(&f->loop);
	gmem_destroy(&f->mem);
}

void fake_desc(struct fake_driver *f, unsigned queue, uint16_t i, uint64_t gpa, uint32_t len,
	       uint16_t flags, uint16_t next)
{
	struct vring_desc d = {.addr = gpa, .len = len, .flags = flags, .next = next};

	need(gmem_write(&f->mem, f->queue[queue].desc + 16u * i, &d, sizeof(d)) == 0);
}

void fake_offer(struct fake_driver *f, unsigned queue, uint16_t head)
{
	struct fake_queue *q = &f->queue[queue];
	uint16_t idx = (uint16_t)(q->avail_idx + 1);

	need(gmem_write(&f->mem, q->avail + 4 + 2u * (q->avail_idx % q->size), &head, 2) == 0);
	q->avail_idx = idx;
	need(gmem_write(&f->mem, q->avail + 2, &idx, 2) == 0);
}

/* A free descriptor (split) or id (packed) from `at` on, going round; `at` when there is none. */
static uint16_t find_free(const struct fake_queue *q, uint16_t at)
{
	for (unsigned i = 0; i < q->size; i++)
		if (!q->busy[(at + i) % q->size])
			return (uint16_t)((at + i) % q->size);
	return at;
}

static uint16_t segment_flags(const struct fake_seg *seg, unsigned i, unsigned n)
{
	return (uint16_t)((seg[i].write ? VRING_DESC_F_WRITE : 0) |
			  (i + 1 < n ? VRING_DESC_F_NEXT : 0));
}

static uint16_t add_split(struct fake_driver *f, unsigned queue, const struct fake_seg *seg,
			  unsigned n, uint16_t extra)
{
	struct fake_queue *q = &f->queue[queue];
	uint16_t head = find_free(q, q->next_desc), at = head;

	for (unsigned i = 0; i < n; i++) {
		uint16_t next;

		q->busy[at] = (uint16_t)(head + 1);
		next = find_free(q, (uint16_t)((at + 1) % q->size));
		fake_desc(f, queue, at, seg[i].gpa, seg[i].len, segment_flags(seg, i, n) | extra,
			  next);
		q->next_desc = (uint16_t)((at + 1) % q->size);
		at = next;
	}
	fake_offer(f, queue, head);
	return head;
}

static struct vring_packed_desc *packed_desc(struct fake_driver *f, const struct fake_queue *q,
					     unsigned slot)
{
	return (struct vring_packed_desc *)fake_host(f, q->desc) + slot;
}

static uint16_t lap_flags(bool wrap)
{
	return (uint16_t)(1u << (wrap ? VRING_PACKED_DESC_F_AVAIL : VRING_PACKED_DESC_F_USED));
}

static uint16_t add_packed(struct fake_driver *f, unsigned queue, const struct fake_seg *seg,
			   unsigned n, uint16_t extra)
{
	struct fake_queue *q = &f->queue[queue];
	struct vring_packed_desc *first = packed_desc(f, q, q->next_desc);
	uint16_t id = find_free(q, 0), first_flags = 0, used = 0;

	for (unsigned i = 0; i < q->size; i++)
		used = (uint16_t)(used + q->busy[i]);
	need(used + n <= q->size && !q->busy[id]);
	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc *d = packed_desc(f, q, q->next_desc);
		uint16_t flags = segment_flags(seg, i, n) | extra | lap_flags(q->avail_wrap);

		d->addr = seg[i].gpa;
		d->len = seg[i].len;
		d->id = i + 1 == n ? id : 0xffff; /* only that of the last counts */
		if (i == 0)
			first_flags = flags;
		else
			d->flags = flags;
		if (++q->next_desc == q->size) {
			q->next_desc = 0;
			q->avail_wrap = !q->avail_wrap;
		}
	}
	q->busy[id] = (uint16_t)n;
	__atomic_store_n(&first->flags, first_flags, __ATOMIC_RELEASE);
	return id;
}

uint16_t fake_add(struct fake_driver *f, unsigned queue, const struct fake_seg *seg, unsigned n)
{
	need(n > 0 && n <= f->queue[queue].size);
	return f->queue[queue].packed ? add_packed(f, queue, seg, n, 0)
				      : add_split(f, queue, seg, n, 0);
}

uint16_t fake_add_indirect(struct fake_driver *f, unsigned queue, const struct fake_seg *seg,
			   unsigned n)
{
	struct fake_seg in = {fake_alloc(f, 16 * n), 16 * n, false};
	bool is_packed = f->queue[queue].packed;

	for (unsigned i = 0; i < n; i++) {
		struct vring_desc d = {.addr = seg[i].gpa, .len = seg[i].len};
		uint16_t flags = segment_flags(seg, i, n);
		struct vring_packed_desc p = {d.addr, d.len, 0, flags & VRING_DESC_F_WRITE};

		d.flags = flags;
		d.next = (uint16_t)(i + 1);
		need(gmem_write(&f->mem, in.gpa + 16 * i, is_packed ? (void *)&p : &d, 16) == 0);
	}
	return is_packed ? add_packed(f, queue, &in, 1, VRING_DESC_F_INDIRECT)
			 : add_split(f, queue, &in, 1, VRING_DESC_F_INDIRECT);
}

void fake_start_at(struct fake_driver *f, unsigned queue, uint16_t idx)
{
	struct fake_queue *q = &f->queue[queue];
	struct vq *vq = virtio_vq(f->dev, queue);
	uint16_t *avail = fake_host(f, q->avail), *used = fake_host(f, q->used);

	if (q->packed) {
		bool wrap = idx / q->size % 2 == 0;
		q->next_desc = q->used_seen = vq->next_avail = vq->next_used = idx % q->size;
		q->avail_wrap = q->used_wrap = vq->avail_wrap = vq->used_wrap = wrap;
		for (unsigned i = 0; i < q->size; i++) /* used: in this lap, or in the one before */
			packed_desc(f, q, i)->flags =
				(i < q->next_desc) == wrap ? lap_flags(0) | lap_flags(1) : 0;
	} else {
		q->avail_idx = q->used_seen = idx;
		vq->next_avail = vq->avail_seen = vq->next_used = idx;
		avail[1] = used[1] = idx;
		used[2 + 4 * q->size] = idx; /* avail_event */
	}
}

void fake_kick(struct fake_driver *f, unsigned queue)
{
	pthread_mutex_lock(&f->dev->lock);
	if (virtio_queue_ready(f->dev, queue))
		f->dev->ops->kick(f->dev, queue);
	pthread_mutex_unlock(&f->dev->lock);
}

bool fake_turn(struct fake_driver *f, int ms)
{
	struct epoll_event ev;
	struct loop_source *s;
	int n;

	do /* EINTR: the kernel takes down the ring of an earlier test */
		n = epoll_wait(f->loop.epoll_fd, &ev, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return false;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

static bool used_packed(struct fake_driver *f, struct fake_queue *q, uint16_t *head, uint32_t *len)
{
	struct vring_packed_desc *d = packed_desc(f, q, q->used_seen);
	uint16_t both = lap_flags(false) | lap_flags(true);
	uint16_t flags = __atomic_load_n(&d->flags, __ATOMIC_ACQUIRE) & both;

	if (flags != (q->used_wrap ? both : 0))
		return false;
	*head = d->id;
	*len = d->len;
	need(*head < q->size && q->busy[*head]);
	q->used_seen = (uint16_t)(q->used_seen + q->busy[*head]);
	if (q->used_seen >= q->size) {
		q->used_seen = (uint16_t)(q->used_seen - q->size);
		q->used_wrap = !q->used_wrap;
	}
	q->busy[*head] = 0;
	return true;
}

static bool used_split(struct fake_driver *f, struct fake_queue *q, uint16_t *head, uint32_t *len)
{
	struct vring_used_elem elem;
	uint16_t idx;

	need(gmem_read(&f->mem, q->used + 2, &idx, 2) == 0);
	if (idx == q->used_seen)
		return false;
	need(gmem_read(&f->mem, q->used + 4 + 8u * (q->used_seen % q->size), &elem, 8) == 0);
	q->used_seen++;
	*head = (uint16_t)elem.id;
	*len = elem.len;
	for (unsigned i = 0; i < q->size; i++)
		if (q->busy[i] == *head + 1)
			q->busy[i] = 0;
	return true;
}

bool fake_used(struct fake_driver *f, unsigned queue, uint16_t *head, uint32_t *len)
{
	struct fake_queue *q = &f->queue[queue];

	return q->packed ? used_packed(f, q, head, len) : used_split(f, q, head, len);
}

bool fake_wait_used(struct fake_driver *f, unsigned queue, uint16_t *head, uint32_t *len)
{
	for (unsigned tries = 0; tries < 500; tries++) {
		if (fake_used(f, queue, head, len))
			return true;
		fake_turn(f, 10);
	}
	return false;
}
