// SPDX-License-Identifier: Apache-2.0
#include "virtio/vq.h"

#include <errno.h>
#include <stdlib.h>

#include "test.h"
#include "virtio/rig.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

/* ---- enabling ---- */

#define RAM (64 * KIB)

/* A queue in 64 KiB of memory; the device takes 16 entries at most. */
static int enable(uint16_t size, uint64_t desc, uint64_t driver, uint64_t device)
{
	uint8_t *host = calloc(1, RAM);
	struct gmem mem = {.region = {{0, RAM, host}}, .n = 1, .memfd = -1};
	struct vq q = {.size = size, .max = 16, .desc = desc, .driver = driver, .device = device};
	int rc = vq_enable(&q, &mem, 0);

	CHECK_EQ(rc == 0, q.enabled);
	free(host);
	return rc;
}

TEST(the_size_is_a_power_of_two_up_to_the_maximum)
{
	for (unsigned size = 0; size <= UINT16_MAX; size++) {
		bool fine = size == 1 || size == 2 || size == 4 || size == 8 || size == 16;
		CHECK_EQ(fine ? 0 : -EINVAL, enable((uint16_t)size, 0, 0x1000, 0x2000));
	}
}

TEST(rings_are_aligned_to_16_2_and_4)
{
	for (unsigned off = 0; off < 32; off++) {
		CHECK_EQ(off % 16 ? -EINVAL : 0, enable(16, off, 0x1000, 0x2000));
		CHECK_EQ(off % 2 ? -EINVAL : 0, enable(16, 0, 0x1000 + off, 0x2000));
		CHECK_EQ(off % 4 ? -EINVAL : 0, enable(16, 0, 0x1000, 0x2000 + off));
	}
}

TEST(rings_lie_in_ram_to_their_last_byte)
{
	const uint64_t beyond[] = {RAM, 2 * RAM, 1ULL << 32, 0xfee00000, UINT64_MAX - 15};

	CHECK_EQ(0, enable(16, RAM - 256, 0x1000, 0x2000));
	CHECK_EQ(-EINVAL, enable(16, RAM - 256 + 16, 0x1000, 0x2000));
	CHECK_EQ(0, enable(16, 0, RAM - (6 + 32), 0x2000)); /* with used_event */
	CHECK_EQ(-EINVAL, enable(16, 0, RAM - (6 + 32) + 2, 0x2000));
	CHECK_EQ(0, enable(8, 0, 0x1000, RAM - (6 + 64) - 2)); /* with avail_event */
	CHECK_EQ(-EINVAL, enable(8, 0, 0x1000, RAM - (6 + 64) + 2));
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		CHECK_EQ(-EINVAL, enable(16, beyond[i], 0x1000, 0x2000));
		CHECK_EQ(-EINVAL, enable(16, 0, beyond[i], 0x2000));
		CHECK_EQ(-EINVAL, enable(16, 0, 0x1000, beyond[i]));
	}
}

/* Silly, but it harms the guest alone: no judgement of ours depends on what another ring says. */
TEST(rings_that_overlap_are_the_drivers_business)
{
	struct vq_chain c;
	struct rig r;

	CHECK_EQ(0, enable(16, 0, 0, 0));
	rig_init(&r, RIG_INDIRECT | RIG_EVENT_IDX, 0);
	r.q->driver_host = r.q->device_host = r.q->desc_host;
	for (unsigned i = 0; i < 1000; i++) {
		fake_desc(&r.f, 0, (uint16_t)(i % 16), i * 0x10001, 0x1001 * i, (uint16_t)i, 3);
		if (rig_pop(&r, &c) == 1)
			vq_push(r.q, &c, 7);
		(void)!vq_kicks_on(r.q);
	}
	rig_fini(&r);
}

TEST(an_enabled_queue_is_not_enabled_again)
{
	struct rig r;
	uint8_t *desc;

	rig_init(&r, 0, 0);
	desc = r.q->desc_host;
	r.q->desc = 0x8000;
	CHECK_EQ(-EINVAL, vq_enable(r.q, &r.f.mem, 0));
	CHECK(r.q->enabled && r.q->desc_host == desc);
	vq_reset(r.q);
	CHECK(!r.q->enabled);
	CHECK_EQ(RIG_MAX, r.q->size);
	CHECK_EQ(0, r.q->desc | r.q->driver | r.q->device);
	CHECK_EQ(0, vq_pending(r.q));
	rig_fini(&r);
}

/* ---- broken rings ---- */

static struct rig *start(uint64_t features)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	rig_init(r, features, 0);
	return r;
}

/* The ring is broken, and it stays so: no second look finds anything. Nothing was written back. */
static void broken(struct rig *r)
{
	struct vq_chain c;

	CHECK_EQ(-EINVAL, rig_pop(r, &c));
	CHECK_EQ(-EINVAL, rig_pop(r, &c));
	rig_nothing_used(r);
	rig_fini(r);
	free(r);
}

