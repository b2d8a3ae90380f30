// SPDX-License-Identifier: Apache-2.0
#include "net_rig.h"

static const struct net_config plain = {.fd = -1};

/* Offers a frame of `len` bytes, header included, whose bytes count from 1. */
static void add_tx(struct net_rig *r, unsigned queue, uint32_t len)
{
	struct fake_seg seg = {fake_alloc(&r->f, len), len, false};
	uint8_t *p = fake_host(&r->f, seg.gpa);

	for (uint32_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i + 1);
	fake_add(&r->f, queue, &seg, 1);
}

static void serve_all(struct net_rig *r)
{
	while (fake_turn(&r->f, 0))
		;
}

TEST(a_frame_is_sent_as_it_is)
{
	struct net_rig r;

	net_open(&r, plain, TSO);
	add_tx(&r, TX, 100);
	fake_kick(&r.f, TX);
	CHECK_EQ(0, net_used(&r, TX));
	CHECK_EQ(1, r.back->n_out);
	CHECK_EQ(100, r.back->out[0].len);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(i + 1, r.back->out[0].data[i]);
	net_close(&r);
}

/* The driver's header has bits in it that were never agreed upon. */
static void check_header_cleared(const uint32_t *cuts, unsigned n_cuts)
{
	struct fake_seg seg[4];
	struct net_rig r;
	uint64_t at;
	uint32_t done = 0;

	net_open(&r, plain, 0);
	at = fake_alloc(&r.f, 100);
	memset(fake_host(&r.f, at), 0xff, 100);
	for (unsigned i = 0; i < n_cuts; done += cuts[i++])
		seg[i] = (struct fake_seg){at + done, cuts[i], false};
	seg[n_cuts] = (struct fake_seg){at + done, 100 - done, false};
	fake_add(&r.f, TX, seg, n_cuts + 1);
	fake_kick(&r.f, TX);
	CHECK_EQ(0, net_used(&r, TX));
	CHECK_EQ(100, r.back->out[0].len);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(i < NETDEV_HEADER ? 0 : 0xff, r.back->out[0].data[i]);
	net_close(&r);
}

TEST(without_offloads_the_drivers_header_is_not_passed_on)
{
	check_header_cleared(NULL, 0);
	check_header_cleared((uint32_t[]){12}, 1);
	check_header_cleared((uint32_t[]){5}, 1);
	check_header_cleared((uint32_t[]){1, 1, 10}, 3);
	check_header_cleared((uint32_t[]){4, 20}, 2);
}

TEST(frames_too_short_or_too_long_are_handed_back_unsent)
{
	struct net_rig r;

	net_open(&r, plain, TSO);
	add_tx(&r, TX, 1);
	add_tx(&r, TX, NETDEV_HEADER);
	add_tx(&r, TX, NETDEV_HEADER + 13);
	add_tx(&r, TX, NETDEV_MAX_FRAME + 1);
	fake_kick(&r.f, TX);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(0, net_used(&r, TX));
	CHECK_EQ(0, r.back->n_out);
	add_tx(&r, TX, NETDEV_HEADER + 14);
	add_tx(&r, TX, NETDEV_MAX_FRAME);
	fake_kick(&r.f, TX);
	CHECK_EQ(2, r.back->n_out);
	net_close(&r);
}

