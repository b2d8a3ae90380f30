// SPDX-License-Identifier: Apache-2.0
#include "vhost/user_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/unix_socket.h"
#include "base/clock.h"
#include "base/io.h"

static int wait_for(int sock, short events, int64_t deadline_ms)
{
	struct pollfd p = {.fd = sock, .events = events};

	return poll_until(&p, 1, deadline_ms);
}

int vu_send(int sock, const struct vu_msg *m, int64_t deadline_ms)
{
	uint8_t whole[sizeof(m->h) + VU_PAYLOAD_MAX];
	size_t len = sizeof(m->h) + m->h.size, done = 0;
	union unix_fds fds;

	memcpy(whole, &m->h, sizeof(m->h));
	memcpy(whole + sizeof(m->h), m->bytes, m->h.size);
	while (done < len) {
		struct iovec iov = {whole + done, len - done};
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;
		int rc;

		if (done == 0)
			unix_put_fds(&msg, &fds, m->fd, m->n_fds);
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

static int receive_bytes(int sock, struct vu_msg *m, void *to, size_t len, int64_t deadline_ms)
{
	size_t done = 0;

	while (done < len) {
		union unix_fds fds;
		struct iovec iov = {(uint8_t *)to + done, len - done};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = fds.room,
				     .msg_controllen = sizeof(fds)};
		ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int rc;

		if (n == 0)
			return -ECONNRESET;
		if (n > 0 && !unix_take_fds(&msg, m->fd, &m->n_fds, VU_MAX_FDS))
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
