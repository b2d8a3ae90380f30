// SPDX-License-Identifier: Apache-2.0
#include "fake/driver.h"

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

static void set_up_queue(struct fake_driver *f, unsigned i)
{
	struct fake_queue *q = &f->queue[i];
	uint16_t size = (uint16_t)MIN(FAKE_QUEUE_SIZE, virtio_queue_get(f->dev, i, VQ_FIELD_MAX));

	*q = (struct fake_queue){.size = size};
	q->desc = fake_alloc(f, 16u * size);
	q->avail = fake_alloc(f, 6 + 2u * size);
	q->used = fake_alloc(f, 6 + 8u * size);
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
	dev->transport = (struct virtio_transport){on_interrupt, on_reset, f};
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

uint16_t fake_add(struct fake_driver *f, unsigned queue, const struct fake_seg *seg, unsigned n)
{
	struct fake_queue *q = &f->queue[queue];
	uint16_t head = q->next_desc;

	need(n > 0 && n <= q->size);
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = (uint16_t)((head + i) % q->size);
		uint16_t flags = (uint16_t)((seg[i].write ? VRING_DESC_F_WRITE : 0) |
					    (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		fake_desc(f, queue, at, seg[i].gpa, seg[i].len, flags,
			  (uint16_t)((at + 1) % q->size));
	}
	q->next_desc = (uint16_t)((head + n) % q->size);
	fake_offer(f, queue, head);
	return head;
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

	if (epoll_wait(f->loop.epoll_fd, &ev, 1, ms) != 1)
		return false;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

bool fake_used(struct fake_driver *f, unsigned queue, uint16_t *head, uint32_t *len)
{
	struct fake_queue *q = &f->queue[queue];
	struct vring_used_elem elem;
	uint16_t idx;

	need(gmem_read(&f->mem, q->used + 2, &idx, 2) == 0);
	if (idx == q->used_seen)
		return false;
	need(gmem_read(&f->mem, q->used + 4 + 8u * (q->used_seen % q->size), &elem, 8) == 0);
	q->used_seen++;
	*head = (uint16_t)elem.id;
	*len = elem.len;
	return true;
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
