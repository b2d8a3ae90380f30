// SPDX-License-Identifier: Apache-2.0
/* docs/vhost-user.md walks through this file. Names of messages and sections are those of vhost-user.rst. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/io.h"
#include "vhost/user_impl.h"

/*
 * "User addresses" of the memory table need not be addresses of anything: what matters is that those of the rings lie
 * in the table. Ours are guest-physical, moved, so that a back end learns nothing about this process.
 */
#define USER_BASE    (1ULL << 40)
#define INFLIGHT_MAX (64 * MIB) /* more than any back end can need for VHOST_MAX_QUEUES queues */
#define DRAIN_MS     1000       /* for requests in flight to end, once the rings are taken back */
#define RUNNING                                                                               \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

static uint16_t index_at(const struct user *u, uint64_t ring)
{
	const _Atomic uint16_t *idx =
		gmem_slice(u->config.mem, ring + offsetof(struct vring_used, idx), sizeof(*idx));

	return idx ? atomic_load_explicit(idx, memory_order_acquire) : 0;
}

/* How far the device is: what the driver was told of. The same place in both rings. */
static uint16_t used_index(const struct user *u, unsigned i)
{
	return index_at(u, u->ring[i].device);
}

/* ---- giving ---- */

static int give_memory(struct user *u)
{
	const struct gmem *mem = u->config.mem;
	struct vu_msg m = {.h.request = VU_SET_MEM_TABLE, .memory.n = mem->n, .n_fds = mem->n};
	uint64_t offset = 0;

	for (unsigned i = 0; i < mem->n; i++) {
		const struct gmem_region *r = &mem->region[i];

		m.memory.region[i].guest = r->base;
		m.memory.region[i].size = r->len;
		m.memory.region[i].user = USER_BASE + r->base;
		m.memory.region[i].offset = offset; /* mem/gmem.h: one after the other */
		m.fd[i] = mem->memfd;
		offset += r->len;
	}
	m.h.size = (uint32_t)(8 + mem->n * sizeof(m.memory.region[0]));
	return user_order(u, &m);
}

/* A new in-flight area, the back end's: it lives as long as the rings do, whoever serves them. */
static int get_inflight(struct user *u)
{
	struct vu_msg m = {
		.h = {VU_GET_INFLIGHT_FD, 0, sizeof(m.inflight)},
		.inflight = {.n_queues = (uint16_t)u->base.n_queues,
			     .queue_size = u->base.queue_max},
	};
	int rc = user_ask(u, &m, sizeof(m.inflight), 1);

	if (rc < 0)
		return rc;
	if (m.inflight.size == 0 || m.inflight.size > INFLIGHT_MAX ||
	    m.inflight.offset > INFLIGHT_MAX) {
		vu_close_fds(&m);
		user_lose(u, "its in-flight area is none");
		return -EPROTO;
	}
	u->inflight = (struct user_inflight){m.fd[0], m.inflight.size, m.inflight.offset};
	return 0;
}

static int give_inflight(struct user *u)
{
	struct vu_msg m = {
		.h = {VU_SET_INFLIGHT_FD, 0, sizeof(m.inflight)},
		.inflight = {.size = u->inflight.size,
			     .offset = u->inflight.offset,
			     .n_queues = (uint16_t)u->base.n_queues,
			     .queue_size = u->base.queue_max},
		.fd = {u->inflight.fd},
		.n_fds = 1,
	};

	return user_order(u, &m);
}

static int give_fd(struct user *u, enum vu_request request, unsigned queue, int fd)
{
	struct vu_msg m = {
		.h = {request, 0, sizeof(m.u64)},
		.u64 = queue,
		.fd = {fd},
		.n_fds = 1,
	};

	return user_order(u, &m);
}

int user_send_call(struct user *u, unsigned queue)
{
	return give_fd(u, VU_SET_VRING_CALL, queue, u->ring[queue].call);
}

static int give_ring(struct user *u, unsigned i, uint16_t base)
{
	const struct vhost_ring *r = &u->ring[i];
	struct vu_msg addr = {
		.h = {VU_SET_VRING_ADDR, 0, sizeof(addr.addr)},
		.addr = {.index = i,
			 .desc = USER_BASE + r->desc,
			 .used = USER_BASE + r->device,
			 .avail = USER_BASE + r->driver},
	};
	int rc;

	if ((rc = user_order_state(u, VU_SET_VRING_NUM, i, r->size)) < 0 ||
	    (rc = user_order_state(u, VU_SET_VRING_BASE, i, base)) < 0 ||
	    (rc = user_order(u, &addr)) < 0 || (rc = user_send_call(u, i)) < 0 ||
	    (rc = give_fd(u, VU_SET_VRING_KICK, i, r->kick)) < 0)
		return rc;
	return 0;
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (fd >= 0 && write_full(fd, &one, sizeof(one)) < 0)
		return; /* only where 2^64 - 2 signals wait already */
}

/*
 * What the driver rang for may have been heard by the one who died, and what that one finished it may not have told:
 * both are said once more.
 */
static void stir(struct user *u)
{
	for (unsigned i = 0; i < u->base.n_queues; i++) {
		if (!u->ring[i].enabled)
			continue;
		signal_fd(u->ring[i].kick);
		signal_fd(u->ring[i].call);
	}
}

