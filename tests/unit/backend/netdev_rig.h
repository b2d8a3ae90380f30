/* SPDX-License-Identifier: Apache-2.0 */
/* A front end that counts what it is told, an event loop that is turned by hand, and the peer of a stream. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/netdev_impl.h"
#include "base/io.h"
#include "../test.h"

/* The configuration's strings are not const. */
static inline char *text(const char *constant)
{
	return (char *)(uintptr_t)constant;
}

struct rig {
	struct loop loop;
	struct netdev *n;
	struct err e;
	int peer;
	unsigned readable, writable, link_downs;
	uint8_t frame[NETDEV_MAX_FRAME + 1]; /* what rig_receive() got, header included */
};

static inline void rig_readable(void *arg, unsigned queue)
{
	(void)queue;
	((struct rig *)arg)->readable++;
}

static inline void rig_writable(void *arg, unsigned queue)
{
	(void)queue;
	((struct rig *)arg)->writable++;
}

static inline void rig_link(void *arg, bool up)
{
	CHECK(!up);
	((struct rig *)arg)->link_downs++;
}

static inline void rig_init(struct rig *r)
{
	*r = (struct rig){.peer = -1};
	CHECK_EQ(0, loop_init(&r->loop, &r->e));
}

static inline void rig_start(struct rig *r)
{
	struct netdev_front front = {rig_readable, rig_writable, rig_link, r};

	CHECK_EQ(0, netdev_start(r->n, front, &r->e));
}

static inline void rig_fini(struct rig *r)
{
	netdev_close(r->n);
	fd_close(&r->peer);
	loop_fini(&r->loop);
}

/* Serves one source; false when nothing happened for `ms`. */
static inline bool rig_turn(struct rig *r, int ms)
{
	struct epoll_event ev;
	struct loop_source *s;

	if (epoll_wait(r->loop.epoll_fd, &ev, 1, ms) != 1)
		return false;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

static inline ssize_t rig_receive(struct rig *r)
{
	struct iovec iov = {r->frame, sizeof(r->frame)};

	return netdev_receive(r->n, 0, &iov, 1);
}

/* Sends a frame of `len` bytes after its header. */
static inline ssize_t rig_send(struct rig *r, const void *frame, size_t len)
{
	static uint8_t header[NETDEV_HEADER];
	struct iovec iov[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)frame, len}};

	return netdev_send(r->n, 0, iov, 2);
}

/* Waits, at most 10 s, until one frame is there. */
static inline ssize_t rig_wait(struct rig *r)
{
	ssize_t n = -EAGAIN;

	netdev_want_readable(r->n, 0, true);
	for (unsigned i = 0; i < 1000 && (n = rig_receive(r)) == -EAGAIN && !r->link_downs; i++)
		rig_turn(r, 10);
	return n;
}
