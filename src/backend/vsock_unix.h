/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a vsock device as Unix sockets, in Firecracker's convention ("hybrid vsock"):
 *
 *   PATH     we listen. A program connects, writes "CONNECT <guest port>\n", reads "OK <host port>\n" once
 *            the guest has accepted; from then on the socket is the connection.
 *   PATH_P   a program listens. A connection of the guest to the host's port P is one to this socket.
 *
 * All sockets live in an epoll set of their own, of which the event loop sees one descriptor. So an event is
 * fetched and handled under the device's lock, and none can be under way for a socket that was just closed by
 * another thread. Connections are edge-triggered: an event tells that something is to be read again after a
 * read had found nothing (-EAGAIN).
 *
 * Lock: the device's. Nothing here waits.
 */
#pragma once

#include <sys/epoll.h>
#include <sys/uio.h>

#include "backend/unix_socket.h"
#include "base/base.h"
#include "base/err.h"
#include "event/loop.h"

#define VSOCK_LISTENER UINT32_MAX /* token of PATH's own events */
#define VSOCK_LINE_MAX 32         /* bytes of a CONNECT line, its end included */

struct vsock_unix {
	struct unix_listener listener;
	struct loop_source set; /* the epoll set; for the owner to add to the loop */
};

#define VSOCK_UNIX_EMPTY ((struct vsock_unix){.listener = {.fd = -1}, .set = {.fd = -1}})

/* Listens at `path`, which must leave room for the port of PATH_P. On failure close it all the same. */
int vsock_unix_open(struct vsock_unix *u, const char *path, struct err *e);
void vsock_unix_close(struct vsock_unix *u);

/* The next event, if one is there: whose, and which (EPOLLIN and so on). */
MUST_CHECK bool vsock_unix_next(struct vsock_unix *u, uint32_t *token, uint32_t *events);
/* Puts a socket into the set: input, hang-up. 0 or -errno. Closing the socket takes it out again. */
MUST_CHECK int vsock_unix_add(struct vsock_unix *u, int fd, uint32_t token);
/* Events when the socket can be written as well, or no longer. */
void vsock_unix_want_out(struct vsock_unix *u, int fd, uint32_t token, bool want);
/* Whether clients that wait at PATH make events. At first they do. */
void vsock_unix_want_clients(struct vsock_unix *u, bool want);

/* A descriptor, or -errno. */
MUST_CHECK int vsock_unix_accept(struct vsock_unix *u);
MUST_CHECK int vsock_unix_connect(struct vsock_unix *u, uint32_t host_port);

/*
 * Takes the CONNECT line from a client, and no byte more. 1: *port is the one it asks for; 0: not all of it
 * is there yet; -EPROTO: it is nonsense, or the client has gone.
 */
MUST_CHECK int vsock_unix_read_line(int fd, uint32_t *port);
/* Answers it. False: the client could not take it. */
MUST_CHECK bool vsock_unix_write_ok(int fd, uint32_t host_port);

/* Scatter and gather. Bytes, or -errno; 0 when reading: the end of input. No SIGPIPE. */
MUST_CHECK ssize_t vsock_unix_read(int fd, struct iovec *iov, unsigned n);
MUST_CHECK ssize_t vsock_unix_write(int fd, struct iovec *iov, unsigned n);
