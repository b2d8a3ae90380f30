// SPDX-License-Identifier: Apache-2.0
#include "passthru/user_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

#define SCM_FDS_MAX 253 /* of one sendmsg(2): SCM_MAX_FD of the kernel */

int user_socket_init(struct user_socket *s, int fd)
{
	int flags = fcntl(fd, F_GETFL);

	*s = (struct user_socket){.fd = fd};
	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	/* Pages that are never needed are never touched. */
	s->buf = malloc(USER_MSG_MAX);
	if (s->buf)
		return 0;
	user_socket_fini(s);
	return -ENOMEM;
}

void user_socket_fini(struct user_socket *s)
{
	user_socket_next(s);
	free(s->buf);
	s->buf = NULL;
	fd_close(&s->fd);
}

const struct user_header *user_socket_header(const struct user_socket *s)
{
	return (const void *)s->buf;
}

const void *user_socket_payload(const struct user_socket *s, size_t *len)
{
	*len = s->got - sizeof(struct user_header);
	return s->buf + sizeof(struct user_header);
}

int user_socket_take_fd(struct user_socket *s, unsigned i)
{
	int fd = i < s->n_rx_fds ? s->rx_fd[i] : -1;

	if (fd >= 0)
		s->rx_fd[i] = -1;
	return fd;
}

void user_socket_next(struct user_socket *s)
{
	for (unsigned i = 0; i < s->n_rx_fds; i++)
		fd_close(&s->rx_fd[i]);
	s->n_rx_fds = 0;
	s->got = 0;
}

static int bad(struct user_socket *s, const char *why)
{
	s->why = why;
	return -EPROTO;
}

/* Keeps those that there is room for, closes the others. */
static int keep_fds(struct user_socket *s, struct msghdr *msg)
{
	bool surplus = msg->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (s->n_rx_fds < USER_FDS_MAX) {
				s->rx_fd[s->n_rx_fds++] = fd;
			} else {
				close(fd);
				surplus = true;
			}
		}
	}
	return surplus ? bad(s, "a message has too many file descriptors") : 0;
}

/* Reads up to `want` bytes of the message. Bytes, 0: none now, or an error as user_socket_receive(). */
static ssize_t receive_some(struct user_socket *s, size_t want)
{
	union {
		char bytes[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {s->buf + s->got, want};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN ? 0 : -ECONNRESET;
	s->got += (size_t)n;
	return keep_fds(s, &msg) < 0 ? -EPROTO : n;
}

int user_socket_receive(struct user_socket *s)
{
	const size_t header = sizeof(struct user_header);

	for (;;) {
		size_t want = header;
		ssize_t n;
		if (s->got >= header) {
			want = user_socket_header(s)->size;
			if (want < header)
				return bad(s, "a message is shorter than its header");
			if (want > USER_MSG_MAX)
				return bad(s, "a message is too long");
			if (s->got == want)
				return 1;
		}
		n = receive_some(s, want - s->got);
		if (n <= 0)
			return (int)n;
	}
}

uint64_t user_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int wait_for(struct pollfd *p, unsigned n, uint64_t deadline_ms)
{
	for (;;) {
		uint64_t now = user_now_ms();
		int rc;
		if (now >= deadline_ms)
			return -ETIMEDOUT;
		rc = poll(p, n, (int)MIN(deadline_ms - now, 60000ul));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
	}
}

int user_socket_wait(const struct user_socket *a, const struct user_socket *b, uint64_t deadline_ms)
{
	struct pollfd p[2];
	unsigned n = 0;

	if (a && a->fd >= 0)
		p[n++] = (struct pollfd){.fd = a->fd, .events = POLLIN};
	if (b && b->fd >= 0)
		p[n++] = (struct pollfd){.fd = b->fd, .events = POLLIN};
	return wait_for(p, n, deadline_ms);
}

static void put_fds(struct msghdr *msg, void *control, const int *fd, unsigned n_fds)
{
	struct cmsghdr *c;

	if (n_fds == 0)
		return;
	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fd, n_fds * sizeof(int));
}

/* Takes `n` bytes off the front. */
static void advance(struct msghdr *msg, size_t n)
{
	while (msg->msg_iovlen > 0 && n >= msg->msg_iov->iov_len) {
		n -= msg->msg_iov->iov_len;
		msg->msg_iov++;
		msg->msg_iovlen--;
	}
	if (msg->msg_iovlen > 0) {
		msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + n;
		msg->msg_iov->iov_len -= n;
	}
}

int user_socket_send(const struct user_socket *s, const struct iovec *iov, unsigned n_iov,
		     const int *fd, unsigned n_fds, uint64_t deadline_ms)
{
	union {
		char bytes[CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec rest[USER_IOV_MAX];
	struct msghdr msg = {.msg_iov = rest, .msg_iovlen = MIN(n_iov, USER_IOV_MAX)};

	memcpy(rest, iov, msg.msg_iovlen * sizeof(rest[0]));
	put_fds(&msg, control.bytes, fd, MIN(n_fds, SCM_FDS_MAX));
	while (msg.msg_iovlen > 0) {
		ssize_t n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			msg.msg_control = NULL; /* they went with the first byte */
			msg.msg_controllen = 0;
			advance(&msg, (size_t)n);
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			struct pollfd p = {.fd = s->fd, .events = POLLOUT};
			int rc = wait_for(&p, 1, deadline_ms);
			if (rc < 0)
				return rc == -ETIMEDOUT ? rc : -ECONNRESET;
		} else if (errno != EINTR) {
			return -ECONNRESET;
		}
	}
	return 0;
}
