// SPDX-License-Identifier: Apache-2.0
/* docs/vhost-user.md walks through this file. Names of messages and sections are those of vhost-user.rst. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "backend/unix_socket.h"
#include "base/clock.h"
#include "base/io.h"
#include "vhost/user_impl.h"

#define BIT(n) (1ULL << (n))

/*
 * Bits of chapter 6 that a driver may be offered with rings that are elsewhere. Packed rings are not: where a new back
 * end would have to go on cannot be seen in them.
 */
#define RING_FEATURES \
	(BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_VERSION_1))
#define PROTOCOL                                                                           \
	(BIT(VU_PROTOCOL_MQ) | BIT(VU_PROTOCOL_REPLY_ACK) | BIT(VU_PROTOCOL_BACKEND_REQ) | \
	 BIT(VU_PROTOCOL_CONFIG) | BIT(VU_PROTOCOL_INFLIGHT_SHMFD) |                       \
	 BIT(VU_PROTOCOL_RESET_DEVICE) | BIT(VU_PROTOCOL_STATUS))
#define REQUESTS_A_TIME 16 /* of the back end's own, then others get their turn */

/* ---- the end of a connection ---- */

void user_lose(struct user *u, const char *why)
{
	uint64_t one = 1;

	if (u->sock < 0)
		return;
	fd_close(&u->sock);
	fd_close(&u->request_fd);
	snprintf(u->why, sizeof(u->why), "%s", why ? why : "");
	if (u->wake >= 0 && write_full(u->wake, &one, sizeof(one)) < 0)
		return; /* 2^64 - 2 events wait: it is awake */
}

/* After a message or its reply failed: rc, or a text of it. */
static int lose_for(struct user *u, int rc, uint32_t request)
{
	char why[sizeof(u->why)];

	if (rc == -ECONNRESET || rc == -EPIPE)
		snprintf(why, sizeof(why), "it has hung up");
	else if (rc == -ETIMEDOUT)
		snprintf(why, sizeof(why), "it does not answer request %u", request);
	else if (rc == -EPROTO)
		snprintf(why, sizeof(why), "its answer to request %u is none", request);
	else if (rc == -EREMOTEIO)
		snprintf(why, sizeof(why), "it refuses request %u", request);
	else
		snprintf(why, sizeof(why), "request %u: %s", request, strerror(-rc));
	user_lose(u, why);
	return rc;
}

