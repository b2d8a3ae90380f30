// SPDX-License-Identifier: Apache-2.0
/*
 * Engine: io_uring, one ring a disk. A batch of requests is one io_uring_enter(2); what the page cache can
 * answer is finished when that returns. The ring's descriptor itself is watched by the loop, so a completion
 * needs no call but the epoll_wait() that tells it. Small reads are first tried without the ring.
 *
 * The image is not a registered file of the ring. The kernel takes a ring down some time after its owner's end, and a
 * file registered there would keep its lock until then: the next start would find the image in use.
 *
 * At most CQ_LEN requests are in the ring, so its completions never overflow; others wait in `backlog`. A request
 * whose entry the kernel has not taken can be taken back: the entry becomes one of nobody, that does nothing.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>

#include "backend/disk_impl.h"
#include "base/log.h"

#define SQ_LEN       128
#define CQ_LEN       (2 * SQ_LEN) /* the kernel's choice for SQ_LEN */
#define SUBMIT_TRIES 1000
#define NOW_LEN \
	(64 * KIB) /* beyond that copying is what a read costs, and a miss may have copied much */

struct uring {
	struct io_uring ring;
	struct disk_list backlog;
	struct disk_list ended; /* by us, not by the ring */
	unsigned n_ring;        /* in the ring, not reaped */
	struct log_limit log;
};

static void on_event(void *arg, uint32_t events)
{
	struct disk *d = arg;

	(void)events;
	d->ready(d->arg);
}

static void prepare(struct disk *d, struct io_uring_sqe *sqe, struct disk_request *r)
{
	struct disk_call c;
	int fd;

	disk_call_next(&d->file, r, &c);
	fd = c.direct ? d->file.direct_fd : d->file.fd;
	switch (c.kind) {
	case CALL_NONE:
		io_uring_prep_nop(sqe);
		break;
	case CALL_READ:
		if (c.n_iov == 1)
			io_uring_prep_read(sqe, fd, c.iov->iov_base, (unsigned)c.iov->iov_len,
					   c.offset);
		else
			io_uring_prep_readv(sqe, fd, c.iov, c.n_iov, c.offset);
		break;
	case CALL_WRITE:
		if (c.n_iov == 1)
			io_uring_prep_write(sqe, fd, c.iov->iov_base, (unsigned)c.iov->iov_len,
					    c.offset);
		else
			io_uring_prep_writev(sqe, fd, c.iov, c.n_iov, c.offset);
		break;
	case CALL_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case CALL_ALLOCATE:
		io_uring_prep_fallocate(sqe, fd, c.mode, (off_t)c.offset, (off_t)c.len);
		break;
	}
	io_uring_sqe_set_data(sqe, r);
}

/* All that the kernel has not taken yet ends with this error. */
static void end_waiting(struct uring *u, int error)
{
	struct io_uring_sq *sq = &u->ring.sq;
	struct disk_list taken_back = {0};

	for (unsigned n = io_uring_sq_ready(&u->ring); n > 0; n--) {
		struct io_uring_sqe *sqe = &sq->sqes[(sq->sqe_tail - n) & sq->ring_mask];

		if (sqe->user_data)
			disk_list_add(&taken_back, (void *)(uintptr_t)sqe->user_data);
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
	}
	disk_list_fail(&u->ended, &taken_back, error);
	disk_list_fail(&u->ended, &u->backlog, error);
}

/*
 * Out of memory in the kernel is the only failure to expect, and passes. Completions bring us here again; when there
 * are none to come, and it goes on, the requests fail.
 */
static void enter(struct disk *d, struct uring *u)
{
	for (unsigned tries = 0; io_uring_sq_ready(&u->ring) > 0 && tries < SUBMIT_TRIES; tries++) {
		int rc = io_uring_submit(&u->ring);

		if (rc >= 0 || rc == -EINTR)
			continue;
		if (u->n_ring > io_uring_sq_ready(&u->ring))
			return;
		if (tries == SUBMIT_TRIES - 1) {
			log_limited(&u->log, "disk '%s': io_uring_enter fails (%d)", d->path, rc);
			end_waiting(u, -EIO);
		}
		sched_yield();
	}
}

static void uring_submit(struct disk *d, struct disk_request *r)
{
	disk_list_add(&((struct uring *)d->engine)->backlog, r);
}

