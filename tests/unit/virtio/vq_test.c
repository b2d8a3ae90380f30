// SPDX-License-Identifier: Apache-2.0
#include "virtio/vq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"
#include "virtio/rig.h"

/* ---- chains, on both kinds of ring ---- */

static void empty(struct rig *r)
{
	struct vq_chain c;

	CHECK_EQ(0, rig_pop(r, &c));
	CHECK_EQ(0, vq_pending(r->q));
	CHECK_EQ(0, r->q->inflight);
	rig_nothing_used(r);
}

TEST(an_empty_queue_has_nothing)
{
	rig_both(empty, 0);
}

static void one_chain(struct rig *r)
{
	const struct fake_seg seg[] = {
		{0x1000, 16, false}, {0x3000, 100, false}, {0x5000, 512, true}, {0x7000, 1, true}};
	struct vq_chain c;
	uint16_t head = fake_add(&r->f, 0, seg, 4);

	CHECK_EQ(1, vq_pending(r->q));
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(2, c.n_out);
	CHECK_EQ(2, c.n_in);
	CHECK_EQ(116, c.out_len);
	CHECK_EQ(513, c.in_len);
	CHECK(!c.bad);
	for (unsigned i = 0; i < 4; i++) {
		CHECK(c.iov[i].iov_base == fake_host(&r->f, seg[i].gpa));
		CHECK_EQ(seg[i].len, c.iov[i].iov_len);
	}
	CHECK_EQ(0, rig_pop(r, &c));
	CHECK_EQ(0, vq_pending(r->q));
	rig_nothing_used(r);
	vq_push(r->q, &c, 513);
	rig_used(r, head, 513);
	rig_nothing_used(r);
	CHECK_EQ(0, r->q->inflight);
}

TEST(a_chain_comes_out_with_its_buffers_and_goes_back_with_a_length)
{
	rig_both(one_chain, 0);
}

static void indirect_chain(struct rig *r)
{
	struct fake_seg seg[FAKE_QUEUE_SIZE + 4];
	struct vq_chain c;
	uint16_t head;

	/* More buffers than the ring has entries: it takes one of them all the same. */
	for (unsigned i = 0; i < ARRAY_SIZE(seg); i++)
		seg[i] = (struct fake_seg){0x1000 + 0x100 * i, i + 1, i > 3};
	head = fake_add_indirect(&r->f, 0, seg, ARRAY_SIZE(seg));
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK(!c.bad);
	CHECK_EQ(4, c.n_out);
	CHECK_EQ(ARRAY_SIZE(seg) - 4, c.n_in);
	for (unsigned i = 0; i < ARRAY_SIZE(seg); i++)
		CHECK(c.iov[i].iov_base == fake_host(&r->f, seg[i].gpa));
	CHECK_EQ(1, r->q->inflight);
	vq_push(r->q, &c, 7);
	rig_used(r, head, 7);
}

TEST(an_indirect_table_is_one_chain)
{
	rig_both(indirect_chain, RIG_INDIRECT);
}

static void indirect_unaccepted(struct rig *r)
{
	struct fake_seg seg = {0x1000, 16, false};
	struct vq_chain c;

	fake_add_indirect(&r->f, 0, &seg, 1);
	CHECK_EQ(-EINVAL, rig_pop(r, &c));
	CHECK_EQ(-EINVAL, rig_pop(r, &c)); /* and so it stays */
}

TEST(an_indirect_table_without_the_feature_breaks_the_ring)
{
	rig_both(indirect_unaccepted, 0);
}

static void indirect_of_length(struct rig *r, uint64_t gpa, uint32_t len, bool fine)
{
	struct fake_seg seg = {0x1000, 16, false};
	struct vring_desc *d = fake_host(&r->f, r->f.queue[0].desc); /* addr and len: both kinds */
	struct vq_chain c;
	uint16_t head = fake_add_indirect(&r->f, 0, &seg, 1);

	d += r->q->packed ? r->q->next_avail : head;
	d->addr = gpa;
	d->len = len;
	CHECK_EQ(fine ? 1 : -EINVAL, rig_pop(r, &c));
}

