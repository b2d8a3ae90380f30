/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio device that another process serves: --vhost-user and --fs. docs/vhost-user.md, docs/fs.md. */
#pragma once

#include "config/devices.h"
#include "virtio/virtio.h"

/* `config` is read only here, but for its id, which outlives the device. `queues`: how many, where it does not say. */
int vhost_user_dev_create(struct virtio_dev **out, const struct vhost_user_config *config,
			  unsigned queues, const struct virtio_host *host, struct err *e);
