// SPDX-License-Identifier: Apache-2.0
/*
 * Standard input and output, whatever they are: a terminal, pipes, files, sockets, /dev/null,
 * closed.
 *
 * O_NONBLOCK belongs to the open file description, which we share with the shell that started us
 * and with whoever it started else: setting it would break them. So we open our own description of
 * the same thing through /proc/self/fd where that is possible, and where it is not (a socket, a
 * terminal of another user) each call is made so that it does not wait.
 */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backend/escape.h"
#include "base/io.h"

#define KEYS 256 /* keys read from a terminal at once */

enum stream_kind {
	STREAM_OWN,  /* our own description, non-blocking */
	STREAM_FILE, /* a regular file: never waits, and its offset is shared on purpose (>> and &&)
		      */
	STREAM_SOCKET, /* MSG_DONTWAIT */
	STREAM_POLL,   /* ask poll(2) before each call */
};

struct stream {
	int fd;
	enum stream_kind kind;
	size_t sure; /* STREAM_POLL: what a descriptor that polls writable takes without waiting */
};

struct chardev_stdio {
	struct chardev base;
	struct stream in, out;
	bool keys; /* input is a terminal: escape keys work */
	struct escape escape;
	struct ring ahead; /* keys for the guest that it has not taken; loop thread only */
	void (*quit)(void *arg);
	void *quit_arg;
};

/* Opening /dev/ptmx again would not give the same terminal but a new one
 * (Documentation/admin-guide/devices). */
static bool may_reopen(const struct stat *st)
{
	return S_ISFIFO(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev != makedev(5, 2));
}

/* fd -1 where `fd` is not open: then there is no such stream. */
static struct stream stream_open(int fd, int access)
{
	struct stream s = {.fd = -1, .kind = STREAM_POLL};
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return s;
	if (may_reopen(&st)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		s.fd = open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		s.kind = STREAM_OWN;
		if (s.fd >= 0)
			return s;
		s.kind = STREAM_POLL;
	}
	if (S_ISREG(st.st_mode))
		s.kind = STREAM_FILE;
	else if (S_ISSOCK(st.st_mode))
		s.kind = STREAM_SOCKET;
	s.sure =
		S_ISFIFO(st.st_mode) ? PIPE_BUF : 1; /* pipe(7); a tty may have room for one byte */
	s.fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return s;
}

/* 0, -EAGAIN: a call would wait, or -EIO: hung up, a write would wait for ever. */
static int stream_ready(const struct stream *s, short events)
{
	struct pollfd p = {.fd = s->fd, .events = events};

	if (s->kind != STREAM_POLL)
		return 0;
	if (poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	return p.revents & events || events == POLLIN ? 0 : -EIO;
}

static ssize_t stream_read(const struct stream *s, uint8_t *buf, size_t len)
{
	ssize_t n = stream_ready(s, POLLIN);

	if (n < 0)
		return n;
	n = s->kind == STREAM_SOCKET ? recv(s->fd, buf, len, MSG_DONTWAIT) : read(s->fd, buf, len);
	return n < 0 ? -errno : n;
}

static ssize_t stream_write(const struct stream *s, const uint8_t *data, size_t len)
{
	ssize_t n = stream_ready(s, POLLOUT);

	if (n < 0)
		return n;
	if (s->kind == STREAM_SOCKET)
		n = send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		n = write(s->fd, data, s->kind == STREAM_POLL ? MIN(len, s->sure) : len);
	return n < 0 ? -errno : n;
}

/* ---- the terminal's keys ---- */

static void act(struct chardev_stdio *s, enum escape_action action)
{
	const char *help = escape_help();

	if (action == ESCAPE_QUIT && s->quit)
		s->quit(s->quit_arg);
	if (action == ESCAPE_HELP)
		chardev_write(&s->base, (const uint8_t *)help, strlen(help));
}

/*
 * Keys go through `ahead` whether or not the guest takes input: Ctrl-A x must end one that hangs.
 * A pending Ctrl-A may still come out before the next key: it has its place already.
 */
static size_t ahead_space(const struct chardev_stdio *s)
{
	return s->ahead.size - s->ahead.used - s->escape.pending;
}

/* Only while there is ahead_space(). What stream_read() says. */
static ssize_t read_keys(struct chardev_stdio *s)
{
	uint8_t keys[KEYS], out[2];
	ssize_t got = stream_read(&s->in, keys, MIN(ahead_space(s), sizeof(keys)));
	size_t n;

	for (ssize_t i = 0; i < got; i++) {
		act(s, escape_key(&s->escape, keys[i], out, &n));
		ring_put(&s->ahead, out, n);
	}
	return got;
}

/* Its end, or an error, is left for stdio_read() to find: what came before is handed out first. */
static bool stdio_read_ahead(struct chardev *c)
{
	struct chardev_stdio *s = container_of(c, struct chardev_stdio, base);
	ssize_t n;

	if (!s->keys || ahead_space(s) == 0)
		return false;
	n = read_keys(s);
	return n > 0 || n == -EAGAIN || n == -EINTR;
}

static ssize_t stdio_read(struct chardev *c, uint8_t *buf, size_t len)
{
	struct chardev_stdio *s = container_of(c, struct chardev_stdio, base);
	const uint8_t *data;
	ssize_t n;

	if (!s->keys)
		return stream_read(&s->in, buf, len);
	if (s->ahead.used == 0 && (n = read_keys(s)) <= 0)
		return n;
	len = MIN(len, ring_peek(&s->ahead, &data));
	if (len == 0)
		return -EAGAIN; /* the keys were ours */
	memcpy(buf, data, len);
	ring_take(&s->ahead, len);
	return (ssize_t)len;
}

static ssize_t stdio_write(struct chardev *c, const uint8_t *data, size_t len)
{
	return stream_write(&container_of(c, struct chardev_stdio, base)->out, data, len);
}

static void stdio_close(struct chardev *c)
{
	ring_fini(&container_of(c, struct chardev_stdio, base)->ahead);
	fd_close(&c->in.source.fd);
	fd_close(&c->out.source.fd);
}

static const struct chardev_ops stdio_ops = {
	.read = stdio_read,
	.read_ahead = stdio_read_ahead,
	.write = stdio_write,
	.close = stdio_close,
};

int chardev_open_stdio(struct chardev **out, struct loop *loop, void (*quit)(void *arg), void *arg,
		       struct err *e)
{
	struct chardev_stdio *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return err_set(e, ENOMEM, "out of memory");
	/* First of all: a descriptor that we open could get the number of one that is closed. */
	s->in = stream_open(STDIN_FILENO, O_RDONLY);
	s->out = stream_open(STDOUT_FILENO, O_WRONLY);
	rc = chardev_init(&s->base, &stdio_ops, loop, e);
	chardev_set_fds(&s->base, s->in.fd, s->out.fd);
	if (rc == 0 && ring_init(&s->ahead, CHARDEV_AHEAD) < 0)
		rc = err_set(e, ENOMEM, "out of memory");
	if (rc < 0) {
		chardev_destroy(&s->base);
		return rc;
	}
	s->quit = quit;
	s->quit_arg = arg;
	s->keys = s->in.fd >= 0 && isatty(s->in.fd);
	if (s->keys) /* a background job that calls read() is stopped even if nothing was typed */
		s->in.kind = STREAM_POLL;
	s->base.reader = s->out.fd >= 0;
	s->base.discard = !s->base.reader;
	*out = &s->base;
	return 0;
}
