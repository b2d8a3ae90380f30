/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vhost-net: the host's kernel carries frames between a tap and one pair of queues, the receiving one (0) and the
 * transmitting one (1). /dev/vhost-net, linux/vhost.h. A device of several pairs has one of these each; its
 * control queue and its configuration stay with it, so these have no configuration space.
 */
#pragma once

#include "mem/gmem.h"
#include "vhost/kernel.h"
#include "vhost/vhost.h"

#define VHOST_NET_PATH "/dev/vhost-net"

struct vhost_net_place {
	const char *name; /* for messages */
	int tap; /* a queue of a tap with IFF_VNET_HDR and a header of 12 bytes; not taken over */
	const struct gmem *mem;
	const struct vhost_sys *sys; /* NULL: Linux */
};

/* name, tap and RAM outlive it. -errno with a text that says what would mend it. */
int vhost_net_create(struct vhost **out, const struct vhost_net_place *place, struct err *e);

/*
 * Between start() and stop(): the tap is taken away, and nobody touches the rings when this returns; or it is given
 * back, and they are served from where they were left. 0 or -errno. Taking it away waits for the kernel's worker to
 * put down what it has in hand, which is short: it copies.
 */
int vhost_net_attach(struct vhost *v, bool on);
