// SPDX-License-Identifier: Apache-2.0
#include "virtio/vq.h"

#include <errno.h>
#include <stdlib.h>

#include "test.h"
#include "virtio/rig.h"

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define AVAIL    (1u << VRING_PACKED_DESC_F_AVAIL) /* alone: available in the first lap */
#define USED     (1u << VRING_PACKED_DESC_F_USED)  /* alone: available in the second */

static struct rig *start(uint64_t features, uint16_t size)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	rig_init(r, features | RIG_PACKED, size);
	return r;
}

static void stop(struct rig *r)
{
	rig_fini(r);
	free(r);
}

static struct vring_packed_desc *slot(struct rig *r, unsigned i)
{
	return (struct vring_packed_desc *)fake_host(&r->f, r->f.queue[0].desc) + i;
}

static void put(struct rig *r, unsigned i, uint32_t len, uint16_t id, unsigned flags)
{
	*slot(r, i) = (struct vring_packed_desc){
		.addr = 0x1000, .len = len, .id = id, .flags = (uint16_t)flags};
}

static struct vring_packed_desc_event *driver_event(struct rig *r)
{
	return fake_host(&r->f, r->f.queue[0].avail);
}

static struct vring_packed_desc_event *device_event(struct rig *r)
{
	return fake_host(&r->f, r->f.queue[0].used);
}

/* ---- enabling ---- */

#define RAM (64 * KIB)

static int enable(uint16_t size, uint64_t desc, uint64_t driver, uint64_t device)
{
	uint8_t *host = calloc(1, RAM);
	struct gmem mem = {.region = {{0, RAM, host}}, .n = 1, .memfd = -1};
	struct vq q = {.size = size, .max = 16, .desc = desc, .driver = driver, .device = device};
	int rc = vq_enable(&q, &mem, RIG_PACKED);

	CHECK_EQ(rc == 0, q.enabled);
	free(host);
	return rc;
}

TEST(the_size_is_anything_from_1_to_the_maximum)
{
	for (unsigned size = 0; size <= UINT16_MAX; size++)
		CHECK_EQ(size >= 1 && size <= 16 ? 0 : -EINVAL,
			 enable((uint16_t)size, 0, 0x1000, 0x2000));
}

TEST(the_size_has_to_fit_an_event_offset)
{
	struct gmem mem;
	struct err e;
	struct vq q = {.size = 32769, .max = 65535, .desc = 0, .driver = MIB, .device = MIB + 4};

	CHECK_EQ(0, gmem_create(&mem, 2 * MIB, false, &e));
	CHECK_EQ(-EINVAL, vq_enable(&q, &mem, RIG_PACKED));
	q.size = 32768;
	CHECK_EQ(0, vq_enable(&q, &mem, RIG_PACKED));
	gmem_destroy(&mem);
}

TEST(packed_rings_are_aligned_to_16_4_and_4)
{
	for (unsigned off = 0; off < 32; off++) {
		CHECK_EQ(off % 16 ? -EINVAL : 0, enable(16, off, 0x1000, 0x2000));
		CHECK_EQ(off % 4 ? -EINVAL : 0, enable(16, 0, 0x1000 + off, 0x2000));
		CHECK_EQ(off % 4 ? -EINVAL : 0, enable(16, 0, 0x1000, 0x2000 + off));
	}
}

TEST(packed_rings_lie_in_ram_to_their_last_byte)
{
	const uint64_t beyond[] = {RAM, 2 * RAM, 1ULL << 32, 0xfee00000, UINT64_MAX - 15};

	CHECK_EQ(0, enable(15, RAM - 15 * 16, RAM - 4, RAM - 4));
	CHECK_EQ(-EINVAL, enable(16, RAM - 15 * 16, 0x1000, 0x2000));
	for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
		CHECK_EQ(-EINVAL, enable(16, beyond[i], 0x1000, 0x2000));
		CHECK_EQ(-EINVAL, enable(16, 0, beyond[i], 0x2000));
		CHECK_EQ(-EINVAL, enable(16, 0, 0x1000, beyond[i]));
	}
}

/* ---- available and used ---- */

