// SPDX-License-Identifier: Apache-2.0
/*
 * A pseudo-terminal: toyvmm holds the master, `screen /dev/pts/N` opens the slave.
 *
 * We keep the slave open ourselves: with no slave open the master would report HUP for ever.
 * Whether somebody else has it open is told by inotify, so that output waits in the ring until a
 * reader comes and an idle VM need not poll for one.
 */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/io.h"

#define CLOSE_STEP_MS 10
#define CLOSE_STEPS   50

struct chardev_pty {
	struct chardev base; /* in and out: the master */
	int slave;
	struct loop_source
		watch; /* inotify: opens and closes of the slave by others; -1: not to be had */
	bool watching;
	unsigned readers;
};

static ssize_t pty_read(struct chardev *c, uint8_t *buf, size_t len)
{
	ssize_t n = read(c->in.source.fd, buf, len);

	return n < 0 ? -errno : n;
}

static ssize_t pty_write(struct chardev *c, const uint8_t *data, size_t len)
{
	ssize_t n = write(c->out.source.fd, data, len);

	return n < 0 ? -errno : n;
}

static void count_reader(struct chardev_pty *p, uint32_t mask)
{
	if (mask & IN_OPEN)
		p->readers++;
	else if ((mask & IN_CLOSE) && p->readers > 0)
		p->readers--;
	else if (mask & IN_Q_OVERFLOW)
		p->readers++; /* we lost count: assume that somebody is there */
}

/* inotify(7): a file's own watch yields events without names, hence of one size. */
static void pty_opened_or_closed(void *arg, uint32_t events)
{
	struct chardev_pty *p = arg;
	struct inotify_event ev[16];
	ssize_t n = read(p->watch.fd, ev, sizeof(ev));
	bool reader;

	(void)events;
	for (ssize_t i = 0; i < n / (ssize_t)sizeof(ev[0]); i++)
		count_reader(p, ev[i].mask);
	pthread_mutex_lock(&p->base.lock);
	reader = p->readers > 0;
	if (reader != p->base.reader)
		chardev_set_reader(&p->base, reader);
	pthread_mutex_unlock(&p->base.lock);
	chardev_settle(&p->base);
}

/* Closing the master throws away what a reader has not read yet; the last lines may be there. */
static void wait_for_reader(const struct chardev_pty *p)
{
	int left = 0;

	for (unsigned i = 0; i < CLOSE_STEPS && p->readers > 0; i++) {
		if (ioctl(p->slave, FIONREAD, &left) < 0 || left == 0)
			return;
		poll(NULL, 0, CLOSE_STEP_MS);
	}
}

static void pty_close(struct chardev *c)
{
	struct chardev_pty *p = container_of(c, struct chardev_pty, base);

	wait_for_reader(p);
	if (p->watching)
		loop_remove(c->loop, &p->watch);
	fd_close(&p->watch.fd);
	fd_close(&p->slave);
	fd_close(&c->in.source.fd);
}

static int pty_start(struct chardev *c, struct err *e)
{
	struct chardev_pty *p = container_of(c, struct chardev_pty, base);
	int rc = p->watch.fd < 0 ? 0 : loop_add(c->loop, &p->watch, EPOLLIN);

	if (rc < 0)
		return err_set(e, -rc, "cannot watch the pty (errno %d)", -rc);
	p->watching = p->watch.fd >= 0;
	return 0;
}

static const struct chardev_ops pty_ops = {
	.read = pty_read,
	.write = pty_write,
	.start = pty_start,
	.close = pty_close,
};

/* Raw: the guest's tty echoes and edits; a second one in between would do it twice. */
static int make_raw(int fd)
{
	struct termios mode;

	if (tcgetattr(fd, &mode) < 0)
		return -1;
	cfmakeraw(&mode);
	return tcsetattr(fd, TCSANOW, &mode);
}

static void watch_readers(struct chardev_pty *p)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", p->slave);
	p->watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (p->watch.fd >= 0 && inotify_add_watch(p->watch.fd, path, IN_OPEN | IN_CLOSE) < 0)
		fd_close(&p->watch.fd);
	p->base.reader = p->watch.fd < 0; /* cannot tell: then somebody is there */
}

static int pty_open(struct chardev_pty *p, const char *label, struct err *e)
{
	char name[64], line[96];
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	int len;

	if (master < 0)
		return err_sys(e, "cannot open a pty");
	chardev_set_fds(&p->base, master, master);
	if (grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)) != 0)
		return err_sys(e, "cannot set up the pty");
	p->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->slave < 0 || make_raw(p->slave) < 0)
		return err_sys(e, "%s", name);
	watch_readers(p);
	len = snprintf(line, sizeof(line), "%s: %s\n", label, name);
	if (write(STDOUT_FILENO, line, (size_t)len) < 0)
		return 0; /* nobody to tell; who looks into /proc finds it */
	return 0;
}

int chardev_open_pty(struct chardev **out, struct loop *loop, const char *label, struct err *e)
{
	struct chardev_pty *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->slave = -1;
	p->watch = (struct loop_source){.fd = -1, .fn = pty_opened_or_closed, .arg = p};
	rc = chardev_init(&p->base, &pty_ops, loop, e);
	if (rc == 0)
		rc = pty_open(p, label, e);
	if (rc < 0)
		chardev_destroy(&p->base);
	else
		*out = &p->base;
	return rc;
}