#define INDIRECT_CASE(name, gpa, len)                            \
	static void indirect_##name(struct rig *r)               \
	{                                                        \
		indirect_of_length(r, gpa, len, false);          \
	}                                                        \
	TEST(an_indirect_table_that_is_##name##_breaks_the_ring) \
	{                                                        \
		rig_both(indirect_##name, RIG_INDIRECT);         \
	}

INDIRECT_CASE(empty, 0x2000, 0)
INDIRECT_CASE(shorter_than_an_entry, 0x2000, 15)
INDIRECT_CASE(no_multiple_of_an_entry, 0x2000, 17)
INDIRECT_CASE(longer_than_the_longest_chain, 0x2000, 16 * (RIG_MAX + 1))
INDIRECT_CASE(huge, 0x2000, 0xfffffff0)
INDIRECT_CASE(over_the_end_of_ram, FAKE_RAM - 8, 16)
INDIRECT_CASE(beyond_ram, FAKE_RAM, 16)
INDIRECT_CASE(over_the_end_of_addresses, UINT64_MAX - 7, 16)

static void indirect_unaligned_and_last(struct rig *r)
{
	const struct vring_desc d = {.addr = 0x1000, .len = 4};
	const struct vring_packed_desc p = {.addr = 0x1000, .len = 4};

	CHECK_EQ(0, gmem_write(&r->f.mem, FAKE_RAM - 16, r->q->packed ? (void *)&p : &d, 16));
	indirect_of_length(r, FAKE_RAM - 16, 16, true);
	CHECK_EQ(0, gmem_write(&r->f.mem, FAKE_RAM - 17, r->q->packed ? (void *)&p : &d, 16));
	indirect_of_length(r, FAKE_RAM - 17, 16, true);
}

TEST(an_indirect_table_may_lie_anywhere_in_ram)
{
	rig_both(indirect_unaligned_and_last, RIG_INDIRECT);
}

/* ---- bad requests: the ring goes on ---- */

static void check_bad(struct rig *r, const struct fake_seg *seg, unsigned n)
{
	struct vq_chain c;
	uint16_t head = fake_add(&r->f, 0, seg, n);

	CHECK_EQ(1, rig_pop(r, &c));
	CHECK(c.bad);
	CHECK_EQ(0, c.n_out + c.n_in);
	CHECK_EQ(0, c.out_len + c.in_len);
	vq_push(r->q, &c, 0);
	rig_used(r, head, 0);
	one_chain(r); /* the next one is none the worse */
}

#define BAD_CASE(name, ...)                                  \
	static void bad_##name(struct rig *r)                \
	{                                                    \
		const struct fake_seg seg[] = {__VA_ARGS__}; \
		check_bad(r, seg, ARRAY_SIZE(seg));          \
	}                                                    \
	TEST(a_request_is_bad_with_##name)                   \
	{                                                    \
		rig_both(bad_##name, 0);                     \
	}

BAD_CASE(an_empty_buffer, {0x1000, 0, false})
BAD_CASE(an_empty_buffer_at_the_end, {0x1000, 16, false}, {0x2000, 0, true})
BAD_CASE(an_empty_buffer_at_the_start, {0x1000, 0, false}, {0x2000, 16, false}, {0x3000, 1, true})
BAD_CASE(an_address_beyond_ram, {FAKE_RAM, 1, false})
BAD_CASE(one_byte_beyond_ram, {FAKE_RAM - 16, 17, true})
BAD_CASE(a_huge_length, {0x1000, 0xffffffff, true})
BAD_CASE(an_address_that_wraps, {UINT64_MAX, 2, false})
BAD_CASE(the_last_address, {UINT64_MAX, 1, false})
BAD_CASE(readable_after_writable, {0x1000, 16, true}, {0x2000, 16, false})
BAD_CASE(the_local_apic_for_a_buffer, {0xfee00000, 4, true})

static void last_byte(struct rig *r)
{
	struct fake_seg seg[] = {{FAKE_RAM - 1, 1, false}, {0, 1, true}};
	struct vq_chain c;

	fake_add(&r->f, 0, seg, 2);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK(!c.bad);
}

TEST(the_first_and_the_last_byte_of_ram_are_ram)
{
	rig_both(last_byte, 0);
}

static void too_many_segments(struct rig *r)
{
	const struct fake_seg seg[] = {{0x1000, 1, false}, {0x2000, 1, false}, {0x3000, 1, true}};
	struct vq_chain c = {.iov = r->iov, .iov_max = 2};

	memset(&r->iov[2], 0x5a, sizeof(r->iov[2]));
	fake_add(&r->f, 0, seg, 3);
	CHECK_EQ(1, vq_pop(r->q, &c));
	CHECK(c.bad);
	CHECK_EQ(0x5a5a5a5a5a5a5a5a, r->iov[2].iov_len); /* not written to */
	vq_unpop(r->q, &c);
	c.iov_max = 3;
	CHECK_EQ(1, vq_pop(r->q, &c));
	CHECK(!c.bad);
}

TEST(a_request_is_bad_with_more_segments_than_the_device_takes)
{
	rig_both(too_many_segments, 0);
}

/* A gmem of two pieces, with a hole from 64 KiB to 1 MiB. */
TEST(a_buffer_over_a_hole_in_ram_is_bad)
{
	uint8_t *host = calloc(2, 64 * KIB);
	struct gmem mem = {.region = {{0, 64 * KIB, host}, {MIB, 64 * KIB, host + 64 * KIB}},
			   .n = 2,
			   .memfd = -1};
	struct vq q = {.size = 4, .max = 4, .desc = 0, .driver = 0x100, .device = 0x200};
	struct iovec iov[4];
	struct vq_chain c = {.iov = iov, .iov_max = 4};
	struct vring_desc *d = (struct vring_desc *)host;
	const struct {
		uint64_t gpa;
		uint32_t len;
		bool bad;
	} cases[] = {{0xff00, 0x100, false},   {0xff00, 0x101, true},  {0xff00, 0xf0200, true},
		     {0x10000, 1, true},       {MIB - 1, 2, true},     {MIB, 0x10000, false},
		     {MIB + 0xffff, 1, false}, {MIB + 0xffff, 2, true}};

	CHECK_EQ(0, vq_enable(&q, &mem, 0));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		d[0] = (struct vring_desc){.addr = cases[i].gpa, .len = cases[i].len};
		*(uint16_t *)(host + 0x102) = (uint16_t)(i + 1);
		CHECK_EQ(1, vq_pop(&q, &c));
		CHECK_EQ(cases[i].bad, c.bad);
		vq_push(&q, &c, 0);
	}
	free(host);
}

/* Two buffers of 2 GiB each: RAM that large costs nothing while nobody touches it. */
TEST(a_chain_of_four_gib_is_bad_and_one_byte_less_is_not)
{
	struct gmem mem;
	struct err e;
	struct iovec iov[4];
	struct vq_chain c = {.iov = iov, .iov_max = 4};
	struct vq q = {.size = 4, .max = 4, .desc = 0, .driver = 0x100, .device = 0x200};
	struct vring_desc *d;

	CHECK_EQ(0, gmem_create(&mem, 2 * GIB + MIB, false, &e));
	d = gmem_slice(&mem, 0, 64);
	CHECK_EQ(0, vq_enable(&q, &mem, 0));
	d[0] = (struct vring_desc){.addr = MIB, .len = 0x80000000, .flags = 1, .next = 1};
	for (uint32_t less = 1; less < 2; less--) {
		d[1] = (struct vring_desc){.addr = MIB, .len = 0x80000000 - less, .flags = 2};
		(*(uint16_t *)gmem_slice(&mem, 0x102, 2))++;
		CHECK_EQ(1, vq_pop(&q, &c));
		CHECK_EQ(less == 0, c.bad);
		CHECK_EQ(less ? UINT32_MAX : 0, c.out_len + c.in_len);
		vq_push(&q, &c, 0);
	}
	gmem_destroy(&mem);
}

/* ---- full rings, order, unpop, batches ---- */

static void full(struct rig *r)
{
	struct iovec iov[FAKE_QUEUE_SIZE];
	struct vq_chain c[FAKE_QUEUE_SIZE], none;
	uint16_t head[FAKE_QUEUE_SIZE];

	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
			head[i] = rig_add(r, i + 1);
		for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++) {
			c[i] = (struct vq_chain){.iov = &iov[i], .iov_max = 1};
			CHECK_EQ(1, vq_pop(r->q, &c[i]));
			CHECK_EQ(i + 1, c[i].out_len);
		}
		CHECK_EQ(0, rig_pop(r, &none));
		CHECK_EQ(FAKE_QUEUE_SIZE, r->q->inflight);
		CHECK_EQ(0, vq_pending(r->q));
		for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++) /* 5 and 16 have no common factor */
			vq_push(r->q, &c[i * 5 % FAKE_QUEUE_SIZE], i);
		for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
			rig_used(r, head[i * 5 % FAKE_QUEUE_SIZE], i);
		rig_nothing_used(r);
	}
}

