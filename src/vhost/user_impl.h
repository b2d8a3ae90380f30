/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the vhost-user front end (vhost/user.h):
 *
 *   user.c        struct vhost_ops, the device's thread, reconnecting
 *   user_talk.c   one conversation: connecting, negotiating, requests and their replies
 *   user_ring.c   memory table and rings, given and taken back
 *   user_kind.c   what is known of the kinds of devices
 *   user_track.c  which requests are in flight
 *   user_wire.c   messages
 *
 * All of these are called with the lock held, once the thread runs.
 */
#pragma once

#include <pthread.h>

#include "base/log.h"
#include "vhost/user.h"
#include "vhost/user_track.h"
#include "vhost/user_wire.h"

/* What becomes of requests that a back end has taken and not finished, when it dies without an in-flight area. */
enum user_resume {
	USER_RESUME_NEVER, /* nobody knows them, or a second time is not like the first: the driver has to reset */
	USER_RESUME_TRACKED, /* done again, by the account kept here */
	USER_RESUME_LOSSY,   /* an index is enough: they were packets */
};

struct user_kind {
	uint32_t id;
	unsigned
		fixed; /* queues that are there besides those that carry requests, and before them */
	unsigned each; /* virtqueues of one "queue": 2 for a pair */
	unsigned config_len;
	bool own_config; /* it is ours; else the back end's */
	/* A field of it that says how many queues there are (all but the fixed): bytes, 0: none. */
	unsigned count_at, count_len;
	uint64_t features; /* that the back end may offer the driver */
	enum user_resume resume;
};

/* Never NULL: a kind that is not known has one queue for each asked, and a configuration space at the back end's. */
const struct user_kind *user_kind_of(uint32_t device_id);

struct user_inflight {
	int fd; /* -1: there is none */
	uint64_t size, offset;
};

struct user {
	struct vhost base;
	const struct user_kind *kind;
	struct vhost_user_setup config; /* strings are ours */
	pthread_mutex_t lock;
	struct log_limit log;

	/* The connection. */
	int sock;       /* -1: none */
	int request_fd; /* the back end's channel, our end; -1: none */
	uint64_t backend_features, protocol;
	bool config_dirty; /* it has said that its configuration space has changed */
	char why[128];     /* the connection was lost; "" else */

	uint8_t space[VHOST_USER_CONFIG_MAX]; /* the configuration space as the guest sees it */

	/* The driver's, from start() to stop(). */
	bool started;
	bool waiting; /* for a new back end, to give it the rings */
	uint64_t features;
	struct vhost_ring ring[VHOST_MAX_QUEUES];
	struct user_inflight inflight;
	struct track track[VHOST_MAX_QUEUES]; /* USER_RESUME_TRACKED without an in-flight area */

	pthread_t thread;
	bool has_thread;
	int wake; /* eventfd: look again */
	bool ending;
	unsigned retry_ms;
};

static inline struct user *user_of(struct vhost *v)
{
	return container_of(v, struct user, base);
}

static inline bool user_speaks(const struct user *u, enum vu_protocol_feature feature)
{
	return u->protocol >> feature & 1;
}

/* ---- user_talk.c ---- */

/* Everything but the connection and the thread. */
int user_init(struct user *u, const struct vhost_user_setup *config, struct err *e);
void user_fini(struct user *u);

int user_connect(struct user *u, struct err *e);
/*
 * The negotiation on a new connection. The first time it says what the device is (base.features, n_queues,
 * queue_max, config_len, space); later ones must be able to do all that, with `features` as accepted, or fail.
 */
int user_negotiate(struct user *u, bool first, struct err *e);
/* The end of the connection, and why (NULL: nobody's fault). */
void user_lose(struct user *u, const char *why);
/* Somebody hung up, or talks without being asked. Then the connection is gone. */
void user_check_peer(struct user *u);
/* Answers what the back end asks on its channel, at most a few at once. */
void user_serve(struct user *u);
/* The configuration space, fetched anew. 0, -errno; *changed. */
int user_fetch_config(struct user *u, bool *changed);

/* A message, and the acknowledgement if the back end gives any: -EIO: it refuses. Failures lose the connection. */
int user_order(struct user *u, struct vu_msg *m);
/* The same, with just a number. */
int user_order_u64(struct user *u, enum vu_request request, uint64_t value);
int user_order_state(struct user *u, enum vu_request request, unsigned index, uint32_t num);
/* A message that has an answer of `size` bytes with `n_fds` descriptors, which are left in *m. */
int user_ask(struct user *u, struct vu_msg *m, uint32_t size, unsigned n_fds);

/* ---- user_ring.c ---- */

/* Gives the back end everything it needs. `anew`: the rings are in use, another back end had them. */
int user_give_rings(struct user *u, bool anew, struct err *e);
/* Takes them back: nobody uses guest RAM any more, as far as the back end can be believed. */
void user_take_rings(struct user *u);
/* After a loss: could a new back end go on with the rings as they are? */
bool user_can_resume(struct user *u);
int user_send_call(struct user *u, unsigned queue);
