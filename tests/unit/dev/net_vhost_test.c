// SPDX-License-Identifier: Apache-2.0
/* A network device whose pairs the host's kernel serves, with the kernel's part played. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "dev/net_rig.h"
#include "fake/vhost_sys.h"

#define PAIRS    2
#define MQ_CTRL  (2 * PAIRS)
#define FEATURES (NET_BIT(VIRTIO_NET_F_CTRL_VQ) | NET_BIT(VIRTIO_NET_F_MQ))

struct vhost_rig {
	struct net_rig r;
	struct fake_sys sys;
	struct virtio_dev *dev;
	int vector; /* of receive queue 0; -1: none */
};

static void create(struct vhost_rig *v)
{
	struct net_config config = {.kind = NET_TAP, .fd = -1, .queues = PAIRS};
	struct net_rig *r = &v->r;

	memset(v, 0, sizeof(*v));
	v->vector = -1;
	fake_sys_init(&v->sys);
	v->sys.features |= MERGEABLE | NET_BIT(VIRTIO_RING_F_EVENT_IDX);
	fake_init(&r->f);
	r->back = fake_netdev_open(&r->f.loop, TSO);
	r->back->closed = &r->closed;
	free(r->back->base.port);
	r->back->base.port = calloc(PAIRS, sizeof(*r->back->base.port));
	r->back->base.n_ports = PAIRS;
	for (int i = 0; i < PAIRS; i++)
		r->back->base.port[i].source.fd = -20 - i; /* the taps */
	CHECK_EQ(0, net_create_on(&v->dev, &config, &r->back->base, &r->f.host, &r->e));
	CHECK_EQ(0,
		 net_vhost_open(container_of(v->dev, struct net, base), "n", &v->sys.sys, &r->e));
}

static int eventfd_of(void *arg, int queue)
{
	struct fake_driver *f = arg;

	return queue == 0 ? container_of(f, struct vhost_rig, r.f)->vector : -ENOENT;
}

static struct vhost_rig *set_up(void)
{
	struct vhost_rig *v = malloc(sizeof(*v));

	create(v);
	fake_attach(&v->r.f, v->dev, FEATURES | MERGEABLE);
	v->dev->transport.eventfd = eventfd_of;
	return v;
}

static void finish(struct vhost_rig *v)
{
	net_close(&v->r);
	free(v);
}

static bool use_pairs(struct vhost_rig *v, uint16_t pairs)
{
	struct virtio_net_ctrl_hdr h = {VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET};
	uint64_t at = fake_alloc(&v->r.f, 64);
	struct fake_seg seg[] = {{at, sizeof(h) + 2, false}, {at + 32, 1, true}};

	memcpy(fake_host(&v->r.f, at), &h, sizeof(h));
	memcpy(fake_host(&v->r.f, at + sizeof(h)), &pairs, 2);
	*(uint8_t *)fake_host(&v->r.f, at + 32) = 0xff;
	fake_add(&v->r.f, MQ_CTRL, seg, 2);
	fake_kick(&v->r.f, MQ_CTRL);
	return *(uint8_t *)fake_host(&v->r.f, at + 32) == VIRTIO_NET_OK;
}

TEST(net_vhost_offers_no_more_than_the_kernels_rings_can_do)
{
	struct vhost_rig *v = malloc(sizeof(*v));
	uint64_t offered;

	create(v);
	offered = v->dev->offered;
	CHECK(offered & MERGEABLE && offered & NET_BIT(VIRTIO_RING_F_EVENT_IDX));
	CHECK(!(offered & NET_BIT(VIRTIO_RING_F_INDIRECT_DESC)) && !(offered & PACKED));
	CHECK(offered & NET_BIT(VIRTIO_NET_F_GUEST_TSO4)); /* the tap's */
	CHECK(offered & NET_BIT(VIRTIO_NET_F_MQ));
	v->r.f.dev = v->dev;
	finish(v);
}

TEST(net_vhost_gives_the_first_pair_away_and_the_others_when_they_are_used)
{
	struct vhost_rig *v = set_up();

	CHECK_HAS(v->sys.log, "backend 0 -20\nbackend 1 -20\n");
	CHECK(!strstr(v->sys.log, "backend 0 -21"));
	fake_sys_forget(&v->sys);
	CHECK(use_pairs(v, 2));
	CHECK_HAS(v->sys.log, "base 0 0\n");
	CHECK_HAS(v->sys.log, "backend 0 -21\nbackend 1 -21\n");
	finish(v);
}

