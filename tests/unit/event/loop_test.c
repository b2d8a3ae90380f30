// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "event/loop.h"

struct probe {
	struct loop *loop;
	struct loop_source source, *victim;
	unsigned calls;
	int fds[2];
};

static struct err e;

static void on_readable(void *arg, uint32_t events)
{
	struct probe *p = arg;
	char byte;

	CHECK(events & EPOLLIN);
	CHECK_EQ(1, read(p->source.fd, &byte, 1));
	p->calls++;
	if (p->victim)
		loop_remove(p->loop, p->victim);
	if (byte == 's')
		loop_stop(p->loop);
}

static void probe_open(struct probe *p, struct loop *l)
{
	memset(p, 0, sizeof(*p));
	CHECK_EQ(0, pipe(p->fds));
	p->loop = l;
	p->source = (struct loop_source){.fd = p->fds[0], .fn = on_readable, .arg = p};
	CHECK_EQ(0, loop_add(l, &p->source, EPOLLIN));
}

static void probe_close(struct probe *p)
{
	close(p->fds[0]);
	close(p->fds[1]);
}

TEST(loop_serves_a_source_until_stopped)
{
	struct probe p;
	struct loop l;

	CHECK_EQ(0, loop_init(&l, &e));
	probe_open(&p, &l);
	CHECK_EQ(3, write(p.fds[1], "abs", 3));
	CHECK_EQ(0, loop_run(&l));
	CHECK_EQ(3, p.calls);
	probe_close(&p);
	loop_fini(&l);
}

TEST(stop_before_run_ends_it_at_once)
{
	struct loop l;

	CHECK_EQ(0, loop_init(&l, &e));
	loop_stop(&l);
	loop_stop(&l);
	CHECK_EQ(0, loop_run(&l));
	loop_fini(&l);
}

TEST(handler_may_remove_another_ready_source)
{
	struct probe a, b;
	struct loop l;

	CHECK_EQ(0, loop_init(&l, &e));
	probe_open(&a, &l);
	probe_open(&b, &l);
	a.victim = &b.source;
	b.victim = &a.source;
	CHECK_EQ(1, write(a.fds[1], "s", 1));
	CHECK_EQ(1, write(b.fds[1], "s", 1));
	CHECK_EQ(0, loop_run(&l));
	CHECK_EQ(1, a.calls + b.calls);
	probe_close(&a);
	probe_close(&b);
	loop_fini(&l);
}

TEST(file_that_is_always_ready_is_refused_with_eperm)
{
	struct loop_source s = {.fd = open("/dev/null", O_RDONLY)};
	struct loop l;

	CHECK_EQ(0, loop_init(&l, &e));
	CHECK_EQ(-EPERM, loop_add(&l, &s, EPOLLIN));
	close(s.fd);
	loop_fini(&l);
}

static void on_timer(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg);
}

TEST(armed_timer_fires_and_a_disarmed_one_stays_quiet)
{
	struct loop_source fires = {.fd = timer_open(), .fn = on_timer};
	struct loop_source quiet = {.fd = timer_open(), .fn = NULL};
	struct loop l;

	CHECK_EQ(0, loop_init(&l, &e));
	fires.arg = &l;
	CHECK_EQ(0, loop_add(&l, &fires, EPOLLIN));
	CHECK_EQ(0, loop_add(&l, &quiet, EPOLLIN));
	CHECK_EQ(0, timer_arm(quiet.fd, 1));
	CHECK_EQ(0, timer_arm(quiet.fd, 0));
	CHECK_EQ(0, timer_arm(fires.fd, 5));
	CHECK_EQ(0, loop_run(&l));
	close(fires.fd);
	close(quiet.fd);
	loop_fini(&l);
}
