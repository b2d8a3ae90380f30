// SPDX-License-Identifier: Apache-2.0
#include "virtio/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/io.h"

#define CORE_FEATURES                                                       \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC | \
	 1ULL << VIRTIO_RING_F_EVENT_IDX)

/* The bits a driver sets one after the other (2.1); the other two are FAILED and our own NEEDS_RESET. */
#define DRIVER_BITS                                                                           \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

static bool running(const struct virtio_dev *dev)
{
	return !dev->resetting && dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !(dev->status & (VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED));
}

bool virtio_queue_ready(const struct virtio_dev *dev, unsigned queue)
{
	return running(dev) && dev->queue[queue].vq.enabled;
}

/*
 * Edge-triggered, so the eventfd need not be read: each write to it is one event, and its counter overflows
 * after 2^64 of them.
 */
static void on_doorbell(void *arg, uint32_t events)
{
	struct virtio_queue *q = arg;
	struct virtio_dev *dev = q->dev;

	(void)events;
	pthread_mutex_lock(&dev->lock);
	if (virtio_queue_ready(dev, q->index))
		dev->ops->kick(dev, q->index);
	pthread_mutex_unlock(&dev->lock);
}

static int open_doorbell(struct virtio_dev *dev, unsigned i, struct err *e)
{
	struct virtio_queue *q = &dev->queue[i];

	q->dev = dev;
	q->index = i;
	q->doorbell = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.fn = on_doorbell,
		.arg = q,
	};
	if (q->doorbell.fd < 0)
		return err_sys(e, "%s: eventfd", dev->ops->name);
	if (loop_add(dev->host->loop, &q->doorbell, EPOLLIN | EPOLLET) < 0)
		return err_sys(e, "%s: epoll_ctl", dev->ops->name);
	return 0;
}

int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops,
		const struct virtio_host *host, unsigned n_queues, uint16_t queue_max, void *config,
		unsigned config_len, struct err *e)
{
	int rc = 0;

	*dev = (struct virtio_dev){
		.ops = ops,
		.host = host,
		.offered = CORE_FEATURES,
		.n_queues = n_queues,
		.config = config,
		.config_len = config_len,
	};
	dev->queue = calloc(n_queues, sizeof(*dev->queue));
	if (!dev->queue)
		return err_set(e, ENOMEM, "%s: out of memory", ops->name);
	pthread_mutex_init(&dev->lock, NULL);
	pthread_cond_init(&dev->reset_ended, NULL);
	for (unsigned i = 0; i < n_queues; i++) {
		dev->queue[i].doorbell.fd = -1;
		dev->queue[i].vq.max = queue_max;
		vq_reset(&dev->queue[i].vq);
	}
	for (unsigned i = 0; i < n_queues && rc == 0; i++)
		rc = open_doorbell(dev, i, e);
	if (rc < 0)
		virtio_fini(dev);
	return rc;
}

void virtio_fini(struct virtio_dev *dev)
{
	for (unsigned i = 0; i < dev->n_queues; i++) {
		struct loop_source *s = &dev->queue[i].doorbell;
		if (s->fd >= 0)
			loop_remove(dev->host->loop, s);
		fd_close(&s->fd);
	}
	free(dev->queue);
	dev->queue = NULL;
	dev->n_queues = 0;
	pthread_cond_destroy(&dev->reset_ended);
	pthread_mutex_destroy(&dev->lock);
}

void virtio_destroy(struct virtio_dev *dev)
{
	if (dev)
		dev->ops->destroy(dev);
}

/* ---- for devices ---- */

void virtio_interrupt(struct virtio_dev *dev, int queue)
{
	if (dev->transport.interrupt)
		dev->transport.interrupt(dev->transport.arg, queue);
}

int virtio_eventfd(struct virtio_dev *dev, int queue)
{
	return dev->transport.eventfd ? dev->transport.eventfd(dev->transport.arg, queue) : -1;
}

int virtio_watch_doorbell(struct virtio_dev *dev, unsigned queue, bool watch)
{
	struct loop_source *s = &dev->queue[queue].doorbell;

	if (watch)
		return loop_add(dev->host->loop, s, EPOLLIN | EPOLLET);
	loop_remove(dev->host->loop, s);
	return 0;
}

void virtio_notify(struct virtio_dev *dev, unsigned queue)
{
	if (virtio_queue_ready(dev, queue) && vq_wants_interrupt(&dev->queue[queue].vq))
		virtio_interrupt(dev, (int)queue);
}

void virtio_finish(struct virtio_dev *dev, unsigned queue, int rc)
{
	if (rc < 0)
		virtio_broken(dev, "a virtqueue is broken");
	else
		virtio_notify(dev, queue);
}

