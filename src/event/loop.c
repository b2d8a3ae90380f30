// SPDX-License-Identifier: Apache-2.0
#include "event/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/io.h"

static void on_stop(void *arg, uint32_t events)
{
	struct loop *l = arg;

	(void)events;
	l->stopping = true;
}

int loop_init(struct loop *l, struct err *e)
{
	*l = LOOP_EMPTY;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return err_sys(e, "event loop: epoll_create1");
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0)
		return err_sys(e, "event loop: eventfd");
	l->stop = (struct loop_source){.fd = l->stop_fd, .fn = on_stop, .arg = l};
	if (loop_add(l, &l->stop, EPOLLIN) < 0)
		return err_sys(e, "event loop: epoll_ctl");
	return 0;
}

void loop_fini(struct loop *l)
{
	fd_close(&l->stop_fd);
	fd_close(&l->epoll_fd);
}

static int control(struct loop *l, int op, struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(l->epoll_fd, op, s->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *l, struct loop_source *s, uint32_t events)
{
	return control(l, EPOLL_CTL_ADD, s, events);
}

int loop_modify(struct loop *l, struct loop_source *s, uint32_t events)
{
	return control(l, EPOLL_CTL_MOD, s, events);
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	control(l, EPOLL_CTL_DEL, s, 0);
}

int loop_run(struct loop *l)
{
	struct epoll_event ev;

	/* One event at a time: a handler may remove any other source without leaving a stale pointer. */
	while (!l->stopping) {
		int n = epoll_wait(l->epoll_fd, &ev, 1, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 1) {
			struct loop_source *s = ev.data.ptr;
			s->fn(s->arg, ev.events);
		}
	}
	return 0;
}

void loop_stop(struct loop *l)
{
	uint64_t one = 1;

	if (write(l->stop_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: a stop is pending anyway */
}

int timer_open(void)
{
	return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
}

int timer_arm(int timer_fd, unsigned ms)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
	};

	return timerfd_settime(timer_fd, 0, &when, NULL) < 0 ? -errno : 0;
}
