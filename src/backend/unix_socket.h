/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix stream sockets with a name in the file system (unix(7)): what a back end that listens, and one that
 * connects, need. Everything is non-blocking and close-on-exec.
 *
 * The file of a socket outlives its process. Nobody listens behind a stale one, which connect(2) tells
 * (ECONNREFUSED); such a file is replaced, any other is refused.
 */
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"
#include "base/err.h"

#define UNIX_PATH_MAX_LEN (sizeof(((struct sockaddr_un *)0)->sun_path) - 1) /* bytes of a name */

struct unix_listener {
	int fd; /* -1: not listening */
	struct sockaddr_un addr;
	struct stat ours; /* the socket file; st_ino 0: not made yet */
};

#define UNIX_LISTENER_EMPTY ((struct unix_listener){.fd = -1})

/* Listens at `path`. The error texts do not say for whom: the caller does. On failure call unix_unlisten() all the same. */
int unix_listen(struct unix_listener *l, const char *path, int backlog, struct err *e);
/* Closes, and removes the file unless somebody has put another in its place. Accepts a half-made one. */
void unix_unlisten(struct unix_listener *l);
/* The next client: a descriptor, or -errno (-EAGAIN: none is waiting). */
MUST_CHECK int unix_accept(const struct unix_listener *l);
/* Connects: a descriptor, or -errno; -EAGAIN: the listener's queue is full. Never waits for the other side. */
MUST_CHECK int unix_connect(const char *path);

/* Descriptors beside a message (SCM_RIGHTS): room for as many as the kernel lets through, so that all are seen. */
#define UNIX_FDS_MAX 253 /* SCM_MAX_FD of Linux */
union unix_fds {
	struct cmsghdr align;
	char room[CMSG_SPACE(UNIX_FDS_MAX * sizeof(int))];
};

/* Puts `n` of them, at most UNIX_FDS_MAX, beside a message that will be sent. They stay the caller's. */
void unix_put_fds(struct msghdr *msg, union unix_fds *room, const int *fd, unsigned n);
/*
 * Takes those that came beside a received message, behind the *n that fd[] has: up to `max` in all, the others are
 * closed. False: there were others.
 */
MUST_CHECK bool unix_take_fds(struct msghdr *msg, int *fd, unsigned *n, unsigned max);
