// SPDX-License-Identifier: Apache-2.0
#include "backend/ratelimit.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

#define NS_PER_MS  1000000
#define NS_PER_S   1000000000LL
#define TOKENS_MAX (INT64_MAX / 4) /* sums of two stay inside int64_t */

/* 128 bits: tokens times nanoseconds. */
__extension__ typedef unsigned __int128 wide;

void bucket_init(struct bucket *b, const struct bucket_config *config, int64_t now_ns)
{
	*b = (struct bucket){.config = *config, .last_ns = now_ns};
	if (config->refill_ms == 0)
		b->config.size = 0;
	b->config.size = MIN(b->config.size, (uint64_t)TOKENS_MAX);
	b->config.refill_ms = MIN(config->refill_ms, (uint64_t)INT64_MAX / NS_PER_MS);
	b->tokens = (int64_t)b->config.size;
	b->burst = config->one_time_burst;
}

static uint64_t refill_ns(const struct bucket *b)
{
	return b->config.refill_ms * NS_PER_MS;
}

/* Whole tokens only; the time of a part of one stays uncounted, so that no rounding adds up. */
static void refill(struct bucket *b, int64_t now_ns)
{
	uint64_t elapsed = now_ns > b->last_ns ? (uint64_t)(now_ns - b->last_ns) : 0;
	wide missing = (wide)((int64_t)b->config.size - b->tokens);
	wide tokens = (wide)elapsed * b->config.size / refill_ns(b);

	if (tokens >= missing) {
		b->tokens = (int64_t)b->config.size;
		b->last_ns = MAX(b->last_ns, now_ns);
		return;
	}
	b->tokens += (int64_t)tokens;
	b->last_ns += (int64_t)((tokens * refill_ns(b) + b->config.size - 1) / b->config.size);
}

int64_t bucket_wait_ns(struct bucket *b, uint64_t n, int64_t now_ns)
{
	uint64_t need = n - MIN(n, b->burst);
	int64_t level = (int64_t)MIN(need, b->config.size); /* full is enough for anything */
	wide wait;

	if (b->config.size == 0)
		return 0;
	refill(b, now_ns);
	if (need == 0 || b->tokens >= level)
		return 0;
	wait = ((wide)(level - b->tokens) * refill_ns(b) + b->config.size - 1) / b->config.size;
	wait -= MIN(wait - 1, (wide)(now_ns > b->last_ns ? now_ns - b->last_ns : 0));
	return wait > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)wait;
}

void bucket_take(struct bucket *b, uint64_t n)
{
	if (b->config.size == 0)
		return;
	b->from_burst = MIN(n, b->burst);
	b->burst -= b->from_burst;
	/* At least as full as `level` above: the difference does not overflow. */
	b->tokens -= (int64_t)MIN(n - b->from_burst, (uint64_t)TOKENS_MAX);
}

void bucket_give_back(struct bucket *b, uint64_t n)
{
	if (b->config.size == 0)
		return;
	b->burst += b->from_burst;
	b->tokens += (int64_t)MIN(n - MIN(n, b->from_burst), (uint64_t)TOKENS_MAX);
	b->tokens = MIN(b->tokens, (int64_t)b->config.size);
	b->from_burst = 0;
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* The deadline is cleared before resume(): a refusal meanwhile either arms anew, or is served by this resume(). */
static void on_timer(void *arg, uint32_t events)
{
	struct ratelimit *r = arg;
	uint64_t expirations;

	(void)events;
	if (read(r->timer.fd, &expirations, sizeof(expirations)) < 0)
		return; /* armed anew in the meantime: that one will come */
	__atomic_store_n(&r->deadline_ns, 0, __ATOMIC_SEQ_CST);
	r->resume(r->arg);
}

int ratelimit_init(struct ratelimit *r, const struct limit_config *config, struct loop *loop,
		   void (*resume)(void *arg), void *arg, struct err *e)
{
	int64_t start = now();

	*r = (struct ratelimit){.timer = {.fd = -1}, .loop = loop, .resume = resume, .arg = arg};
	bucket_init(&r->bandwidth, &config->bandwidth, start);
	bucket_init(&r->ops, &config->ops, start);
	if (r->bandwidth.config.size == 0 && r->ops.config.size == 0)
		return 0;
	r->timer = (struct loop_source){.fd = timer_open(), .fn = on_timer, .arg = r};
	if (r->timer.fd < 0)
		return err_sys(e, "rate limit: timerfd");
	if (loop_add(loop, &r->timer, EPOLLIN) < 0) {
		fd_close(&r->timer.fd);
		return err_set(e, ENOSPC, "rate limit: epoll_ctl");
	}
	return 0;
}

void ratelimit_fini(struct ratelimit *r)
{
	if (!r->loop)
		return;
	if (r->timer.fd >= 0)
		loop_remove(r->loop, &r->timer);
	fd_close(&r->timer.fd);
}

/* Keeps the earlier of two deadlines: several queues may wait for the same buckets. */
static void arm(struct ratelimit *r, int64_t deadline_ns)
{
	int64_t old = __atomic_load_n(&r->deadline_ns, __ATOMIC_SEQ_CST);
	struct itimerspec when = {
		.it_value = {.tv_sec = deadline_ns / NS_PER_S, .tv_nsec = deadline_ns % NS_PER_S},
	};

	if (old != 0 && old <= deadline_ns)
		return;
	__atomic_store_n(&r->deadline_ns, deadline_ns, __ATOMIC_SEQ_CST);
	timerfd_settime(r->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

bool ratelimit_take(struct ratelimit *r, uint64_t bytes)
{
	int64_t start, wait;

	if (r->timer.fd < 0)
		return true;
	start = now();
	wait = MAX(bucket_wait_ns(&r->bandwidth, bytes, start), bucket_wait_ns(&r->ops, 1, start));
	if (wait > 0) {
		arm(r, start + wait);
		return false;
	}
	bucket_take(&r->bandwidth, bytes);
	bucket_take(&r->ops, 1);
	return true;
}

void ratelimit_give_back(struct ratelimit *r, uint64_t bytes)
{
	bucket_give_back(&r->bandwidth, bytes);
	bucket_give_back(&r->ops, 1);
}
