/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simplest virtio device, for tests of the transports: what the driver sends in a chain's readable buffers
 * comes back in its writable ones. Two queues that do the same, and 12 bytes of configuration, all of them the
 * driver's to write. All in the header, so that unit tests and fuzz targets can have it.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "virtio/virtio.h"

#define ECHO_QUEUES     2
#define ECHO_QUEUE_MAX  64
#define ECHO_CONFIG_LEN 12
#define ECHO_FEATURE    5 /* a bit of the device's own, offered */
#define ECHO_SEGS       16

struct echo {
	struct virtio_dev dev;
	uint8_t config[ECHO_CONFIG_LEN];
	unsigned kicks, activations, resets;
};

static inline void echo_one(struct vq *q, const struct vq_chain *c)
{
	uint8_t buffer[256];
	size_t n = 0;

	if (!c->bad) {
		n = vq_copy_out(c, 0, buffer, sizeof(buffer));
		n = vq_copy_in(c, 0, buffer, n);
	}
	vq_push(q, c, (uint32_t)n);
}

static inline void echo_kick(struct virtio_dev *dev, unsigned queue)
{
	struct iovec iov[ECHO_SEGS];
	struct vq_chain c = {.iov = iov, .iov_max = ECHO_SEGS};
	struct vq *q = virtio_vq(dev, queue);
	int rc = 0;

	container_of(dev, struct echo, dev)->kicks++;
	for (unsigned i = 0; i < ECHO_QUEUE_MAX && (rc = vq_pop(q, &c)) > 0; i++)
		echo_one(q, &c);
	virtio_finish(dev, queue, rc);
}

static inline void echo_activate(struct virtio_dev *dev)
{
	container_of(dev, struct echo, dev)->activations++;
}

static inline void echo_reset(struct virtio_dev *dev)
{
	container_of(dev, struct echo, dev)->resets++;
}

static inline void echo_config_write(struct virtio_dev *dev, unsigned off, const void *data,
				     unsigned len)
{
	memcpy(container_of(dev, struct echo, dev)->config + off, data, len);
}

static inline void echo_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
	free(container_of(dev, struct echo, dev));
}

/* NULL: it could not be made. */
static inline struct echo *echo_create(const struct virtio_host *host)
{
	static const struct virtio_ops ops = {
		.name = "echo",
		.id = VIRTIO_ID_BLOCK,
		.kick = echo_kick,
		.activate = echo_activate,
		.reset = echo_reset,
		.config_write = echo_config_write,
		.destroy = echo_destroy,
	};
	struct echo *echo = calloc(1, sizeof(*echo));
	struct err e;

	if (echo && virtio_init(&echo->dev, &ops, host, ECHO_QUEUES, ECHO_QUEUE_MAX, echo->config,
				ECHO_CONFIG_LEN, &e) < 0) {
		free(echo);
		echo = NULL;
	}
	for (unsigned i = 0; echo && i < ECHO_CONFIG_LEN; i++)
		echo->config[i] = (uint8_t)(0xa0 + i);
	if (echo)
		echo->dev.offered |= 1ULL << ECHO_FEATURE | 1ULL << VIRTIO_F_RING_PACKED;
	return echo;
}
