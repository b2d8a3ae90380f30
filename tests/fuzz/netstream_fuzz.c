// SPDX-License-Identifier: Apache-2.0
/*
 * The peer of a stream of frames (passt, the libslirp helper) sends anything, in any pieces. The input is a list of
 * operations of one byte each; what a write consists of follows it. Frames that come out must be frames, none may
 * come after the end of the link, and the end comes once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/netdev_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct link {
	struct loop loop;
	struct netdev *n;
	int peer;
	unsigned downs;
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void on_ready(void *arg, unsigned queue)
{
	(void)arg;
	must(queue == 0);
}

static void on_link(void *arg, bool up)
{
	must(!up);
	must(++((struct link *)arg)->downs == 1);
}

static void setup(struct link *l)
{
	struct netdev_front front = {on_ready, on_ready, on_link, l};
	struct err e;
	int s[2];

	*l = (struct link){0};
	must(loop_init(&l->loop, &e) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s) == 0);
	must(netdev_open_stream(&l->n, s[0], 0, &l->loop, "net0", &e) == 0);
	must(netdev_start(l->n, front, &e) == 0);
	l->peer = s[1];
}

static void turn(struct link *l)
{
	struct epoll_event ev;

	for (unsigned i = 0; i < 4 && epoll_wait(l->loop.epoll_fd, &ev, 1, 0) == 1; i++) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
	}
}

/* Into a buffer of `room` bytes, in two pieces. */
static void receive(struct link *l, size_t room)
{
	static uint8_t buf[NETDEV_MAX_FRAME + 1];
	struct iovec iov[2] = {{buf, room / 3}, {buf + room / 3, room - room / 3}};
	ssize_t n = netdev_receive(l->n, 0, iov, 2);

	must(n == -EAGAIN || (n > 0 && (size_t)n <= room));
	must(n < 0 || l->downs == 0);
	must(n < 0 || room < sizeof(buf) || (n >= NETDEV_HEADER + 14 && n <= NETDEV_MAX_FRAME));
}

static void send_frame(struct link *l, size_t len)
{
	static uint8_t frame[NETDEV_MAX_FRAME + 64];
	struct iovec iov[2] = {{frame, 5}, {frame + 5, len}};
	ssize_t n = netdev_send(l->n, 0, iov, 2);

	must(n < 0 || (size_t)n == len + 5);
}

static void drain_peer(struct link *l)
{
	static uint8_t buf[65536];

	for (unsigned i = 0; i < 64 && recv(l->peer, buf, sizeof(buf), 0) > 0; i++)
		;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t filler[70000];
	struct link l;

	setup(&l);
	for (size_t i = 0; i < size && i < 4096; i++) {
		uint8_t op = data[i], low = op & 0x1f;
		size_t len = MIN((size_t)low, size - i - 1);

		switch (op >> 5) {
		case 0: /* bytes of the input */
			if (send(l.peer, data + i + 1, len, MSG_NOSIGNAL) < 0)
				turn(&l);
			i += len;
			break;
		case 1: /* many zeros, enough for the longest frames */
			if (send(l.peer, filler, low * 2200u, MSG_NOSIGNAL) < 0)
				turn(&l);
			break;
		case 2:
			receive(&l, low & 1 ? NETDEV_MAX_FRAME + 1 : low * 40u + 3);
			break;
		case 3:
			send_frame(&l, low * 2113u);
			break;
		case 4:
			turn(&l);
			break;
		case 5:
			netdev_want_readable(l.n, 0, low & 1);
			break;
		case 6:
			drain_peer(&l);
			break;
		default:
			shutdown(l.peer, low % 3);
		}
	}
	close(l.peer);
	/* Whatever came before: the end is seen, and then nothing happens any more. */
	netdev_want_readable(l.n, 0, true);
	for (unsigned i = 0; i < 100000 && !l.downs; i++) {
		turn(&l);
		receive(&l, NETDEV_MAX_FRAME + 1);
	}
	must(l.downs == 1);
	turn(&l);
	netdev_close(l.n);
	loop_fini(&l.loop);
	return 0;
}