void user_check_peer(struct user *u)
{
	struct pollfd p = {.fd = u->sock, .events = POLLIN};
	char byte;

	if (u->sock < 0 || poll(&p, 1, 0) <= 0)
		return;
	if (recv(u->sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		user_lose(u, "it talks without being asked");
	else
		user_lose(u, "it has hung up");
}

/* ---- what the back end asks ---- */

/* "Back-end message types". Whatever is not negotiated is refused; descriptors were for nothing. */
static bool obey(struct user *u, const struct vu_msg *m)
{
	if (m->h.request != VU_BACKEND_CONFIG_CHANGE || !user_speaks(u, VU_PROTOCOL_CONFIG))
		return false;
	u->config_dirty = true;
	return true;
}

static int serve_one(struct user *u)
{
	struct vu_msg m;
	int64_t deadline = clock_ms() + u->config.deadline_ms;
	int rc = vu_receive(u->request_fd, &m, deadline);

	if (rc < 0)
		return rc;
	if (m.h.flags & VU_REPLY) {
		vu_close_fds(&m);
		return -EPROTO;
	}
	rc = obey(u, &m) ? 0 : 1;
	vu_close_fds(&m);
	if (rc != 0)
		log_limited(&u->log, "%s: the back end asks for %u, which is not agreed on",
			    u->config.name, m.h.request);
	if (!(m.h.flags & VU_NEED_REPLY) || !user_speaks(u, VU_PROTOCOL_REPLY_ACK))
		return 0;
	m.h.flags = VU_VERSION | VU_REPLY;
	m.h.size = sizeof(m.u64);
	m.u64 = (uint64_t)rc;
	return vu_send(u->request_fd, &m, deadline);
}

void user_serve(struct user *u)
{
	for (unsigned i = 0; i < REQUESTS_A_TIME && u->request_fd >= 0; i++) {
		struct pollfd p = {.fd = u->request_fd, .events = POLLIN};
		int rc;

		if (poll(&p, 1, 0) <= 0)
			return;
		rc = serve_one(u);
		if (rc == -ECONNRESET || rc == -EPIPE)
			fd_close(
				&u->request_fd); /* its right; the main socket tells if it is dead */
		else if (rc < 0)
			user_lose(u, "its own requests are none");
	}
}

/* ---- requests ---- */

/* Waits for an answer, and serves the back end meanwhile: it may wait for us before it goes on. */
static int await(struct user *u, int64_t deadline)
{
	for (;;) {
		struct pollfd p[2] = {
			{.fd = u->sock, .events = POLLIN},
			{.fd = u->request_fd, .events = POLLIN},
		};
		int rc = poll_until(p, 2, deadline);

		if (rc < 0 || p[0].revents)
			return rc;
		if (p[1].revents)
			user_serve(u);
		if (u->sock < 0)
			return -EPROTO;
	}
}

static int exchange(struct user *u, struct vu_msg *m, uint32_t size, unsigned n_fds)
{
	uint32_t request = m->h.request;
	int64_t deadline = clock_ms() + u->config.deadline_ms;
	int rc;

	if ((rc = vu_send(u->sock, m, deadline)) < 0 || (rc = await(u, deadline)) < 0 ||
	    (rc = vu_receive(u->sock, m, deadline)) < 0)
		return rc;
	if (m->h.request == request && m->h.flags & VU_REPLY && m->h.size == size &&
	    m->n_fds == n_fds)
		return 0;
	/* "uses zero length of payload to indicate an error": GET_CONFIG */
	rc = m->h.request == request && m->h.flags & VU_REPLY && m->h.size == 0 ? -EREMOTEIO
										: -EPROTO;
	vu_close_fds(m);
	return rc;
}

int user_ask(struct user *u, struct vu_msg *m, uint32_t size, unsigned n_fds)
{
	uint32_t request = m->h.request;
	int rc;

	if (u->sock < 0)
		return -ENOTCONN;
	m->h.flags = VU_VERSION;
	rc = exchange(u, m, size, n_fds);
	return rc < 0 ? lose_for(u, rc, request) : 0;
}

static int ask_u64(struct user *u, enum vu_request request, uint64_t *value)
{
	struct vu_msg m = {.h.request = request};
	int rc = user_ask(u, &m, sizeof(m.u64), 0);

	*value = rc < 0 ? 0 : m.u64;
	return rc;
}

int user_order(struct user *u, struct vu_msg *m)
{
	uint32_t request = m->h.request;
	int rc;

	if (u->sock < 0)
		return -ENOTCONN;
	m->h.flags = VU_VERSION;
	if (user_speaks(u, VU_PROTOCOL_REPLY_ACK)) {
		m->h.flags |= VU_NEED_REPLY;
		rc = exchange(u, m, sizeof(m->u64), 0);
		if (rc == 0 && m->u64 != 0)
			rc = -EREMOTEIO;
	} else {
		rc = vu_send(u->sock, m, clock_ms() + u->config.deadline_ms);
	}
	return rc < 0 ? lose_for(u, rc, request) : 0;
}

int user_order_u64(struct user *u, enum vu_request request, uint64_t value)
{
	struct vu_msg m = {.h = {.request = request, .size = sizeof(m.u64)}, .u64 = value};

	return user_order(u, &m);
}

int user_order_state(struct user *u, enum vu_request request, unsigned index, uint32_t num)
{
	struct vu_msg m = {
		.h = {.request = request, .size = sizeof(m.state)},
		.state = {index, num},
	};

	return user_order(u, &m);
}

/* ---- negotiating ---- */

static int bad_talk(const struct user *u, int rc, struct err *e)
{
	return err_set(e, -rc, "%s: the back end at '%s': %s", u->config.name, u->config.path,
		       u->why[0] ? u->why : strerror(-rc));
}

int user_connect(struct user *u, struct err *e)
{
	int fd = unix_connect(u->config.path);

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, -fd,
			       "%s: nobody listens at '%s': start the vhost-user back end first",
			       u->config.name, u->config.path);
	if (fd < 0)
		return err_set(e, -fd, "%s: connect to '%s': %s", u->config.name, u->config.path,
			       strerror(-fd));
	u->sock = fd;
	u->why[0] = '\0';
	u->config_dirty = false;
	return 0;
}

/* A channel on which the back end may ask. It gets one end. */
static int open_channel(struct user *u)
{
	struct vu_msg m = {.h.request = VU_SET_BACKEND_REQ_FD, .n_fds = 1};
	int end[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, end) < 0)
		return -errno;
	u->request_fd = end[0];
	m.fd[0] = end[1];
	rc = user_order(u, &m);
	fd_close(&end[1]);
	return rc;
}

