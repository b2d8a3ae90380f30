// SPDX-License-Identifier: Apache-2.0
#include "net_rig.h"

static void check_bytes(struct net_rig *r, uint64_t gpa, uint8_t seed, size_t from, size_t len)
{
	const uint8_t *p = fake_host(&r->f, gpa);

	for (size_t i = from; i < from + len; i++)
		CHECK_EQ((uint8_t)(seed + i * 7 + (i >> 8)), p[i - from]);
}

static const struct net_config plain = {.fd = -1};

TEST(a_frame_is_read_into_the_drivers_buffer)
{
	struct net_rig r;
	uint64_t buf;

	net_open(&r, plain, 0);
	buf = net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	CHECK(r.back->want_readable[0]);
	fake_netdev_offer(r.back, 3, 100);
	net_readable(&r, 0);
	CHECK_EQ(NETDEV_HEADER + 100, net_used(&r, RX));
	CHECK_EQ(1, net_header(&r, buf)->num_buffers);
	check_bytes(&r, buf + NETDEV_HEADER, 3, 0, 100);
	CHECK_EQ(1, r.f.interrupts[RX]);
	net_close(&r);
}

TEST(a_batch_of_frames_is_one_interrupt)
{
	struct net_rig r;

	net_open(&r, plain, 0);
	for (unsigned i = 0; i < 10; i++) {
		net_add_rx(&r, RX, 1526);
		fake_netdev_offer(r.back, (uint8_t)i, 60 + i);
	}
	fake_kick(&r.f, RX);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(NETDEV_HEADER + 60 + i, net_used(&r, RX));
	CHECK_EQ(1, r.f.interrupts[RX]);
	net_close(&r);
}

TEST(without_a_buffer_the_host_is_not_asked_until_there_is_one)
{
	struct net_rig r;

	net_open(&r, plain, 0);
	fake_kick(&r.f, RX);
	CHECK(!r.back->want_readable[0]);
	net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	CHECK(r.back->want_readable[0]);
	fake_netdev_offer(r.back, 1, 60);
	fake_netdev_offer(r.back, 2, 61);
	net_readable(&r, 0);
	CHECK_EQ(NETDEV_HEADER + 60, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	CHECK(!r.back->want_readable[0]);
	CHECK_EQ(1, r.back->next_in); /* the second frame still waits outside */
	net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	CHECK_EQ(NETDEV_HEADER + 61, net_used(&r, RX));
	net_close(&r);
}

static void check_merge(uint64_t ring)
{
	struct net_rig r;
	uint64_t buf[4];

	net_open(&r, plain, MERGEABLE | TSO | ring);
	for (unsigned i = 0; i < 4; i++)
		buf[i] = net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 9, 2500 - NETDEV_HEADER);
	net_readable(&r, 0);
	CHECK_EQ(1000, net_used(&r, RX));
	CHECK_EQ(1000, net_used(&r, RX));
	CHECK_EQ(500, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	CHECK_EQ(3, net_header(&r, buf[0])->num_buffers);
	check_bytes(&r, buf[0] + NETDEV_HEADER, 9, 0, 988);
	check_bytes(&r, buf[1], 9, 988, 1000);
	check_bytes(&r, buf[2], 9, 1988, 500);
	net_close(&r);
}

TEST(a_frame_takes_several_buffers_where_they_may_be_merged)
{
	check_merge(0);
	check_merge(PACKED);
	check_merge(PACKED | NET_BIT(VIRTIO_RING_F_EVENT_IDX));
	check_merge(NET_BIT(VIRTIO_RING_F_EVENT_IDX));
}

static void check_leftovers(uint64_t ring)
{
	struct net_rig r;

	net_open(&r, plain, MERGEABLE | TSO | ring);
	for (unsigned i = 0; i < 5; i++)
		net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 1, 1500);
	net_readable(&r, 0);
	fake_netdev_offer(r.back, 2, 60);
	fake_netdev_offer(r.back, 3, 1200);
	net_readable(&r, 0);
	CHECK_EQ(1000, net_used(&r, RX));
	CHECK_EQ(512, net_used(&r, RX));
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(1000, net_used(&r, RX));
	CHECK_EQ(212, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	net_close(&r);
}

TEST(buffers_that_a_frame_leaves_over_are_used_for_the_next)
{
	check_leftovers(0);
	check_leftovers(PACKED);
	check_leftovers(PACKED | NET_BIT(VIRTIO_RING_F_EVENT_IDX));
	check_leftovers(NET_BIT(VIRTIO_RING_F_EVENT_IDX));
}

static void check_waiting(uint64_t ring)
{
	struct net_rig r;
	uint64_t first, last;

	net_open(&r, plain, MERGEABLE | TSO | ring);
	first = net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 5, 1800);
	fake_netdev_offer(r.back, 6, 60);
	net_readable(&r, 0);
	CHECK_EQ(-1, net_used(&r, RX));
	CHECK(!r.back->want_readable[0]);
	last = net_add_rx(&r, RX, 1000);
	net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	CHECK_EQ(1000, net_used(&r, RX));
	CHECK_EQ(812, net_used(&r, RX));
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(2, net_header(&r, first)->num_buffers);
	check_bytes(&r, first + NETDEV_HEADER, 5, 0, 988);
	check_bytes(&r, last, 5, 988, 812);
	net_close(&r);
}