/* Rings go on where they were: only the tap comes and goes. */
TEST(net_vhost_pair_that_is_used_again_is_not_set_up_anew)
{
	struct vhost_rig *v = set_up();

	CHECK(use_pairs(v, 2));
	fake_sys_forget(&v->sys);
	CHECK(use_pairs(v, 1));
	CHECK_STR("backend 0 -1\nbackend 1 -1\n", v->sys.log);
	CHECK_EQ(1, v->r.back->queues);
	fake_sys_forget(&v->sys);
	CHECK(use_pairs(v, 2));
	CHECK_STR("backend 0 -21\nbackend 1 -21\n", v->sys.log);
	finish(v);
}

TEST(net_vhost_stops_all_pairs_at_reset)
{
	struct vhost_rig *v = set_up();

	CHECK(use_pairs(v, 2));
	fake_sys_forget(&v->sys);
	virtio_set_status(v->dev, 0);
	CHECK_STR("backend 0 -1\nbackend 1 -1\nkick 0 -1\ncall 0 -1\nkick 1 -1\ncall 1 -1\n"
		  "backend 0 -1\nbackend 1 -1\nkick 0 -1\ncall 0 -1\nkick 1 -1\ncall 1 -1\n",
		  v->sys.log);
	fake_sys_forget(&v->sys);
	virtio_set_status(v->dev, 0);
	CHECK_STR("", v->sys.log);
	finish(v);
}

TEST(net_vhost_leaves_rings_and_taps_alone)
{
	struct vhost_rig *v = set_up();
	unsigned receives = v->r.back->receives;

	net_add_rx(&v->r, RX, 2000);
	net_add_rx(&v->r, TX, 64);
	fake_kick(&v->r.f, RX);
	fake_kick(&v->r.f, TX);
	net_readable(&v->r, 0);
	net_writable(&v->r, 0);
	CHECK_EQ(receives, v->r.back->receives);
	CHECK_EQ(0, v->r.back->n_out);
	CHECK_EQ(-1, net_used(&v->r, RX));
	CHECK_EQ(-1, net_used(&v->r, TX));
	finish(v);
}

TEST(net_vhost_interrupts_come_by_the_loop_or_by_a_vector)
{
	struct vhost_rig *v = set_up();
	int vector = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	while (fake_turn(&v->r.f, 0))
		;
	CHECK_EQ(8, write(v->sys.call[0], &one, 8));
	CHECK(fake_turn(&v->r.f, 0));
	CHECK(v->r.f.interrupts[RX] + v->r.f.interrupts[TX] > 0);
	fake_sys_forget(&v->sys);
	v->vector = vector;
	virtio_vectors_changed(v->dev);
	CHECK_EQ(vector, v->sys.call[0]);
	close(vector);
	finish(v);
}

/* A driver with one pair has its control queue at 2, where a driver with more has a pair that the kernel serves. */
TEST(net_vhost_control_queue_is_here_for_every_driver)
{
	struct vhost_rig *v = set_up();
	struct virtio_net_ctrl_hdr h = {VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC};
	struct fake_seg seg[2];

	CHECK(use_pairs(v, 2));
	fake_attach(&v->r.f, v->dev, NET_BIT(VIRTIO_NET_F_CTRL_VQ) | NET_BIT(VIRTIO_NET_F_CTRL_RX));
	seg[0] = (struct fake_seg){fake_alloc(&v->r.f, 64), sizeof(h) + 1, false};
	seg[1] = (struct fake_seg){fake_alloc(&v->r.f, 64), 1, true};
	memcpy(fake_host(&v->r.f, seg[0].gpa), &h, sizeof(h));
	fake_add(&v->r.f, CTRL, seg, 2);
	virtio_kick(v->dev, CTRL); /* the doorbell itself: the loop watches it again */
	while (fake_turn(&v->r.f, 0))
		;
	CHECK_EQ(1, net_used(&v->r, CTRL));
	finish(v);
}

TEST(net_vhost_that_does_not_start_needs_reset)
{
	struct vhost_rig *v = malloc(sizeof(*v));

	create(v);
	v->sys.fail_at = v->sys.calls + 1;
	fake_attach(&v->r.f, v->dev, FEATURES);
	CHECK(virtio_status(v->dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	finish(v);
}
