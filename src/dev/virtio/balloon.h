/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The traditional memory balloon (virtio 1.2, 5.5): the guest's driver is asked to allocate pages and hand them
 * over ("inflate"), and the host gets the memory behind them back. docs/balloon.md.
 *
 * Offered: statistics and free page reporting where the user asks for them, deflation when the guest runs out of
 * memory. Not offered: free page hinting and page poisoning (they serve live migration).
 *
 * Lock: the device's.
 */
#pragma once

#include <linux/virtio_balloon.h>

#include "config/devices.h"
#include "virtio/virtio.h"

/*
 * -EINVAL and a text when config->target is more than guest RAM. `config` need not outlive the call. The caller
 * destroys the device.
 */
int balloon_create(struct virtio_dev **out, const struct balloon_config *config,
		   const struct virtio_host *host, struct err *e);

/* Asks the driver to make the balloon `bytes` large (rounded down to pages). -EINVAL: more than guest RAM. */
MUST_CHECK int balloon_set_target(struct virtio_dev *dev, uint64_t bytes);

struct balloon_info {
	uint64_t target_bytes;
	uint64_t actual_bytes; /* as the driver says */
	/* What the guest last said of itself, by VIRTIO_BALLOON_S_ number; UINT64_MAX: it did not say that. */
	uint64_t stat[VIRTIO_BALLOON_S_NR];
};

/* Any thread. */
void balloon_info(struct virtio_dev *dev, struct balloon_info *out);