TEST(buffers_are_taken_ahead_only_while_large_frames_come)
{
	struct net_rig r;
	uint64_t buf = 0;

	net_open(&r, plain, MERGEABLE | TSO);
	for (unsigned i = 0; i < 10; i++)
		buf = net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	CHECK_EQ(1, net_dev(&r)->rx[0].n);
	fake_netdev_offer(r.back, 1, 4000);
	net_readable(&r, 0);
	CHECK_EQ(7, net_dev(&r)->rx[0].n);
	for (unsigned i = 0; i < 3; i++)
		CHECK(net_used(&r, RX) > 0);
	for (unsigned i = 0; i < RX_CALM + 8; i++) {
		fake_netdev_offer(r.back, 1, 60);
		fake_add(&r.f, RX, &(struct fake_seg){buf, 1526, true}, 1);
		fake_kick(&r.f, RX);
		CHECK_EQ(72, net_used(&r, RX));
	}
	CHECK_EQ(1, net_dev(&r)->rx[0].n);
	net_close(&r);
}

TEST(a_frame_waits_for_the_buffers_that_it_needs)
{
	check_waiting(0);
	check_waiting(PACKED);
	check_waiting(PACKED | NET_BIT(VIRTIO_RING_F_EVENT_IDX));
	check_waiting(NET_BIT(VIRTIO_RING_F_EVENT_IDX));
}

TEST(a_frame_that_the_drivers_buffers_never_take_does_not_stop_the_others)
{
	struct net_rig r;

	net_open(&r, plain, MERGEABLE | TSO);
	net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 5, 60000);
	fake_netdev_offer(r.back, 6, 60);
	net_readable(&r, 0);
	CHECK_EQ(-1, net_used(&r, RX));
	net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX); /* "there are more": still too few */
	CHECK_EQ(72, net_used(&r, RX));
	net_close(&r);
}

TEST(the_longest_frame_fits_into_mergeable_buffers)
{
	struct net_rig r;

	net_open(&r, plain, MERGEABLE | TSO);
	for (unsigned i = 0; i < 16; i++)
		net_add_rx(&r, RX, 4200);
	fake_netdev_offer(r.back, 1, NETDEV_MAX_FRAME - NETDEV_HEADER);
	fake_kick(&r.f, RX);
	for (unsigned i = 0; i < 15; i++)
		CHECK_EQ(4200, net_used(&r, RX));
	CHECK_EQ(NETDEV_MAX_FRAME - 15 * 4200, net_used(&r, RX));
	net_close(&r);
}

TEST(a_frame_longer_than_the_only_buffer_is_lost_and_nothing_is_overwritten)
{
	struct net_rig r;
	uint64_t buf, canary;

	net_open(&r, plain, 0);
	buf = net_add_rx(&r, RX, 200);
	canary = fake_alloc(&r.f, 64);
	memset(fake_host(&r.f, canary), 0xee, 64);
	fake_netdev_offer(r.back, 1, 1000);
	fake_netdev_offer(r.back, 2, 60);
	fake_kick(&r.f, RX);
	CHECK_EQ(NETDEV_HEADER + 60, net_used(&r, RX));
	check_bytes(&r, buf + NETDEV_HEADER, 2, 0, 60);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(0xee, *(uint8_t *)fake_host(&r.f, canary + i));
	net_close(&r);
}

