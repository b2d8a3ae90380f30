/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk (virtio 1.2, 5.2): a disk for the guest, over backend/disk.h. docs/disk.md tells how it works.
 *
 * Durability (5.2.6.2): FLUSH is always offered. A driver that did not accept it, or that switched the cache to
 * write-through (writeback = 0), has each write synced before it completes.
 *
 * Threads: the device's lock guards its requests and the disk; the disk's size changes come by the loop thread.
 */
#pragma once

#include "virtio/virtio.h"

#include "config/devices.h"

/*
 * Opens the image and makes the device. Refusals name the file and the mend. *config outlives the device; its
 * `queues` (0: 1) is what the caller decided, up to 64.
 */
int blk_create(struct virtio_dev **out, const struct disk_config *config,
	       const struct virtio_host *host, struct err *e);