static void start_backlog(struct disk *d)
{
	struct uring *u = d->engine;

	while (u->backlog.head && u->n_ring < CQ_LEN) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

		if (!sqe) {
			enter(d, u);
			sqe = u->backlog.head ? io_uring_get_sqe(&u->ring) : NULL;
		}
		if (!sqe)
			return;
		prepare(d, sqe, disk_list_take(&u->backlog));
		u->n_ring++;
	}
	enter(d, u);
}

/*
 * Small reads at the front of a batch, as long as the page cache has them: preadv2() is the shorter way, for the
 * ring has a request to make, to complete and to post, and wakes the loop, which finds nothing. 1.3 us instead of
 * 1.9 for one of 4 KiB, 0.73 instead of 0.84 in a batch of 32 (docs/performance.md). A miss costs one call a batch.
 */
static void try_without_ring(struct disk *d, struct uring *u)
{
	struct disk_request *r;

	while ((r = u->backlog.head) != NULL && r->op == DISK_READ && r->len <= NOW_LEN &&
	       r->progress == 0 && disk_read_now(d, r))
		disk_list_add(&u->ended, disk_list_take(&u->backlog));
}

static void uring_commit(struct disk *d)
{
	try_without_ring(d, d->engine);
	start_backlog(d);
}

static unsigned reap_ended(struct disk *d, struct uring *u)
{
	struct disk_list ended = {0};
	struct disk_request *r;
	unsigned n = 0;

	disk_list_move(&ended, &u->ended);
	for (; (r = disk_list_take(&ended)) != NULL; n++)
		disk_finish(d, r);
	return n;
}

static unsigned uring_reap(struct disk *d)
{
	struct uring *u = d->engine;
	struct io_uring_cqe *cqe;
	unsigned n = reap_ended(d, u);

	/* Bounded: what done() submits is not started here. */
	while (io_uring_peek_cqe(&u->ring, &cqe) == 0) {
		struct disk_request *r = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&u->ring, cqe);
		u->n_ring--;
		if (!r)
			continue;
		if (disk_call_result(&d->file, r, result)) {
			disk_finish(d, r);
			n++;
		} else {
			disk_list_add(&u->backlog, r);
		}
	}
	if (u->backlog.head && !d->cancelling)
		start_backlog(d);
	/* What could not be started has ended, and nothing else would tell of it. */
	return n + reap_ended(d, u);
}

static void uring_cancel(struct disk *d)
{
	end_waiting(d->engine, -ECANCELED);
}

/* poll(), not io_uring_enter(), which may be what fails. */
static void uring_wait(struct disk *d)
{
	struct uring *u = d->engine;
	struct pollfd p = {.fd = u->ring.ring_fd, .events = POLLIN};

	if (u->n_ring > io_uring_sq_ready(&u->ring))
		poll(&p, 1, -1);
}

static int uring_open(struct disk *d, struct err *e)
{
	/* The kernel need not interrupt us for each completion; 5.19 and later. */
	struct io_uring_params p = {.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG};
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ENOMEM, "out of memory");
	rc = io_uring_queue_init_params(SQ_LEN, &u->ring, &p);
	if (rc == -EINVAL) {
		p = (struct io_uring_params){0};
		rc = io_uring_queue_init_params(SQ_LEN, &u->ring, &p);
	}
	if (rc < 0) {
		free(u);
		errno = -rc;
		return err_sys(e, "the host has no io_uring for us (engine=threads does without)");
	}
	d->engine = u;
	d->source = (struct loop_source){.fd = u->ring.ring_fd, .fn = on_event, .arg = d};
	if (loop_add(d->loop, &d->source, EPOLLIN) < 0) {
		d->source.fd = -1;
		return err_set(e, ENOSPC, "epoll_ctl failed");
	}
	return 0;
}

static void uring_close(struct disk *d)
{
	struct uring *u = d->engine;

	if (!u)
		return;
	if (d->source.fd >= 0)
		loop_remove(d->loop, &d->source);
	d->source.fd = -1;
	io_uring_queue_exit(&u->ring);
	free(u);
	d->engine = NULL;
}

const struct disk_engine_ops disk_uring_ops = {
	.name = "io_uring",
	.open = uring_open,
	.close = uring_close,
	.submit = uring_submit,
	.commit = uring_commit,
	.reap = uring_reap,
	.cancel = uring_cancel,
	.wait = uring_wait,
};
