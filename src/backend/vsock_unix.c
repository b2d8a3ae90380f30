// SPDX-License-Identifier: Apache-2.0
#include "backend/vsock_unix.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

#define BACKLOG     128
#define PORT_SUFFIX (sizeof("_4294967295") - 1)

static int control(struct vsock_unix *u, int op, int fd, uint32_t token, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.u32 = token};

	return epoll_ctl(u->set.fd, op, fd, &ev) < 0 ? -errno : 0;
}

int vsock_unix_open(struct vsock_unix *u, const char *path, struct err *e)
{
	int rc;

	if (strlen(path) + PORT_SUFFIX > UNIX_PATH_MAX_LEN)
		return err_set(e, ENAMETOOLONG,
			       "vsock: '%s': the socket's path may have at most %zu bytes", path,
			       UNIX_PATH_MAX_LEN - PORT_SUFFIX);
	rc = unix_listen(&u->listener, path, BACKLOG, e);
	if (rc < 0)
		return err_wrap(e, rc, "vsock: ");
	u->set.fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->set.fd < 0)
		return err_sys(e, "vsock: epoll_create1");
	rc = control(u, EPOLL_CTL_ADD, u->listener.fd, VSOCK_LISTENER, EPOLLIN);
	return rc < 0 ? err_set(e, -rc, "vsock: epoll_ctl: %s", strerror(-rc)) : 0;
}

void vsock_unix_close(struct vsock_unix *u)
{
	unix_unlisten(&u->listener);
	fd_close(&u->set.fd);
}

bool vsock_unix_next(struct vsock_unix *u, uint32_t *token, uint32_t *events)
{
	struct epoll_event ev;

	if (epoll_wait(u->set.fd, &ev, 1, 0) != 1)
		return false;
	*token = ev.data.u32;
	*events = ev.events;
	return true;
}

int vsock_unix_add(struct vsock_unix *u, int fd, uint32_t token)
{
	return control(u, EPOLL_CTL_ADD, fd, token, EPOLLIN | EPOLLET);
}

/* Cannot fail: the descriptor is in the set. A change looks anew: what is possible already makes an event. */
void vsock_unix_want_out(struct vsock_unix *u, int fd, uint32_t token, bool want)
{
	control(u, EPOLL_CTL_MOD, fd, token, EPOLLIN | EPOLLET | (want ? EPOLLOUT : 0));
}

void vsock_unix_want_clients(struct vsock_unix *u, bool want)
{
	control(u, EPOLL_CTL_MOD, u->listener.fd, VSOCK_LISTENER, want ? EPOLLIN : 0);
}

int vsock_unix_accept(struct vsock_unix *u)
{
	return unix_accept(&u->listener);
}

int vsock_unix_connect(struct vsock_unix *u, uint32_t host_port)
{
	char path[sizeof(u->listener.addr.sun_path) + PORT_SUFFIX]; /* it fits: see open */

	snprintf(path, sizeof(path), "%s_%u", u->listener.addr.sun_path, host_port);
	return unix_connect(path);
}

/* "CONNECT 52", any case, with blanks around the words. The line ends in 0 here. */
static bool parse_line(const char *s, uint32_t *port)
{
	static const char verb[] = "connect";
	uint64_t value = 0;
	size_t digits;

	s += strspn(s, " \t");
	if (strncasecmp(s, verb, sizeof(verb) - 1) != 0)
		return false;
	s += sizeof(verb) - 1;
	if (*s != ' ' && *s != '\t')
		return false;
	s += strspn(s, " \t");
	digits = strspn(s, "0123456789");
	if (digits == 0 || s[digits + strspn(s + digits, " \t\r")] != '\0')
		return false;
	for (size_t i = 0; i < digits; i++) { /* fewer than VSOCK_LINE_MAX */
		value = value * 10 + (uint64_t)(s[i] - '0');
		if (value > UINT32_MAX)
			return false;
	}
	*port = (uint32_t)value;
	return true;
}

int vsock_unix_read_line(int fd, uint32_t *port)
{
	char line[VSOCK_LINE_MAX];
	ssize_t n = recv(fd, line, sizeof(line), MSG_PEEK | MSG_DONTWAIT);
	char *end;
	size_t len;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPROTO;
	end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	if (!end) /* it may come in pieces */
		return n > 0 && n < VSOCK_LINE_MAX ? 0 : -EPROTO;
	len = (size_t)(end - line) + 1;
	if (recv(fd, line, len, MSG_DONTWAIT) != (ssize_t)len)
		return -EPROTO;
	line[len - 1] = '\0';
	if (strlen(line) != len - 1 || !parse_line(line, port)) /* a 0 in the middle is nonsense */
		return -EPROTO;
	return 1;
}

bool vsock_unix_write_ok(int fd, uint32_t host_port)
{
	char line[VSOCK_LINE_MAX];
	int len = snprintf(line, sizeof(line), "OK %u\n", host_port);

	return send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) == len;
}

ssize_t vsock_unix_read(int fd, struct iovec *iov, unsigned n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t got;

	do
		got = recvmsg(fd, &m, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

ssize_t vsock_unix_write(int fd, struct iovec *iov, unsigned n)
{
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
	ssize_t put;

	do
		put = sendmsg(fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (put < 0 && errno == EINTR);
	return put < 0 ? -errno : put;
}