TEST(only_flags_of_this_lap_are_available)
{
	const unsigned flags[] = {0, AVAIL, USED, AVAIL | USED};

	for (unsigned lap = 0; lap < 2; lap++) {
		for (unsigned i = 0; i < 4; i++) {
			struct rig *r = start(0, 0);
			struct vq_chain c;

			fake_start_at(&r->f, 0, (uint16_t)(16 * lap));
			put(r, 0, 1, 0, flags[i]);
			CHECK_EQ(flags[i] == (lap ? USED : AVAIL), vq_pending(r->q));
			CHECK_EQ(flags[i] == (lap ? USED : AVAIL), rig_pop(r, &c));
			stop(r);
		}
	}
}

TEST(a_used_descriptor_has_both_flags_of_its_lap_and_says_whether_we_wrote)
{
	struct rig *r = start(0, 2);
	struct vq_chain c;

	for (unsigned i = 0; i < 8; i++) {
		unsigned at = i % 2, lap = i / 2 % 2;
		put(r, at, 100, (uint16_t)(500 + i), lap ? USED : AVAIL);
		CHECK_EQ(1, rig_pop(r, &c));
		vq_push(r->q, &c, i % 3);
		CHECK_EQ((lap ? 0 : AVAIL | USED) | (i % 3 ? WRITE : 0), slot(r, at)->flags);
		CHECK_EQ(i % 3, slot(r, at)->len);
		CHECK_EQ(500 + i, slot(r, at)->id); /* the driver's, whatever it is */
		CHECK_EQ(0, rig_pop(r, &c));
	}
	stop(r);
}

/* Out of order: A (1 slot), B (2) and C (1) are completed as B, C, A. */
TEST(used_descriptors_are_written_one_after_the_other_over_the_slots_of_each)
{
	struct rig *r = start(0, 5);
	struct vq_chain a, b, c;

	put(r, 0, 1, 10, AVAIL);
	put(r, 1, 1, 0, AVAIL | NEXT);
	put(r, 2, 1, 20, AVAIL);
	put(r, 3, 1, 30, AVAIL);
	CHECK_EQ(1, rig_pop(r, &a));
	CHECK_EQ(1, rig_pop(r, &b));
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(2, b.n_desc);
	CHECK_EQ(20, b.id);
	CHECK_EQ(4, r->q->inflight);
	vq_push(r->q, &b, 0);
	CHECK_EQ(20, slot(r, 0)->id);
	CHECK_EQ(AVAIL | USED, slot(r, 0)->flags);
	CHECK_EQ(AVAIL | NEXT, slot(r, 1)->flags); /* passed over */
	vq_push(r->q, &c, 0);
	CHECK_EQ(30, slot(r, 2)->id);
	CHECK_EQ(AVAIL | USED, slot(r, 2)->flags);
	CHECK_EQ(AVAIL, slot(r, 3)->flags);
	vq_push(r->q, &a, 0);
	CHECK_EQ(10, slot(r, 3)->id);
	CHECK_EQ(4, r->q->next_used);
	CHECK(r->q->used_wrap);
	stop(r);
}

TEST(a_chain_goes_round_the_end_of_the_ring)
{
	struct rig *r = start(0, 5);
	struct vq_chain c;

	fake_start_at(&r->f, 0, 3);
	put(r, 3, 1, 0, AVAIL | NEXT);
	put(r, 4, 2, 0, AVAIL | NEXT);
	put(r, 0, 4, 0, USED | NEXT); /* the next lap */
	put(r, 1, 8, 7, USED | WRITE);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(7, c.out_len);
	CHECK_EQ(8, c.in_len);
	CHECK_EQ(2, r->q->next_avail);
	CHECK(!r->q->avail_wrap);
	vq_unpop(r->q, &c);
	CHECK_EQ(3, r->q->next_avail);
	CHECK(r->q->avail_wrap);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 8);
	CHECK_EQ(AVAIL | USED | WRITE, slot(r, 3)->flags);
	CHECK_EQ(2, r->q->next_used);
	CHECK(!r->q->used_wrap);
	stop(r);
}

TEST(the_first_of_a_batch_shows_last)
{
	struct rig *r = start(0, 3);
	struct vq_chain c[3];

	for (unsigned i = 0; i < 3; i++)
		put(r, i, 1, (uint16_t)i, AVAIL);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(1, rig_pop(r, &c[i]));
	for (unsigned i = 0; i < 3; i++)
		vq_stage(r->q, &c[i], i);
	CHECK_EQ(AVAIL, slot(r, 0)->flags);
	CHECK_EQ(AVAIL | USED | WRITE, slot(r, 1)->flags);
	CHECK_EQ(AVAIL | USED | WRITE, slot(r, 2)->flags);
	vq_publish(r->q);
	CHECK_EQ(AVAIL | USED, slot(r, 0)->flags);
	stop(r);
}

