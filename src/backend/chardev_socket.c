// SPDX-License-Identifier: Apache-2.0
/*
 * A Unix stream socket: one client at a time, like the one cable of a serial port; the next waits
 * in the kernel's queue. A client that has gone may have left input: that is still delivered,
 * unless a new client comes first.
 */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "backend/unix_socket.h"
#include "base/io.h"
#include "base/log.h"

struct chardev_socket {
	struct chardev base; /* in and out: the client, or -1 */
	struct unix_listener file;
	struct loop_source listener; /* the file's descriptor */
	bool listening;              /* the listener is in the loop */
};

static struct chardev_socket *sock(struct chardev *c)
{
	return container_of(c, struct chardev_socket, base);
}

static ssize_t socket_read(struct chardev *c, uint8_t *buf, size_t len)
{
	ssize_t n = recv(c->in.source.fd, buf, len, 0);

	return n < 0 ? -errno : n;
}

static ssize_t socket_write(struct chardev *c, const uint8_t *data, size_t len)
{
	ssize_t n = send(c->out.source.fd, data, len, MSG_NOSIGNAL);

	return n < 0 ? -errno : n;
}

static void listen_for(struct chardev_socket *s, bool on)
{
	if (s->listening == on)
		return;
	if (on && loop_add(s->base.loop, &s->listener, EPOLLIN) < 0) {
		log_warn("serial or console: '%s' takes no client any more", s->file.addr.sun_path);
		return;
	}
	if (!on)
		loop_remove(s->base.loop, &s->listener);
	s->listening = on;
}

/* Lock held. */
static void drop_client(struct chardev *c)
{
	int fd = c->in.source.fd;

	c->want_in = c->want_out = false;
	c->idle_events = 0;
	chardev_arm(c);
	chardev_set_fds(c, -1, -1);
	fd_close(&fd);
}

static void socket_hangup(struct chardev *c)
{
	chardev_set_reader(c, false); /* output waits for the next one */
	c->idle_events = 0;
	if (c->input_over)
		drop_client(c);
	else
		chardev_arm(c);
	listen_for(sock(c), true);
}

/* shutdown(SHUT_WR) by the client ends input only: it may still read. */
static void socket_input_ended(struct chardev *c)
{
	if (!c->reader)
		drop_client(c);
}

static void socket_client(void *arg, uint32_t events)
{
	struct chardev_socket *s = arg;
	struct chardev *c = &s->base;
	int fd = unix_accept(&s->file);

	(void)events;
	pthread_mutex_lock(&c->lock);
	if (fd < 0) {
		if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED) {
			log_warn("serial or console: accept: %s; no further client", strerror(-fd));
			listen_for(s, false); /* EMFILE: trying again at once would spin */
		}
		pthread_mutex_unlock(&c->lock);
		return;
	}
	if (c->in.source.fd >= 0)
		drop_client(c); /* gone, with input that nobody has taken */
	listen_for(s, false);
	chardev_set_fds(c, fd, fd);
	c->input_over = false;
	c->want_in = c->front.room && c->front.receive;
	c->idle_events = EPOLLET; /* while it waits for nothing: its hanging up, once */
	chardev_set_reader(c, true);
	pthread_mutex_unlock(&c->lock);
}

static int socket_start(struct chardev *c, struct err *e)
{
	struct chardev_socket *s = sock(c);

	listen_for(s, true);
	return s->listening ? 0 : err_set(e, EIO, "cannot wait for '%s'", s->file.addr.sun_path);
}

static void socket_close(struct chardev *c)
{
	struct chardev_socket *s = sock(c);

	listen_for(s, false);
	unix_unlisten(&s->file);
	if (c->in.source.fd >= 0)
		drop_client(c);
}

static const struct chardev_ops socket_ops = {
	.read = socket_read,
	.write = socket_write,
	.hangup = socket_hangup,
	.input_ended = socket_input_ended,
	.start = socket_start,
	.close = socket_close,
};

int chardev_open_socket(struct chardev **out, struct loop *loop, const char *path, struct err *e)
{
	struct chardev_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->file = UNIX_LISTENER_EMPTY;
	rc = chardev_init(&s->base, &socket_ops, loop, e);
	if (rc == 0)
		rc = unix_listen(&s->file, path, 4, e);
	s->listener = (struct loop_source){.fd = s->file.fd, .fn = socket_client, .arg = s};
	if (rc < 0)
		chardev_destroy(&s->base);
	else
		*out = &s->base;
	return rc;
}
