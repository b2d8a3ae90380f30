// SPDX-License-Identifier: Apache-2.0
/*
 * Frames over a stream socket: the protocol of passt's Unix socket, of QEMU's "-netdev stream", and of our own
 * helper for user networking.
 *
 *   | length, 32 bits, big-endian | frame, without a virtio header | length | frame | ...
 *
 * The other side is not trusted: a length that no Ethernet frame has ends the link. Both directions are
 * bounded by one frame: what is received waits in the socket, and what is half sent is kept until it goes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/ethernet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "backend/netdev_impl.h"
#include "base/io.h"

#define PREFIX    4
#define FRAME_MAX (NETDEV_MAX_FRAME - NETDEV_HEADER)
#define IOV_LIMIT 1024 /* of one sendmsg(2) */

struct stream {
	struct netdev base;
	pid_t pid;
	/* All below: base.lock. */
	size_t in_start, in_end;   /* what is received and not handed out, in in[] */
	size_t out_start, out_end; /* what is left of a frame, in out[] */
	struct iovec iov[IOV_LIMIT];
	uint8_t in[PREFIX + FRAME_MAX], out[PREFIX + FRAME_MAX];
};

static struct stream *stream_of(struct netdev *n)
{
	return container_of(n, struct stream, base);
}

static int stream_fd(const struct stream *s)
{
	return s->base.port[0].source.fd;
}

/* The end, found outside of the loop's handler: a hang-up of our own wakes that. */
static void lose(struct stream *s, const char *why)
{
	netdev_lose(&s->base, why);
	shutdown(stream_fd(s), SHUT_RDWR);
}

/* ---- in ---- */

/* 1: a whole frame of *len bytes is at in[in_start + PREFIX]; 0: not yet; -EPROTO: it cannot be one. */
static int whole_frame(const struct stream *s, size_t *len)
{
	size_t have = s->in_end - s->in_start;
	uint32_t prefix;

	if (have < PREFIX)
		return 0;
	memcpy(&prefix, s->in + s->in_start, PREFIX);
	*len = ntohl(prefix);
	if (*len < ETH_HLEN || *len > FRAME_MAX)
		return -EPROTO;
	return have - PREFIX >= *len;
}

/* Reads what is there. 0, or -EAGAIN: nothing, or nobody. */
static int fill(struct stream *s)
{
	ssize_t n;

	if (s->in_start > 0) { /* less than a frame is left: a short way */
		memmove(s->in, s->in + s->in_start, s->in_end - s->in_start);
		s->in_end -= s->in_start;
		s->in_start = 0;
	}
	do
		n = recv(stream_fd(s), s->in + s->in_end, sizeof(s->in) - s->in_end, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		s->in_end += (size_t)n;
		return 0;
	}
	if (n == 0)
		lose(s, "the other side closed the connection");
	else if (errno != EAGAIN)
		lose(s, strerror(errno));
	return -EAGAIN;
}

/* Copies a header of zeros and the frame into the buffers. Bytes that they took. */
static size_t scatter(const uint8_t *frame, size_t len, const struct iovec *iov, unsigned n_iov)
{
	static const uint8_t header[NETDEV_HEADER];
	size_t done = 0, total = NETDEV_HEADER + len;

	for (unsigned i = 0; i < n_iov && done < total; i++) {
		uint8_t *to = iov[i].iov_base;
		size_t room = iov[i].iov_len;

		while (room > 0 && done < total) {
			bool in_header = done < NETDEV_HEADER;
			const uint8_t *from =
				in_header ? header + done : frame + (done - NETDEV_HEADER);
			size_t part = MIN(room, (in_header ? NETDEV_HEADER : total) - done);

			memcpy(to, from, part);
			to += part;
			room -= part;
			done += part;
		}
	}
	return done;
}

static ssize_t receive_locked(struct stream *s, const struct iovec *iov, unsigned n_iov)
{
	size_t len, taken;
	int rc;

	while (!s->base.gone) {
		rc = whole_frame(s, &len);
		if (rc > 0) {
			taken = scatter(s->in + s->in_start + PREFIX, len, iov, n_iov);
			s->in_start += PREFIX + len;
			return (ssize_t)taken;
		}
		if (rc < 0)
			lose(s, "the other side does not send frames");
		else if (fill(s) < 0)
			return -EAGAIN;
	}
	return -EAGAIN;
}

static bool stream_unread(struct netdev *n)
{
	struct stream *s = stream_of(n);
	size_t len;
	int waiting;

	return whole_frame(s, &len) > 0 ||
	       (ioctl(stream_fd(s), FIONREAD, &waiting) == 0 && waiting > 0);
}

static ssize_t stream_receive(struct netdev *n, unsigned queue, const struct iovec *iov,
			      unsigned n_iov)
{
	ssize_t rc;

	(void)queue;
	pthread_mutex_lock(&n->lock);
	rc = receive_locked(stream_of(n), iov, n_iov);
	pthread_mutex_unlock(&n->lock);
	return rc;
}

/* ---- out ---- */

