// SPDX-License-Identifier: Apache-2.0
/* A request is a sequence of system calls; here is which comes next, and what the result of one means. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/disk_impl.h"

static const uint8_t zeros[DISK_ZEROS_LEN];

/* O_DIRECT wants every address, length and offset aligned; what a guest sends need not be. */
static bool fit_for_direct(const struct disk_file *f, const struct disk_request *r)
{
	uint64_t bits = r->offset | r->progress | r->len;

	if (f->direct_fd < 0 || r->buffered || bits & (f->offset_align - 1))
		return false;
	for (unsigned i = 0; i < r->n_iov; i++)
		if ((uintptr_t)r->iov[i].iov_base & (f->mem_align - 1) ||
		    r->iov[i].iov_len & (f->offset_align - 1))
			return false;
	return true;
}

static void next_transfer(const struct disk_file *f, const struct disk_request *r,
			  struct disk_call *c)
{
	c->kind = r->op == DISK_READ ? CALL_READ : CALL_WRITE;
	c->direct = fit_for_direct(f, r);
	c->iov = r->iov;
	c->n_iov = MIN(r->n_iov, (unsigned)IOV_MAX);
}

static void next_zeroes(const struct disk_request *r, struct disk_call *c)
{
	if (r->by_hand) {
		c->kind = CALL_WRITE;
		c->zeros = (struct iovec){(void *)(uintptr_t)zeros, MIN(c->len, DISK_ZEROS_LEN)};
		c->iov = &c->zeros;
		c->n_iov = 1;
	} else {
		c->kind = CALL_ALLOCATE;
		c->mode = FALLOC_FL_KEEP_SIZE |
			  (r->may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	}
}

void disk_call_next(const struct disk_file *f, const struct disk_request *r, struct disk_call *c)
{
	*c = (struct disk_call){.offset = r->offset + r->progress, .len = r->len - r->progress};
	switch (r->op) {
	case DISK_READ:
	case DISK_WRITE:
		if (c->len > 0)
			next_transfer(f, r, c);
		break;
	case DISK_FLUSH:
		if (!f->no_flush)
			c->kind = CALL_SYNC;
		break;
	case DISK_DISCARD:
		c->mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
		c->kind = c->len > 0 ? CALL_ALLOCATE : CALL_NONE;
		break;
	case DISK_WRITE_ZEROES:
		if (c->len > 0)
			next_zeroes(r, c);
		break;
	}
}

ssize_t disk_call_make(const struct disk_file *f, const struct disk_call *c)
{
	int fd = c->direct ? f->direct_fd : f->fd;
	ssize_t n = 0;

	switch (c->kind) {
	case CALL_NONE:
		break;
	case CALL_READ:
		n = preadv(fd, c->iov, (int)c->n_iov, (off_t)c->offset);
		break;
	case CALL_WRITE:
		n = pwritev(fd, c->iov, (int)c->n_iov, (off_t)c->offset);
		break;
	case CALL_SYNC:
		n = fdatasync(fd);
		break;
	case CALL_ALLOCATE:
		n = fallocate(fd, c->mode, (off_t)c->offset, (off_t)c->len);
		break;
	}
	return n < 0 ? -errno : n;
}

void disk_request_advance(struct disk_request *r, uint64_t n)
{
	r->progress += n;
	if (r->op != DISK_READ && r->op != DISK_WRITE)
		return;
	while (r->n_iov > 0 && n >= r->iov->iov_len) {
		n -= r->iov->iov_len;
		r->iov++;
		r->n_iov--;
	}
	if (r->n_iov > 0) {
		r->iov->iov_base = (uint8_t *)r->iov->iov_base + n;
		r->iov->iov_len -= n;
	}
}

static bool finished(struct disk_request *r, int error)
{
	r->error = error;
	return true;
}

static bool transferred(struct disk_request *r, ssize_t n)
{
	if (n > 0 && (uint64_t)n <= r->len - r->progress) {
		disk_request_advance(r, (uint64_t)n);
		r->tries = 0;
		return r->progress == r->len ? finished(r, 0) : false;
	}
	/* Nothing to read: the image has become shorter. Nothing written, and no error: never to be a success. */
	return finished(r, r->len == 0 ? 0 : -EIO);
}

/*
 * Linux reports that it could not write a page once, and may then drop it: a later sync says 0 and means
 * nothing. So the first failure stays.
 */
static bool synced(struct disk_file *f, struct disk_request *r, int error)
{
	if (error < 0)
		__atomic_store_n(&f->sync_error, error, __ATOMIC_SEQ_CST);
	return finished(r, __atomic_load_n(&f->sync_error, __ATOMIC_SEQ_CST));
}

static bool allocated(struct disk_request *r, int error)
{
	if (r->op == DISK_WRITE_ZEROES &&
	    (error == -EOPNOTSUPP || error == -EINVAL || error == -ENOSYS)) {
		r->by_hand = true;
		return false;
	}
	return finished(r, error);
}

bool disk_call_result(struct disk_file *f, struct disk_request *r, ssize_t result)
{
	if (f->fault)
		result = f->fault(f->fault_arg, r->op, result);
	if ((result == -EINTR || result == -EAGAIN) && ++r->tries < DISK_TRIES_MAX)
		return false;
	if (r->op == DISK_FLUSH)
		return synced(f, r, (int)result);
	if (r->op == DISK_DISCARD || (r->op == DISK_WRITE_ZEROES && !r->by_hand))
		return allocated(r, (int)result);
	if (result == -EINVAL && f->direct_fd >= 0 && !r->buffered) {
		r->buffered = true; /* O_DIRECT asks for more than it told us */
		return false;
	}
	if (result < 0)
		return finished(r, (int)result);
	return transferred(r, result);
}

bool disk_file_read_now(struct disk_file *f, const struct disk_request *r, uint64_t at)
{
	ssize_t n;

	/* Tests that let calls fail want to see each of them. */
	if (f->direct_fd >= 0 || f->no_nowait || f->fault || r->n_iov > IOV_MAX)
		return false;
	n = preadv2(f->fd, r->iov, (int)r->n_iov, (off_t)at, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))
		f->no_nowait = true;
	return n >= 0 && (uint64_t)n == r->len;
}

int disk_file_do(struct disk_file *f, struct disk_request *r)
{
	struct disk_call c;

	do
		disk_call_next(f, r, &c);
	while (!disk_call_result(f, r, disk_call_make(f, &c)));
	return r->error;
}
