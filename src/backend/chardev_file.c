// SPDX-License-Identifier: Apache-2.0
/* Back ends without input: a file, and none. */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

struct chardev_file {
	struct chardev base;
	struct log_limit complaints;
};

/* A full disk loses output, as a printer without paper does; it does not end the guest. */
static ssize_t file_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct chardev_file *f = container_of(c, struct chardev_file, base);
	ssize_t n = write(c->out.source.fd, data, len);

	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR || errno == EPIPE)
		return -errno;
	log_limited(&f->complaints, "serial or console: write to its file: %s", strerror(errno));
	c->ring.dropped += len;
	return (ssize_t)len;
}

static void file_close(struct chardev *c)
{
	fd_close(&c->out.source.fd);
}

static const struct chardev_ops file_ops = {.write = file_write, .close = file_close};
static const struct chardev_ops none_ops = {.close = file_close};

static int create(struct chardev **out, const struct chardev_ops *ops, struct loop *loop,
		  struct err *e)
{
	struct chardev_file *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, ENOMEM, "out of memory");
	rc = chardev_init(&f->base, ops, loop, e);
	if (rc < 0)
		chardev_destroy(&f->base);
	else
		*out = &f->base;
	return rc;
}

int chardev_open_file(struct chardev **out, struct loop *loop, const char *path, struct err *e)
{
	/* O_NONBLOCK: a FIFO that nobody reads is an error (ENXIO) instead of a wait without end.
	 */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	int rc;

	if (fd < 0)
		return err_sys(e, "cannot write to '%s'", path);
	rc = create(out, &file_ops, loop, e);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	chardev_set_fds(*out, -1, fd);
	(*out)->reader = true;
	return 0;
}

int chardev_open_none(struct chardev **out, struct loop *loop, struct err *e)
{
	int rc = create(out, &none_ops, loop, e);

	if (rc == 0)
		(*out)->discard = true;
	return rc;
}
