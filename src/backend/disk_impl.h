/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of disks, for the files disk*.c and overlay.c.
 *
 *   disk.c          the interface; chooses an engine, counts what is in flight
 *   disk_file.c     opens, checks and locks one file
 *   disk_call.c     one request as a sequence of system calls: what comes next, what a result means
 *   disk_uring.c    engine: the calls are handed to io_uring
 *   disk_threads.c  engine: the calls are made by a few threads; overlays always use it
 *   overlay.c       a request on an overlay as several on two files, by a thread
 *
 * Both engines share disk_call.c, so short transfers, errors and fallbacks are handled in one place.
 */
#pragma once

#include <sys/stat.h>

#include "backend/disk.h"

/* Calls without progress (EINTR, EAGAIN) before a request fails with that error. */
#define DISK_TRIES_MAX 1000
/* Zeros written by one call where the file system has no call for it. */
#define DISK_ZEROS_LEN (64 * KIB)

struct disk_file {
	int fd;                           /* through the page cache */
	int direct_fd;                    /* O_DIRECT; -1: none */
	unsigned mem_align, offset_align; /* what direct_fd asks for, bytes */
	bool no_flush;
	bool no_nowait; /* the file system cannot read without waiting */
	int sync_error; /* atomic; once a sync has failed all later ones do */
	/* For tests: sees the result of each call (bytes or -errno) and may replace it. NULL: none. */
	ssize_t (*fault)(void *arg, enum disk_op op, ssize_t result);
	void *fault_arg;
};

#define DISK_FILE_EMPTY ((struct disk_file){.fd = -1, .direct_fd = -1})

enum disk_file_flags {
	DISK_FILE_WRITE = 1,  /* for reading and writing, exclusive lock; else shared */
	DISK_FILE_DIRECT = 2, /* open direct_fd as well */
	DISK_FILE_NO_LOCK = 4,
	DISK_FILE_CREATE = 8,    /* make it if there is none */
	DISK_FILE_MAY_EMPTY = 16 /* size 0 is fine */
};

/* Opens, checks and locks. *size: bytes. *block: what it likes to be accessed in. Text without a prefix. */
int disk_file_open(struct disk_file *f, const char *path, unsigned flags, uint64_t *size,
		   unsigned *block, struct err *e);
void disk_file_close(struct disk_file *f);
/* Bytes in it now, or -errno. */
int64_t disk_file_size(const struct disk_file *f);

/* ---- disk_call.c ---- */

enum disk_call_kind { CALL_NONE, CALL_READ, CALL_WRITE, CALL_SYNC, CALL_ALLOCATE };

struct disk_call {
	enum disk_call_kind kind;
	bool direct; /* on direct_fd */
	const struct iovec *iov;
	unsigned n_iov;
	struct iovec zeros; /* CALL_WRITE of zeros: iov points here */
	uint64_t offset, len;
	int mode; /* CALL_ALLOCATE: FALLOC_FL_... */
};

/* The system call that comes next for the request. */
void disk_call_next(const struct disk_file *f, const struct disk_request *r, struct disk_call *c);
/* Makes it: bytes, or -errno. Blocks. */
ssize_t disk_call_make(const struct disk_file *f, const struct disk_call *c);
/* Takes its result. True: the request is finished, r->error says how; false: there is a next call. */
bool disk_call_result(struct disk_file *f, struct disk_request *r, ssize_t result);
/* The next `n` bytes are done: off the front of the buffers, if there are any. */
void disk_request_advance(struct disk_request *r, uint64_t n);
/*
 * A read of all of r's buffers from `at` on that does not wait for the disk: true when the page cache had it all. If
 * not, nothing has happened that matters: the request is done from its beginning by one of the other ways.
 */
bool disk_file_read_now(struct disk_file *f, const struct disk_request *r, uint64_t at);
/* All calls of a request, one after the other. Blocks. 0 or -errno. */
int disk_file_do(struct disk_file *f, struct disk_request *r);

/* ---- engines ---- */

struct disk_engine_ops {
	const char *name;
	int (*open)(struct disk *d, struct err *e);
	void (*close)(struct disk *d); /* accepts a half-open one; nothing is in flight */
	void (*submit)(struct disk *d, struct disk_request *r);
	void (*commit)(struct disk *d);
	unsigned (*reap)(struct disk *d); /* calls disk_finish() */
	/* What has not begun ends with -ECANCELED at the next reap(). */
	void (*cancel)(struct disk *d);
	/*
	 * Until reap() has something, but not for what has not begun. Only after commit() or cancel(), and then
	 * reap(). The caller's lock need not be held, if nobody else calls the engine.
	 */
	void (*wait)(struct disk *d);
};

extern const struct disk_engine_ops disk_uring_ops, disk_threads_ops;

struct overlay;

/* A list of requests, first in first out. */
struct disk_list {
	struct disk_request *head, *tail;
};

struct disk {
	struct disk_file file; /* with an overlay: its base */
	uint64_t size;         /* bytes, a multiple of DISK_SECTOR */
	unsigned block_size;
	bool readonly, can_discard;
	struct overlay *overlay;
	const char *path; /* the configuration's */

	const struct disk_engine_ops *ops;
	void *engine;
	unsigned in_flight;
	bool cancelling; /* nothing begins any more */

	/*
	 * One flush at a time, for of two that run side by side Linux tells only one that a page was lost.
	 * Those that come meanwhile wait in `next` and share one that begins later: `with` it.
	 */
	bool flushing;
	struct disk_list flush_next, flush_with;

	struct loop *loop;
	void (*ready)(void *arg);
	void *arg;
	struct loop_source source; /* the engine's: something is finished */

	struct loop_source inotify;
	void (*changed)(void *arg);
	void *changed_arg;
};

/* The request is finished with r->error. */
void disk_finish(struct disk *d, struct disk_request *r);
/* Does a request from start to end, in the calling thread, which may be any. */
int disk_do(struct disk *d, struct disk_request *r);

/* The same for a read of the disk. The caller's lock is held. */
bool disk_read_now(struct disk *d, const struct disk_request *r);

void disk_list_add(struct disk_list *l, struct disk_request *r);
struct disk_request *disk_list_take(struct disk_list *l);
/* All of `from` to the end of `to`. */
void disk_list_move(struct disk_list *to, struct disk_list *from);
/* The same, and each has failed. */
void disk_list_fail(struct disk_list *to, struct disk_list *from, int error);
