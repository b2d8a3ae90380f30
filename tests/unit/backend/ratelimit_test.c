// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <errno.h>
#include <string.h>

#include "backend/ratelimit.h"

#define MS 1000000LL

/* 1000 tokens a second, on a clock of the test's. */
static struct bucket full(uint64_t burst)
{
	struct bucket b;

	bucket_init(&b, &(struct bucket_config){100, burst, 100}, 0);
	return b;
}

static bool take(struct bucket *b, uint64_t n, int64_t now)
{
	if (bucket_wait_ns(b, n, now) > 0)
		return false;
	bucket_take(b, n);
	return true;
}

TEST(a_full_bucket_gives_its_size_and_no_more)
{
	struct bucket b = full(0);

	CHECK(take(&b, 60, 0));
	CHECK(take(&b, 40, 0));
	CHECK(!take(&b, 1, 0));
}

TEST(the_wait_is_exact)
{
	struct bucket b = full(0);

	CHECK(take(&b, 100, 0));
	CHECK_EQ(30 * MS, bucket_wait_ns(&b, 30, 0));
	CHECK(!take(&b, 30, 30 * MS - 1));
	CHECK(take(&b, 30, 30 * MS));
	CHECK(!take(&b, 1, 30 * MS));
}

TEST(looking_often_loses_no_time)
{
	struct bucket b = full(0);

	CHECK(take(&b, 100, 0));
	for (int64_t t = 0; t < 50 * MS; t += 999)
		CHECK(bucket_wait_ns(&b, 50, t) > 0);
	CHECK(take(&b, 50, 50 * MS));
}

TEST(a_bucket_does_not_fill_beyond_its_size)
{
	struct bucket b = full(0);

	CHECK_EQ(0, bucket_wait_ns(&b, 1, 1000000 * MS));
	CHECK(take(&b, 100, 1000000 * MS));
	CHECK(!take(&b, 1, 1000000 * MS));
}

TEST(a_burst_comes_once)
{
	struct bucket b = full(50);

	CHECK(take(&b, 150, 0));
	CHECK(!take(&b, 101, 99 * MS));
	CHECK(take(&b, 100, 100 * MS));
	CHECK(!take(&b, 1, 100 * MS));
}

TEST(a_request_larger_than_the_bucket_leaves_a_debt)
{
	struct bucket b = full(0);

	CHECK(take(&b, 1000, 0));
	CHECK(!take(&b, 1, 900 * MS));
	CHECK(take(&b, 1, 901 * MS));
	CHECK(!take(&b, 1000, 950 * MS)); /* not full again yet */
	CHECK(take(&b, 1000, 1001 * MS));
}

TEST(the_rate_holds_over_a_long_time_whatever_the_sizes)
{
	static const uint64_t sizes[] = {1, 7, 99, 100, 101, 250};
	struct bucket b = full(0);
	uint64_t taken = 0;
	unsigned i = 0;

	for (int64_t t = 0; t < 60000 * MS; t += 123457)
		while (take(&b, sizes[i % ARRAY_SIZE(sizes)], t))
			taken += sizes[i++ % ARRAY_SIZE(sizes)];
	CHECK(taken > 59500);
	CHECK(taken <= 60000 + 100 + 250);
}

TEST(give_back_restores_tokens_and_burst)
{
	struct bucket b = full(50);

	CHECK(take(&b, 120, 0));
	bucket_give_back(&b, 120);
	CHECK_EQ(100, b.tokens);
	CHECK_EQ(50, b.burst);
}

TEST(extreme_numbers_do_not_overflow)
{
	struct bucket b;

	bucket_init(&b, &(struct bucket_config){UINT64_MAX, UINT64_MAX, UINT64_MAX}, 0);
	CHECK(take(&b, UINT64_MAX, 0));
	CHECK(take(&b, UINT64_MAX, 0));
	CHECK(bucket_wait_ns(&b, UINT64_MAX, 1) > 0);
	CHECK(bucket_wait_ns(&b, UINT64_MAX, INT64_MAX) >= 0);
	bucket_init(&b, &(struct bucket_config){1, 0, UINT64_MAX}, 0);
	CHECK(take(&b, UINT64_MAX, 0));
	CHECK(bucket_wait_ns(&b, 1, 1) > 0);
}

