/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A character back end: a stream of bytes to and from the host, for a serial port or a console.
 *
 * Output is offered to the host at once, without blocking; what the host does not take waits in a
 * ring of CHARDEV_RING bytes, so chardev_write() never waits for a reader. When the ring is full
 * the oldest bytes go (the newest say why a guest died) and are counted. Where a reader can be
 * absent (a socket, a pty) the ring keeps the last bytes until one comes: who connects late still
 * sees the boot. Input is only read from the host when the front end has room for it, so whatever
 * is pasted waits in the kernel, not in our memory; of a terminal's, up to CHARDEV_AHEAD bytes are
 * read ahead, for our own keys may be among them. The end of input, a reader that leaves, a
 * terminal that vanishes are ordinary: the guest goes on.
 *
 * Locks: `front` functions are called from the loop thread with no lock of the chardev held; a
 * front end may call any chardev function while it holds its own lock (order: front end, then
 * chardev).
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "event/loop.h"

#define CHARDEV_RING  65536
#define CHARDEV_AHEAD 4096

struct chardev;

/* The device's side; any function may be NULL. */
struct chardev_front {
	size_t (*room)(void *arg); /* bytes of input it can take now */
	void (*receive)(void *arg, const uint8_t *data, size_t len); /* len <= what room() said */
	void (*drained)(void *arg); /* chardev_congested() became false */
	void *arg;
};

/*
 * Back ends. Each registers with the loop once chardev_start() is called. The text of an error does not say
 * whose stream it is: the caller puts that in front.
 * stdio: the keys after Ctrl-A (backend/escape.h) work where standard input is a terminal; `quit`,
 * called from the loop thread, is Ctrl-A x. The terminal's mode is backend/terminal.h's business.
 */
int chardev_open_stdio(struct chardev **out, struct loop *loop, void (*quit)(void *arg), void *arg,
		       struct err *e);
/* Prints "<label>: /dev/pts/N" on standard output. */
int chardev_open_pty(struct chardev **out, struct loop *loop, const char *label, struct err *e);
/* Created, or emptied. No input. */
int chardev_open_file(struct chardev **out, struct loop *loop, const char *path, struct err *e);
/* Listens; serves one client after the other. Replaces a dead process's socket, refuses a live
 * one's. */
int chardev_open_socket(struct chardev **out, struct loop *loop, const char *path, struct err *e);
int chardev_open_none(struct chardev **out, struct loop *loop, struct err *e);

/* Connects the front end and starts input. */
int chardev_start(struct chardev *c, struct chardev_front front, struct err *e);
/* Forgets the front end, which is about to go. From the loop's thread, or when the loop has ended.
 */
void chardev_detach(struct chardev *c);

/* Queues output. Any thread; never blocks, never fails. */
void chardev_write(struct chardev *c, const uint8_t *data, size_t len);

/*
 * True while a reader is there and slow: more than half of the ring waits for it, and it took some
 * in the last second. Once true it stays so until three quarters of the ring are free or the reader
 * stops or leaves; then drained() is called. A front end with flow control holds its sender back in
 * between.
 */
bool chardev_congested(struct chardev *c);

/* The front end has room again after room() said 0. Any thread. */
void chardev_resume_input(struct chardev *c);

/* Bytes of output that were dropped because nothing read them. */
uint64_t chardev_dropped(struct chardev *c);

/* The loop it lives in, for a front end's own timer. */
struct loop *chardev_loop(const struct chardev *c);

/* Gives a reader that still reads up to a second to take what is queued; then closes. NULL is fine.
 */
void chardev_destroy(struct chardev *c);
