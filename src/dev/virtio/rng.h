/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entropy device (virtio 1.2, 5.4): one queue, into whose buffers the host's kernel puts random bytes. It has
 * no configuration and no feature of its own. The smallest virtio device there is, and the one to read first.
 */
#pragma once

#include "config/devices.h"
#include "virtio/virtio.h"

#define RNG_REQUEST_MAX (64 * KIB) /* bytes that one request gets; 5.4.6.1: "MAY use less" */

/* config->limit: a token of `bandwidth` is a byte, of `ops` a request. The caller destroys it. */
int rng_create(struct virtio_dev **out, const struct rng_config *config,
	       const struct virtio_host *host, struct err *e);
