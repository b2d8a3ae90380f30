// SPDX-License-Identifier: Apache-2.0
/* Features, configuration, the control queue, the link. */
#include "net_rig.h"

#define CTRL_FEATURES                                                    \
	(NET_BIT(VIRTIO_NET_F_CTRL_VQ) | NET_BIT(VIRTIO_NET_F_CTRL_RX) | \
	 NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))

static const struct net_config plain = {.fd = -1};

static void read_config(struct net_rig *r, struct virtio_net_config *c)
{
	virtio_config_read(r->f.dev, 0, c, sizeof(*c));
}

TEST(the_configuration_says_address_link_queues_and_mtu)
{
	struct net_config c = {.fd = -1, .has_mac = true, .mac = {2, 3, 4, 5, 6, 7}, .mtu = 9000};
	struct virtio_net_config got;
	struct net_rig r;

	c.queues = 3;
	net_open(&r, c, 0);
	read_config(&r, &got);
	CHECK_EQ(0, memcmp(c.mac, got.mac, 6));
	CHECK_EQ(VIRTIO_NET_S_LINK_UP, got.status);
	CHECK_EQ(3, got.max_virtqueue_pairs);
	CHECK_EQ(9000, got.mtu);
	CHECK_EQ(7, r.f.dev->n_queues);
	CHECK(r.f.dev->offered & NET_BIT(VIRTIO_NET_F_MTU));
	CHECK(r.f.dev->offered & NET_BIT(VIRTIO_NET_F_MQ));
	net_close(&r);
}

TEST(an_address_that_is_made_up_is_a_stations_and_local)
{
	struct virtio_net_config a, b;
	struct net_rig r;

	net_open(&r, plain, 0);
	read_config(&r, &a);
	net_close(&r);
	net_open(&r, plain, 0);
	read_config(&r, &b);
	net_close(&r);
	CHECK_EQ(2, a.mac[0] & 3);
	CHECK(memcmp(a.mac, b.mac, 6) != 0);
}

TEST(what_the_back_end_can_do_is_offered_unless_forbidden)
{
	struct net_config c = plain;
	struct net_rig r;

	net_open(&r, c, TSO);
	CHECK_EQ(TSO, r.f.dev->offered & TSO);
	CHECK_EQ(TSO, r.back->accepted & TSO);
	CHECK(!(r.f.dev->offered & NET_BIT(VIRTIO_NET_F_MQ)));
	CHECK(!(r.f.dev->offered & NET_BIT(VIRTIO_NET_F_MTU)));
	CHECK(!(r.f.dev->offered & NET_BIT(VIRTIO_F_RING_PACKED)));
	net_close(&r);
	c.no_offload = c.packed = true;
	net_open(&r, c, 0);
	CHECK_EQ(0, r.f.dev->offered & (TSO | NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)));
	CHECK(r.f.dev->offered & NET_BIT(VIRTIO_F_RING_PACKED));
	net_close(&r);
}

TEST(the_back_end_learns_what_the_driver_accepted)
{
	struct net_rig r;

	net_open(&r, plain, NET_BIT(VIRTIO_NET_F_CSUM));
	CHECK_EQ(NET_BIT(VIRTIO_NET_F_CSUM), r.back->accepted);
	virtio_set_status(r.f.dev, 0);
	CHECK_EQ(0, r.back->accepted);
	net_close(&r);
}

TEST(filters_are_accepted)
{
	uint8_t on = 1, tables[4 + 12 + 4 + 6] = {2};
	struct net_rig r;

	tables[16] = 1;
	net_open(&r, plain, CTRL_FEATURES);
	CHECK_EQ(VIRTIO_NET_OK,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, &on, 1));
	CHECK_EQ(VIRTIO_NET_OK,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, &on, 1));
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC,
					    VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, sizeof(tables)));
	net_close(&r);
}

TEST(address_tables_that_lie_about_their_length_are_refused)
{
	uint8_t tables[4 + 12 + 4 + 6] = {2};
	struct net_rig r;

	tables[16] = 1;
	net_open(&r, plain, CTRL_FEATURES);
	for (uint32_t len = 1; len < sizeof(tables); len++)
		CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC,
						     VIRTIO_NET_CTRL_MAC_TABLE_SET, tables, len));
	memset(tables, 0xff, 4);
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, tables,
			     sizeof(tables)));
	net_close(&r);
}

TEST(the_driver_may_change_its_address)
{
	uint8_t mac[7] = {2, 9, 8, 7, 6, 5, 0};
	struct virtio_net_config got;
	struct net_rig r;

	net_open(&r, plain, CTRL_FEATURES);
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5));
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 7));
	CHECK_EQ(VIRTIO_NET_OK,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6));
	read_config(&r, &got);
	CHECK_EQ(0, memcmp(mac, got.mac, 6));
	net_close(&r);
}

TEST(unknown_commands_are_answered_with_an_error)
{
	uint8_t data[8] = {1};
	struct net_rig r;

	net_open(&r, plain, CTRL_FEATURES);
	for (unsigned class = 0; class < 256; class += 5)
		CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, (uint8_t) class, 0xee, data, 8));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_VLAN, 0, data, 2));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0));
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, data, 1));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_MQ, 0, data, 2));
	net_close(&r);
}

TEST(a_command_whose_feature_was_not_accepted_is_refused)
{
	uint8_t data[8] = {2};
	struct net_rig r;

	net_open(&r, plain, NET_BIT(VIRTIO_NET_F_CTRL_VQ));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_RX, 0, data, 1));
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, data, 6));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, data, 8));
	net_close(&r);
}

