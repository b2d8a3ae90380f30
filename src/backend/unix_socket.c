// SPDX-License-Identifier: Apache-2.0
#include "backend/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int connect_to(const struct sockaddr_un *addr)
{
	int fd = open_socket(), rc;

	if (fd < 0)
		return fd;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

int unix_connect(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (*path == '\0' || strlen(path) > UNIX_PATH_MAX_LEN)
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	return connect_to(&addr);
}

/* A socket file whose process is dead refuses connections; it may go. */
static int remove_stale(const struct sockaddr_un *addr, struct err *e)
{
	struct stat st;
	int fd;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(e, "'%s'", addr->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST, "'%s' exists and is not a socket", addr->sun_path);
	fd = connect_to(addr);
	if (fd == -ECONNREFUSED)
		return unlink(addr->sun_path) < 0 && errno != ENOENT
			       ? err_sys(e, "cannot remove the old '%s'", addr->sun_path)
			       : 0;
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN || fd == -EPROTOTYPE)
		return err_set(e, EADDRINUSE, "'%s' is in use by another process", addr->sun_path);
	errno = -fd;
	return err_sys(e, "'%s'", addr->sun_path);
}

int unix_listen(struct unix_listener *l, const char *path, int backlog, struct err *e)
{
	int rc;

	*l = UNIX_LISTENER_EMPTY;
	if (*path == '\0' || strlen(path) > UNIX_PATH_MAX_LEN)
		return err_set(e, ENAMETOOLONG, "'%s': a socket's path has 1 to %zu bytes", path,
			       UNIX_PATH_MAX_LEN);
	l->addr.sun_family = AF_UNIX;
	strcpy(l->addr.sun_path, path);
	if ((rc = remove_stale(&l->addr, e)) < 0)
		return rc;
	l->fd = open_socket();
	if (l->fd < 0) {
		errno = -l->fd;
		l->fd = -1;
		return err_sys(e, "socket");
	}
	if (bind(l->fd, (struct sockaddr *)&l->addr, sizeof(l->addr)) < 0)
		return err_sys(e, "cannot create the socket '%s'", path);
	if (lstat(path, &l->ours) < 0 || listen(l->fd, backlog) < 0)
		return err_sys(e, "'%s'", path);
	return 0;
}

void unix_unlisten(struct unix_listener *l)
{
	struct stat now;

	fd_close(&l->fd);
	if (l->ours.st_ino && lstat(l->addr.sun_path, &now) == 0 && now.st_ino == l->ours.st_ino &&
	    now.st_dev == l->ours.st_dev)
		unlink(l->addr.sun_path);
	l->ours.st_ino = 0;
}

int unix_accept(const struct unix_listener *l)
{
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

void unix_put_fds(struct msghdr *msg, union unix_fds *room, const int *fd, unsigned n)
{
	struct cmsghdr *c;

	if (n == 0)
		return;
	memset(room, 0, sizeof(*room));
	msg->msg_control = room->room;
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fd, n * sizeof(int));
}

bool unix_take_fds(struct msghdr *msg, int *fd, unsigned *n, unsigned max)
{
	bool fits = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < came; i++) {
			int one;

			memcpy(&one, CMSG_DATA(c) + i * sizeof(one), sizeof(one));
			if (*n < max) {
				fd[(*n)++] = one;
			} else {
				close(one);
				fits = false;
			}
		}
	}
	return fits;
}
