/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device of any kind, all of whose queues are served elsewhere (vhost/vhost.h): toyvmm shows the driver
 * registers, and tells the other side where the rings are. Doorbells and interrupts pass it by where the host's
 * kernel can connect them (irqfd: MSI-X), and the loop carries interrupts where it cannot (INTx, MMIO). docs/vhost.md
 * has the picture.
 *
 * Locks: the functions of struct vhost are called with the device's lock held, as vhost/vhost.h says.
 */
#pragma once

#include "vhost/vhost.h"
#include "virtio/virtio.h"

/*
 * Takes `v` over, on failure too. `name` is for messages; it outlives the device. -ENOTSUP, with a text: what the
 * back end can do is not enough for a device here.
 */
int vhost_dev_create(struct virtio_dev **out, struct vhost *v, const char *name,
		     const struct virtio_host *host, struct err *e);