TEST(a_full_ring_may_be_completed_in_any_order)
{
	rig_both(full, 0);
}

static void unpop(struct rig *r)
{
	const struct fake_seg seg[] = {{0x1000, 3, false}, {0x2000, 1, true}, {0x3000, 1, true}};
	struct vq_chain a, b, c, again;
	uint16_t head[3];

	for (unsigned lap = 0; lap < 2 * FAKE_QUEUE_SIZE; lap++) {
		head[0] = rig_add(r, 1);
		head[1] = fake_add(&r->f, 0, seg, 3);
		head[2] = rig_add(r, 2);
		CHECK_EQ(1, rig_pop(r, &a));
		CHECK_EQ(1, rig_pop(r, &b));
		CHECK_EQ(1, rig_pop(r, &c));
		vq_unpop(r->q, &c);
		vq_unpop(r->q, &b);
		CHECK(vq_pending(r->q) >= 1);
		vq_push(r->q, &a, 0);
		CHECK_EQ(1, rig_pop(r, &again));
		CHECK_EQ(3, again.out_len);
		CHECK_EQ(2, again.n_in);
		vq_push(r->q, &again, 2);
		CHECK_EQ(1, rig_pop(r, &again));
		CHECK_EQ(2, again.out_len);
		CHECK_EQ(0, rig_pop(r, &a));
		vq_push(r->q, &again, 0);
		rig_used(r, head[0], 0);
		rig_used(r, head[1], 2);
		rig_used(r, head[2], 0);
		CHECK_EQ(0, r->q->inflight);
	}
}