TEST(commands_in_odd_chains_do_no_harm)
{
	struct net_rig r;
	uint64_t buf, ack;

	net_open(&r, plain, CTRL_FEATURES);
	buf = fake_alloc(&r.f, 4096);
	ack = fake_alloc(&r.f, 16);
	fake_add(&r.f, CTRL, &(struct fake_seg){buf, 3, false}, 1); /* no place for an answer */
	fake_add(&r.f, CTRL, &(struct fake_seg){ack, 1, true}, 1);  /* no command */
	fake_add(&r.f, CTRL, (struct fake_seg[]){{buf, 1, false}, {ack + 1, 1, true}}, 2);
	fake_add(&r.f, CTRL, (struct fake_seg[]){{UINT64_MAX, 3, false}, {ack, 1, true}}, 2);
	/* header and data in one piece, and room for more than an answer: as good as in three */
	*(uint8_t *)fake_host(&r.f, buf + 2) = 1;
	fake_add(&r.f, CTRL, (struct fake_seg[]){{buf, 3, false}, {ack + 2, 9, true}}, 2);
	*(uint8_t *)fake_host(&r.f, ack + 2) = 0x55;
	fake_kick(&r.f, CTRL);
	CHECK_EQ(0, net_used(&r, CTRL));
	CHECK_EQ(1, net_used(&r, CTRL));
	CHECK_EQ(1, net_used(&r, CTRL));
	CHECK_EQ(0, net_used(&r, CTRL));
	CHECK_EQ(1, net_used(&r, CTRL));
	CHECK_EQ(VIRTIO_NET_ERR, *(uint8_t *)fake_host(&r.f, ack));
	CHECK_EQ(VIRTIO_NET_ERR, *(uint8_t *)fake_host(&r.f, ack + 1));
	CHECK_EQ(VIRTIO_NET_OK, *(uint8_t *)fake_host(&r.f, ack + 2));
	net_close(&r);
}

TEST(a_number_of_pairs_that_there_is_not_is_refused)
{
	static const uint16_t wrong[] = {0, 3, 0x8000, 0xffff};
	struct net_config c = {.fd = -1, .queues = 2};
	uint16_t two = 2;
	struct net_rig r;

	net_open(&r, c, CTRL_FEATURES | NET_BIT(VIRTIO_NET_F_MQ));
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, 4, VIRTIO_NET_CTRL_MQ, 0, &wrong[i], 2));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, 4, VIRTIO_NET_CTRL_MQ, 0, &two, 1));
	CHECK_EQ(VIRTIO_NET_ERR, net_command(&r, 4, VIRTIO_NET_CTRL_MQ, 1, &two, 2));
	CHECK_EQ(1, r.back->queues);
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, 4, VIRTIO_NET_CTRL_MQ, 0, &two, 2));
	CHECK_EQ(2, r.back->queues);
	virtio_set_status(r.f.dev, 0);
	CHECK_EQ(1, r.back->queues);
	net_close(&r);
}

TEST(without_multiqueue_the_control_queue_is_the_third)
{
	struct net_config c = {.fd = -1, .queues = 2};
	uint8_t on = 1;
	struct net_rig r;

	net_open(&r, c, CTRL_FEATURES);
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, 2, VIRTIO_NET_CTRL_RX, 0, &on, 1));
	net_close(&r);
}

TEST(offloads_are_switched_within_what_was_accepted)
{
	uint64_t bits = NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	struct net_rig r;

	net_open(&r, plain, CTRL_FEATURES | TSO);
	CHECK_EQ(VIRTIO_NET_OK, net_command(&r, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bits, 8));
	CHECK_EQ(0, r.back->accepted & NET_BIT(VIRTIO_NET_F_GUEST_TSO4));
	CHECK(r.back->accepted & NET_BIT(VIRTIO_NET_F_GUEST_CSUM));
	CHECK(r.back->accepted & NET_BIT(VIRTIO_NET_F_CSUM)); /* not the driver's to receive */
	bits = NET_BIT(VIRTIO_NET_F_GUEST_TSO6);
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bits, 8));
	bits = NET_BIT(VIRTIO_NET_F_CSUM);
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bits, 8));
	CHECK_EQ(VIRTIO_NET_ERR,
		 net_command(&r, CTRL, VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &bits, 4));
	net_close(&r);
}

TEST(a_link_that_goes_down_is_told_to_the_driver)
{
	struct virtio_net_config got;
	struct net_rig r;

	net_open(&r, plain, NET_BIT(VIRTIO_NET_F_STATUS));
	r.back->base.front.link(r.back->base.front.arg, false);
	read_config(&r, &got);
	CHECK_EQ(0, got.status);
	CHECK_EQ(1, r.f.config_interrupts);
	net_close(&r);
}

TEST(a_network_that_cannot_be_is_refused_before_anything_is_opened)
{
	struct net_config c = {.kind = NET_PASST, .fd = -1, .queues = 33};
	struct virtio_dev *dev;
	struct fake_driver f;
	struct err e;

	fake_init(&f);
	CHECK_EQ(-EINVAL, net_create(&dev, &c, &f.host, &e));
	CHECK_HAS(e.text, "33 queue pairs");
	c = (struct net_config){.kind = NET_PASST, .fd = -1, .queue_size = 100};
	CHECK_EQ(-EINVAL, net_create(&dev, &c, &f.host, &e));
	CHECK_HAS(e.text, "power of two");
	c = (struct net_config){.kind = NET_PASST, .fd = -1, .mtu = 67};
	CHECK_EQ(-EINVAL, net_create(&dev, &c, &f.host, &e));
	CHECK_HAS(e.text, "MTU");
	fake_fini(&f);
}
