/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-net (virtio 1.2, 5.1): an Ethernet card whose frames go to and come from a network back end. Frames are
 * read into and written from the guest's own buffers; docs/net.md has the picture.
 */
#pragma once

#include "config/devices.h"
#include "virtio/virtio.h"

/* Opens the back end as well. A MAC address that is not given is made up and logged. */
int net_create(struct virtio_dev **out, const struct net_config *config,
	       const struct virtio_host *host, struct err *e);
