/* SPDX-License-Identifier: Apache-2.0 */
/* A front end that remembers what it got, and an event loop that is turned by hand. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/chardev.h"
#include "event/loop.h"
#include "../test.h"

struct fake {
	struct loop loop;
	struct chardev *c;
	struct err e;
	size_t room, biggest; /* what room() says; the biggest receive() */
	uint8_t *got;
	size_t n, size;
	unsigned drained, quits, wakeups;
};

static size_t fake_room(void *arg)
{
	return ((struct fake *)arg)->room;
}

static void fake_receive(void *arg, const uint8_t *data, size_t len)
{
	struct fake *f = arg;

	CHECK(len <= f->room);
	if (len > f->biggest)
		f->biggest = len;
	if (f->n + len > f->size) {
		f->size = (f->n + len) * 2;
		f->got = realloc(f->got, f->size);
	}
	memcpy(f->got + f->n, data, len);
	f->n += len;
	f->room -= len;
}

static void fake_drained(void *arg)
{
	((struct fake *)arg)->drained++;
}

static inline void fake_quit(void *arg)
{
	((struct fake *)arg)->quits++;
}

static inline void fake_init(struct fake *f)
{
	memset(f, 0, sizeof(*f));
	f->room = SIZE_MAX;
	CHECK_EQ(0, loop_init(&f->loop, &f->e));
}

static inline void fake_start(struct fake *f)
{
	struct chardev_front front = {fake_room, fake_receive, fake_drained, f};

	CHECK_EQ(0, chardev_start(f->c, front, &f->e));
}

/* Serves one source; false if nothing happened for `ms`. */
static inline bool fake_step(struct fake *f, int ms)
{
	struct epoll_event ev;
	struct loop_source *s;

	if (epoll_wait(f->loop.epoll_fd, &ev, 1, ms) != 1)
		return false;
	f->wakeups++;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

/* Until nothing happens for `ms`; a loop that spins is found by its number of rounds. */
static inline void fake_settle(struct fake *f, int ms)
{
	for (unsigned i = 0; fake_step(f, ms); i++)
		CHECK(i < 1000000);
}

static inline void fake_fini(struct fake *f)
{
	chardev_destroy(f->c);
	loop_fini(&f->loop);
	free(f->got);
}

/* Opens stdio over other descriptors than ours; -1: /dev/null. They are not needed afterwards. */
static inline void fake_open_stdio(struct fake *f, int in, int out)
{
	int saved_in = dup(STDIN_FILENO), saved_out = dup(STDOUT_FILENO);
	int null = open("/dev/null", O_RDWR), rc;

	fflush(stdout);
	dup2(in < 0 ? null : in, STDIN_FILENO);
	dup2(out < 0 ? null : out, STDOUT_FILENO);
	rc = chardev_open_stdio(&f->c, &f->loop, fake_quit, f, &f->e);
	dup2(saved_in, STDIN_FILENO);
	dup2(saved_out, STDOUT_FILENO);
	close(saved_in);
	close(saved_out);
	close(null);
	CHECK_EQ(0, rc);
}

static inline void fake_write(struct fake *f, const char *text)
{
	chardev_write(f->c, (const uint8_t *)text, strlen(text));
}

static inline void make_pipe(int p[2])
{
	CHECK_EQ(0, pipe2(p, O_CLOEXEC));
}

/* All that can be read now. */
static inline size_t drain(int fd, uint8_t *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (n < size && poll(&p, 1, 0) == 1 && (got = read(fd, buf + n, size - n)) > 0)
		n += (size_t)got;
	return n;
}

/* Byte number i of a stream whose every place can be told from its neighbours. */
static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i ^ (i >> 8) * 7 ^ (i >> 16) * 13);
}
