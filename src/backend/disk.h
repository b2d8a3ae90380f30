/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disk images: raw files and block devices, read, written and flushed without blocking the caller; by
 * io_uring, or by a few threads where the host's kernel has none.
 *
 * What is promised (docs/disk.md): a write that was completed is in the host's page cache and survives toyvmm
 * being killed; a flush that was completed is on the disk and so are all writes completed before it was
 * submitted. Once a flush has failed all later ones fail: the kernel may have dropped what it could not
 * write. Short transfers are continued, EINTR and EAGAIN repeated; what is left is an errno of the request.
 * The image is locked (F_OFD_SETLK: shared for reading, exclusive for writing) before anything is read.
 * DISK_DISCARD is a hint: -EOPNOTSUPP where the file cannot do it, and nothing has happened then.
 *
 * Threads: disk_submit(), disk_commit() and disk_reap() are called with one lock of the caller's held (a
 * virtio device's); completions are reaped by whoever calls disk_reap() or disk_drain(), so done() too runs
 * under that lock. The loop thread calls ready() when there is something to reap.
 */
#pragma once

#include <pthread.h>
#include <sys/uio.h>

#include "base/err.h"
#include "config/devices.h"
#include "event/loop.h"

#define DISK_SECTOR 512

enum disk_op { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD, DISK_WRITE_ZEROES };

/*
 * The disk's from disk_submit() until done(). offset and length are in bytes and inside the disk: the caller
 * checks. The buffers' lengths add up to `len`.
 */
struct disk_request {
	enum disk_op op;
	uint64_t offset, len;
	struct iovec *iov; /* DISK_READ, DISK_WRITE; changed by the disk */
	unsigned n_iov;
	bool may_unmap; /* DISK_WRITE_ZEROES: a hole will do */
	/* 0, or -errno: -ENOSPC, -EIO... The request is the caller's again. It may submit another one. */
	void (*done)(struct disk_request *r, int error);

	/* The disk's own. */
	struct disk_request *next;
	uint64_t progress; /* bytes done */
	unsigned tries;    /* calls without progress */
	bool by_hand;      /* zeros are written: the file system has no better way */
	bool buffered;     /* not by O_DIRECT after all */
	int error;
};

struct disk;

/*
 * Opens, checks and locks. `ready(arg)` is called by the loop thread, with no lock held. *config must outlive the
 * disk. Errors name the file and the mend.
 */
int disk_open(struct disk **out, const struct disk_config *config, struct loop *loop,
	      void (*ready)(void *arg), void *arg, struct err *e);
/* Drains, writes what an overlay has to write, closes. NULL is fine. */
void disk_close(struct disk *d);

uint64_t disk_size(const struct disk *d); /* bytes, a multiple of DISK_SECTOR */
/* Looks at the file again; true when its size changed. The base of an overlay does not change. */
bool disk_rescan(struct disk *d);
/*
 * From now on the loop thread calls changed(arg), with no lock held, when another process may have changed the
 * file's size: when one that had opened it for writing closes it. Never for our own writes. Where the host has
 * no inotify watch left, that is logged and nothing is watched.
 */
void disk_watch(struct disk *d, void (*changed)(void *arg), void *arg);
bool disk_readonly(const struct disk *d);
bool disk_can_discard(const struct disk *d);
/* What it likes to be read and written in, in bytes: at least DISK_SECTOR. */
unsigned disk_block_size(const struct disk *d);

/* Queues a request. It may be started at once or with the next disk_commit(). */
void disk_submit(struct disk *d, struct disk_request *r);
/* Starts all that is queued: one system call for a batch. */
void disk_commit(struct disk *d);
/*
 * Calls done() of whatever is finished. The number of requests. A must after each disk_commit(), and again until it
 * says 0 where done() submits more: what the page cache could answer is finished by then, and ready() does not come
 * for it.
 */
unsigned disk_reap(struct disk *d);
/* Waits until nothing is in flight, and reaps it. Needs no other thread. */
void disk_drain(struct disk *d);
/*
 * The same, but what has not begun is not done any more: its error is -ECANCELED. `lock`, the caller's, is released
 * while it waits for what the host's kernel, or a thread, has in hand. Meanwhile the caller submits and reaps
 * nothing elsewhere; done() may not submit either.
 */
void disk_cancel(struct disk *d, pthread_mutex_t *lock);
