// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/vhost_call.h"

#include <sys/eventfd.h>

#include "base/io.h"

/* Edge-triggered, like a doorbell: nobody reads the eventfd. */
static void on_call(void *arg, uint32_t events)
{
	struct vhost_call *c = arg;

	(void)events;
	pthread_mutex_lock(&c->dev->lock);
	if (virtio_queue_ready(c->dev, c->queue))
		virtio_interrupt(c->dev, (int)c->queue);
	pthread_mutex_unlock(&c->dev->lock);
}

int vhost_call_init(struct vhost_call *c, struct virtio_dev *dev, unsigned queue, struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	*c = (struct vhost_call){
		.dev = dev,
		.queue = queue,
		.source = {.fd = fd, .fn = on_call, .arg = c},
		.fd = fd,
	};
	if (fd < 0)
		return err_sys(e, "%s: eventfd", dev->ops->name);
	if (loop_add(dev->host->loop, &c->source, EPOLLIN | EPOLLET) < 0)
		return err_sys(e, "%s: epoll_ctl", dev->ops->name);
	return 0;
}

void vhost_call_fini(struct vhost_call *c)
{
	if (c->source.fd >= 0)
		loop_remove(c->dev->host->loop, &c->source);
	fd_close(&c->source.fd);
}

static int choose(const struct vhost_call *c)
{
	int fd = virtio_eventfd(c->dev, (int)c->queue);

	return fd >= 0 ? fd : c->source.fd;
}

struct vhost_ring vhost_call_ring(struct vhost_call *c)
{
	const struct vq *q = virtio_vq(c->dev, c->queue);

	c->fd = choose(c);
	return (struct vhost_ring){
		.enabled = q->enabled,
		.size = q->size,
		.desc = q->desc,
		.driver = q->driver,
		.device = q->device,
		.kick = c->dev->queue[c->queue].doorbell.fd,
		.call = c->fd,
	};
}

void vhost_call_follow(struct vhost_call *c, struct vhost *v, unsigned index)
{
	int fd = choose(c);

	if (!virtio_vq(c->dev, c->queue)->enabled || fd == c->fd)
		return;
	if (v->ops->set_call(v, index, fd) < 0)
		virtio_broken(c->dev, "its back end does not take another interrupt");
	else
		c->fd = fd;
}