TEST(a_descriptor_that_follows_itself_breaks_the_ring)
{
	struct rig *r = start(0);

	fake_desc(&r->f, 0, 5, 0x1000, 1, NEXT, 5);
	fake_offer(&r->f, 0, 5);
	broken(r);
}

TEST(a_loop_breaks_the_ring)
{
	struct rig *r = start(0);

	fake_desc(&r->f, 0, 0, 0x1000, 1, NEXT, 1);
	fake_desc(&r->f, 0, 1, 0x1000, 1, NEXT, 2);
	fake_desc(&r->f, 0, 2, 0x1000, 1, NEXT, 1);
	fake_offer(&r->f, 0, 0);
	broken(r);
}

TEST(a_chain_of_all_descriptors_is_fine_and_one_that_goes_on_is_not)
{
	struct rig *r = start(0);
	struct vq_chain c;

	for (uint16_t i = 0; i < 16; i++)
		fake_desc(&r->f, 0, i, 0x1000, 1, i < 15 ? NEXT : 0, (uint16_t)(i + 1));
	fake_offer(&r->f, 0, 0);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(16, c.n_out);
	vq_push(r->q, &c, 0);
	rig_used(r, 0, 0);
	fake_desc(&r->f, 0, 15, 0x1000, 1, NEXT, 0);
	fake_offer(&r->f, 0, 0);
	broken(r);
}

TEST(a_link_out_of_the_table_breaks_the_ring)
{
	const uint16_t next[] = {16, 17, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(next); i++) {
		struct rig *r = start(0);
		fake_desc(&r->f, 0, 0, 0x1000, 1, NEXT, next[i]);
		fake_offer(&r->f, 0, 0);
		broken(r);
	}
}

TEST(a_link_is_not_looked_at_without_its_flag)
{
	struct rig *r = start(0);
	struct vq_chain c;

	fake_desc(&r->f, 0, 0, 0x1000, 1, 0, 0xffff);
	fake_offer(&r->f, 0, 0);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(1, c.n_out);
	rig_fini(r);
	free(r);
}

TEST(a_head_that_there_is_not_breaks_the_ring)
{
	const uint16_t head[] = {16, 17, 0x8000, 0xffff};

	for (unsigned i = 0; i < ARRAY_SIZE(head); i++) {
		struct rig *r = start(0);
		fake_offer(&r->f, 0, head[i]);
		broken(r);
	}
}

/* From every kind of place, the wrap of the index included. */
TEST(an_index_that_jumps_breaks_the_ring)
{
	const uint16_t from[] = {0, 1, 15, 32767, 32768, 65530, 65535};
	const uint16_t by[] = {17, 18, 100, 32767, 32768, 65534, 65535}; /* the last: backwards */

	for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(by); k++) {
			struct rig *r = start(0);
			uint16_t *avail = fake_host(&r->f, r->f.queue[0].avail);

			fake_start_at(&r->f, 0, from[i]);
			avail[1] = (uint16_t)(from[i] + by[k]);
			CHECK_EQ(0, vq_pending(r->q));
			CHECK(vq_kicks_on(r->q)); /* so that somebody looks */
			r->f.queue[0].used_seen = from[i];
			broken(r);
		}
	}
}

TEST(an_index_that_goes_back_after_use_breaks_the_ring)
{
	struct rig *r = start(0);
	struct vq_chain c;

	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	rig_used(r, 0, 0);
	((uint16_t *)fake_host(&r->f, r->f.queue[0].avail))[1] = 0;
	broken(r);
}

/* The device would have more in flight than it has room for. */
TEST(more_chains_in_flight_than_descriptors_break_the_ring)
{
	struct rig *r = start(0);
	struct vq_chain c;

	fake_desc(&r->f, 0, 0, 0x1000, 1, 0, 0);
	for (unsigned i = 0; i < 16; i++) {
		fake_offer(&r->f, 0, 0);
		CHECK_EQ(1, rig_pop(r, &c));
	}
	CHECK_EQ(0, rig_pop(r, &c));
	fake_offer(&r->f, 0, 0);
	CHECK_EQ(0, vq_pending(r->q));
	broken(r);
}

TEST(the_same_head_twice_is_two_requests)
{
	struct rig *r = start(0);
	struct vq_chain a, b;

	fake_desc(&r->f, 0, 3, 0x1000, 8, WRITE, 0);
	fake_offer(&r->f, 0, 3);
	fake_offer(&r->f, 0, 3);
	CHECK_EQ(2, vq_pending(r->q));
	CHECK_EQ(1, rig_pop(r, &a));
	CHECK_EQ(1, rig_pop(r, &b));
	vq_push(r->q, &b, 8);
	vq_push(r->q, &a, 4);
	rig_used(r, 3, 8);
	rig_used(r, 3, 4);
	rig_nothing_used(r);
	rig_fini(r);
	free(r);
}