static int agree_on_protocol(struct user *u)
{
	uint64_t offered;
	int rc;

	u->protocol = 0;
	if (!(u->backend_features & BIT(VU_F_PROTOCOL)))
		return 0;
	rc = ask_u64(u, VU_GET_PROTOCOL_FEATURES, &offered);
	if (rc < 0)
		return rc;
	offered &= PROTOCOL;
	if (u->kind->own_config)
		offered &= ~BIT(VU_PROTOCOL_CONFIG);
	/* Acknowledgements only from here on, whatever is answered to this. */
	rc = user_order_u64(u, VU_SET_PROTOCOL_FEATURES, offered);
	u->protocol = offered;
	if (rc == 0 && user_speaks(u, VU_PROTOCOL_BACKEND_REQ))
		rc = open_channel(u);
	return rc;
}

static uint64_t offer_of(const struct user *u)
{
	return (u->backend_features & (u->kind->features | RING_FEATURES)) | u->config.own_features;
}

/* How many virtqueues there will be, of as many as the back end has. */
static int choose_queues(struct user *u, uint64_t has, struct err *e)
{
	const struct user_kind *k = u->kind;
	unsigned each = k->each, wanted = u->config.queues;
	uint64_t carries = has > k->fixed ? (MIN(has, VHOST_MAX_QUEUES) - k->fixed) / each : 0;

	if (carries == 0)
		return err_set(e, EPROTO, "%s: the back end has %llu virtqueues; %u are needed",
			       u->config.name, (unsigned long long)has, k->fixed + each);
	if (wanted > carries)
		return err_set(e, EINVAL, "%s: the back end has no more than queues=%llu",
			       u->config.name, (unsigned long long)carries);
	if (wanted == 0)
		wanted = (unsigned)MIN(carries, MAX(u->config.queues_default, 1));
	u->base.n_queues = k->fixed + wanted * each;
	return 0;
}

static int agree_on_queues(struct user *u, bool first, struct err *e)
{
	uint64_t has = VHOST_MAX_QUEUES;
	unsigned before = u->base.n_queues;
	int rc = user_speaks(u, VU_PROTOCOL_MQ) ? ask_u64(u, VU_GET_QUEUE_NUM, &has) : 0;

	if (rc < 0)
		return bad_talk(u, rc, e);
	if (!user_speaks(u, VU_PROTOCOL_MQ)) /* as many as are asked, the least by default */
		has = u->kind->fixed + (uint64_t)MAX(u->config.queues, 1) * u->kind->each;
	if (first)
		return choose_queues(u, has, e);
	if (has < before)
		return err_set(e, EPROTO, "%s: the new back end has %llu virtqueues, not %u",
			       u->config.name, (unsigned long long)has, before);
	return 0;
}

/* A field that says how many queues there are is ours to write, whoever has the rest. */
static void write_count(struct user *u, uint8_t space[VHOST_USER_CONFIG_MAX])
{
	unsigned n = (u->base.n_queues - u->kind->fixed) / u->kind->each;

	for (unsigned i = 0; i < u->kind->count_len; i++)
		space[u->kind->count_at + i] = (uint8_t)(n >> 8 * i);
}

