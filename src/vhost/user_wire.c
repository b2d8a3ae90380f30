// SPDX-License-Identifier: Apache-2.0
#include "vhost/user_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

#define CONTROL_FDS \
	16 /* room for more than may come: what comes too many must be seen to be closed */

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(CONTROL_FDS * sizeof(int))];
};

int64_t vu_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static int wait_for(int sock, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = sock, .events = events};

	for (;;) {
		int64_t left = deadline_ms - vu_now_ms();
		int n = left > 0 ? poll(&p, 1, (int)MIN(left, INT32_MAX)) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static void attach(struct msghdr *msg, union control *control, const struct vu_msg *m)
{
	struct cmsghdr *c;

	if (m->n_fds == 0)
		return;
	memset(control, 0, sizeof(*control));
	msg->msg_control = control->room;
	msg->msg_controllen = CMSG_SPACE(m->n_fds * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(m->n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), m->fd, m->n_fds * sizeof(int));
}

int vu_send(int sock, const struct vu_msg *m, int64_t deadline_ms)
{
	uint8_t whole[sizeof(m->h) + VU_PAYLOAD_MAX];
	size_t len = sizeof(m->h) + m->h.size, done = 0;
	union control control;

	memcpy(whole, &m->h, sizeof(m->h));
	memcpy(whole + sizeof(m->h), m->bytes, m->h.size);
	while (done < len) {
		struct iovec iov = {whole + done, len - done};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;
		int rc;

		if (done == 0)
			attach(&msg, &control, m);
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			done += (size_t)n;
		else if (n < 0 && errno == EAGAIN &&
			 (rc = wait_for(sock, POLLOUT, deadline_ms)) < 0)
			return rc;
		else if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

void vu_close_fds(struct vu_msg *m)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		fd_close(&m->fd[i]);
	m->n_fds = 0;
}

/* Takes the descriptors that came over. False: they are too many for any message; those are closed. */
static bool take_fds(struct vu_msg *m, struct msghdr *msg)
{
	bool fits = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->n_fds < VU_MAX_FDS) {
				m->fd[m->n_fds++] = fd;
			} else {
				fd_close(&fd);
				fits = false;
			}
		}
	}
	return fits;
}

static int receive_bytes(int sock, struct vu_msg *m, void *to, size_t len, int64_t deadline_ms)
{
	size_t done = 0;

	while (done < len) {
		union control control;
		struct iovec iov = {(uint8_t *)to + done, len - done};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.room,
				     .msg_controllen = sizeof(control.room)};
		ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int rc;

		if (n == 0)
			return -ECONNRESET;
		if (n > 0 && !take_fds(m, &msg))
			return -EPROTO;
		if (n > 0)
			done += (size_t)n;
		else if (errno == EAGAIN && (rc = wait_for(sock, POLLIN, deadline_ms)) < 0)
			return rc;
		else if (errno != EINTR && errno != EAGAIN)
			return -errno;
	}
	return 0;
}

int vu_receive(int sock, struct vu_msg *m, int64_t deadline_ms)
{
	int rc;

	m->n_fds = 0;
	rc = receive_bytes(sock, m, &m->h, sizeof(m->h), deadline_ms);
	if (rc == 0 && ((m->h.flags & VU_VERSION_OF) != VU_VERSION || m->h.size > VU_PAYLOAD_MAX))
		rc = -EPROTO;
	memset(m->bytes, 0, sizeof(m->bytes));
	if (rc == 0)
		rc = receive_bytes(sock, m, m->bytes, m->h.size, deadline_ms);
	if (rc < 0)
		vu_close_fds(m);
	return rc;
}
