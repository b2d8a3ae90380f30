// SPDX-License-Identifier: Apache-2.0
#include "backend/netdev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/netdev_impl.h"
#include "base/io.h"
#include "base/log.h"

int netdev_open(struct netdev **out, const struct net_config *config, struct loop *loop,
		struct err *e)
{
	const char *name = config->id ? config->id : "net";

	switch (config->kind) {
	case NET_TAP:
		return netdev_open_tap(out, config, loop, name, e);
	case NET_USER:
		return netdev_open_user(out, config, loop, name, e);
	case NET_PASST:
		return netdev_open_passt(out, config, loop, name, e);
	}
	return err_set(e, EINVAL, "%s: no such kind of network", name);
}

int netdev_init(struct netdev *n, const struct netdev_ops *ops, struct loop *loop, const char *name,
		unsigned n_ports, struct err *e)
{
	n->ops = ops;
	n->loop = loop;
	snprintf(n->name, sizeof(n->name), "%s", name);
	n->port = calloc(n_ports, sizeof(*n->port));
	if (!n->port)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	n->n_ports = n_ports;
	for (unsigned i = 0; i < n_ports; i++)
		n->port[i] = (struct netdev_port){.dev = n, .queue = i, .source = {.fd = -1}};
	pthread_mutex_init(&n->lock, NULL);
	return 0;
}

void netdev_fini(struct netdev *n)
{
	for (unsigned i = 0; i < n->n_ports; i++) {
		if (n->port[i].in_loop)
			loop_remove(n->loop, &n->port[i].source);
		fd_close(&n->port[i].source.fd);
	}
	free(n->port);
	pthread_mutex_destroy(&n->lock);
}

/* ---- waiting ---- */

/* Lock held. Brings epoll in line with what is wanted; errors and hang-ups are always reported. */
static void arm(struct netdev_port *p)
{
	uint32_t events = (p->want_in ? EPOLLIN : 0) | (p->want_out ? EPOLLOUT : 0);

	if (!p->in_loop || events == p->armed)
		return;
	if (loop_modify(p->dev->loop, &p->source, events) == 0)
		p->armed = events;
}

/* Loop thread, no lock. The end of a link: no more events, and whoever waits is let go. */
static void settle(struct netdev *n)
{
	bool tell;

	pthread_mutex_lock(&n->lock);
	tell = n->gone && !n->told;
	n->told = n->gone;
	for (unsigned i = 0; tell && i < n->n_ports; i++)
		if (n->port[i].in_loop) {
			loop_remove(n->loop, &n->port[i].source);
			n->port[i].in_loop = false;
		}
	pthread_mutex_unlock(&n->lock);
	if (!tell)
		return;
	if (n->ops->gone)
		n->ops->gone(n);
	for (unsigned i = 0; i < n->n_ports; i++)
		n->front.writable(n->front.arg, i);
	n->front.link(n->front.arg, false);
}

/* Lock held. */
static void put_in(struct netdev_port *p)
{
	p->armed = 0;
	p->hung = false;
	p->in_loop = loop_add(p->dev->loop, &p->source, 0) == 0;
	arm(p);
}

/* Lock held. Where frames are left that the guest has no buffers for, the end waits until it has. */
static void hang_up(struct netdev_port *p)
{
	struct netdev *n = p->dev;

	if (!n->gone && n->ops->unread && n->ops->unread(n)) {
		loop_remove(n->loop, &p->source);
		p->in_loop = false;
		p->hung = true;
	} else {
		netdev_lose(n, "the other side has gone");
	}
}

static void on_event(void *arg, uint32_t events)
{
	struct netdev_port *p = arg;
	struct netdev *n = p->dev;
	bool readable, writable;

	pthread_mutex_lock(&n->lock);
	readable = p->in_loop && p->want_in && events & EPOLLIN;
	writable = p->in_loop && p->want_out && events & EPOLLOUT;
	if (writable && n->ops->flush && !n->ops->flush(n))
		writable = false;
	if (writable)
		p->want_out = false;
	/* While something can be read the end is not reached; afterwards reading finds it, or this. */
	if (p->in_loop && events & (EPOLLERR | EPOLLHUP) && !readable)
		hang_up(p);
	arm(p);
	pthread_mutex_unlock(&n->lock);
	if (readable)
		n->front.readable(n->front.arg, p->queue);
	if (writable)
		n->front.writable(n->front.arg, p->queue);
	settle(n);
}

void netdev_watch(struct netdev_port *p, bool on)
{
	struct netdev *n = p->dev;

	pthread_mutex_lock(&n->lock);
	if (on && !p->in_loop && !n->gone && p->source.fn) {
		put_in(p);
	} else if (!on && p->in_loop) {
		loop_remove(n->loop, &p->source);
		p->in_loop = false;
	}
	pthread_mutex_unlock(&n->lock);
}

int netdev_start_ports(struct netdev *n, struct err *e)
{
	for (unsigned i = 0; i < n->n_ports; i++) {
		struct netdev_port *p = &n->port[i];

		p->source.fn = on_event;
		p->source.arg = p;
		netdev_watch(p, true);
		if (!p->in_loop)
			return err_sys(e, "%s: epoll_ctl", n->name);
	}
	return 0;
}

void netdev_want_port(struct netdev *n, unsigned queue, bool on)
{
	pthread_mutex_lock(&n->lock);
	n->port[queue].want_in = on;
	if (on && n->port[queue].hung)
		put_in(&n->port[queue]);
	arm(&n->port[queue]);
	pthread_mutex_unlock(&n->lock);
}

void netdev_want_writable(struct netdev *n, unsigned queue)
{
	pthread_mutex_lock(&n->lock);
	n->port[queue].want_out = true;
	arm(&n->port[queue]);
	pthread_mutex_unlock(&n->lock);
}

void netdev_lose(struct netdev *n, const char *why)
{
	if (n->gone)
		return;
	n->gone = true;
	for (unsigned i = 0; i < n->n_ports; i++)
		if (n->port[i].hung)
			put_in(&n->port[i]); /* for the loop to find the end there */
	log_warn("%s: %s; the guest goes on without this link", n->name, why);
}

/* ---- for the device ---- */

int netdev_start(struct netdev *n, struct netdev_front front, struct err *e)
{
	n->front = front;
	return n->ops->start(n, e);
}

void netdev_close(struct netdev *n)
{
	if (n)
		n->ops->close(n);
}

uint64_t netdev_features(const struct netdev *n)
{
	return n->features;
}

int netdev_descriptor(const struct netdev *n, unsigned queue)
{
	return n->port[queue].source.fd;
}

void netdev_set_features(struct netdev *n, uint64_t features)
{
	if (n->ops->set_features)
		n->ops->set_features(n, features & n->features);
}

void netdev_set_queues(struct netdev *n, unsigned pairs)
{
	if (n->ops->set_queues)
		n->ops->set_queues(n, pairs);
}

ssize_t netdev_send(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov)
{
	return n->ops->send(n, queue, iov, n_iov);
}

ssize_t netdev_receive(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov)
{
	return n->ops->receive(n, queue, iov, n_iov);
}

void netdev_want_readable(struct netdev *n, unsigned queue, bool on)
{
	n->ops->want_readable(n, queue, on);
}