TEST(bad_chains_are_handed_back_unsent)
{
	struct net_rig r;
	uint64_t buf;

	net_open(&r, plain, TSO);
	buf = fake_alloc(&r.f, 4096);
	fake_add(&r.f, TX, &(struct fake_seg){buf, 100, true}, 1); /* nothing to read */
	fake_add(&r.f, TX, (struct fake_seg[]){{buf, 100, true}, {buf, 100, false}}, 2);
	fake_add(&r.f, TX, &(struct fake_seg){FAKE_RAM - 50, 100, false}, 1);
	fake_add(&r.f, TX, (struct fake_seg[]){{buf, 100, false}, {UINT64_MAX, 2, false}}, 2);
	fake_add(&r.f, TX, (struct fake_seg[]){{buf, 100, false}, {buf, 0xffffffff, false}}, 2);
	fake_kick(&r.f, TX);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(0, net_used(&r, TX));
	CHECK_EQ(0, r.back->n_out);
	CHECK(!(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	net_close(&r);
}

TEST(a_looped_chain_stops_the_device)
{
	struct net_rig r;
	uint64_t buf;

	net_open(&r, plain, TSO);
	buf = fake_alloc(&r.f, 64);
	fake_desc(&r.f, TX, 0, buf, 64, VRING_DESC_F_NEXT, 1);
	fake_desc(&r.f, TX, 1, buf, 64, VRING_DESC_F_NEXT, 0);
	fake_offer(&r.f, TX, 0);
	fake_kick(&r.f, TX);
	CHECK(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK_EQ(0, r.back->n_out);
	CHECK_EQ(1, r.f.config_interrupts);
	net_close(&r);
}

TEST(frames_wait_in_the_ring_while_the_line_is_full)
{
	struct net_rig r;

	net_open(&r, plain, TSO);
	r.back->full = true;
	add_tx(&r, TX, 100);
	add_tx(&r, TX, 101);
	fake_kick(&r.f, TX);
	CHECK_EQ(-1, net_used(&r, TX));
	r.back->full = false;
	net_writable(&r, 0);
	CHECK_EQ(2, r.back->n_out);
	CHECK_EQ(100, r.back->out[0].len);
	CHECK_EQ(101, r.back->out[1].len);
	CHECK_EQ(0, net_used(&r, TX));
	CHECK_EQ(0, net_used(&r, TX));
	serve_all(&r);
	CHECK_EQ(1, r.f.interrupts[TX]); /* one for both */
	net_close(&r);
}

static bool doorbells_on(struct net_rig *r)
{
	const uint16_t *flags = fake_host(&r->f, r->f.queue[TX].used);

	return !(*flags & VRING_USED_F_NO_NOTIFY);
}

/* Without a doorbell: the queue is looked at again as long as frames come, and one interrupt is for all. */
TEST(frames_that_follow_need_no_doorbell_and_none_is_left)
{
	struct net_rig r;

	net_open(&r, plain, TSO);
	serve_all(&r);
	CHECK(doorbells_on(&r));
	add_tx(&r, TX, 100);
	fake_kick(&r.f, TX);
	for (unsigned i = 1; i <= 10; i++) {
		CHECK_EQ(i, r.back->n_out);
		CHECK_EQ(0, net_used(&r, TX));
		CHECK(!doorbells_on(&r));
		CHECK_EQ(0, r.f.interrupts[TX]);
		add_tx(&r, TX, 100);
		CHECK(fake_turn(&r.f, 0));
	}
	CHECK_EQ(0, net_used(&r, TX));
	serve_all(&r);
	CHECK(doorbells_on(&r));
	CHECK_EQ(11, r.back->n_out);
	CHECK_EQ(1, r.f.interrupts[TX]);
	net_close(&r);
}

TEST(reset_with_frames_waiting_sends_none_of_them)
{
	struct net_rig r;

	net_open(&r, plain, TSO);
	r.back->full = true;
	add_tx(&r, TX, 100);
	fake_kick(&r.f, TX);
	virtio_set_status(r.f.dev, 0);
	r.back->full = false;
	net_writable(&r, 0);
	CHECK_EQ(0, r.back->n_out);
	net_close(&r);
}

TEST(frames_over_the_limit_wait_for_tokens)
{
	struct net_config c = {.fd = -1, .tx_limit.bandwidth = {.size = 150, .refill_ms = 50}};
	struct net_rig r;
	uint16_t head;
	uint32_t len;

	net_open(&r, c, TSO);
	add_tx(&r, TX, 100);
	add_tx(&r, TX, 100);
	fake_kick(&r.f, TX);
	CHECK_EQ(1, r.back->n_out);
	CHECK_EQ(0, net_used(&r, TX));
	CHECK(fake_wait_used(&r.f, TX, &head, &len));
	CHECK_EQ(2, r.back->n_out);
	net_close(&r);
}

TEST(a_line_that_is_full_costs_no_tokens)
{
	struct net_config c = {.fd = -1, .tx_limit.ops = {.size = 1, .refill_ms = 100000000}};
	struct net_rig r;

	net_open(&r, c, TSO);
	r.back->full = true;
	add_tx(&r, TX, 100);
	for (unsigned i = 0; i < 5; i++)
		fake_kick(&r.f, TX);
	r.back->full = false;
	net_writable(&r, 0);
	CHECK_EQ(1, r.back->n_out);
	net_close(&r);
}

TEST(a_pair_that_is_not_in_use_is_not_read)
{
	struct net_config c = {.fd = -1, .queues = 2};
	struct net_rig r;

	net_open(&r, c, TSO | NET_BIT(VIRTIO_NET_F_MQ) | NET_BIT(VIRTIO_NET_F_CTRL_VQ));
	add_tx(&r, 3, 100);
	fake_kick(&r.f, 3);
	CHECK_EQ(0, r.back->n_out);
	net_close(&r);
}