TEST(a_frame_longer_than_the_driver_agreed_to_is_lost_and_not_cut)
{
	struct net_rig r;

	net_open(&r, plain, MERGEABLE);
	for (unsigned i = 0; i < 4; i++)
		net_add_rx(&r, RX, 1600);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 1, 3000);
	fake_netdev_offer(r.back, 2, 60);
	net_readable(&r, 0);
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	net_close(&r);
}

TEST(buffers_in_pieces_are_filled_in_order)
{
	struct net_rig r;
	uint64_t buf;

	net_open(&r, plain, 0);
	buf = fake_alloc(&r.f, 2000);
	fake_add(&r.f, RX,
		 (struct fake_seg[]){{buf, 7, true}, {buf + 7, 4, true}, {buf + 11, 1500, true}},
		 3);
	fake_netdev_offer(r.back, 8, 300);
	fake_kick(&r.f, RX);
	CHECK_EQ(NETDEV_HEADER + 300, net_used(&r, RX));
	CHECK_EQ(1, net_header(&r, buf)->num_buffers); /* over the edge of two pieces */
	check_bytes(&r, buf + NETDEV_HEADER, 8, 0, 300);
	net_close(&r);
}

TEST(bad_receive_buffers_come_back_empty_and_the_good_ones_are_used)
{
	struct net_rig r;
	uint64_t buf;

	net_open(&r, plain, MERGEABLE);
	buf = fake_alloc(&r.f, 4096);
	fake_add(&r.f, RX, &(struct fake_seg){buf, 1526, false}, 1);             /* readable */
	fake_add(&r.f, RX, &(struct fake_seg){buf, NETDEV_HEADER - 1, true}, 1); /* short */
	fake_add(&r.f, RX, &(struct fake_seg){FAKE_RAM - 100, 1526, true}, 1);   /* past RAM */
	fake_add(&r.f, RX, &(struct fake_seg){UINT64_MAX - 1, 1526, true}, 1);   /* wraps */
	fake_add(&r.f, RX, &(struct fake_seg){buf, 0xffffffff, true}, 1);        /* huge */
	fake_add(&r.f, RX, &(struct fake_seg){buf, 0, true}, 1);                 /* nothing */
	net_add_rx(&r, RX, 1526);
	fake_netdev_offer(r.back, 1, 60);
	fake_kick(&r.f, RX);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(0, net_used(&r, RX));
	CHECK_EQ(72, net_used(&r, RX));
	CHECK(!(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	net_close(&r);
}

TEST(a_broken_receive_ring_stops_the_device_and_reset_mends_it)
{
	struct net_rig r;

	net_open(&r, plain, 0);
	fake_offer(&r.f, RX, 999); /* no such head */
	fake_kick(&r.f, RX);
	CHECK(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK(!r.back->want_readable[0]);
	fake_netdev_offer(r.back, 1, 60);
	net_readable(&r, 0);
	CHECK(!r.back->want_readable[0]);
	fake_attach(&r.f, r.f.dev, 0);
	net_add_rx(&r, RX, 1526);
	fake_netdev_offer(r.back, 2, 70);
	fake_kick(&r.f, RX);
	CHECK_EQ(82, net_used(&r, RX));
	net_close(&r);
}

TEST(frames_that_waited_for_no_driver_are_thrown_away)
{
	struct net_rig r;

	net_open(&r, plain, TSO | MERGEABLE);
	virtio_set_status(r.f.dev, 0);
	fake_netdev_offer(r.back, 1, 60);
	fake_attach(&r.f, r.f.dev, 0);
	net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	CHECK_EQ(-1, net_used(&r, RX));
	net_close(&r);
}

TEST(reset_forgets_buffers_and_the_frame_in_hand)
{
	struct net_rig r;
	uint64_t old;

	net_open(&r, plain, MERGEABLE | TSO);
	old = net_add_rx(&r, RX, 1000);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 5, 1800);
	net_readable(&r, 0); /* waits for more buffers */
	virtio_set_status(r.f.dev, 0);
	CHECK(!r.back->want_readable[0]);
	CHECK_EQ(0, r.back->accepted);
	memset(fake_host(&r.f, old), 0xcc, 1000);
	fake_attach(&r.f, r.f.dev, MERGEABLE);
	net_add_rx(&r, RX, 1526);
	fake_netdev_offer(r.back, 6, 60);
	fake_kick(&r.f, RX);
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(0xcc, *(uint8_t *)fake_host(&r.f, old + i));
	net_close(&r);
}

TEST(nonsense_from_the_back_end_is_no_frame)
{
	struct net_rig r;

	net_open(&r, plain, 0);
	net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	fake_netdev_offer(r.back, 1, 13); /* shorter than an Ethernet header */
	fake_netdev_offer(r.back, 2, 60);
	r.back->error = -EINVAL;
	net_readable(&r, 0);
	CHECK(r.back->want_readable[0]); /* there may be more */
	net_readable(&r, 0);
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	net_close(&r);
}

/* As a tap does whose interface was deleted. The loop would otherwise come back at once, for ever. */
TEST(a_dead_back_end_is_asked_once_and_then_waited_for)
{
	struct net_rig r;

	net_open(&r, plain, 0);
	net_add_rx(&r, RX, 1526);
	fake_kick(&r.f, RX);
	r.back->dead = -EBADFD;
	r.back->receives = 0;
	fake_kick(&r.f, RX);
	CHECK_EQ(1, r.back->receives);
	CHECK(r.back->want_readable[0]);
	net_close(&r);
}

TEST(a_flood_is_served_in_portions)
{
	struct net_rig r;

	net_open(&r, (struct net_config){.fd = -1, .queue_size = 4}, 0);
	for (unsigned i = 0; i < 4; i++)
		net_add_rx(&r, RX, 1526);
	for (unsigned i = 0; i < 20; i++)
		fake_netdev_offer(r.back, 1, 5); /* each is lost, and costs no buffer */
	fake_kick(&r.f, RX);
	CHECK_EQ(4, r.back->receives - 1); /* one at the driver's start */
	net_close(&r);
}

/* ---- rate limit ---- */

TEST(a_frame_over_the_limit_waits_for_tokens_and_is_not_lost)
{
	struct net_config c = {.fd = -1, .rx_limit.ops = {.size = 1, .refill_ms = 50}};
	struct net_rig r;
	uint16_t head;
	uint32_t len;

	net_open(&r, c, 0);
	for (unsigned i = 0; i < 3; i++)
		net_add_rx(&r, RX, 1526);
	fake_netdev_offer(r.back, 1, 60);
	fake_netdev_offer(r.back, 2, 61);
	fake_kick(&r.f, RX);
	CHECK_EQ(72, net_used(&r, RX));
	CHECK_EQ(-1, net_used(&r, RX));
	CHECK(!r.back->want_readable[0]);
	CHECK(fake_wait_used(&r.f, RX, &head, &len));
	CHECK_EQ(73, len);
	net_close(&r);
}

/* ---- several queues ---- */

TEST(a_pair_is_used_once_the_driver_asks_for_it)
{
	struct net_config c = {.fd = -1, .queues = 2};
	uint16_t pairs = 2;
	struct net_rig r;

	net_open(&r, c, NET_BIT(VIRTIO_NET_F_MQ) | NET_BIT(VIRTIO_NET_F_CTRL_VQ));
	CHECK_EQ(1, r.back->queues);
	net_add_rx(&r, 2, 1526);
	net_add_rx(&r, 2, 1526);
	fake_kick(&r.f, 2);
	CHECK_EQ(1, r.back->receives); /* the driver's start; queue 2 is left alone */
	CHECK(!r.back->want_readable[1]);
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, 4, VIRTIO_NET_CTRL_MQ,
					    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2));
	CHECK_EQ(2, r.back->queues);
	fake_netdev_offer(r.back, 1, 60);
	while (fake_turn(&r.f, 0)) /* it is kicked by itself */
		;
	CHECK_EQ(72, net_used(&r, 2));
	CHECK(r.back->want_readable[1]);
	pairs = 1;
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, 4, VIRTIO_NET_CTRL_MQ,
					    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, &pairs, 2));
	CHECK_EQ(1, r.back->queues);
	CHECK(!r.back->want_readable[1]);
	net_close(&r);
}
