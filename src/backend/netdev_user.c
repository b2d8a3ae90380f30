// SPDX-License-Identifier: Apache-2.0
/*
 * User networking: libslirp, in a process of its own (helpers/slirp.c, docs/net.md). That program is a part of
 * this one's file; it is started from memory, or from a temporary file where the host forbids that. From then on
 * it is the other end of a stream of frames like any other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/netdev_impl.h"
#include "backend/slirp_elf.h"
#include "base/io.h"

#ifndef MFD_EXEC /* Linux 6.3 */
#define MFD_EXEC 0x10U
#endif

#define FIRST_FREE_FD \
	10 /* above those that the helper gets: no dup2() overwrites what a later one needs */
#define START_TIMEOUT_MS 10000
#define MTU_MAX          65521 /* libslirp's */

/* The helper's descriptors: 0 socket, 1 and 2 its word about the start, 3 its own program. */
enum { HELPER_SOCKET, HELPER_OUT, HELPER_STATUS, HELPER_PROGRAM, HELPER_FDS };

struct launch {
	const char *name; /* of the network, for messages */
	char **argv;
	int ours, theirs; /* the socket's ends */
	int status_read, status_write;
	pid_t pid;
};

/* ---- the program ---- */

static size_t program_size(void)
{
	return (size_t)(slirp_elf_end - slirp_elf);
}

