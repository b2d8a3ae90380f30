/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one thread, epoll, level-triggered. Devices' host sides run here.
 *
 * A source is owned by its user and must stay in place while it is added. loop_add/modify/remove may be
 * called from any thread; after loop_remove() from the loop's own thread no call of fn comes any more.
 */
#pragma once

#include <sys/epoll.h>

#include "base/base.h"
#include "base/err.h"

struct loop_source {
	int fd;
	void (*fn)(void *arg, uint32_t events); /* EPOLLIN and so on */
	void *arg;
};

struct loop {
	int epoll_fd;
	int stop_fd; /* eventfd: loop_stop() from any thread, or a signal handler */
	struct loop_source stop;
	bool stopping; /* loop thread only */
};

#define LOOP_EMPTY ((struct loop){.epoll_fd = -1, .stop_fd = -1})

int loop_init(struct loop *l, struct err *e);
void loop_fini(struct loop *l);

/* 0 or -errno; -EPERM: the file cannot be waited for (a regular file, /dev/null): it is always ready. */
MUST_CHECK int loop_add(struct loop *l, struct loop_source *s, uint32_t events);
MUST_CHECK int loop_modify(struct loop *l, struct loop_source *s, uint32_t events);
void loop_remove(struct loop *l, struct loop_source *s);

/* Serves sources until loop_stop(). 0, or -errno when epoll itself failed. */
int loop_run(struct loop *l);
/* Ends loop_run(). Any thread, async-signal-safe. */
void loop_stop(struct loop *l);

/* One-shot timer: fd for a source that becomes readable once after `ms` milliseconds. fd or -1 (errno). */
int timer_open(void);
/* 0 disarms. Reading is not needed before re-arming. */
int timer_arm(int timer_fd, unsigned ms);