TEST(a_clock_that_stands_or_goes_back_is_harmless)
{
	struct bucket b = full(0);

	CHECK(take(&b, 100, 50 * MS));
	CHECK(!take(&b, 1, 10 * MS));
	CHECK(take(&b, 1, 51 * MS));
}

TEST(size_0_is_no_limit)
{
	struct bucket b;

	bucket_init(&b, &(struct bucket_config){0, 0, 100}, 0);
	CHECK(take(&b, UINT64_MAX, 0));
	bucket_init(&b, &(struct bucket_config){5, 0, 0}, 0);
	CHECK(take(&b, UINT64_MAX, 0));
}

/* ---- with a loop ---- */

struct rig {
	struct loop loop;
	struct ratelimit r;
	unsigned resumed;
};

static void on_resume(void *arg)
{
	((struct rig *)arg)->resumed++;
}

static void rig_init(struct rig *g, struct bucket_config bandwidth, struct bucket_config ops)
{
	struct limit_config config = {bandwidth, ops};
	struct err e;

	memset(g, 0, sizeof(*g));
	CHECK_EQ(0, loop_init(&g->loop, &e));
	CHECK_EQ(0, ratelimit_init(&g->r, &config, &g->loop, on_resume, g, &e));
}

static void rig_fini(struct rig *g)
{
	ratelimit_fini(&g->r);
	loop_fini(&g->loop);
}

static bool turn(struct rig *g, int ms)
{
	struct epoll_event ev;
	struct loop_source *s;
	int n;

	do /* EINTR: the kernel takes down the ring of an earlier test */
		n = epoll_wait(g->loop.epoll_fd, &ev, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return false;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

TEST(no_limit_needs_no_timer)
{
	struct rig g;

	rig_init(&g, (struct bucket_config){0}, (struct bucket_config){0});
	CHECK_EQ(-1, g.r.timer.fd);
	CHECK(ratelimit_take(&g.r, UINT64_MAX));
	rig_fini(&g);
}

TEST(resume_comes_once_after_a_refusal_and_never_without_one)
{
	struct rig g;

	rig_init(&g, (struct bucket_config){0}, (struct bucket_config){1, 0, 20});
	CHECK(ratelimit_take(&g.r, 1));
	CHECK(!turn(&g, 0));
	while (ratelimit_take(&g.r, 1)) /* a slow machine may refill meanwhile */
		;
	CHECK(turn(&g, 5000));
	CHECK_EQ(1, g.resumed);
	CHECK(ratelimit_take(&g.r, 1));
	CHECK(!turn(&g, 0));
	rig_fini(&g);
}

TEST(both_buckets_or_none)
{
	struct rig g;

	rig_init(&g, (struct bucket_config){1000, 0, 1000000},
		 (struct bucket_config){1, 0, 1000000});
	CHECK(ratelimit_take(&g.r, 100));
	CHECK(!ratelimit_take(&g.r, 100));
	CHECK_EQ(900, g.r.bandwidth.tokens);
	ratelimit_give_back(&g.r, 100);
	CHECK_EQ(1000, g.r.bandwidth.tokens);
	CHECK(ratelimit_take(&g.r, 1000));
	rig_fini(&g);
}

TEST(the_earlier_deadline_is_kept)
{
	struct rig g;
	int64_t first;

	rig_init(&g, (struct bucket_config){1000, 0, 1000000}, (struct bucket_config){0});
	CHECK(ratelimit_take(&g.r, 1000));
	CHECK(!ratelimit_take(&g.r, 100));
	first = g.r.deadline_ns;
	CHECK(!ratelimit_take(&g.r, 1000));
	CHECK_EQ(first, g.r.deadline_ns);
	CHECK(!ratelimit_take(&g.r, 10));
	CHECK(g.r.deadline_ns < first);
	rig_fini(&g);
}