TEST(a_chain_given_back_comes_again)
{
	rig_both(unpop, 0);
}

static void batch(struct rig *r)
{
	struct vq_chain c[3];
	uint16_t head[3];

	for (unsigned lap = 0; lap < 2 * FAKE_QUEUE_SIZE; lap++) {
		for (unsigned i = 0; i < 3; i++)
			head[i] = rig_add(r, 8);
		for (unsigned i = 0; i < 3; i++)
			CHECK_EQ(1, rig_pop(r, &c[i]));
		for (unsigned i = 0; i < 3; i++) {
			vq_stage(r->q, &c[i], 10 * i);
			rig_nothing_used(r);
		}
		vq_publish(r->q);
		for (unsigned i = 0; i < 3; i++)
			rig_used(r, head[i], 10 * i);
		rig_nothing_used(r);
		vq_publish(r->q); /* nothing staged: nothing happens */
		rig_nothing_used(r);
	}
}

TEST(a_batch_becomes_visible_all_at_once)
{
	rig_both(batch, 0);
}

static void full_batch(struct rig *r)
{
	struct vq_chain c[FAKE_QUEUE_SIZE];
	uint16_t head[FAKE_QUEUE_SIZE];

	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
		head[i] = rig_add(r, 8);
	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
		CHECK_EQ(1, rig_pop(r, &c[i]));
	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
		vq_stage(r->q, &c[i], 1);
	rig_nothing_used(r);
	vq_publish(r->q);
	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
		rig_used(r, head[i], 1);
}

