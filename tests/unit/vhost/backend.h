/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vhost-user back end in a thread, for tests of the front end. It does what it is told and remembers it, or commits
 * one fault at one request. It serves no rings.
 */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "vhost/user_wire.h"

enum fault {
	FAULT_NONE,
	FAULT_SILENT,        /* no answer */
	FAULT_CLOSE,         /* hangs up instead of an answer */
	FAULT_CLOSE_MIDWAY,  /* after half of it */
	FAULT_SHORT,         /* a payload one byte too short */
	FAULT_LONG,          /* a byte too long */
	FAULT_EMPTY,         /* no payload */
	FAULT_HUGE,          /* a size that no message has */
	FAULT_OTHER_REQUEST, /* an answer to something else */
	FAULT_NO_REPLY_FLAG,
	FAULT_VERSION,
	FAULT_FD,       /* a descriptor too many */
	FAULT_MANY_FDS, /* more than any message may have */
	FAULT_NO_FD,    /* none where there must be one */
	FAULT_REFUSE,   /* acknowledged with an error */
	FAULT_VALUE,    /* `value` instead of what is true */
	N_FAULTS
};

struct backend {
	/* Set before backend_start(), or with the lock. */
	uint64_t features, protocol, queues;
	uint8_t config[VU_CONFIG_MAX];
	enum fault fault;
	uint32_t fault_request;
	uint64_t value;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* anything below */
	char dir[32], path[64];
	int listener, sock;
	bool ending;
	pthread_t thread;

	unsigned connections;
	unsigned seen[64]; /* requests, since the last connection */
	uint64_t accepted, accepted_protocol, status;
	struct vu_memory memory;
	unsigned n_memory_fds;
	struct {
		uint32_t num, base, enabled;
		struct vu_vring_addr addr;
		int kick, call; /* -1: none */
	} ring[64];
	int channel;       /* for requests of its own */
	uint32_t end_base; /* what GET_VRING_BASE says */
	struct vu_inflight inflight;
	unsigned inflights_made;
};

static inline void backend_replace(int *fd, struct vu_msg *m)
{
	fd_close(fd);
	if (m->n_fds == 1) {
		*fd = m->fd[0];
		m->n_fds = 0;
	}
}

/* What the request does. True: it has an answer of its own, which is in *m. */
static inline bool backend_obey(struct backend *b, struct vu_msg *m)
{
	unsigned i = m->state.index < 64 ? m->state.index : 0;

	switch (m->h.request) {
	case VU_GET_FEATURES:
		m->u64 = b->features;
		m->h.size = 8;
		return true;
	case VU_SET_FEATURES:
		b->accepted = m->u64;
		return false;
	case VU_GET_PROTOCOL_FEATURES:
		m->u64 = b->protocol;
		m->h.size = 8;
		return true;
	case VU_SET_PROTOCOL_FEATURES:
		b->accepted_protocol = m->u64;
		return false;
	case VU_GET_QUEUE_NUM:
		m->u64 = b->queues;
		m->h.size = 8;
		return true;
	case VU_SET_MEM_TABLE:
		b->memory = m->memory;
		b->n_memory_fds = m->n_fds;
		return false;
	case VU_SET_VRING_NUM:
		b->ring[i].num = m->state.num;
		return false;
	case VU_SET_VRING_BASE:
		b->ring[i].base = m->state.num;
		return false;
	case VU_SET_VRING_ADDR:
		b->ring[i].addr = m->addr;
		return false;
	case VU_SET_VRING_KICK:
		backend_replace(&b->ring[m->u64 & 63].kick, m);
		return false;
	case VU_SET_VRING_CALL:
		backend_replace(&b->ring[m->u64 & 63].call, m);
		return false;
	case VU_SET_VRING_ENABLE:
		b->ring[i].enabled = m->state.num;
		return false;
	case VU_GET_VRING_BASE:
		m->state.num = b->end_base;
		return true;
	case VU_SET_BACKEND_REQ_FD:
		backend_replace(&b->channel, m);
		return false;
	case VU_GET_CONFIG:
		memcpy(m->config.data, b->config, m->config.size);
		return true;
	case VU_SET_CONFIG:
		memcpy(b->config + m->config.offset, m->config.data, m->config.size);
		return false;
	case VU_GET_INFLIGHT_FD:
		m->inflight.size = 4096;
		m->inflight.offset = 0;
		m->fd[0] = memfd_create("inflight", MFD_CLOEXEC);
		m->n_fds = 1;
		b->inflights_made++;
		return true;
	case VU_SET_INFLIGHT_FD:
		b->inflight = m->inflight;
		return false;
	case VU_SET_STATUS:
		b->status = m->u64;
		return false;
	default:
		return false;
	}
}

/* As vu_send(), but of anything. */
static inline void backend_raw(int sock, const void *data, size_t len, const int *fd,
			       unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds > 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fd, n_fds * sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		return; /* the front end has hung up: the test sees that */
}