void virtio_kick_again(struct virtio_dev *dev, unsigned queue)
{
	uint64_t one = 1;

	/* Cannot fail but for 2^64-2 events waiting, and then one is waiting. */
	if (write(dev->queue[queue].doorbell.fd, &one, sizeof(one)) < 0)
		return;
}

void virtio_config_changed(struct virtio_dev *dev)
{
	dev->generation++;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_interrupt(dev, VIRTIO_CONFIG_CHANGED);
}

void virtio_broken(struct virtio_dev *dev, const char *why)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_limited(&dev->log, "%s: %s; the device stops until its driver resets it",
		    dev->ops->name, why);
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_interrupt(dev, VIRTIO_CONFIG_CHANGED);
}

/* ---- for transports ---- */

void virtio_attach(struct virtio_dev *dev, struct virtio_transport transport)
{
	pthread_mutex_lock(&dev->lock);
	dev->transport = transport;
	pthread_mutex_unlock(&dev->lock);
}

uint32_t virtio_offered(struct virtio_dev *dev, uint32_t select)
{
	return select < 2 ? (uint32_t)(dev->offered >> (32 * select)) : 0;
}

uint32_t virtio_accepted(struct virtio_dev *dev, uint32_t select)
{
	uint32_t bits;

	pthread_mutex_lock(&dev->lock);
	bits = select < 2 ? (uint32_t)(dev->features >> (32 * select)) : 0;
	pthread_mutex_unlock(&dev->lock);
	return bits;
}

void virtio_accept(struct virtio_dev *dev, uint32_t select, uint32_t bits)
{
	unsigned shift = select == 0 ? 0 : 32;

	if (select > 1)
		return;
	pthread_mutex_lock(&dev->lock);
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK)) /* final from then on */
		dev->features = (dev->features & ~(0xffffffffULL << shift)) | (uint64_t)bits
										      << shift;
	pthread_mutex_unlock(&dev->lock);
}

uint8_t virtio_status(struct virtio_dev *dev)
{
	uint8_t status;

	pthread_mutex_lock(&dev->lock);
	status = dev->status;
	pthread_mutex_unlock(&dev->lock);
	return status;
}

uint8_t virtio_generation(struct virtio_dev *dev)
{
	uint8_t generation;

	pthread_mutex_lock(&dev->lock);
	generation = dev->generation;
	pthread_mutex_unlock(&dev->lock);
	return generation;
}

/* What others do to the device while ops->reset() waits without the lock is undone by what follows it. */
static void reset(struct virtio_dev *dev)
{
	dev->resetting = true;
	if (dev->ops->reset)
		dev->ops->reset(dev);
	for (unsigned i = 0; i < dev->n_queues; i++)
		vq_reset(&dev->queue[i].vq);
	dev->features = 0;
	dev->status = 0;
	if (dev->transport.reset)
		dev->transport.reset(dev->transport.arg);
	dev->resetting = false;
	pthread_cond_broadcast(&dev->reset_ended);
}

/* 2.2.2 and 6.1: only what was offered, and VERSION_1 in any case: there is no legacy interface here. */
static bool features_acceptable(const struct virtio_dev *dev)
{
	return !(dev->features & ~dev->offered) && virtio_has(dev, VIRTIO_F_VERSION_1);
}