TEST(a_batch_may_be_the_whole_ring)
{
	rig_both(full_batch, 0);
}

/* ---- notifications ---- */

static void use(struct rig *r, unsigned n)
{
	struct vq_chain c;

	for (unsigned i = 0; i < n; i++) {
		uint16_t head = rig_add(r, 1);
		CHECK_EQ(1, rig_pop(r, &c));
		vq_push(r->q, &c, 0);
		rig_used(r, head, 0);
	}
}

static void interrupts_by_flag(struct rig *r)
{
	CHECK(!vq_wants_interrupt(r->q)); /* nothing was used */
	use(r, 1);
	CHECK(vq_wants_interrupt(r->q));
	CHECK(!vq_wants_interrupt(r->q)); /* nothing since */
	rig_want_interrupts(r, false);
	use(r, 1);
	CHECK(!vq_wants_interrupt(r->q));
	rig_want_interrupts(r, true);
	CHECK(!vq_wants_interrupt(r->q)); /* the driver looks by itself after turning them on */
	use(r, 3);
	CHECK(vq_wants_interrupt(r->q));
}

TEST(the_driver_turns_interrupts_off_and_on)
{
	rig_both(interrupts_by_flag, 0);
}

static void interrupts_by_event(struct rig *r)
{
	for (unsigned at = 0; at < 70; at++) {
		rig_want_interrupt_after(r, 0);
		use(r, 1);
		CHECK(vq_wants_interrupt(r->q));
		use(r, 1);
		CHECK(!vq_wants_interrupt(r->q)); /* not asked for another */
		rig_want_interrupt_after(r, 2);
		use(r, 2);
		CHECK(!vq_wants_interrupt(r->q));
		use(r, 1);
		CHECK(vq_wants_interrupt(r->q));
		rig_want_interrupt_after(r, 3);
		use(r, 10); /* right through it */
		CHECK(vq_wants_interrupt(r->q));
		CHECK(!vq_wants_interrupt(r->q));
		rig_want_interrupt_after(r, FAKE_QUEUE_SIZE - 1);
		use(r, FAKE_QUEUE_SIZE - 1);
		CHECK(!vq_wants_interrupt(r->q));
		use(r, 1);
		CHECK(vq_wants_interrupt(r->q));
	}
}

TEST(with_event_idx_the_interrupt_comes_at_the_entry_asked_for)
{
	rig_both(interrupts_by_event, RIG_EVENT_IDX);
}

static void interrupts_after_laps(struct rig *r)
{
	/* Whole laps of any number end where they began, but are not nothing. */
	for (unsigned laps = 1; laps < 5; laps++) {
		rig_want_interrupt_after(r, 0);
		use(r, laps * FAKE_QUEUE_SIZE);
		CHECK(vq_wants_interrupt(r->q));
	}
}

TEST(whole_laps_without_asking_are_not_nothing)
{
	rig_both(interrupts_after_laps, RIG_EVENT_IDX);
}

TEST(a_whole_turn_of_the_index_without_asking_is_not_nothing)
{
	struct rig r;

	rig_init(&r, RIG_EVENT_IDX, 0);
	rig_want_interrupt_after(&r, 5);
	use(&r, 65536);
	CHECK(vq_wants_interrupt(r.q));
	rig_fini(&r);
}

