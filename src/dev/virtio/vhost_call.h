/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interrupt of a virtqueue that is served elsewhere. Who serves it writes an eventfd: the transport's, which the
 * host's kernel turns into an interrupt (MSI-X); or, where the transport has none (INTx, MMIO), one of our own that
 * the loop watches. Which of the two it is may change while the driver runs.
 *
 * Lock: the device's, but for init and fini.
 */
#pragma once

#include "vhost/vhost.h"
#include "virtio/virtio.h"

struct vhost_call {
	struct virtio_dev *dev;
	unsigned queue;
	struct loop_source source; /* our own eventfd */
	int fd;                    /* the one that the back end has; not owned */
};

#define VHOST_CALL_EMPTY ((struct vhost_call){.source.fd = -1, .fd = -1})

/* On failure vhost_call_fini() is still due. `c` stays in place. */
int vhost_call_init(struct vhost_call *c, struct virtio_dev *dev, unsigned queue, struct err *e);
/* The loop has ended. VHOST_CALL_EMPTY is fine. */
void vhost_call_fini(struct vhost_call *c);
/* All that a back end is told of this queue, its interrupt included. */
struct vhost_ring vhost_call_ring(struct vhost_call *c);
/* For vectors_changed(): tells the back end, whose queue `index` it is, if the eventfd is another one now. */
void vhost_call_follow(struct vhost_call *c, struct vhost *v, unsigned index);
