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
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

struct chardev_socket {
	struct chardev base; /* in and out: the client, or -1 */
	struct loop_source listener;
	bool listening; /* the listener is in the loop */
	struct sockaddr_un addr;
	struct stat ours; /* the socket file; st_ino 0: not made yet */
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
		log_warn("serial or console: '%s' takes no client any more", s->addr.sun_path);
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
	int fd = accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	pthread_mutex_lock(&c->lock);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_warn("serial or console: accept: %s; no further client",
				 strerror(errno));
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
	return s->listening ? 0 : err_set(e, EIO, "cannot wait for '%s'", s->addr.sun_path);
}

static void socket_close(struct chardev *c)
{
	struct chardev_socket *s = sock(c);
	struct stat now;

	listen_for(s, false);
	fd_close(&s->listener.fd);
	if (s->ours.st_ino && lstat(s->addr.sun_path, &now) == 0 && now.st_ino == s->ours.st_ino &&
	    now.st_dev == s->ours.st_dev) /* not a socket that somebody put in its place */
		unlink(s->addr.sun_path);
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

/* A socket file whose process is dead refuses connections; it may go. */
static int remove_stale(const struct sockaddr_un *addr, struct err *e)
{
	struct stat st;
	int fd, rc;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "'%s'", addr->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "'%s' exists and is not a socket", addr->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	rc = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? -errno : 0;
	close(fd);
	if (rc == -ECONNREFUSED)
		return unlink(addr->sun_path) < 0 && errno != ENOENT
			       ? err_sys(e, "cannot remove the old '%s'", addr->sun_path)
			       : 0;
	if (rc == 0 || rc == -EAGAIN || rc == -EPROTOTYPE)
		return err_set(e, EADDRINUSE, "'%s' is in use by another process", addr->sun_path);
	errno = -rc;
	return err_sys(e, "'%s'", addr->sun_path);
}

static int socket_listen(struct chardev_socket *s, const char *path, struct err *e)
{
	int rc;

	if (*path == '\0' || strlen(path) >= sizeof(s->addr.sun_path))
		return err_set(e, ENAMETOOLONG, "'%s': a socket's path has 1 to %zu bytes", path,
			       sizeof(s->addr.sun_path) - 1);
	s->addr.sun_family = AF_UNIX;
	strcpy(s->addr.sun_path, path);
	if ((rc = remove_stale(&s->addr, e)) < 0)
		return rc;
	s->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listener.fd < 0)
		return err_sys(e, "socket");
	if (bind(s->listener.fd, (struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		return err_sys(e, "cannot create the socket '%s'", path);
	if (lstat(path, &s->ours) < 0 || listen(s->listener.fd, 4) < 0)
		return err_sys(e, "'%s'", path);
	return 0;
}

int chardev_open_socket(struct chardev **out, struct loop *loop, const char *path, struct err *e)
{
	struct chardev_socket *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	s->listener = (struct loop_source){.fd = -1, .fn = socket_client, .arg = s};
	rc = chardev_init(&s->base, &socket_ops, loop, e);
	if (rc == 0)
		rc = socket_listen(s, path, e);
	if (rc < 0)
		chardev_destroy(&s->base);
	else
		*out = &s->base;
	return rc;
}
