// SPDX-License-Identifier: Apache-2.0
/* A network device whose pairs of queues are served by the host's kernel; the control queue stays here. */
#include <errno.h>
#include <stdlib.h>

#include "dev/virtio/net_impl.h"
#include "vhost/net.h"

/* What depends on who reads and writes the rings. */
#define RING_FEATURES                                                         \
	(NET_BIT(VIRTIO_F_VERSION_1) | NET_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
	 NET_BIT(VIRTIO_RING_F_EVENT_IDX) | NET_BIT(VIRTIO_F_RING_PACKED) |   \
	 NET_BIT(VIRTIO_NET_F_MRG_RXBUF))

static unsigned queue_of(unsigned pair, unsigned half)
{
	return half == 0 ? RX_QUEUE(pair) : TX_QUEUE(pair);
}

/* The loop has no business with doorbells of queues that it does not serve. */
static int watch_doorbells(struct net *net, unsigned pair, bool watch)
{
	int rx = virtio_watch_doorbell(&net->base, RX_QUEUE(pair), watch);
	int tx = virtio_watch_doorbell(&net->base, TX_QUEUE(pair), watch);

	return rx < 0 ? rx : tx;
}

static void start(struct net *net, unsigned pair)
{
	struct net_vhost *p = &net->vhost[pair];
	struct vhost_ring ring[2];
	struct err e;

	for (unsigned half = 0; half < 2; half++) {
		ring[half] = vhost_call_ring(&p->call[half]);
		if (!ring[half].enabled)
			return; /* a pair that the driver has not set up carries nothing */
	}
	if (p->v->ops->start(p->v, net->base.features, ring, &e) < 0) {
		virtio_broken(&net->base, e.text);
		return;
	}
	p->started = true;
	if (watch_doorbells(net, pair, false) < 0)
		virtio_broken(&net->base, "a doorbell cannot be left alone");
}

void net_vhost_use(struct net *net, unsigned pair, bool use)
{
	struct net_vhost *p = &net->vhost[pair];

	if (!p->started && use)
		start(net, pair);
	else if (p->started && vhost_net_attach(p->v, use) < 0)
		virtio_broken(&net->base, "vhost-net does not take the tap");
}

void net_vhost_reset(struct net *net)
{
	pthread_mutex_unlock(&net->base.lock);
	for (unsigned i = 0; i < net->max_pairs; i++)
		if (net->vhost[i].started)
			net->vhost[i].v->ops->stop(net->vhost[i].v);
	pthread_mutex_lock(&net->base.lock);
	/* One of the doorbells may be that of the next driver's control queue. */
	for (unsigned i = 0; i < net->max_pairs; i++) {
		if (net->vhost[i].started && watch_doorbells(net, i, true) < 0)
			log_limited(&net->base.log, "%s: a doorbell cannot be watched",
				    net->base.ops->name);
		net->vhost[i].started = false;
	}
}

void net_vhost_vectors_changed(struct net *net)
{
	for (unsigned i = 0; i < net->max_pairs; i++)
		for (unsigned half = 0; half < 2 && net->vhost[i].started; half++)
			vhost_call_follow(&net->vhost[i].call[half], net->vhost[i].v, half);
}

static int open_pair(struct net *net, unsigned pair, const char *name, const struct vhost_sys *sys,
		     struct err *e)
{
	struct net_vhost *p = &net->vhost[pair];
	struct vhost_net_place place = {
		.name = name,
		.tap = netdev_descriptor(net->netdev, pair),
		.mem = net->base.host->mem,
		.sys = sys,
	};
	int rc = vhost_net_create(&p->v, &place, e);

	for (unsigned half = 0; half < 2 && rc == 0; half++)
		rc = vhost_call_init(&p->call[half], &net->base, queue_of(pair, half), e);
	if (rc == 0 && !(p->v->features & NET_BIT(VIRTIO_F_VERSION_1)))
		rc = err_set(e, ENOTSUP, "%s: the host's vhost-net is older than virtio 1.0", name);
	return rc;
}

int net_vhost_open(struct net *net, const char *name, const struct vhost_sys *sys, struct err *e)
{
	int rc = 0;

	net->vhost = calloc(net->max_pairs, sizeof(*net->vhost));
	if (!net->vhost)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	for (unsigned i = 0; i < net->max_pairs; i++)
		net->vhost[i] = (struct net_vhost){.call = {VHOST_CALL_EMPTY, VHOST_CALL_EMPTY}};
	for (unsigned i = 0; i < net->max_pairs && rc == 0; i++)
		rc = open_pair(net, i, name, sys, e);
	if (rc == 0)
		net->base.offered &= net->vhost[0].v->features | ~RING_FEATURES;
	return rc;
}

void net_vhost_close(struct net *net)
{
	for (unsigned i = 0; net->vhost && i < net->max_pairs; i++) {
		vhost_destroy(net->vhost[i].v);
		vhost_call_fini(&net->vhost[i].call[0]);
		vhost_call_fini(&net->vhost[i].call[1]);
	}
	free(net->vhost);
}
