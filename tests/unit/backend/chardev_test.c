// SPDX-License-Identifier: Apache-2.0
/* What all back ends share, seen through standard input and output made of pipes. */
#include <signal.h>
#include <sys/wait.h>

#include "backend/chardev_impl.h"
#include "chardev_fake.h"

#define MUCH (10u * 1024 * 1024)

TEST(output_is_there_before_chardev_write_returns)
{
	struct fake f;
	int out[2];
	uint8_t buf[8];

	fake_init(&f);
	make_pipe(out);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	fake_write(&f, "hello");
	CHECK_EQ(5, drain(out[0], buf, sizeof(buf)));
	CHECK_EQ(0, memcmp(buf, "hello", 5));
	fake_settle(&f, 0); /* the kick of chardev_start() */
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	close(out[0]), close(out[1]);
}

TEST(output_does_not_change_flags_of_descriptors_shared_with_the_shell)
{
	struct fake f;
	int in[2], out[2];

	fake_init(&f);
	make_pipe(in), make_pipe(out);
	fake_open_stdio(&f, in[0], out[1]);
	fake_start(&f);
	CHECK_EQ(0, fcntl(in[0], F_GETFL) & O_NONBLOCK);
	CHECK_EQ(0, fcntl(out[1], F_GETFL) & O_NONBLOCK);
	fake_fini(&f);
	close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

/* A front end that holds back while congested loses nothing, however slow the reader is. */
TEST(slow_reader_loses_nothing_when_the_sender_waits_for_drained)
{
	struct fake f;
	int out[2];
	size_t sent = 0, got = 0, want = 1 << 20;
	static uint8_t buf[4096];
	bool held = false;

	fake_init(&f);
	make_pipe(out);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	while (got < want) {
		while (sent < want && !held) {
			uint8_t b = pattern(sent++);
			chardev_write(f.c, &b, 1);
			held = chardev_congested(f.c);
		}
		size_t n = drain(out[0], buf, sizeof(buf));
		for (size_t i = 0; i < n; i++)
			CHECK_EQ(pattern(got + i), buf[i]);
		got += n;
		f.drained = 0;
		fake_settle(&f, 0);
		held = held && !f.drained;
	}
	CHECK_EQ(0, chardev_dropped(f.c));
	fake_fini(&f);
	close(out[0]), close(out[1]);
}

TEST(stopped_reader_is_waited_for_one_second_and_then_loses_the_oldest)
{
	struct fake f;
	int out[2];
	static uint8_t buf[MUCH];
	size_t sent = 0, got, first = 0;
	uint64_t dropped;

	fake_init(&f);
	make_pipe(out);
	fcntl(out[1], F_SETPIPE_SZ, 4096);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	fake_settle(&f, 0);
	for (; sent < 60000; sent++) {
		uint8_t b = pattern(sent);
		chardev_write(f.c, &b, 1);
	}
	CHECK(chardev_congested(f.c));
	f.wakeups = 0;
	CHECK(!fake_step(&f, 700));
	CHECK_EQ(0, f.drained);
	CHECK(fake_step(&f, 600));
	CHECK_EQ(1, f.drained);
	CHECK(!chardev_congested(f.c));
	CHECK(!fake_step(&f, 1200)); /* and no timer any more */

	for (; sent < 600000; sent++) {
		uint8_t b = pattern(sent);
		chardev_write(f.c, &b, 1);
	}
	CHECK(!chardev_congested(f.c));
	dropped = chardev_dropped(f.c);
	CHECK_EQ(600000 - 4096 - CHARDEV_RING, dropped);

	/* It reads again: what the pipe held, then the newest of the ring. */
	for (got = 0; (first = drain(out[0], buf + got, sizeof(buf) - got)) > 0; fake_settle(&f, 0))
		got += first;
	CHECK_EQ(4096 + CHARDEV_RING, got);
	for (size_t i = 0; i < 4096; i++)
		CHECK_EQ(pattern(i), buf[i]);
	for (size_t i = 0; i < CHARDEV_RING; i++)
		CHECK_EQ(pattern(600000 - CHARDEV_RING + i), buf[4096 + i]);
	CHECK_EQ(dropped, chardev_dropped(f.c));
	fake_fini(&f);
	close(out[0]), close(out[1]);
}

TEST(congestion_begins_above_half_of_the_ring_and_ends_at_a_quarter)
{
	struct fake f;
	int out[2];
	uint8_t buf[4096] = {0};

	fake_init(&f);
	make_pipe(out);
	fcntl(out[1], F_SETPIPE_SZ, 4096);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	for (size_t i = 0; i < 4096 / sizeof(buf) + CHARDEV_RING / 2 / sizeof(buf); i++)
		chardev_write(f.c, buf, sizeof(buf));
	CHECK(!chardev_congested(f.c)); /* exactly half */
	chardev_write(f.c, buf, 1);
	CHECK(chardev_congested(f.c));
	for (unsigned i = 0; i < CHARDEV_RING / 4 / sizeof(buf); i++) {
		drain(out[0], buf, sizeof(buf));
		fake_settle(&f, 0);
	}
	CHECK(chardev_congested(f.c)); /* a quarter and one byte */
	CHECK_EQ(0, f.drained);
	drain(out[0], buf, sizeof(buf));
	fake_settle(&f, 0);
	CHECK_EQ(1, f.drained);
	CHECK(!chardev_congested(f.c));
	while (drain(out[0], buf, sizeof(buf)) > 0)
		fake_settle(&f, 0);
	fake_fini(&f);
	close(out[0]), close(out[1]);
}

TEST(output_after_the_reader_has_closed_is_dropped_and_counted)
{
	struct fake f;
	int out[2];

	signal(SIGPIPE, SIG_IGN);
	fake_init(&f);
	make_pipe(out);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	fake_settle(&f, 0);
	close(out[0]);
	fake_write(&f, "hello");
	fake_write(&f, "again");
	CHECK_EQ(10, chardev_dropped(f.c));
	CHECK(!chardev_congested(f.c));
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	close(out[1]);
}

TEST(reader_that_closes_while_output_waits_ends_congestion)
{
	struct fake f;
	int out[2];
	uint8_t buf[1024] = {0};

	signal(SIGPIPE, SIG_IGN);
	fake_init(&f);
	make_pipe(out);
	fcntl(out[1], F_SETPIPE_SZ, 4096);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	for (unsigned i = 0; i < 50; i++)
		chardev_write(f.c, buf, sizeof(buf));
	CHECK(chardev_congested(f.c));
	close(out[0]);
	fake_settle(&f, 10);
	CHECK_EQ(1, f.drained);
	CHECK(!chardev_congested(f.c));
	CHECK_EQ(46 * 1024, chardev_dropped(f.c));
	fake_fini(&f);
	close(out[1]);
}

TEST(output_goes_on_where_the_shell_left_a_regular_file)
{
	struct fake f;
	FILE *file = tmpfile();
	char buf[32] = "";

	fake_init(&f);
	CHECK_EQ(6, write(fileno(file), "before", 6));
	fake_open_stdio(&f, -1, fileno(file));
	fake_start(&f);
	fake_write(&f, " vm ");
	CHECK_EQ(5, write(fileno(file), "after", 5));
	fake_fini(&f);
	CHECK_EQ(15, pread(fileno(file), buf, sizeof(buf), 0));
	CHECK_STR("before vm after", buf);
	fclose(file);
}

/* In a process of its own: what it opens may get the numbers 0 and 1. */
static int run_closed(bool close_out)
{
	struct fake f;

	fake_init(&f);
	close(STDIN_FILENO);
	if (close_out)
		close(STDOUT_FILENO);
	if (chardev_open_stdio(&f.c, &f.loop, fake_quit, &f, &f.e) < 0)
		return 1;
	fake_start(&f);
	fake_write(&f, "hello");
	fake_settle(&f, 10);
	if (f.n || fake_step(&f, 20) || chardev_dropped(f.c) != (close_out ? 5 : 0))
		return 2;
	fake_fini(&f);
	return 0;
}

TEST(closed_stdin_and_stdout_are_tolerated)
{
	for (int close_out = 0; close_out < 2; close_out++) {
		int p[2], status;
		pid_t child;
		uint8_t buf[8];

		make_pipe(p);
		fflush(stdout);
		child = fork();
		if (child == 0) {
			dup2(p[1], STDOUT_FILENO);
			close(p[0]), close(p[1]);
			_exit(run_closed(close_out));
		}
		CHECK_EQ(child, waitpid(child, &status, 0));
		CHECK_EQ(0, status);
		CHECK_EQ(close_out ? 0 : 5, drain(p[0], buf, sizeof(buf)));
		close(p[0]), close(p[1]);
	}
}

TEST(destroy_gives_a_reader_up_to_a_second_for_the_last_lines)
{
	struct fake f;
	int out[2], status;
	uint8_t buf[1024];
	pid_t child;

	fake_init(&f);
	make_pipe(out);
	fcntl(out[1], F_SETPIPE_SZ, 4096);
	fake_open_stdio(&f, -1, out[1]);
	fake_start(&f);
	memset(buf, 'x', sizeof(buf));
	for (unsigned i = 0; i < 40; i++)
		chardev_write(f.c, buf, sizeof(buf));
	child = fork();
	if (child == 0) {
		size_t n = 0;
		ssize_t got;
		close(out[1]);
		for (; n < 40 * 1024 && (got = read(out[0], buf, sizeof(buf))) > 0;
		     n += (size_t)got)
			usleep(1000);
		_exit(n == 40 * 1024 ? 0 : 1);
	}
	fake_fini(&f);
	close(out[1]);
	CHECK_EQ(child, waitpid(child, &status, 0));
	CHECK_EQ(0, status);
	close(out[0]);
}

/* ---- writable, yet it takes nothing ---- */

struct stubborn {
	struct chardev base;
	bool takes;
};

static ssize_t stubborn_write(struct chardev *c, const uint8_t *data, size_t len)
{
	(void)data;
	return container_of(c, struct stubborn, base)->takes ? (ssize_t)len : -EAGAIN;
}

static void stubborn_close(struct chardev *c)
{
	close(c->out.source.fd);
}

/* A first byte that it did not take, though epoll says it would: a retry is due in 20 ms. */
static struct stubborn *stubborn_start(struct fake *f, int out[2])
{
	static const struct chardev_ops ops = {.write = stubborn_write, .close = stubborn_close};
	struct stubborn *s = calloc(1, sizeof(*s));

	fake_init(f);
	make_pipe(out);
	CHECK_EQ(0, chardev_init(&s->base, &ops, &f->loop, &f->e));
	chardev_set_fds(&s->base, -1, out[1]);
	s->base.reader = true;
	f->c = &s->base;
	fake_start(f);
	fake_settle(f, 0);
	chardev_write(f->c, (const uint8_t *)"x", 1);
	CHECK(fake_step(f, 0));
	CHECK(!fake_step(f, 0));
	f->wakeups = 0;
	return s;
}

TEST(a_retry_stays_near_when_congestion_begins_meanwhile)
{
	static const uint8_t buf[CHARDEV_RING / 2];
	struct fake f;
	int out[2];
	struct stubborn *s = stubborn_start(&f, out);

	chardev_write(f.c, buf, sizeof(buf));
	CHECK(chardev_congested(f.c));
	s->takes = true;
	CHECK(fake_step(&f, 500)); /* not the second that a stopped reader is given */
	CHECK_EQ(1, f.drained);
	CHECK(!chardev_congested(f.c));
	fake_fini(&f);
	close(out[0]);
}

TEST(a_reader_that_is_retried_for_a_second_in_vain_has_stopped)
{
	static const uint8_t buf[CHARDEV_RING / 2];
	struct fake f;
	int out[2];

	stubborn_start(&f, out);
	chardev_write(f.c, buf, sizeof(buf));
	CHECK(chardev_congested(f.c));
	while (!f.drained)
		CHECK(fake_step(&f, 500));
	CHECK(f.wakeups > 10 && f.wakeups < 150); /* every 20 ms: the timer, a write */
	CHECK(!chardev_congested(f.c));
	fake_fini(&f);
	close(out[0]);
}

/* ---- none ---- */

TEST(none_swallows_output_without_counting_it_as_lost)
{
	struct fake f;

	fake_init(&f);
	CHECK_EQ(0, chardev_open_none(&f.c, &f.loop, &f.e));
	fake_start(&f);
	fake_write(&f, "hello");
	CHECK_EQ(0, chardev_dropped(f.c));
	CHECK(!chardev_congested(f.c));
	fake_settle(&f, 10);
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
}

TEST(destroy_of_nothing_is_fine)
{
	chardev_destroy(NULL);
}