int user_fetch_config(struct user *u, bool *changed)
{
	uint8_t space[VHOST_USER_CONFIG_MAX] = {0};
	uint32_t len = u->base.config_len;
	struct vu_msg m = {
		.h = {VU_GET_CONFIG, 0, 12 + len},
		.config = {.offset = 0, .size = len},
	};
	int rc = 0;

	u->config_dirty = false;
	*changed = false;
	if (len == 0)
		return 0;
	if (user_speaks(u, VU_PROTOCOL_CONFIG)) {
		rc = user_ask(u, &m, 12 + len, 0);
		if (rc == 0 && (m.config.offset != 0 || m.config.size != len))
			rc = lose_for(u, -EPROTO, VU_GET_CONFIG);
		if (rc < 0)
			return rc;
		memcpy(space, m.config.data, len);
	} else if (u->config.config) {
		memcpy(space, u->config.config, u->config.own_len);
	}
	write_count(u, space);
	*changed = memcmp(space, u->space, len) != 0;
	memcpy(u->space, space, len);
	return 0;
}

/* What the device is, the first time; later whether it still is that. */
static int agree_on_device(struct user *u, bool first, struct err *e)
{
	bool changed;
	int rc;

	if (!first && u->features & ~offer_of(u))
		return err_set(e, EPROTO, "%s: the new back end lacks features that are in use",
			       u->config.name);
	if (first)
		u->base.features = offer_of(u);
	rc = agree_on_queues(u, first, e);
	if (rc < 0)
		return rc;
	if (first && !u->kind->own_config && u->base.config_len > 0 &&
	    !user_speaks(u, VU_PROTOCOL_CONFIG))
		return err_set(e, ENOTSUP, "%s: the back end does not give its configuration space",
			       u->config.name);
	rc = user_fetch_config(u, &changed);
	if (rc < 0)
		return bad_talk(u, rc, e);
	u->config_dirty |= changed;
	return 0;
}

int user_negotiate(struct user *u, bool first, struct err *e)
{
	struct vu_msg owner = {.h.request = VU_SET_OWNER};
	int rc;

	u->protocol = 0;
	if ((rc = user_order(u, &owner)) < 0 ||
	    (rc = ask_u64(u, VU_GET_FEATURES, &u->backend_features)) < 0 ||
	    (rc = agree_on_protocol(u)) < 0)
		return bad_talk(u, rc, e);
	rc = agree_on_device(u, first, e);
	if (rc < 0)
		user_lose(u, NULL);
	return rc;
}

/* ---- life ---- */

static int copy_config(struct user *u, const struct vhost_user_setup *from, struct err *e)
{
	struct vhost_user_setup *c = &u->config;
	char *name = strdup(from->name), *path = strdup(from->path);
	void *config = malloc(VHOST_USER_CONFIG_MAX);

	*c = *from;
	c->name = name;
	c->path = path;
	c->config = config;
	c->own_len = from->config ? MIN(from->own_len, VHOST_USER_CONFIG_MAX) : 0;
	c->deadline_ms = from->deadline_ms ? from->deadline_ms : VHOST_USER_DEADLINE;
	if (!name || !path || !config)
		return err_set(e, ENOMEM, "%s: out of memory", from->name);
	memset(config, 0, VHOST_USER_CONFIG_MAX);
	if (c->own_len > 0)
		memcpy(config, from->config, c->own_len);
	return 0;
}

int user_init(struct user *u, const struct vhost_user_setup *config, struct err *e)
{
	int rc;

	memset(u, 0, sizeof(*u));
	u->sock = u->request_fd = u->wake = u->inflight.fd = -1;
	u->kind = user_kind_of(config->device_id);
	pthread_mutex_init(&u->lock, NULL);
	rc = copy_config(u, config, e);
	u->base.device_id = config->device_id;
	u->base.queue_max = config->queue_size;
	u->base.config_len = u->kind->config_len ? u->kind->config_len
						 : MIN(config->config_len, VHOST_USER_CONFIG_MAX);
	if (rc < 0)
		return rc;
	if (config->mem->memfd < 0)
		return err_set(e, EINVAL, "%s: the guest's memory cannot be shared", config->name);
	u->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return u->wake < 0 ? err_sys(e, "%s: eventfd", config->name) : 0;
}

void user_fini(struct user *u)
{
	fd_close(&u->sock);
	fd_close(&u->request_fd);
	fd_close(&u->wake);
	fd_close(&u->inflight.fd);
	free((char *)u->config.name);
	free((char *)u->config.path);
	free((void *)u->config.config);
	pthread_mutex_destroy(&u->lock);
}