static ssize_t send_iov(struct stream *s, struct iovec *iov, size_t n_iov)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
	ssize_t n;

	do
		n = sendmsg(stream_fd(s), &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* The rest of a frame. True: nothing is left, of whatever became of it. */
static bool stream_flush(struct netdev *n)
{
	struct stream *s = stream_of(n);

	while (s->out_start < s->out_end && !n->gone) {
		struct iovec rest = {s->out + s->out_start, s->out_end - s->out_start};
		ssize_t sent = send_iov(s, &rest, 1);

		if (sent == -EAGAIN)
			return false;
		if (sent < 0)
			lose(s, strerror((int)-sent));
		else
			s->out_start += (size_t)sent;
	}
	s->out_start = s->out_end = 0;
	return true;
}

/* iov[1, ...) becomes the frame without its header; iov[0] is the prefix's. Number of entries. */
static size_t frame_iov(struct stream *s, const struct iovec *iov, unsigned n_iov, size_t *len)
{
	size_t skip = NETDEV_HEADER, n = 1;

	*len = 0;
	for (unsigned i = 0; i < n_iov && n < IOV_LIMIT; i++) {
		size_t off = MIN(skip, iov[i].iov_len);

		skip -= off;
		if (off == iov[i].iov_len)
			continue;
		s->iov[n++] =
			(struct iovec){(uint8_t *)iov[i].iov_base + off, iov[i].iov_len - off};
		*len += iov[i].iov_len - off;
	}
	return n;
}

/* Keeps bytes [sent, ...) of the iov that was sent in part: the caller's buffers are not ours any longer. */
static void keep_rest(struct stream *s, size_t n_iov, size_t sent)
{
	for (size_t i = 0; i < n_iov; i++) {
		size_t off = MIN(sent, s->iov[i].iov_len), part = s->iov[i].iov_len - off;

		sent -= off;
		memcpy(s->out + s->out_end, (uint8_t *)s->iov[i].iov_base + off, part);
		s->out_end += part;
	}
}

static ssize_t send_locked(struct stream *s, const struct iovec *iov, unsigned n_iov)
{
	uint32_t prefix;
	size_t len, n;
	ssize_t sent;

	if (s->base.gone)
		return -EIO;
	if (!stream_flush(&s->base))
		return -EAGAIN;
	n = frame_iov(s, iov, n_iov, &len);
	if (len < ETH_HLEN || len > FRAME_MAX)
		return -EMSGSIZE;
	prefix = htonl((uint32_t)len);
	s->iov[0] = (struct iovec){&prefix, PREFIX};
	sent = send_iov(s, s->iov, n);
	if (sent < 0 && sent != -EAGAIN)
		lose(s, strerror((int)-sent));
	if (sent < 0)
		return sent;
	if ((size_t)sent < PREFIX + len)
		keep_rest(s, n, (size_t)sent);
	return (ssize_t)(NETDEV_HEADER + len);
}

static ssize_t stream_send(struct netdev *n, unsigned queue, const struct iovec *iov,
			   unsigned n_iov)
{
	struct stream *s = stream_of(n);
	ssize_t rc;
	bool wait;

	pthread_mutex_lock(&n->lock);
	rc = send_locked(s, iov, n_iov);
	wait = rc == -EAGAIN || s->out_end > 0;
	pthread_mutex_unlock(&n->lock);
	if (wait)
		netdev_want_writable(n, queue);
	return rc;
}

/* ---- life ---- */

/* What does not end by itself is ended: it holds nothing that would have to be saved. */
static void reap(struct stream *s)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	s->pid = 0;
}

static void stream_gone(struct netdev *n)
{
	reap(stream_of(n));
}

static void stream_close(struct netdev *n)
{
	struct stream *s = stream_of(n);

	reap(s);
	netdev_fini(n);
	free(s);
}

static const struct netdev_ops stream_ops = {
	.start = netdev_start_ports,
	.send = stream_send,
	.receive = stream_receive,
	.want_readable = netdev_want_port,
	.flush = stream_flush,
	.unread = stream_unread,
	.gone = stream_gone,
	.close = stream_close,
};

int netdev_open_stream(struct netdev **out, int fd, pid_t pid, struct loop *loop, const char *name,
		       struct err *e)
{
	struct stream *s = calloc(1, sizeof(*s));
	int rc;

	rc = s ? netdev_init(&s->base, &stream_ops, loop, name, 1, e)
	       : err_set(e, ENOMEM, "%s: out of memory", name);
	if (rc < 0) {
		free(s);
		fd_close(&fd);
		return rc;
	}
	s->pid = pid;
	s->base.port[0].source.fd = fd;
	*out = &s->base;
	return 0;
}

int netdev_open_passt(struct netdev **out, const struct net_config *config, struct loop *loop,
		      const char *name, struct err *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd, rc;

	if (!config->socket || strlen(config->socket) >= sizeof(at.sun_path))
		return err_set(e, ENAMETOOLONG, "%s: the path of passt's socket is %s", name,
			       config->socket ? "too long" : "missing");
	if (config->queues > 1)
		return err_set(e, EINVAL, "%s: passt has one queue; only tap has several", name);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", config->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "%s: socket", name);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
		rc = errno == ENOENT || errno == ECONNREFUSED
			     ? err_set(e, errno,
				       "%s: nobody listens at '%s': start passt first: passt --socket %s",
				       name, config->socket, config->socket)
			     : err_sys(e, "%s: connect to '%s'", name, config->socket);
		fd_close(&fd);
		return rc;
	}
	return netdev_open_stream(out, fd, 0, loop, name, e);
}
