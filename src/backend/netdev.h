/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a network device: frames to and from a tap interface, or a process that speaks for
 * many (user networking, passt). A frame always has the header struct virtio_net_hdr_v1 (12 bytes, virtio 1.2,
 * 5.1.6) in front; a back end without offloads ignores it and gives one of zeros.
 *
 * Threads: send and receive are called with the device's lock held; readable() and writable() by the loop
 * thread, with no lock held.
 */
#pragma once

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "base/err.h"
#include "config/devices.h"
#include "event/loop.h"

#define NETDEV_HEADER 12
#define NETDEV_MAX_FRAME \
	(NETDEV_HEADER + 65550) /* with segmentation offloads; else 1514 + header */

/* virtio 1.3, 5.1.3; older kernel headers do not have them. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO   56
#endif

struct netdev;

struct netdev_front {
	void (*readable)(void *arg, unsigned queue);
	void (*writable)(void *arg, unsigned queue); /* after netdev_send() said -EAGAIN */
	void (*link)(void *arg, bool up);            /* the other side has gone: false, once */
	void *arg;
};

/*
 * Opens all queues (pairs) that the configuration asks for. netdev_start() registers them with the loop;
 * readable() is off until netdev_want_readable().
 */
int netdev_open(struct netdev **out, const struct net_config *config, struct loop *loop,
		struct err *e);
int netdev_start(struct netdev *n, struct netdev_front front, struct err *e);
void netdev_close(struct netdev *n); /* NULL is fine */

/* VIRTIO_NET_F_* bits that it can do: checksums, segmentation. */
uint64_t netdev_features(const struct netdev *n);
/* What the driver accepted of them. */
void netdev_set_features(struct netdev *n, uint64_t features);
/* The descriptor of a tap's queue, for somebody else to send and receive on (vhost); the owner is the back end. */
int netdev_descriptor(const struct netdev *n, unsigned queue);
/* Queue pairs from `pairs` on are not used by the driver now. */
void netdev_set_queues(struct netdev *n, unsigned pairs);

/*
 * One frame. Bytes, header included; -EAGAIN (nothing now: readable() or writable() will be called); or
 * another -errno: that frame is lost. A frame longer than the buffers is cut off, and the result is then
 * their whole length: who wants to notice offers a byte more than the longest frame he takes.
 */
ssize_t netdev_send(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov);
ssize_t netdev_receive(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov);
/* No more calls of readable() until it is switched on again: there is no room for what comes. */
void netdev_want_readable(struct netdev *n, unsigned queue, bool on);
