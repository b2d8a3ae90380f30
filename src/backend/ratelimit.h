/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rate limits by token buckets: a bucket holds `size` tokens and is refilled evenly, `size` of them in
 * refill_ms; a request takes its tokens out before it is carried out, and waits where there are too few. A
 * request larger than the bucket is let through when the bucket is full and leaves a debt, so that it comes to
 * pass at all and the rate holds on average. one_time_burst tokens more are there at the start, once.
 *
 * No thread and no timer while nothing waits. Not locked: the caller's lock guards it.
 */
#pragma once

#include "base/err.h"
#include "config/devices.h"
#include "event/loop.h"

/* One bucket, on a clock of the caller's (nanoseconds): no system call in here. */
struct bucket {
	struct bucket_config config; /* size 0: no limit */
	int64_t tokens;              /* negative: a debt */
	uint64_t burst;              /* what is left of one_time_burst */
	uint64_t from_burst;         /* what the last take took of it */
	int64_t last_ns;             /* tokens are counted up to here */
};

/* Full. A size or a refill time of 0: no limit. */
void bucket_init(struct bucket *b, const struct bucket_config *config, int64_t now_ns);
/* How long until `n` tokens can be taken. 0: now. */
int64_t bucket_wait_ns(struct bucket *b, uint64_t n, int64_t now_ns);
/* Takes `n` tokens; only after bucket_wait_ns() said 0 for this `n` at this time. */
void bucket_take(struct bucket *b, uint64_t n);
/* Puts back what the last take took. */
void bucket_give_back(struct bucket *b, uint64_t n);

struct ratelimit {
	struct bucket bandwidth, ops;
	struct loop_source timer; /* fd -1 where there is no limit */
	struct loop *loop;
	void (*resume)(void *arg);
	void *arg;
	int64_t deadline_ns; /* the timer's; 0: not armed. Atomic: the timer's handler has no lock */
};

/* `resume` is called by the loop thread, with no lock held, once tokens are there after ratelimit_take()
 * said no. No limit: no timer. */
int ratelimit_init(struct ratelimit *r, const struct limit_config *config, struct loop *loop,
		   void (*resume)(void *arg), void *arg, struct err *e);
/* Also for one that is all zeros or whose init failed. */
void ratelimit_fini(struct ratelimit *r);
/* Takes one operation of `bytes` bytes, from both buckets or from none. False: not now; resume() will come. */
MUST_CHECK bool ratelimit_take(struct ratelimit *r, uint64_t bytes);
/* Gives back what the last successful take took: the operation did not come to pass. */
void ratelimit_give_back(struct ratelimit *r, uint64_t bytes);
