// SPDX-License-Identifier: Apache-2.0
/* Which requests are in flight, by the rings alone. A driver and a back end write them here, in any order. */
#include "vhost/user_track.h"

#include <errno.h>
#include <string.h>

#include "../test.h"

#define SIZE 8

struct rings {
	struct track t;
	_Alignas(8) uint16_t avail[2 + SIZE];    /* flags, idx, ring */
	_Alignas(8) uint32_t used[1 + 2 * SIZE]; /* flags and idx, then id and len */
	uint16_t offered, finished;
};

static void begin(struct rings *r)
{
	memset(r, 0, sizeof(*r));
	track_begin(&r->t, r->avail, r->used, SIZE);
}

static void offer(struct rings *r, uint16_t head)
{
	r->avail[2 + r->offered % SIZE] = head;
	r->avail[1] = ++r->offered;
}

static void finish(struct rings *r, uint32_t head)
{
	r->used[1 + 2 * (r->finished % SIZE)] = head;
	r->finished++;
	((uint16_t *)r->used)[1] = r->finished;
}

/* The heads that a new back end would find from the used index on. */
static void check_rewound(struct rings *r, unsigned n, const uint16_t *head)
{
	CHECK_EQ(0, track_rewind(&r->t, (uint8_t *)r->avail));
	CHECK_EQ(n, (uint16_t)(r->offered - r->finished));
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(head[i], r->avail[2 + (r->finished + i) % SIZE]);
}

TEST(nothing_in_flight_changes_nothing)
{
	struct rings r;

	begin(&r);
	offer(&r, 3);
	finish(&r, 3);
	CHECK(track_look(&r.t));
	CHECK(!track_look(&r.t));
	check_rewound(&r, 0, NULL);
	CHECK_EQ(3, r.avail[2]);
}

TEST(what_ended_out_of_order_leaves_the_older_one)
{
	struct rings r;

	begin(&r);
	offer(&r, 0);
	offer(&r, 1);
	offer(&r, 2);
	finish(&r, 2);
	finish(&r, 0);
	check_rewound(&r, 1, (uint16_t[]){1});
}

TEST(the_oldest_is_done_again_first)
{
	struct rings r;

	begin(&r);
	offer(&r, 5);
	offer(&r, 2);
	offer(&r, 7);
	offer(&r, 0);
	finish(&r, 2);
	check_rewound(&r, 3, (uint16_t[]){5, 7, 0});
}

TEST(a_head_that_was_used_and_offered_again_is_in_flight)
{
	struct rings r;

	begin(&r);
	offer(&r, 4);
	CHECK(track_look(&r.t));
	finish(&r, 4);
	offer(&r, 4);
	check_rewound(&r, 1, (uint16_t[]){4});
}

/* One request stays while the rings go round many times: it is in neither of them any more. */
TEST(one_that_is_stuck_is_remembered)
{
	struct rings r;

	begin(&r);
	offer(&r, 6);
	CHECK(track_look(&r.t));
	for (unsigned i = 0; i < 10000; i++) { /* the indices wrap at 65536 as well */
		for (uint16_t head = 0; head < 5; head++)
			offer(&r, head);
		for (uint16_t head = 5; head-- > 0;)
			finish(&r, head);
		CHECK(track_look(&r.t));
	}
	offer(&r, 3);
	check_rewound(&r, 2, (uint16_t[]){6, 3});
}

TEST(a_new_request_while_the_back_end_is_away_comes_after_the_old)
{
	struct rings r;

	begin(&r);
	offer(&r, 1);
	offer(&r, 2);
	finish(&r, 2);
	check_rewound(&r, 1, (uint16_t[]){1});
	offer(&r, 2);
	CHECK_EQ(2, r.avail[2 + 2 % SIZE]);
	CHECK_EQ(1, r.avail[2 + 1 % SIZE]);
	check_rewound(&r, 2, (uint16_t[]){1, 2});
}

TEST(who_looks_too_late_has_lost_count_and_says_so)
{
	struct rings r;

	begin(&r);
	offer(&r, 7);
	for (unsigned i = 0; i < SIZE; i++) {
		offer(&r, 0);
		finish(&r, 0);
	}
	CHECK_EQ(-ENODATA, track_rewind(&r.t, (uint8_t *)r.avail));
	finish(&r, 7); /* now nothing is in flight, and counting can begin again */
	CHECK(track_look(&r.t));
	offer(&r, 5);
	check_rewound(&r, 1, (uint16_t[]){5});
}

TEST(rings_that_make_no_sense_are_not_believed)
{
	struct rings r;

	begin(&r);
	offer(&r, SIZE); /* there is no such head */
	CHECK_EQ(-ENODATA, track_rewind(&r.t, (uint8_t *)r.avail));
	begin(&r);
	offer(&r, 0);
	finish(&r, 0xffff0001); /* judged by its lower half, and that was never offered */
	offer(&r, 2);
	CHECK_EQ(-ENODATA, track_rewind(&r.t, (uint8_t *)r.avail));
	begin(&r);
	offer(&r, 3);
	offer(&r, 3); /* twice at once */
	CHECK_EQ(-ENODATA, track_rewind(&r.t, (uint8_t *)r.avail));
	begin(&r);
	((uint16_t *)r.used)[1] = 0x8000;
	CHECK_EQ(-ENODATA, track_rewind(&r.t, (uint8_t *)r.avail));
}
