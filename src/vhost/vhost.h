/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues that are served by somebody else: the host's kernel or another process reads and writes the rings in
 * guest RAM, waits for the doorbell's eventfd and writes the interrupt's. What is left for a virtio device here is
 * to say where everything is. Three kinds implement it:
 *
 *   vhost/net.h     /dev/vhost-net between a tap and two queues (linux/vhost.h)
 *   vhost/user.h    another process, by the vhost-user protocol (QEMU's docs/interop/vhost-user.rst)
 *   vhost/vdpa.h    /dev/vhost-vdpa-N: a device in hardware, or one that acts so (linux/vhost.h)
 *
 * Users: dev/virtio/vhost.h, a virtio device all of whose queues are elsewhere, and dev/virtio/net.h, which keeps
 * its control queue.
 *
 * Whoever serves a ring can write all of guest RAM that it was given; it is trusted with the guest, but not with
 * toyvmm: each reply is checked, and it may die at any time (`gone`).
 *
 * Locks: called with the virtio device's lock held, so one after the other; only stop() may take its time, and is
 * called without that lock, but nothing else is meanwhile. `gone` and `config_changed` are called from the loop thread
 * with no lock, also while a vCPU thread is in one of the functions here. An implementation has no lock that is held
 * while it calls.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

#define VHOST_MAX_QUEUES 64
#define VHOST_QUEUE_MAX  1024 /* entries: VQ_MAX_SIZE of virtio/vq.h */

/* What the driver has set up; addresses are guest-physical. */
struct vhost_ring {
	bool enabled; /* else nothing of what follows counts */
	uint16_t size;
	uint64_t desc, driver, device; /* as in struct vq */
	int kick;                      /* eventfd: the doorbell */
	int call;                      /* eventfd: the interrupt */
};

struct vhost;

struct vhost_ops {
	/*
	 * DRIVER_OK: takes the queues, with the features that the driver accepted (VERSION_1 included). `ring` has
	 * v->n_queues entries. 0, or -errno with a text; then nothing is served.
	 */
	int (*start)(struct vhost *v, uint64_t features, const struct vhost_ring *ring,
		     struct err *e);
	/* The interrupt of `queue` goes to another eventfd from now on. While started. 0 or -errno. */
	int (*set_call)(struct vhost *v, unsigned queue, int fd);
	/*
	 * Reset: when it returns nobody reads or writes guest RAM any more. Waits for requests in flight, but not for
	 * the loop's thread. Also when `gone`; not when start() failed. No lock held.
	 */
	void (*stop)(struct vhost *v);
	/*
	 * The device's configuration space; [off, off + len) lies in config_len. 0 or -errno: then it reads as zeros.
	 */
	int (*config_read)(struct vhost *v, unsigned off, void *data, unsigned len);
	int (*config_write)(struct vhost *v, unsigned off, const void *data, unsigned len);
	void (*destroy)(struct vhost *v);
};

struct vhost {
	const struct vhost_ops *ops;
	/* What is there, once it is created. */
	uint32_t device_id; /* VIRTIO_ID_...; as the user said where the back end does not say */
	uint64_t features;  /* what it can do, of what a virtio device here may offer */
	unsigned n_queues;  /* at most VHOST_MAX_QUEUES */
	uint16_t queue_max; /* entries of each, at most VHOST_QUEUE_MAX */
	unsigned config_len;
	/* Set by the one who uses it; may be NULL. Loop thread. */
	void (*config_changed)(void *arg);
	/*
	 * Nobody serves the queues any more: the driver sees DEVICE_NEEDS_RESET, and what it may do then is reset the
	 * device and start it anew. One that waits for its back end to come back, and gives it the rings then, does
	 * not call this: the driver's requests stay in the rings meanwhile.
	 */
	void (*gone)(void *arg, const char *why);
	void *arg;
};

static inline void vhost_destroy(struct vhost *v)
{
	if (v)
		v->ops->destroy(v);
}