static bool tracks(const struct user *u)
{
	return u->kind->resume == USER_RESUME_TRACKED && u->inflight.fd < 0;
}

static void begin_tracking(struct user *u)
{
	for (unsigned i = 0; i < u->base.n_queues && tracks(u); i++) {
		const struct vhost_ring *r = &u->ring[i];
		const struct gmem *mem = u->config.mem;
		const void *avail = gmem_slice(mem, r->driver, 4 + 2ull * r->size);
		const void *used = gmem_slice(mem, r->device, 4 + 8ull * r->size);

		if (r->enabled && avail && used)
			track_begin(&u->track[i], avail, used, r->size);
	}
}

static int give_all(struct user *u, bool anew)
{
	bool negotiated = u->backend_features & 1ULL << VU_F_PROTOCOL;
	uint64_t features =
		(u->features & ~u->config.own_features) | (negotiated ? 1ULL << VU_F_PROTOCOL : 0);
	int rc;

	if ((rc = user_order_u64(u, VU_SET_FEATURES, features)) < 0 || (rc = give_memory(u)) < 0)
		return rc;
	if (user_speaks(u, VU_PROTOCOL_INFLIGHT_SHMFD)) {
		if (!anew && (rc = get_inflight(u)) < 0)
			return rc;
		if (u->inflight.fd >= 0 && (rc = give_inflight(u)) < 0)
			return rc;
	}
	for (unsigned i = 0; i < u->base.n_queues; i++)
		if (u->ring[i].enabled && (rc = give_ring(u, i, used_index(u, i))) < 0)
			return rc;
	for (unsigned i = 0; i < u->base.n_queues && negotiated; i++)
		if (u->ring[i].enabled && (rc = user_order_state(u, VU_SET_VRING_ENABLE, i, 1)) < 0)
			return rc;
	return user_speaks(u, VU_PROTOCOL_STATUS) ? user_order_u64(u, VU_SET_STATUS, RUNNING) : 0;
}

int user_give_rings(struct user *u, bool anew, struct err *e)
{
	int rc;

	if (anew && u->inflight.fd >= 0 && !user_speaks(u, VU_PROTOCOL_INFLIGHT_SHMFD))
		return err_set(e, EPROTO, "%s: the new back end keeps no in-flight area",
			       u->config.name);
	rc = give_all(u, anew);
	if (rc < 0)
		return err_set(e, -rc, "%s: the back end does not take the rings: %s",
			       u->config.name, u->why[0] ? u->why : strerror(-rc));
	if (!anew)
		begin_tracking(u);
	else
		stir(u);
	return 0;
}

/* ---- taking back ---- */

/*
 * After GET_VRING_BASE the back end takes no more from a ring, but may still be at work on what it has taken: so many
 * as the base that it names is ahead of the used index.
 */
static bool drain(struct user *u, unsigned i, uint16_t base)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int64_t end = vu_now_ms() + MIN(DRAIN_MS, u->config.deadline_ms);

	while (used_index(u, i) != base && vu_now_ms() < end)
		nanosleep(&pause, NULL);
	return used_index(u, i) == base;
}

static int take_ring(struct user *u, unsigned i)
{
	struct vu_msg m = {
		.h = {VU_GET_VRING_BASE, 0, sizeof(m.state)},
		.state = {.index = i},
	};
	int rc = user_ask(u, &m, sizeof(m.state), 0);

	if (rc < 0)
		return rc;
	if (m.state.index == i && drain(u, i, (uint16_t)m.state.num))
		return 0;
	user_lose(u, "it does not finish what it has taken");
	return -ETIMEDOUT;
}

void user_take_rings(struct user *u)
{
	int rc = 0;

	for (unsigned i = 0; i < u->base.n_queues; i++)
		track_end(&u->track[i]);
	for (unsigned i = 0; i < u->base.n_queues && rc == 0 && u->sock >= 0; i++)
		if (u->ring[i].enabled)
			rc = take_ring(u, i);
	if (rc == 0 && u->sock >= 0 && user_speaks(u, VU_PROTOCOL_STATUS)) {
		rc = user_order_u64(u, VU_SET_STATUS, 0);
	} else if (rc == 0 && u->sock >= 0 && user_speaks(u, VU_PROTOCOL_RESET_DEVICE)) {
		struct vu_msg m = {.h.request = VU_RESET_DEVICE};
		rc = user_order(u, &m);
	}
	if (rc < 0)
		log_info("%s: the back end did not give the rings back in order: %s; it is left",
			 u->config.name, u->why);
	fd_close(&u->inflight.fd);
}

bool user_can_resume(struct user *u)
{
	if (u->inflight.fd >= 0 || u->kind->resume == USER_RESUME_LOSSY)
		return true;
	for (unsigned i = 0; i < u->base.n_queues && u->kind->resume == USER_RESUME_TRACKED; i++) {
		const struct vhost_ring *r = &u->ring[i];

		if (r->enabled && (!u->track[i].avail ||
				   track_rewind(&u->track[i], gmem_slice(u->config.mem, r->driver,
									 4 + 2ull * r->size)) < 0))
			return false;
	}
	return u->kind->resume == USER_RESUME_TRACKED;
}