/* A driver only ever adds bits (2.1.1); bits it leaves out of a later write stay set. */
void virtio_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t added;

	pthread_mutex_lock(&dev->lock);
	while (dev->resetting) /* by another vCPU */
		pthread_cond_wait(&dev->reset_ended, &dev->lock);
	added = status & DRIVER_BITS & ~dev->status;
	if (status == 0) {
		reset(dev);
	} else if (added) {
		if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(dev))
			added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
		if (!((dev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
			added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
		dev->status |= added;
		if (added & VIRTIO_CONFIG_S_DRIVER_OK && dev->ops->activate)
			dev->ops->activate(dev);
		/* Doorbells rung before were ignored; what was offered by then is served now. */
		for (unsigned i = 0; added & VIRTIO_CONFIG_S_DRIVER_OK && i < dev->n_queues; i++)
			virtio_kick_again(dev, i);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* A back end that the device is waiting for, without the lock, is not asked anything else meanwhile. */
static void lock_config(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	while (dev->resetting && dev->ops->config_read)
		pthread_cond_wait(&dev->reset_ended, &dev->lock);
}

void virtio_config_read(struct virtio_dev *dev, uint64_t off, void *data, unsigned len)
{
	memset(data, 0, len);
	if (off >= dev->config_len)
		return;
	len = MIN(len, dev->config_len - (unsigned)off);
	lock_config(dev);
	if (dev->ops->config_read)
		dev->ops->config_read(dev, (unsigned)off, data, len);
	else
		memcpy(data, (const uint8_t *)dev->config + off, len);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_config_write(struct virtio_dev *dev, uint64_t off, const void *data, unsigned len)
{
	if (!dev->ops->config_write || off >= dev->config_len || len > dev->config_len - off)
		return;
	lock_config(dev);
	dev->ops->config_write(dev, (unsigned)off, data, len);
	pthread_mutex_unlock(&dev->lock);
}

static uint32_t get_field(const struct vq *q, enum virtio_queue_field field)
{
	switch (field) {
	case VQ_FIELD_MAX:
		return q->max;
	case VQ_FIELD_SIZE:
		return q->size;
	case VQ_FIELD_ENABLE:
		return q->enabled;
	case VQ_FIELD_DESC_LO:
		return (uint32_t)q->desc;
	case VQ_FIELD_DESC_HI:
		return (uint32_t)(q->desc >> 32);
	case VQ_FIELD_DRIVER_LO:
		return (uint32_t)q->driver;
	case VQ_FIELD_DRIVER_HI:
		return (uint32_t)(q->driver >> 32);
	case VQ_FIELD_DEVICE_LO:
		return (uint32_t)q->device;
	case VQ_FIELD_DEVICE_HI:
		return (uint32_t)(q->device >> 32);
	}
	return 0;
}

uint32_t virtio_queue_get(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_field field)
{
	uint32_t value;

	if (queue >= dev->n_queues)
		return 0;
	pthread_mutex_lock(&dev->lock);
	value = get_field(&dev->queue[queue].vq, field);
	pthread_mutex_unlock(&dev->lock);
	return value;
}

static void set_half(uint64_t *address, unsigned half, uint32_t value)
{
	unsigned shift = 32 * half;

	*address = (*address & ~(0xffffffffULL << shift)) | (uint64_t)value << shift;
}

static void set_field(struct virtio_dev *dev, struct vq *q, enum virtio_queue_field field,
		      uint32_t value)
{
	switch (field) {
	case VQ_FIELD_MAX:
		break;
	case VQ_FIELD_SIZE:
		q->size = (uint16_t)MIN(value, UINT16_MAX); /* judged by vq_enable() */
		break;
	case VQ_FIELD_ENABLE:
		/* Which kind of ring it is, is known once the features are final. */
		if (value == 1 && dev->status & VIRTIO_CONFIG_S_FEATURES_OK &&
		    vq_enable(q, dev->host->mem, dev->features) < 0)
			log_limited(&dev->log, "%s: a virtqueue's size or address is refused",
				    dev->ops->name);
		break;
	case VQ_FIELD_DESC_LO:
	case VQ_FIELD_DESC_HI:
		set_half(&q->desc, field - VQ_FIELD_DESC_LO, value);
		break;
	case VQ_FIELD_DRIVER_LO:
	case VQ_FIELD_DRIVER_HI:
		set_half(&q->driver, field - VQ_FIELD_DRIVER_LO, value);
		break;
	case VQ_FIELD_DEVICE_LO:
	case VQ_FIELD_DEVICE_HI:
		set_half(&q->device, field - VQ_FIELD_DEVICE_LO, value);
		break;
	}
}

/*
 * A queue that is enabled does not change until reset. A driver that gives up halfway may disable it before
 * DRIVER_OK (4.2.2.2), when the device has not looked at it yet; enabling it validates everything anew.
 */
void virtio_queue_set(struct virtio_dev *dev, uint32_t queue, enum virtio_queue_field field,
		      uint32_t value)
{
	struct vq *q;

	if (queue >= dev->n_queues)
		return;
	pthread_mutex_lock(&dev->lock);
	q = &dev->queue[queue].vq;
	if (!q->enabled)
		set_field(dev, q, field, value);
	else if (field == VQ_FIELD_ENABLE && value == 0 &&
		 !(dev->status & VIRTIO_CONFIG_S_DRIVER_OK))
		q->enabled = false;
	pthread_mutex_unlock(&dev->lock);
}

void virtio_vectors_changed(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (running(dev) && dev->ops->vectors_changed)
		dev->ops->vectors_changed(dev);
	pthread_mutex_unlock(&dev->lock);
}

void virtio_kick(struct virtio_dev *dev, uint32_t queue)
{
	if (queue < dev->n_queues)
		virtio_kick_again(dev, queue);
}