/* Sends the answer with the fault. False: and hangs up. */
static inline bool backend_answer(struct backend *b, struct vu_msg *m, enum fault fault)
{
	struct {
		struct vu_header h;
		uint8_t bytes[VU_PAYLOAD_MAX + 1];
	} whole = {m->h, {0}};
	int fd[16];
	unsigned n_fds = m->n_fds;
	size_t len;

	for (unsigned i = 0; i < 16; i++)
		fd[i] = i < m->n_fds ? m->fd[i] : b->listener;
	memcpy(whole.bytes, m->bytes, sizeof(m->bytes));
	switch (fault) {
	case FAULT_SILENT:
		return true;
	case FAULT_CLOSE:
		return false;
	case FAULT_SHORT:
		whole.h.size--;
		break;
	case FAULT_LONG:
		whole.h.size++;
		break;
	case FAULT_EMPTY:
		whole.h.size = 0;
		break;
	case FAULT_HUGE:
		whole.h.size = 0xffffffff;
		backend_raw(b->sock, &whole, sizeof(whole), fd, n_fds);
		return true;
	case FAULT_OTHER_REQUEST:
		whole.h.request++;
		break;
	case FAULT_NO_REPLY_FLAG:
		whole.h.flags &= ~VU_REPLY;
		break;
	case FAULT_VERSION:
		whole.h.flags ^= VU_VERSION_OF;
		break;
	case FAULT_FD:
		n_fds++;
		break;
	case FAULT_MANY_FDS:
		n_fds = 16;
		break;
	case FAULT_NO_FD:
		n_fds = 0;
		break;
	case FAULT_REFUSE:
	case FAULT_VALUE:
		memcpy(whole.bytes, &b->value, 8);
		break;
	default:
		break;
	}
	len = sizeof(whole.h) + whole.h.size;
	backend_raw(b->sock, &whole, fault == FAULT_CLOSE_MIDWAY ? len / 2 : len, fd, n_fds);
	return fault != FAULT_CLOSE_MIDWAY;
}

/* One message. False: the connection is over. The lock is not held. */
static inline bool backend_turn(struct backend *b)
{
	struct vu_msg m;
	enum fault fault;
	bool answer, more = true;

	if (vu_receive(b->sock, &m, clock_ms() + 600000) < 0)
		return false;
	pthread_mutex_lock(&b->lock);
	fault = m.h.request == b->fault_request ? b->fault : FAULT_NONE;
	if (m.h.request < 64)
		b->seen[m.h.request]++;
	answer = backend_obey(b, &m);
	if (!answer) {
		vu_close_fds(&m);
		answer = m.h.flags & VU_NEED_REPLY;
		m.h.size = 8;
		m.u64 = 0;
	}
	m.h.flags = VU_VERSION | VU_REPLY;
	if (answer || fault == FAULT_CLOSE)
		more = backend_answer(b, &m, fault);
	vu_close_fds(&m);
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return more;
}

static inline void backend_forget(struct backend *b)
{
	memset(b->seen, 0, sizeof(b->seen));
	for (unsigned i = 0; i < 64; i++) {
		fd_close(&b->ring[i].kick);
		fd_close(&b->ring[i].call);
		b->ring[i].enabled = 0;
	}
	fd_close(&b->channel);
	fd_close(&b->sock);
}

static inline void *backend_run(void *arg)
{
	struct backend *b = arg;
	int sock;

	while ((sock = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_mutex_lock(&b->lock);
		backend_forget(b);
		b->sock = sock;
		b->connections++;
		pthread_cond_broadcast(&b->changed);
		pthread_mutex_unlock(&b->lock);
		while (backend_turn(b))
			;
		pthread_mutex_lock(&b->lock);
		backend_forget(b);
		pthread_cond_broadcast(&b->changed);
		pthread_mutex_unlock(&b->lock);
	}
	return NULL;
}

static inline void backend_init(struct backend *b)
{
	memset(b, 0, sizeof(*b));
	b->sock = b->channel = b->listener = -1;
	for (unsigned i = 0; i < 64; i++)
		b->ring[i].kick = b->ring[i].call = -1;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	strcpy(b->dir, "/tmp/vhost-user-XXXXXX");
	if (!mkdtemp(b->dir))
		abort();
	snprintf(b->path, sizeof(b->path), "%s/sock", b->dir);
}

static inline void backend_start(struct backend *b)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	strcpy(at.sun_path, b->path);
	b->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(b->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(b->listener, 1) < 0 || pthread_create(&b->thread, NULL, backend_run, b) != 0)
		abort();
}

/* It dies; the next connection finds another. */
static inline void backend_die(struct backend *b)
{
	pthread_mutex_lock(&b->lock);
	if (b->sock >= 0)
		shutdown(b->sock, SHUT_RDWR);
	pthread_mutex_unlock(&b->lock);
}

/* Waits for something that the front end does: until `cond`, looked at with the lock, is true. */
#define BACKEND_WAIT(b, cond)                                         \
	do {                                                          \
		pthread_mutex_lock(&(b)->lock);                       \
		while (!(cond))                                       \
			pthread_cond_wait(&(b)->changed, &(b)->lock); \
		pthread_mutex_unlock(&(b)->lock);                     \
	} while (0)

static inline void backend_stop(struct backend *b)
{
	shutdown(b->listener, SHUT_RDWR); /* ends accept() */
	backend_die(b);
	pthread_join(b->thread, NULL);
	backend_forget(b);
	fd_close(&b->listener);
	unlink(b->path);
	rmdir(b->dir);
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
}
