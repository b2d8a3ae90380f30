// SPDX-License-Identifier: Apache-2.0
#include "virtio/rig.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

static void rig_kick(struct virtio_dev *dev, unsigned queue)
{
	struct rig_device *d = container_of(dev, struct rig_device, dev);

	d->kicks[queue]++;
	if (d->again)
		virtio_kick_again(dev, queue);
}

static void rig_activate(struct virtio_dev *dev)
{
	container_of(dev, struct rig_device, dev)->activations++;
}

static void rig_reset(struct virtio_dev *dev)
{
	struct rig_device *d = container_of(dev, struct rig_device, dev);

	d->resets++;
	d->in_flight_at_reset = virtio_vq(dev, 0)->inflight;
}

static void rig_config_write(struct virtio_dev *dev, unsigned off, const void *data, unsigned len)
{
	memcpy(container_of(dev, struct rig_device, dev)->config + off, data, len);
}

static void rig_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
	free(container_of(dev, struct rig_device, dev));
}

static const struct virtio_ops rig_ops = {
	.name = "rig",
	.id = VIRTIO_ID_RNG,
	.kick = rig_kick,
	.activate = rig_activate,
	.reset = rig_reset,
	.config_write = rig_config_write,
	.destroy = rig_destroy,
};

struct rig_device *rig_device(const struct virtio_host *host, uint16_t queue_max)
{
	struct rig_device *d = calloc(1, sizeof(*d));
	struct err e;

	CHECK(d != NULL);
	CHECK_EQ(0, virtio_init(&d->dev, &rig_ops, host, RIG_QUEUES, queue_max, d->config,
				sizeof(d->config), &e));
	d->dev.offered |= RIG_PACKED;
	return d;
}

void rig_init(struct rig *r, uint64_t features, uint16_t size)
{
	fake_init(&r->f);
	r->f.queue_size = size;
	r->d = rig_device(&r->f.host, RIG_MAX);
	r->dev = &r->d->dev;
	r->q = virtio_vq(r->dev, 0);
	fake_attach(&r->f, r->dev, features);
	CHECK_EQ(!!(features & RIG_PACKED), r->q->packed);
}

void rig_fini(struct rig *r)
{
	fake_fini(&r->f);
}

void rig_both(void (*test)(struct rig *r), uint64_t features)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	for (unsigned packed = 0; packed < 2; packed++) {
		rig_init(r, features | (packed ? RIG_PACKED : 0), 0);
		test(r);
		rig_fini(r);
	}
	free(r);
}

int rig_pop(struct rig *r, struct vq_chain *c)
{
	c->iov = r->iov;
	c->iov_max = FAKE_SEGS_MAX;
	return vq_pop(r->q, c);
}

uint16_t rig_add(struct rig *r, uint32_t len)
{
	struct fake_seg seg = {0x1000, len, false};

	return fake_add(&r->f, 0, &seg, 1);
}

void rig_used(struct rig *r, uint16_t head, uint32_t len)
{
	uint16_t got_head;
	uint32_t got_len;

	CHECK(fake_used(&r->f, 0, &got_head, &got_len));
	CHECK_EQ(head, got_head);
	CHECK_EQ(len, got_len);
}

void rig_nothing_used(struct rig *r)
{
	uint16_t head;
	uint32_t len;

	CHECK(!fake_used(&r->f, 0, &head, &len));
}

static struct vring_packed_desc_event *event_at(const struct rig *r, uint64_t gpa)
{
	return fake_host((struct fake_driver *)&r->f, gpa);
}

void rig_want_interrupt_after(struct rig *r, unsigned after)
{
	struct fake_queue *q = &r->f.queue[0];
	uint16_t *avail = fake_host(&r->f, q->avail);

	if (q->packed) {
		unsigned off = q->used_seen + after;
		bool wrap = q->used_wrap ^ (off / q->size & 1);
		event_at(r, q->avail)->off_wrap = (uint16_t)(off % q->size | wrap << 15);
		event_at(r, q->avail)->flags = VRING_PACKED_EVENT_FLAG_DESC;
	} else {
		avail[2 + q->size] = (uint16_t)(q->used_seen + after);
	}
}

void rig_want_interrupts(struct rig *r, bool on)
{
	struct fake_queue *q = &r->f.queue[0];

	if (q->packed)
		event_at(r, q->avail)->flags =
			on ? VRING_PACKED_EVENT_FLAG_ENABLE : VRING_PACKED_EVENT_FLAG_DISABLE;
	else
		*(uint16_t *)fake_host(&r->f, q->avail) = on ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
}

static bool must_ring_packed(const struct rig *r, unsigned n)
{
	const struct fake_queue *q = &r->f.queue[0];
	struct vring_packed_desc_event *event = event_at(r, q->used);
	uint16_t off = event->off_wrap & 0x7fff;

	if (event->flags != VRING_PACKED_EVENT_FLAG_DESC)
		return event->flags != VRING_PACKED_EVENT_FLAG_DISABLE;
	if (event->off_wrap >> 15 != q->avail_wrap)
		off = (uint16_t)(off - q->size);
	return vring_need_event(off, q->next_desc, (uint16_t)(q->next_desc - n));
}

bool rig_must_ring(const struct rig *r, unsigned n)
{
	const struct fake_queue *q = &r->f.queue[0];
	const uint16_t *used = fake_host((struct fake_driver *)&r->f, q->used);

	if (q->packed)
		return must_ring_packed(r, n);
	if (r->q->event_idx)
		return vring_need_event(used[2 + 4 * q->size], q->avail_idx,
					(uint16_t)(q->avail_idx - n));
	return !(used[0] & VRING_USED_F_NO_NOTIFY);
}