static void doorbell(struct rig *r)
{
	struct vq_chain c;

	/* Long enough for several laps, and for a stale position of an earlier one to be seen. */
	for (unsigned i = 0; i < 10 * FAKE_QUEUE_SIZE; i++) {
		vq_kicks_off(r->q);
		CHECK(!vq_kicks_on(r->q));
		rig_add(r, 1);
		CHECK(rig_must_ring(r, 1));
		CHECK(vq_kicks_on(r->q)); /* more has come */
		vq_kicks_off(r->q);
		rig_add(r, 1);
		CHECK(!rig_must_ring(r, 1));
		for (unsigned n = 0; n < 2; n++) {
			CHECK_EQ(1, rig_pop(r, &c));
			vq_push(r->q, &c, 0);
			rig_used(r, c.id, 0);
		}
	}
}

/* With EVENT_IDX a split ring has no "off"; the position of the last vq_kicks_on() has been passed instead. */
static void doorbell_event_idx(struct rig *r)
{
	struct vq_chain c;

	for (unsigned i = 0; i < 10 * FAKE_QUEUE_SIZE; i++) {
		CHECK(!vq_kicks_on(r->q));
		rig_add(r, 1);
		CHECK(rig_must_ring(r, 1));
		vq_kicks_off(r->q);
		rig_add(r, 1);
		CHECK(!rig_must_ring(r, 1));
		for (unsigned n = 0; n < 2; n++) {
			CHECK_EQ(1, rig_pop(r, &c));
			vq_push(r->q, &c, 0);
			rig_used(r, c.id, 0);
		}
	}
}

TEST(the_driver_rings_when_we_wait_and_not_when_we_look_anyway)
{
	rig_both(doorbell, 0);
	rig_both(doorbell_event_idx, RIG_EVENT_IDX);
}

static void waits(struct rig *r)
{
	CHECK(!vq_kicks_on(r->q));
	for (unsigned i = 0; i < 3; i++)
		rig_add(r, 1);
	CHECK(rig_must_ring(r, 3)); /* a batch that passes the position is as good as the entry */
}

TEST(a_batch_rings_too)
{
	rig_both(waits, 0);
	rig_both(waits, RIG_EVENT_IDX);
}

/* ---- copies ---- */

TEST(copies_go_over_buffer_ends_and_no_further)
{
	uint8_t a[3] = "abc", b[4] = "defg", in1[2] = {0}, in2[3] = {0}, to[16] = {0};
	struct iovec iov[] = {{a, 3}, {b, 4}, {in1, 2}, {in2, 3}};
	struct vq_chain c = {.iov = iov, .iov_max = 4, .n_out = 2, .n_in = 2};

	CHECK_EQ(7, vq_copy_out(&c, 0, to, 16));
	CHECK_STR("abcdefg", (char *)to);
	CHECK_EQ(3, vq_copy_out(&c, 2, to, 3));
	CHECK_EQ(0, memcmp(to, "cde", 3));
	CHECK_EQ(1, vq_copy_out(&c, 6, to, 3));
	CHECK_EQ(0, vq_copy_out(&c, 7, to, 3));
	CHECK_EQ(0, vq_copy_out(&c, SIZE_MAX, to, 3));
	CHECK_EQ(0, vq_copy_out(&c, 0, to, 0));
	CHECK_EQ(4, vq_copy_in(&c, 1, "wxyz!", 5));
	CHECK(in1[0] == 0 && in1[1] == 'w' && !memcmp(in2, "xyz", 3));
	CHECK_EQ(0, vq_copy_in(&c, 5, "?", 1));
}

/* ---- a long random run against a model ---- */

struct model_chain {
	uint16_t head;
	uint32_t tag;    /* total length: no two alike in flight */
	unsigned n, seq; /* descriptors; the how manieth that was popped */
	struct vq_chain c;
	struct iovec iov[4];
};

#define MODEL_MAX 64

