/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio socket device (virtio 1.2, 5.10): stream connections between programs of the guest, which use
 * AF_VSOCK, and programs of the host, which use Unix sockets (backend/vsock_unix.h). docs/vsock.md.
 */
#pragma once

#include "base/err.h"
#include "config/devices.h"
#include "virtio/virtio.h"

/*
 * Listens at config->socket at once; programs that come before the driver is ready are turned away. The
 * socket's file is removed when the device is destroyed. `config` is not needed afterwards.
 */
int vsock_create(struct virtio_dev **out, const struct vsock_config *config,
		 const struct virtio_host *host, struct err *e);