TEST(publishing_nothing_touches_no_descriptor)
{
	struct rig *r = start(0, 2);
	struct vq_chain c;

	put(r, 0, 1, 0, AVAIL);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	put(r, 0, 1, 0, USED); /* offered again, in the next lap */
	vq_publish(r->q);
	CHECK_EQ(USED, slot(r, 0)->flags);
	stop(r);
}

/* ---- broken rings ---- */

static void broken(struct rig *r)
{
	struct vq_chain c;

	CHECK_EQ(-EINVAL, rig_pop(r, &c));
	CHECK_EQ(-EINVAL, rig_pop(r, &c));
	CHECK_EQ(0, r->q->next_used);
	stop(r);
}

TEST(a_chain_that_never_ends_breaks_the_ring)
{
	struct rig *r = start(0, 5);

	for (unsigned i = 0; i < 5; i++)
		put(r, i, 1, 0, AVAIL | NEXT);
	broken(r);
}

/* The driver even keeps up the look of the next laps. */
TEST(a_chain_longer_than_what_is_free_breaks_the_ring)
{
	struct rig *r = start(0, 4);
	struct vq_chain c;

	put(r, 0, 1, 0, AVAIL | NEXT);
	put(r, 1, 1, 0, AVAIL);
	CHECK_EQ(1, rig_pop(r, &c));
	put(r, 2, 1, 0, AVAIL | NEXT);
	put(r, 3, 1, 0, AVAIL | NEXT);
	put(r, 0, 1, 0, USED);
	broken(r);
}

TEST(a_descriptor_offered_while_all_are_in_flight_breaks_the_ring)
{
	struct rig *r = start(0, 2);
	struct vq_chain c;

	put(r, 0, 1, 0, AVAIL | NEXT);
	put(r, 1, 1, 0, AVAIL);
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(0, rig_pop(r, &c));
	put(r, 0, 1, 0, USED);
	CHECK_EQ(0, vq_pending(r->q));
	broken(r);
}

TEST(a_chain_whose_rest_is_not_there_breaks_the_ring)
{
	const unsigned rest[] = {0, USED, AVAIL | USED};

	for (unsigned i = 0; i < ARRAY_SIZE(rest); i++) {
		struct rig *r = start(0, 4);
		put(r, 0, 1, 0, AVAIL | NEXT);
		put(r, 1, 1, 0, rest[i]);
		broken(r);
	}
}

TEST(an_indirect_descriptor_in_a_chain_breaks_a_packed_ring)
{
	struct rig *r = start(RIG_INDIRECT, 4);

	put(r, 0, 1, 0, AVAIL | NEXT);
	put(r, 1, 16, 0, AVAIL | INDIRECT);
	broken(r);
	r = start(RIG_INDIRECT, 4);
	put(r, 0, 16, 0, AVAIL | INDIRECT | NEXT);
	put(r, 1, 1, 0, AVAIL);
	broken(r);
}

/* Whatever a driver leaves lying in the ring, it is worked off in one go: nothing feeds itself. */
TEST(a_ring_that_nobody_touches_runs_dry)
{
	for (unsigned seed = 0; seed < 2000; seed++) {
		struct rig *r = start(0, (uint16_t)(1 + seed % 7));
		struct vq_chain c = {.iov = NULL};
		unsigned n = 0, word = seed * 2654435761u;

		for (unsigned i = 0; i < r->q->size; i++, word = word * 1103515245u + 12345u)
			put(r, i, 1, 0,
			    (word & 1u << 20 ? NEXT : 0) | (word & 3u << 21 ? AVAIL : 0) |
				    (word & 1u << 23 ? USED : 0));
		while (rig_pop(r, &c) == 1) {
			vq_push(r->q, &c, 0);
			CHECK(++n <= r->q->size);
		}
		stop(r);
	}
}

/* ---- indirect tables: 2.8.7 ---- */

