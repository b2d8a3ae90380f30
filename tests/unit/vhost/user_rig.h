/* SPDX-License-Identifier: Apache-2.0 */
/* A vhost-user front end with some guest RAM, two rings and a back end, for its tests. */
#pragma once

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "../test.h"
#include "backend.h"
#include "vhost/user.h"

#define BIT(n) (1ULL << (n))
#define RAM    (4 * MIB)
#define RING(i) \
	(0x10000 + 0x3000 * (uint64_t)(i)) /* descriptors, then two pages for the other two */
#define RING_SIZE 16
#define V1        BIT(VIRTIO_F_VERSION_1)
#define ALL_PROTOCOL                                                                       \
	(BIT(VU_PROTOCOL_MQ) | BIT(VU_PROTOCOL_REPLY_ACK) | BIT(VU_PROTOCOL_BACKEND_REQ) | \
	 BIT(VU_PROTOCOL_CONFIG) | BIT(VU_PROTOCOL_INFLIGHT_SHMFD) | BIT(VU_PROTOCOL_STATUS))

struct rig {
	struct backend b;
	struct gmem mem;
	struct vhost_user_setup setup;
	struct vhost *v;
	struct vhost_ring ring[64];
	struct err e;
	/* What the device is told; the lock is the back end's, `changed` as well. */
	unsigned config_changes, gone;
	char why[256];
};

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	backend_init(&r->b);
	r->b.features = V1 | BIT(VU_F_PROTOCOL);
	r->b.protocol = ALL_PROTOCOL;
	r->b.queues = 2;
	CHECK_EQ(0, gmem_create(&r->mem, RAM, true, &r->e));
	r->setup = (struct vhost_user_setup){
		.name = "vhost-user0",
		.path = r->b.path,
		.device_id = VIRTIO_ID_BLOCK,
		.queue_size = 256,
		.queues_default = 2,
		.mem = &r->mem,
	};
	for (unsigned i = 0; i < 64; i++)
		r->ring[i] = (struct vhost_ring){
			.enabled = i < 2,
			.size = RING_SIZE,
			.desc = RING(i),
			.driver = RING(i) + 0x1000,
			.device = RING(i) + 0x2000,
			.kick = i < 2 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1,
			.call = i < 2 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1,
		};
}

static inline void rig_on_config(void *arg)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->b.lock);
	r->config_changes++;
	pthread_cond_broadcast(&r->b.changed);
	pthread_mutex_unlock(&r->b.lock);
}

static inline void rig_on_gone(void *arg, const char *why)
{
	struct rig *r = arg;

	pthread_mutex_lock(&r->b.lock);
	r->gone++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	pthread_cond_broadcast(&r->b.changed);
	pthread_mutex_unlock(&r->b.lock);
}

static inline int rig_create(struct rig *r)
{
	int rc = vhost_user_create(&r->v, &r->setup, &r->e);

	if (rc == 0) {
		r->v->config_changed = rig_on_config;
		r->v->gone = rig_on_gone;
		r->v->arg = r;
	}
	return rc;
}

static inline int rig_start(struct rig *r)
{
	return r->v->ops->start(r->v, V1, r->ring, &r->e);
}

/* A back end as it is set up, and a device that has it running. */
static inline void rig_up(struct rig *r)
{
	backend_start(&r->b);
	CHECK_EQ(0, rig_create(r));
	CHECK_EQ(0, rig_start(r));
}

static inline void rig_fini(struct rig *r)
{
	vhost_destroy(r->v);
	if (r->b.listener >= 0)
		backend_stop(&r->b);
	for (unsigned i = 0; i < 2; i++) {
		close(r->ring[i].kick);
		close(r->ring[i].call);
	}
	gmem_destroy(&r->mem);
}

static inline uint16_t *rig_word(struct rig *r, uint64_t gpa)
{
	return gmem_slice(&r->mem, gpa, 2);
}

/* The driver's part: a head is offered. */
static inline void rig_offer(struct rig *r, unsigned queue, uint16_t head)
{
	uint16_t *idx = rig_word(r, r->ring[queue].driver + 2);

	*rig_word(r, r->ring[queue].driver + 4 + 2 * (*idx % RING_SIZE)) = head;
	__atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE); /* somebody looks on */
}

/* The back end's: it is done. */
static inline void rig_finish(struct rig *r, unsigned queue, uint16_t head)
{
	uint16_t *idx = rig_word(r, r->ring[queue].device + 2);

	*rig_word(r, r->ring[queue].device + 4 + 8 * (*idx % RING_SIZE)) = head;
	__atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE); /* somebody looks on */
}

static inline bool is_signalled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}
