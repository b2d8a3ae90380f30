// SPDX-License-Identifier: Apache-2.0
#include "passthru/user_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/unix_socket.h"
#include "base/clock.h"
#include "base/io.h"

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

/* Reads up to `want` bytes of the message. Bytes, 0: none now, or an error as user_socket_receive(). */
static ssize_t receive_some(struct user_socket *s, size_t want)
{
	union unix_fds fds;
	struct iovec iov = {s->buf + s->got, want};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = fds.room,
			     .msg_controllen = sizeof(fds)};
	ssize_t n;

	do
		n = recvmsg(s->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0)
		return errno == EAGAIN ? 0 : -ECONNRESET;
	s->got += (size_t)n;
	if (!unix_take_fds(&msg, s->rx_fd, &s->n_rx_fds, USER_FDS_MAX))
		return bad(s, "a message has too many file descriptors");
	return n;
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

int user_socket_wait(const struct user_socket *a, const struct user_socket *b, int64_t deadline_ms)
{
	struct pollfd p[2];
	unsigned n = 0;

	if (a && a->fd >= 0)
		p[n++] = (struct pollfd){.fd = a->fd, .events = POLLIN};
	if (b && b->fd >= 0)
		p[n++] = (struct pollfd){.fd = b->fd, .events = POLLIN};
	return poll_until(p, n, deadline_ms);
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
		     const int *fd, unsigned n_fds, int64_t deadline_ms)
{
	union unix_fds fds;
	struct iovec rest[USER_IOV_MAX];
	struct msghdr msg = {.msg_iov = rest, .msg_iovlen = MIN(n_iov, USER_IOV_MAX)};

	memcpy(rest, iov, msg.msg_iovlen * sizeof(rest[0]));
	unix_put_fds(&msg, &fds, fd, MIN(n_fds, UNIX_FDS_MAX));
	while (msg.msg_iovlen > 0) {
		ssize_t n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			msg.msg_control = NULL; /* they went with the first byte */
			msg.msg_controllen = 0;
			advance(&msg, (size_t)n);
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			struct pollfd p = {.fd = s->fd, .events = POLLOUT};
			int rc = poll_until(&p, 1, deadline_ms);
			if (rc < 0)
				return rc == -ETIMEDOUT ? rc : -ECONNRESET;
		} else if (errno != EINTR) {
			return -ECONNRESET;
		}
	}
	return 0;
}