/* offered[0, n_popped) are popped, the rest wait; used[] is what the driver must find. */
struct model {
	struct rig r;
	unsigned seed, tables, seq, pushed, unpopped;
	struct model_chain offered[MODEL_MAX];
	unsigned n_offered, n_popped, descriptors;
	struct {
		uint16_t head;
		uint32_t len;
	} used[MODEL_MAX];
	unsigned n_used, used_descriptors[MODEL_MAX];
	bool armed; /* the driver waits for an interrupt, and we for a doorbell */
	bool waiting;
};

static unsigned random_below(struct model *m, unsigned n)
{
	m->seed = m->seed * 1103515245u + 12345u;
	return (m->seed >> 16) % n;
}

static void model_add(struct model *m)
{
	struct model_chain *o = &m->offered[m->n_offered];
	struct fake_seg seg[4];
	unsigned n = 1 + random_below(m, 4), out = random_below(m, n + 1), slots;
	bool indirect = random_below(m, 3) == 0;

	slots = indirect ? 1 : n;
	if (m->descriptors + slots > m->r.q->size || m->n_offered == MODEL_MAX)
		return;
	for (unsigned i = 0; i < n; i++)
		seg[i] = (struct fake_seg){0x1000u * (1 + random_below(m, 8)),
					   1 + random_below(m, 4000), i >= out};
	if (indirect) {
		m->r.f.next =
			0x100000 + 64 * m->tables++ % 0x100000; /* its tables are soon forgotten */
		o->head = fake_add_indirect(&m->r.f, 0, seg, n);
	} else {
		o->head = fake_add(&m->r.f, 0, seg, n);
	}
	o->n = slots;
	o->tag = 0;
	for (unsigned i = 0; i < n; i++)
		o->tag = o->tag * 31 + (uint32_t)seg[i].gpa + seg[i].len + seg[i].write;
	m->n_offered++;
	m->descriptors += slots;
	CHECK(!m->waiting || rig_must_ring(&m->r, m->r.q->packed ? slots : 1));
	m->waiting = false;
}

static void model_pop(struct model *m)
{
	struct model_chain *o = &m->offered[m->n_popped];
	struct vq_chain c = {.iov = o->iov, .iov_max = 4};
	uint32_t tag = 0;
	int rc = vq_pop(m->r.q, &c);

	CHECK_EQ(m->n_popped < m->n_offered, rc);
	if (rc == 0)
		return;
	for (unsigned i = 0; i < c.n_out + c.n_in; i++)
		tag = tag * 31 +
		      (uint32_t)((uint8_t *)c.iov[i].iov_base - m->r.f.mem.region[0].host) +
		      (uint32_t)c.iov[i].iov_len + (i >= c.n_out);
	CHECK_EQ(o->tag, tag);
	CHECK_EQ(o->head, c.id);
	o->c = c;
	o->seq = ++m->seq;
	m->n_popped++;
}

/* The last that was popped, if it is still in flight. */
static void model_unpop(struct model *m)
{
	if (m->n_popped == 0 || m->offered[m->n_popped - 1].seq != m->seq)
		return;
	vq_unpop(m->r.q, &m->offered[--m->n_popped].c);
	m->seq--;
	m->unpopped++;
	m->waiting = false;
}

static void model_push(struct model *m)
{
	unsigned i, left = m->n_used;
	struct model_chain *o;

	if (m->n_popped == 0)
		return;
	i = random_below(m, m->n_popped);
	o = &m->offered[i];
	m->used[left].head = o->head;
	m->used[left].len = random_below(m, 3) * 1000;
	m->used_descriptors[left] = o->n;
	vq_stage(m->r.q, &o->c, m->used[left].len);
	m->n_used++;
	m->pushed++;
	m->n_offered--;
	m->n_popped--;
	memmove(o, o + 1, (m->n_offered - i) * sizeof(*o));
	if (random_below(m, 2))
		model_push(m); /* a batch */
	vq_publish(m->r.q);
	if (m->armed)
		CHECK(vq_wants_interrupt(m->r.q));
	m->armed = false;
}

