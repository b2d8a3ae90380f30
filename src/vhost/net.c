// SPDX-License-Identifier: Apache-2.0
#include "vhost/net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define BIT(n) (1ULL << (n))
#define QUEUES 2
#define NOBODY (-1)

/* What is for vhost alone (a log of dirty pages, headers made up by it), and addresses behind an IOMMU. */
#define NOT_OFFERED \
	(BIT(VHOST_F_LOG_ALL) | BIT(VHOST_NET_F_VIRTIO_NET_HDR) | BIT(VIRTIO_F_ACCESS_PLATFORM))

struct vhost_net {
	struct vhost v;
	struct vhost_kernel kernel;
	const struct gmem *mem;
	int tap;
	struct log_limit log;
};

static struct vhost_net *net_of(struct vhost *v)
{
	return container_of(v, struct vhost_net, v);
}

static int set_backend(struct vhost_net *n, unsigned queue, int fd)
{
	struct vhost_vring_file file = {.index = queue, .fd = fd};

	return vhost_kernel_ioctl(&n->kernel, VHOST_NET_SET_BACKEND, &file);
}

int vhost_net_attach(struct vhost *v, bool on)
{
	struct vhost_net *n = net_of(v);
	int rc = 0;

	for (unsigned i = 0; i < QUEUES; i++)
		rc = vhost_worse(rc, set_backend(n, i, on ? n->tap : NOBODY));
	return rc;
}

/*
 * Without a back end the kernel's worker leaves a queue alone; the call returns when it has. Each step is tried,
 * whatever became of the one before.
 */
static void net_stop(struct vhost *v)
{
	struct vhost_net *n = net_of(v);
	int rc = vhost_net_attach(v, false);

	for (unsigned i = 0; i < QUEUES; i++) {
		rc = vhost_worse(rc, vhost_kernel_set_kick(&n->kernel, i, NOBODY));
		rc = vhost_worse(rc, vhost_kernel_set_call(&n->kernel, i, NOBODY));
	}
	if (rc < 0)
		log_limited(&n->log, "%s: vhost-net: stopping it: %s", n->kernel.name,
			    strerror(-rc));
}

static int give_ring(struct vhost_net *n, unsigned i, const struct vhost_ring *ring, struct err *e)
{
	struct vhost_vring_file kick = {.index = i, .fd = ring->kick};
	int rc = vhost_kernel_set_ring(&n->kernel, i, ring, n->mem, false, e);

	if (rc == 0)
		rc = vhost_kernel_do(&n->kernel, VHOST_SET_VRING_KICK, &kick,
				     "VHOST_SET_VRING_KICK", e);
	return rc;
}

static int bring_up(struct vhost_net *n, uint64_t features, const struct vhost_ring *ring,
		    struct err *e)
{
	int rc;

	/* Of what the driver accepted, the part that is about rings and headers; the rest is the tap's. */
	features &= n->v.features;
	rc = vhost_kernel_do(&n->kernel, VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES", e);
	for (unsigned i = 0; i < QUEUES && rc == 0; i++)
		rc = give_ring(n, i, &ring[i], e);
	if (rc < 0)
		return rc;
	rc = vhost_net_attach(&n->v, true);
	if (rc < 0)
		return err_set(e, -rc, "%s: vhost-net does not take the tap: %s", n->kernel.name,
			       strerror(-rc));
	return 0;
}

static int net_start(struct vhost *v, uint64_t features, const struct vhost_ring *ring,
		     struct err *e)
{
	int rc = bring_up(net_of(v), features, ring, e);

	if (rc < 0)
		net_stop(v);
	return rc;
}

static int net_set_call(struct vhost *v, unsigned queue, int fd)
{
	return vhost_kernel_set_call(&net_of(v)->kernel, queue, fd);
}

static void net_destroy(struct vhost *v)
{
	struct vhost_net *n = net_of(v);

	vhost_kernel_close(&n->kernel);
	free(n);
}

static const struct vhost_ops net_ops = {
	.start = net_start,
	.set_call = net_set_call,
	.stop = net_stop,
	.destroy = net_destroy,
};

int vhost_net_create(struct vhost **out, const struct vhost_net_place *place, struct err *e)
{
	const struct vhost_sys *sys = place->sys ? place->sys : &vhost_linux;
	struct vhost_net *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return err_set(e, ENOMEM, "%s: out of memory", place->name);
	n->v = (struct vhost){
		.ops = &net_ops,
		.device_id = VIRTIO_ID_NET,
		.n_queues = QUEUES,
		.queue_max = VHOST_QUEUE_MAX,
	};
	n->mem = place->mem;
	n->tap = place->tap;
	rc = vhost_kernel_open(&n->kernel, sys, place->name, VHOST_NET_PATH, "vhost_net", e);
	if (rc == 0)
		rc = vhost_kernel_do(&n->kernel, VHOST_GET_FEATURES, &n->v.features,
				     "VHOST_GET_FEATURES", e);
	if (rc == 0)
		rc = vhost_kernel_set_memory(&n->kernel, place->mem, e);
	n->v.features &= ~NOT_OFFERED;
	if (rc < 0)
		net_destroy(&n->v);
	else
		*out = &n->v;
	return rc;
}
