// SPDX-License-Identifier: Apache-2.0
/*
 * Doorbells: places in a region whose writes the server wants as an eventfd. KVM rings the plain ones; those with a
 * shadow (libvfio-user's addition to the protocol: the value goes to a file first) are rung here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "passthru/user_impl.h"

#define REPLY_MAX \
	(sizeof(struct user_io_fds) + USER_DOORBELLS_MAX * sizeof(struct user_io_fd_shadow))

static int take_plain(struct vfio_region *r, const struct user_io_fd_shadow *d, int fd,
		      struct err *e)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* several places may share it */

	if (own < 0)
		return err_sys(e, "a doorbell");
	r->doorbell[r->n_doorbells++] =
		(struct vfio_doorbell){d->offset, (unsigned)d->size, d->flags & USER_IO_FD_MATCH,
				       d->match, own};
	return 0;
}

static int take_shadow(struct user_region *more, const struct user_io_fd_shadow *d, int fd,
		       int file, struct err *e)
{
	struct user_shadow *s = &more->shadow[more->n_shadows];
	struct stat st;

	/* Writing to any other kind of file may wait, for ever. */
	if (fstat(file, &st) < 0 || !S_ISREG(st.st_mode) || d->size == 0 ||
	    d->shadow_offset > (uint64_t)st.st_size ||
	    d->size > (uint64_t)st.st_size - d->shadow_offset)
		return err_set(e, EPROTO, "a doorbell's value does not fit into its file");
	*s = (struct user_shadow){.off = d->offset,
				  .len = (unsigned)d->size,
				  .match = d->flags & USER_IO_FD_MATCH,
				  .value = d->match,
				  .kick = fcntl(fd, F_DUPFD_CLOEXEC, 0),
				  .file = fcntl(file, F_DUPFD_CLOEXEC, 0),
				  .at = d->shadow_offset};
	more->n_shadows++;
	return s->kick < 0 || s->file < 0 ? err_sys(e, "a doorbell") : 0;
}

static int take(struct vfio_region *r, struct user_region *more, const struct user_socket *s,
		const struct user_io_fd_shadow *d, struct err *e)
{
	bool width = d->size == 0 || d->size == 1 || d->size == 2 || d->size == 4 || d->size == 8;

	if (!width || d->offset >= r->size || d->size > r->size - d->offset)
		return err_set(e, EPROTO, "a doorbell is not in its region");
	if (d->fd_index >= s->n_rx_fds ||
	    (d->type == USER_IO_FD_SHADOW && d->shadow_fd_index >= s->n_rx_fds))
		return err_set(e, EPROTO, "a doorbell's file descriptor did not come");
	if (d->flags & ~(USER_IO_FD_MATCH | USER_IO_FD_PIO))
		return 0;
	if (d->type == USER_IO_FD_EVENT)
		return take_plain(r, d, s->rx_fd[d->fd_index], e);
	if (d->type == USER_IO_FD_SHADOW)
		return take_shadow(more, d, s->rx_fd[d->fd_index], s->rx_fd[d->shadow_fd_index], e);
	return 0; /* what is not known comes as a write: the server must take those as well */
}

/* Both layouts become the longer one. */
static struct user_io_fd_shadow convert(const uint8_t *entry, size_t stride)
{
	struct user_io_fd_shadow d = {0};
	struct user_io_fd f;

	if (stride >= sizeof(d)) {
		memcpy(&d, entry, sizeof(d));
		return d;
	}
	memcpy(&f, entry, sizeof(f));
	d.offset = f.offset;
	d.size = f.size;
	d.fd_index = f.fd_index;
	d.type = f.type == USER_IO_FD_SHADOW ? UINT32_MAX : f.type;
	d.flags = f.flags;
	d.match = f.match;
	return d;
}

static int take_all(struct vfio_region *r, struct user_region *more, struct user_conn *c,
		    unsigned index, const uint8_t *reply, size_t len, struct err *e)
{
	struct user_io_fds h;
	size_t stride;
	int rc = 0;

	memcpy(&h, reply, sizeof(h));
	if (h.index != index)
		return err_set(e, EPROTO, "the answer about doorbells is about region %u", h.index);
	len -= sizeof(h);
	if (h.count == 0 || len == 0)
		return 0;
	stride = len / h.count;
	if (h.count > USER_DOORBELLS_MAX || len % h.count || stride < sizeof(struct user_io_fd))
		return err_set(e, EPROTO, "the list of doorbells has the wrong length");
	r->doorbell = calloc(h.count, sizeof(*r->doorbell));
	more->shadow = calloc(h.count, sizeof(*more->shadow));
	if (!r->doorbell || !more->shadow)
		return err_set(e, ENOMEM, "out of memory");
	for (unsigned i = 0; i < h.count && rc == 0; i++) {
		struct user_io_fd_shadow d = convert(reply + sizeof(h) + i * stride, stride);
		rc = take(r, more, &c->main, &d, e);
	}
	return rc;
}

int user_io_fds_read(struct vfio_region *r, struct user_region *more, struct user_conn *c,
		     unsigned index, struct err *e)
{
	struct user_io_fds h = {.argsz = REPLY_MAX, .index = index};
	struct user_request req = {.command = USER_GET_REGION_IO_FDS,
				   .head = &h,
				   .head_len = sizeof(h),
				   .min = sizeof(h),
				   .max = REPLY_MAX,
				   .max_fds = USER_FDS_MAX};
	const void *reply;
	size_t len;
	int rc = user_conn_call(c, &req, &reply, &len);

	if (rc < 0) /* doorbells are optional, and so is the command */
		return c->broken ? user_conn_err(c, rc, "doorbells", e) : 0;
	rc = take_all(r, more, c, index, reply, len, e);
	user_conn_done(c);
	return rc;
}

/*
 * Not through a mapping: the server can cut its file short. The eventfd could be made to block by a server that never
 * reads it: its counter is far from that.
 */
int user_shadow_ring(const struct user_shadow *s, const void *data)
{
	struct pollfd p = {.fd = s->kick, .events = POLLOUT};
	uint64_t one = 1;

	if (pwrite(s->file, data, s->len, (off_t)s->at) != (ssize_t)s->len)
		return -EIO;
	if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT)
		return write(s->kick, &one, sizeof(one)) == sizeof(one) ? 0 : -EIO;
	return 0; /* it has not seen the last ones yet */
}