/* A descriptor from FIRST_FREE_FD on; -1 (errno). */
static int program_in_memory(void)
{
	int fd = memfd_create("toyvmm-slirp", MFD_CLOEXEC | MFD_EXEC), high;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("toyvmm-slirp", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	high = write_full(fd, slirp_elf, program_size()) < 0
		       ? -1
		       : fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	fd_close(&fd);
	return high;
}

/* path: a template for mkstemp(). 0 or -1. */
static int program_in_file(char *path)
{
	int fd = mkostemp(path, O_CLOEXEC), rc;

	if (fd < 0)
		return -1;
	rc = fchmod(fd, S_IRWXU) < 0 || write_full(fd, slirp_elf, program_size()) < 0 ? -1 : 0;
	fd_close(&fd);
	if (rc < 0)
		unlink(path);
	return rc;
}

/* ---- the process ---- */

/* Signals as a new program expects them: none blocked, none ignored. Everything but four descriptors is closed. */
static int spawn(struct launch *l, const char *path, int program)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t all, none;
	int rc;

	sigfillset(&all);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setsigmask(&attr, &none);
	rc = posix_spawn_file_actions_adddup2(&files, l->theirs, HELPER_SOCKET);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, l->status_write, HELPER_OUT);
	if (rc == 0)
		rc = posix_spawn_file_actions_adddup2(&files, l->status_write, HELPER_STATUS);
	if (rc == 0 && program >= 0)
		rc = posix_spawn_file_actions_adddup2(&files, program, HELPER_PROGRAM);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(&files, program >= 0
									      ? HELPER_FDS
									      : HELPER_PROGRAM);
	if (rc == 0)
		rc = posix_spawn(&l->pid, path, &files, &attr, l->argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

static int spawn_from_memory(struct launch *l)
{
	char path[32];
	int program = program_in_memory(), rc;

	if (program < 0)
		return errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", HELPER_PROGRAM);
	rc = spawn(l, path, program);
	fd_close(&program);
	return rc;
}

/* Where programs in memory are forbidden (vm.memfd_noexec) or there is no /proc. */
static int spawn_from_file(struct launch *l)
{
	const char *const dir[] = {getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp", "/var/tmp"};
	char path[256];
	int rc = ENOENT;

	for (unsigned i = 0; i < ARRAY_SIZE(dir); i++) {
		if (!dir[i])
			continue;
		snprintf(path, sizeof(path), "%s/toyvmm-slirp.XXXXXX", dir[i]);
		if (program_in_file(path) < 0) {
			rc = errno;
			continue;
		}
		rc = spawn(l, path, -1);
		unlink(path);
		if (rc == 0)
			break;
	}
	return rc;
}

static void end_process(struct launch *l)
{
	if (l->pid <= 0)
		return;
	kill(l->pid, SIGKILL);
	while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
		;
	l->pid = 0;
}

/* ---- how the start went ---- */

/* The first line that the helper, or its dynamic linker, says; "": none in time. */
static void read_line(int fd, char *line, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	int ready;

	while (len < size - 1 && !memchr(line, '\n', len)) {
		ssize_t n;

		do
			ready = poll(&p, 1, START_TIMEOUT_MS);
		while (ready < 0 && errno == EINTR);
		n = ready == 1 ? read(fd, line + len, size - 1 - len) : 0;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	line[len] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static int wait_ready(struct launch *l, struct err *e)
{
	char line[320];

	read_line(l->status_read, line, sizeof(line));
	if (strcmp(line, "ready") == 0)
		return 0;
	end_process(l);
	if (strstr(line, "shared librar") || strstr(line, "symbol"))
		return err_set(
			e, ENOENT,
			"%s: user networking needs libslirp (sudo apt-get install libslirp0): %s",
			l->name, line);
	return err_set(e, EIO, "%s: user networking: %s", l->name,
		       *line ? line : "its helper process does not start");
}

static int high_fd(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);

	if (high < 0)
		return -1;
	close(*fd);
	*fd = high;
	return 0;
}

static int open_ends(struct launch *l, struct err *e)
{
	int s[2], p[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0)
		return err_sys(e, "%s: socketpair", l->name);
	l->ours = s[0];
	l->theirs = s[1];
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(e, "%s: pipe", l->name);
	l->status_read = p[0];
	l->status_write = p[1];
	if (high_fd(&l->theirs) < 0 || high_fd(&l->status_write) < 0)
		return err_sys(e, "%s: fcntl", l->name);
	return 0;
}

static int launch(struct launch *l, struct err *e)
{
	int rc = open_ends(l, e);

	if (rc < 0)
		return rc;
	if (spawn_from_memory(l) != 0) {
		l->pid = 0;
		rc = spawn_from_file(l);
		if (rc != 0) {
			l->pid = 0;
			return err_set(e, rc,
				       "%s: user networking: its helper cannot be started: %s",
				       l->name, strerror(rc));
		}
	}
	fd_close(&l->theirs);
	fd_close(&l->status_write); /* so that the helper's end is seen */
	return wait_ready(l, e);
}

/* ---- its arguments ---- */

static void free_arguments(char **argv)
{
	for (char **a = argv; a && *a; a++)
		free(*a);
	free(argv);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static int add(char **slot, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int add(char **slot, const char *fmt, ...)
{
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(slot, fmt, ap);
	va_end(ap);
	if (rc < 0)
		*slot = NULL;
	return rc < 0 ? -ENOMEM : 0;
}

static char **make_arguments(const struct net_config *c)
{
	char **argv = calloc(c->n_hostfwds + 4, sizeof(*argv));
	unsigned n = 0;
	int rc;

	if (!argv)
		return NULL;
	rc = add(&argv[n++], "toyvmm-slirp");
	if (rc == 0 && c->restricted)
		rc = add(&argv[n++], "restrict");
	if (rc == 0 && c->mtu)
		rc = add(&argv[n++], "mtu=%u", MIN(c->mtu, (unsigned)MTU_MAX));
	for (unsigned i = 0; rc == 0 && i < c->n_hostfwds; i++) {
		const struct hostfwd_config *f = &c->hostfwd[i];
		rc = add(&argv[n++], "hostfwd=%s,%s,%u,%s,%u", f->udp ? "udp" : "tcp",
			 or_empty(f->host_addr), f->host_port, or_empty(f->guest_addr),
			 f->guest_port);
	}
	if (rc == 0)
		return argv;
	free_arguments(argv);
	return NULL;
}

int netdev_open_user(struct netdev **out, const struct net_config *config, struct loop *loop,
		     const char *name, struct err *e)
{
	struct launch l = {
		.name = name, .ours = -1, .theirs = -1, .status_read = -1, .status_write = -1};
	int rc;

	if (config->queues > 1)
		return err_set(e, EINVAL, "%s: user networking has one queue; only tap has several",
			       name);
	l.argv = make_arguments(config);
	rc = l.argv ? launch(&l, e) : err_set(e, ENOMEM, "%s: out of memory", name);
	free_arguments(l.argv);
	fd_close(&l.theirs);
	fd_close(&l.status_read);
	fd_close(&l.status_write);
	if (rc < 0) {
		fd_close(&l.ours);
		return rc;
	}
	rc = netdev_open_stream(out, l.ours, l.pid, loop, name, e);
	if (rc < 0)
		end_process(&l);
	return rc;
}