static void model_collect(struct model *m)
{
	for (unsigned i = 0; i < m->n_used; i++) {
		rig_used(&m->r, m->used[i].head, m->used[i].len);
		m->descriptors -= m->used_descriptors[i];
	}
	rig_nothing_used(&m->r);
	m->n_used = 0;
	rig_want_interrupt_after(&m->r, 0);
	CHECK(!vq_wants_interrupt(m->r.q)); /* that one is still to come */
	m->armed = true;
}

static void model_wait(struct model *m)
{
	bool more = vq_kicks_on(m->r.q);

	CHECK_EQ(m->n_popped < m->n_offered, more);
	m->waiting = !more;
	if (more)
		vq_kicks_off(m->r.q);
}

static void run_model(uint64_t features, uint16_t size, uint16_t start, unsigned steps)
{
	static void (*const step[])(struct model *) = {model_add,     model_add,  model_add,
						       model_pop,     model_pop,  model_pop,
						       model_unpop,   model_push, model_push,
						       model_collect, model_wait};
	struct model *m = calloc(1, sizeof(*m));

	CHECK(m != NULL);
	m->seed = start * 65537u + size;
	rig_init(&m->r, features | RIG_INDIRECT | RIG_EVENT_IDX, size);
	fake_start_at(&m->r.f, 0, start);
	for (unsigned i = 0; i < steps; i++) {
		step[random_below(m, ARRAY_SIZE(step))](m);
		CHECK_EQ(m->n_offered > m->n_popped, vq_pending(m->r.q) > 0);
		CHECK(m->r.q->inflight <= size);
	}
	model_collect(m);
	CHECK(m->pushed > steps / 40 && m->unpopped > steps / 100); /* it did not idle */
	rig_fini(&m->r);
	free(m);
}

TEST(thousands_of_chains_in_any_order_through_a_split_ring)
{
	run_model(0, 16, 65530, 100000);
	run_model(0, 1, 65535, 20000);
	run_model(0, 64, 0, 100000);
	run_model(0, 8, 32767, 100000);
}

TEST(thousands_of_chains_in_any_order_through_a_packed_ring)
{
	run_model(RIG_PACKED, 16, 13, 100000);
	run_model(RIG_PACKED, 13, 13, 100000); /* no power of two */
	run_model(RIG_PACKED, 1, 0, 20000);
	run_model(RIG_PACKED, 3, 5, 100000);
	run_model(RIG_PACKED, 64, 127, 100000);
}

/* ---- a guest that writes while we read ---- */

struct racer {
	struct rig *r;
	bool stop;
};

static void *race(void *arg)
{
	struct racer *racer = arg;
	volatile uint64_t *word = fake_host(&racer->r->f, racer->r->f.queue[0].desc);
	const uint64_t good = 0x1000, far = UINT64_MAX - 8;

	for (unsigned i = 0; !__atomic_load_n(&racer->stop, __ATOMIC_RELAXED); i++) {
		word[0] = i & 1 ? good : far;
		word[1] = (word[1] & ~0xffffffffULL) | (i & 2 ? 16 : 0xffffffff);
	}
	return NULL;
}

static void raced(struct rig *r)
{
	struct racer racer = {.r = r};
	const uint8_t *ram = r->f.mem.region[0].host;
	struct vq_chain c;
	pthread_t thread;

	rig_add(r, 16);
	CHECK_EQ(0, pthread_create(&thread, NULL, race, &racer));
	for (unsigned i = 0; i < 100000; i++) {
		CHECK_EQ(1, rig_pop(r, &c));
		CHECK(c.bad || (c.n_out == 1 && c.iov[0].iov_len == 16 &&
				c.iov[0].iov_base == ram + 0x1000));
		vq_unpop(r->q, &c);
	}
	__atomic_store_n(&racer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

TEST(a_descriptor_that_changes_meanwhile_is_one_or_the_other)
{
	rig_both(raced, 0);
}