TEST(a_packed_indirect_table_is_read_in_order_and_only_write_counts_in_it)
{
	struct rig *r = start(RIG_INDIRECT, 4);
	struct vq_chain c;

	put(r, 0, 48, 9, AVAIL | INDIRECT | WRITE);
	for (unsigned i = 0; i < 3; i++) {
		struct vring_packed_desc d = {.addr = 0x2000, .len = 1u << i, .id = 77};
		d.flags =
			(uint16_t)(i < 2 ? INDIRECT | USED : NEXT | WRITE); /* reserved: ignored */
		CHECK_EQ(0, gmem_write(&r->f.mem, 0x1000 + 16 * i, &d, 16));
	}
	CHECK_EQ(1, rig_pop(r, &c));
	CHECK_EQ(3, c.out_len);
	CHECK_EQ(4, c.in_len);
	CHECK_EQ(9, c.id);
	CHECK_EQ(1, c.n_desc);
	stop(r);
}

/* ---- events ---- */

static bool interrupt_after_one(struct rig *r, uint16_t off_wrap, uint16_t flags)
{
	struct vq_chain c;

	*driver_event(r) = (struct vring_packed_desc_event){off_wrap, flags};
	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	rig_used(r, c.id, 0);
	return vq_wants_interrupt(r->q);
}

TEST(the_driver_event_structure_is_obeyed)
{
	struct rig *r = start(RIG_EVENT_IDX, 4);

	CHECK(interrupt_after_one(r, 0, VRING_PACKED_EVENT_FLAG_ENABLE));
	CHECK(!interrupt_after_one(r, 0, VRING_PACKED_EVENT_FLAG_DISABLE));
	CHECK(interrupt_after_one(r, 2 | 1 << 15,
				  VRING_PACKED_EVENT_FLAG_DESC)); /* slot 2, lap 1 */
	CHECK(!interrupt_after_one(r, 3,
				   VRING_PACKED_EVENT_FLAG_DESC)); /* slot 3 of the other lap */
	CHECK(interrupt_after_one(r, 0, VRING_PACKED_EVENT_FLAG_DESC)); /* slot 0, second lap */
	CHECK(interrupt_after_one(r, 0, 3)); /* reserved: better too often */
	CHECK(!interrupt_after_one(r, 0, 0xfffc | VRING_PACKED_EVENT_FLAG_DISABLE));
	for (unsigned off = 4; off < 0x8000; off += 61)
		(void)interrupt_after_one(r, (uint16_t)off, VRING_PACKED_EVENT_FLAG_DESC);
	stop(r);
}

TEST(without_event_idx_a_position_is_any)
{
	struct rig *r = start(0, 4);

	CHECK(interrupt_after_one(r, 3, VRING_PACKED_EVENT_FLAG_DESC));
	stop(r);
}

TEST(a_chain_over_the_position_asked_for_interrupts)
{
	struct rig *r = start(RIG_EVENT_IDX, 8);
	const struct fake_seg seg[] = {{0x1000, 1, false}, {0x1000, 1, false}, {0x1000, 1, false}};
	struct vq_chain c;

	for (unsigned i = 0; i < 20; i++) {
		rig_want_interrupt_after(r, 1);
		fake_add(&r->f, 0, seg, 3);
		CHECK_EQ(1, rig_pop(r, &c));
		vq_push(r->q, &c, 0);
		rig_used(r, c.id, 0);
		CHECK(vq_wants_interrupt(r->q));
	}
	stop(r);
}

TEST(the_device_event_structure_says_when_to_ring)
{
	struct rig *r = start(0, 4), *e = start(RIG_EVENT_IDX, 4);
	struct vq_chain c;

	vq_kicks_off(r->q);
	CHECK_EQ(VRING_PACKED_EVENT_FLAG_DISABLE, device_event(r)->flags);
	CHECK(!vq_kicks_on(r->q));
	CHECK_EQ(VRING_PACKED_EVENT_FLAG_ENABLE, device_event(r)->flags);
	CHECK(!vq_kicks_on(e->q));
	CHECK_EQ(VRING_PACKED_EVENT_FLAG_DESC, device_event(e)->flags);
	CHECK_EQ(0 | 1 << 15, device_event(e)->off_wrap);
	for (unsigned i = 0; i < 5; i++) {
		rig_add(e, 1);
		CHECK_EQ(1, rig_pop(e, &c));
		vq_push(e->q, &c, 0);
		rig_used(e, c.id, 0);
	}
	CHECK(!vq_kicks_on(e->q));
	CHECK_EQ(1, device_event(e)->off_wrap); /* slot 1 of the second lap */
	stop(r);
	stop(e);
}
