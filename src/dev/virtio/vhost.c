// SPDX-License-Identifier: Apache-2.0
/* Sections are those of virtio 1.2. docs/vhost.md walks through this file. */
#include "dev/virtio/vhost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/vhost_call.h"

#define BIT(n) (1ULL << (n))

/*
 * What may be offered to a driver (6): the device's own bits, and of those that concern rings and transport the ones
 * that need nothing of the transport. ORDER_PLATFORM is a matter between the driver and a device in hardware.
 * ACCESS_PLATFORM is not offered: guests have no IOMMU, and guest-physical addresses are what a back end is given.
 */
#define DEVICE_FEATURES ((BIT(24) - 1) | ~(BIT(50) - 1))
#define RING_FEATURES                                                                        \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |                        \
	 BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER) | \
	 BIT(VIRTIO_F_ORDER_PLATFORM))

struct vhost_dev {
	struct virtio_dev base;
	struct virtio_ops ops; /* name and ID are this device's own */
	struct vhost *vhost;
	bool started;
	struct vhost_call *call; /* one a queue */
};

static struct vhost_dev *vhost_of(struct virtio_dev *dev)
{
	return container_of(dev, struct vhost_dev, base);
}

static void vectors_changed(struct virtio_dev *dev)
{
	struct vhost_dev *d = vhost_of(dev);

	for (unsigned i = 0; i < dev->n_queues && d->started; i++)
		vhost_call_follow(&d->call[i], d->vhost, i);
}

/* ---- what the back end says ---- */

static void on_config_changed(void *arg)
{
	struct virtio_dev *dev = arg;

	pthread_mutex_lock(&dev->lock);
	virtio_config_changed(dev);
	pthread_mutex_unlock(&dev->lock);
}

static void on_gone(void *arg, const char *why)
{
	struct virtio_dev *dev = arg;

	pthread_mutex_lock(&dev->lock);
	virtio_broken(dev, why);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- what the driver does ---- */

static void activate(struct virtio_dev *dev)
{
	struct vhost_dev *d = vhost_of(dev);
	struct vhost_ring ring[VHOST_MAX_QUEUES];
	struct err e;

	for (unsigned i = 0; i < dev->n_queues; i++)
		ring[i] = vhost_call_ring(&d->call[i]);
	d->started = d->vhost->ops->start(d->vhost, dev->features, ring, &e) == 0;
	if (!d->started)
		virtio_broken(dev, e.text);
}

/* The loop, which may want the lock, does not wait for the back end. */
static void reset(struct virtio_dev *dev)
{
	struct vhost_dev *d = vhost_of(dev);

	if (!d->started)
		return;
	pthread_mutex_unlock(&dev->lock);
	d->vhost->ops->stop(d->vhost);
	pthread_mutex_lock(&dev->lock);
	d->started = false;
}

static void config_read(struct virtio_dev *dev, unsigned off, void *data, unsigned len)
{
	struct vhost *v = vhost_of(dev)->vhost;

	if (v->ops->config_read(v, off, data, len) < 0)
		memset(data, 0, len);
}

static void config_write(struct virtio_dev *dev, unsigned off, const void *data, unsigned len)
{
	struct vhost *v = vhost_of(dev)->vhost;
	int rc = v->ops->config_write(v, off, data, len);

	if (rc < 0)
		log_limited(&dev->log, "%s: its back end does not take a configuration: %s",
			    dev->ops->name, strerror(-rc));
}

/* ---- life ---- */

static void destroy(struct virtio_dev *dev)
{
	struct vhost_dev *d = vhost_of(dev);

	if (d->started)
		d->vhost->ops->stop(d->vhost);
	vhost_destroy(d->vhost);
	for (unsigned i = 0; i < dev->n_queues; i++)
		vhost_call_fini(&d->call[i]);
	virtio_fini(dev);
	free(d->call);
	free(d);
}

static int check(const struct vhost *v, const char *name, struct err *e)
{
	if (!(v->features & BIT(VIRTIO_F_VERSION_1)))
		return err_set(e, ENOTSUP,
			       "%s: the device is older than virtio 1.0, which guests speak here",
			       name);
	if (v->device_id == 0 || v->device_id > UINT8_MAX)
		return err_set(e, ENOTSUP, "%s: %u is no virtio device ID", name, v->device_id);
	if (v->n_queues == 0 || v->n_queues > VHOST_MAX_QUEUES)
		return err_set(e, ENOTSUP, "%s: the device has %u queues; 1 to %d are possible",
			       name, v->n_queues, VHOST_MAX_QUEUES);
	return 0;
}

/* On failure nothing but `d` itself is left. */
static int init(struct vhost_dev *d, const char *name, const struct virtio_host *host,
		struct err *e)
{
	struct vhost *v = d->vhost;
	int rc = check(v, name, e);

	if (rc < 0)
		return rc;
	d->ops = (struct virtio_ops){
		.name = name,
		.id = (uint16_t)v->device_id,
		.activate = activate,
		.reset = reset,
		.vectors_changed = vectors_changed,
		.config_read = config_read,
		.config_write = config_write,
		.destroy = destroy,
	};
	d->call = calloc(v->n_queues, sizeof(*d->call));
	if (!d->call)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	for (unsigned i = 0; i < v->n_queues; i++)
		d->call[i] = VHOST_CALL_EMPTY;
	rc = virtio_init(&d->base, &d->ops, host, v->n_queues, v->queue_max, NULL, v->config_len,
			 e);
	if (rc < 0)
		free(d->call);
	return rc;
}

/* Doorbells are not for the loop, whether the device is started or not: what is rung is kept in the eventfd. */
static int set_up(struct vhost_dev *d, struct err *e)
{
	struct virtio_dev *dev = &d->base;
	int rc = 0;

	dev->offered = d->vhost->features & (DEVICE_FEATURES | RING_FEATURES);
	for (unsigned i = 0; i < dev->n_queues && rc == 0; i++) {
		rc = virtio_watch_doorbell(dev, i, false);
		if (rc == 0)
			rc = vhost_call_init(&d->call[i], dev, i, e);
	}
	d->vhost->config_changed = on_config_changed;
	d->vhost->gone = on_gone;
	d->vhost->arg = dev;
	return rc;
}

int vhost_dev_create(struct virtio_dev **out, struct vhost *v, const char *name,
		     const struct virtio_host *host, struct err *e)
{
	struct vhost_dev *d = calloc(1, sizeof(*d));
	int rc;

	if (d)
		d->vhost = v;
	rc = d ? init(d, name, host, e) : err_set(e, ENOMEM, "%s: out of memory", name);
	if (rc < 0) {
		vhost_destroy(v);
		free(d);
		return rc;
	}
	rc = set_up(d, e);
	if (rc < 0)
		destroy(&d->base);
	else
		*out = &d->base;
	return rc;
}
