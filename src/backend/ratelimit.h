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

struct bucket {
	struct bucket_config config;
	int64_t tokens; /* negative: a debt */
	uint64_t burst; /* what is left of one_time_burst */
	int64_t last_ns;
};

struct ratelimit {
	struct bucket bandwidth, ops;
	struct loop_source timer; /* fd -1 where there is no limit */
	struct loop *loop;
	void (*resume)(void *arg);
	void *arg;
	bool armed;
};

/* `resume` is called by the loop thread once tokens are there after ratelimit_take() said no. No limit: no timer. */
int ratelimit_init(struct ratelimit *r, const struct limit_config *config, struct loop *loop,
		   void (*resume)(void *arg), void *arg, struct err *e);
void ratelimit_fini(struct ratelimit *r);
/* Takes one operation of `bytes` bytes, from both buckets or from none. False: not now; resume() will come. */
MUST_CHECK bool ratelimit_take(struct ratelimit *r, uint64_t bytes);
/* Gives back what the last successful take took: the operation did not come to pass. */
void ratelimit_give_back(struct ratelimit *r, uint64_t bytes);