TEST(an_index_wraps_at_65536_without_a_gap)
{
	struct rig *r = start(RIG_EVENT_IDX);
	struct vq_chain c;

	fake_start_at(&r->f, 0, 65530);
	for (unsigned i = 0; i < 20; i++) {
		uint16_t head;

		CHECK(!vq_kicks_on(r->q));
		rig_want_interrupt_after(r, 0);
		head = rig_add(r, 1);
		CHECK(rig_must_ring(r, 1));
		CHECK_EQ(1, vq_pending(r->q));
		CHECK_EQ(1, rig_pop(r, &c));
		vq_push(r->q, &c, i);
		CHECK(vq_wants_interrupt(r->q));
		rig_used(r, head, i);
	}
	rig_fini(r);
	free(r);
}

/* ---- indirect tables ---- */

/* Writes entry `i` of a table at 0x8000. */
static void entry(struct rig *r, unsigned i, uint32_t len, uint16_t flags, uint16_t next)
{
	struct vring_desc d = {.addr = 0x1000, .len = len, .flags = flags, .next = next};

	CHECK_EQ(0, gmem_write(&r->f.mem, 0x8000 + 16 * i, &d, 16));
}

static struct rig *with_table(unsigned n, uint16_t flags)
{
	struct rig *r = start(RIG_INDIRECT);

	fake_desc(&r->f, 0, 0, 0x8000, 16 * n, INDIRECT | flags, 1);
	fake_desc(&r->f, 0, 1, 0x1000, 1, 0, 0);
	fake_offer(&r->f, 0, 0);
	return r;
}

TEST(an_indirect_table_is_followed_by_its_links)
{
	struct rig *r = with_table(4, WRITE); /* which means nothing there: 2.7.5.3.2 */
	struct vq_chain c;

	entry(r, 0, 1, NEXT, 3);
	entry(r, 3, 2, NEXT, 1);
	entry(r, 1, 3, WRITE, 0);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(2, c.n_out);
	CHECK_EQ(2, c.iov[1].iov_len);
	CHECK_EQ(3, c.in_len);
	rig_fini(r);
	free(r);
}

TEST(an_indirect_table_may_end_a_chain_of_others)
{
	struct rig *r = start(RIG_INDIRECT);
	struct vq_chain c;

	fake_desc(&r->f, 0, 4, 0x1000, 1, NEXT, 2);
	fake_desc(&r->f, 0, 2, 0x1000, 2, NEXT, 9);
	fake_desc(&r->f, 0, 9, 0x8000, 32, INDIRECT, 0);
	entry(r, 0, 4, NEXT, 1);
	entry(r, 1, 8, WRITE, 0);
	fake_offer(&r->f, 0, 4);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(3, c.n_out);
	CHECK_EQ(7, c.out_len);
	CHECK_EQ(8, c.in_len);
	vq_push(r->q, &c, 8);
	rig_used(r, 4, 8);
	rig_fini(r);
	free(r);
}

TEST(indirect_with_next_breaks_the_ring)
{
	struct rig *r = with_table(1, NEXT);

	entry(r, 0, 1, 0, 0);
	broken(r);
}

TEST(a_table_in_a_table_breaks_the_ring)
{
	struct rig *r = with_table(2, 0);

	entry(r, 0, 1, NEXT, 1);
	entry(r, 1, 16, INDIRECT, 0);
	broken(r);
}

TEST(a_loop_in_a_table_breaks_the_ring)
{
	struct rig *r = with_table(3, 0);

	entry(r, 0, 1, NEXT, 1);
	entry(r, 1, 1, NEXT, 0);
	broken(r);
}

TEST(a_link_out_of_a_table_breaks_the_ring)
{
	struct rig *r = with_table(2, 0);

	entry(r, 0, 1, NEXT, 2);
	entry(r, 2, 1, 0, 0); /* there is an entry, but not of the table */
	broken(r);
}

TEST(a_table_as_long_as_the_longest_queue_is_fine)
{
	struct rig *r = with_table(RIG_MAX, 0);
	struct vq_chain c;

	for (unsigned i = 0; i < RIG_MAX; i++)
		entry(r, i, 1, i + 1 < RIG_MAX ? NEXT : 0, (uint16_t)(i + 1));
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(RIG_MAX, c.n_out);
	rig_fini(r);
	free(r);
}

/* ---- flags that only count without EVENT_IDX ---- */

TEST(with_event_idx_the_interrupt_flag_means_nothing)
{
	struct rig *r = start(RIG_EVENT_IDX);
	struct vq_chain c;

	rig_want_interrupts(r, false);
	rig_want_interrupt_after(r, 0);
	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	CHECK(vq_wants_interrupt(r->q));
	vq_kicks_off(r->q);
	CHECK_EQ(0, *(uint16_t *)fake_host(&r->f, r->f.queue[0].used)); /* 2.7.10.2: it stays 0 */
	rig_fini(r);
	free(r);
}
