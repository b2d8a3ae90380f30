/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A back end that serves nothing and remembers all that it was told, for tests of devices whose queues are elsewhere.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhost/vhost.h"

#define FAKE_VHOST_CONFIG 12

struct fake_vhost {
	struct vhost v;
	uint8_t config[FAKE_VHOST_CONFIG];
	/* What the functions return; 0: they succeed. */
	int start_rc, set_call_rc, config_rc;
	/* Called by stop(), for who wants to look around; may be NULL. */
	void (*stopping)(struct fake_vhost *f);
	void *arg;

	unsigned starts, stops;
	bool running;
	bool *destroyed; /* set by destroy; may be NULL */
	uint64_t features;
	struct vhost_ring ring[VHOST_MAX_QUEUES];
};

static inline int fake_vhost_start(struct vhost *v, uint64_t features,
				   const struct vhost_ring *ring, struct err *e)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	if (f->start_rc < 0)
		return err_set(e, -f->start_rc, "the fake does not start");
	f->starts++;
	f->running = true;
	f->features = features;
	memcpy(f->ring, ring, v->n_queues * sizeof(*ring));
	return 0;
}

static inline int fake_vhost_set_call(struct vhost *v, unsigned queue, int fd)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	if (f->set_call_rc == 0)
		f->ring[queue].call = fd;
	return f->set_call_rc;
}

static inline void fake_vhost_stop(struct vhost *v)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	f->stops++;
	f->running = false;
	if (f->stopping)
		f->stopping(f);
}

static inline int fake_vhost_config_read(struct vhost *v, unsigned off, void *data, unsigned len)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	memcpy(data, f->config + off, len);
	return f->config_rc;
}

static inline int fake_vhost_config_write(struct vhost *v, unsigned off, const void *data,
					  unsigned len)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	if (f->config_rc == 0)
		memcpy(f->config + off, data, len);
	return f->config_rc;
}

static inline void fake_vhost_destroy(struct vhost *v)
{
	struct fake_vhost *f = container_of(v, struct fake_vhost, v);

	if (f->destroyed)
		*f->destroyed = true;
	free(f);
}

/* A block device of two queues of 64 entries. NULL: no memory. */
static inline struct fake_vhost *fake_vhost_create(void)
{
	static const struct vhost_ops ops = {
		.start = fake_vhost_start,
		.set_call = fake_vhost_set_call,
		.stop = fake_vhost_stop,
		.config_read = fake_vhost_config_read,
		.config_write = fake_vhost_config_write,
		.destroy = fake_vhost_destroy,
	};
	struct fake_vhost *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->v = (struct vhost){
		.ops = &ops,
		.device_id = 2,         /* VIRTIO_ID_BLOCK */
		.features = 1ULL << 32, /* VIRTIO_F_VERSION_1 */
		.n_queues = 2,
		.queue_max = 64,
		.config_len = FAKE_VHOST_CONFIG,
	};
	for (unsigned i = 0; i < FAKE_VHOST_CONFIG; i++)
		f->config[i] = (uint8_t)(0xc0 + i);
	return f;
}
