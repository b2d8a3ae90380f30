/* SPDX-License-Identifier: Apache-2.0 */
/* A network device between a fake driver and a fake back end. */
#pragma once

#include "dev/virtio/net_impl.h"
#include "fake/driver.h"
#include "fake/netdev.h"
#include "../test.h"

#define RX   0
#define TX   1
#define CTRL 2

#define TSO                                                              \
	(NET_BIT(VIRTIO_NET_F_CSUM) | NET_BIT(VIRTIO_NET_F_GUEST_CSUM) | \
	 NET_BIT(VIRTIO_NET_F_HOST_TSO4) | NET_BIT(VIRTIO_NET_F_GUEST_TSO4))
#define MERGEABLE NET_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define PACKED    NET_BIT(VIRTIO_F_RING_PACKED)

struct net_rig {
	struct fake_driver f;
	struct fake_netdev *back;
	struct err e;
	bool closed;
};

/* A device whose driver accepted `features`. */
static inline void net_open(struct net_rig *r, struct net_config config, uint64_t features)
{
	struct virtio_dev *dev;

	memset(r, 0, sizeof(*r));
	config.packed |= (features & PACKED) != 0;
	fake_init(&r->f);
	r->back = fake_netdev_open(&r->f.loop, TSO | NET_BIT(VIRTIO_NET_F_GUEST_TSO6));
	r->back->closed = &r->closed;
	CHECK_EQ(0, net_create_on(&dev, &config, &r->back->base, &r->f.host, &r->e));
	fake_attach(&r->f, dev, features);
}

static inline void net_close(struct net_rig *r)
{
	fake_fini(&r->f);
	CHECK(r->closed);
}

static inline struct net *net_dev(struct net_rig *r)
{
	return container_of(r->f.dev, struct net, base);
}

/* A receive buffer of one segment; its guest-physical address. */
static inline uint64_t net_add_rx(struct net_rig *r, unsigned queue, uint32_t len)
{
	struct fake_seg seg = {fake_alloc(&r->f, len), len, true};

	fake_add(&r->f, queue, &seg, 1);
	return seg.gpa;
}

/* What the loop does when the back end has something. */
static inline void net_readable(struct net_rig *r, unsigned pair)
{
	r->back->base.front.readable(r->back->base.front.arg, pair);
}

static inline void net_writable(struct net_rig *r, unsigned pair)
{
	r->back->base.front.writable(r->back->base.front.arg, pair);
}

/* The next used entry's length; -1: there is none. */
static inline int64_t net_used(struct net_rig *r, unsigned queue)
{
	uint16_t head;
	uint32_t len;

	return fake_used(&r->f, queue, &head, &len) ? (int64_t)len : -1;
}

static inline const struct virtio_net_hdr_v1 *net_header(struct net_rig *r, uint64_t gpa)
{
	return fake_host(&r->f, gpa);
}

/* A chain for the control queue: class, command and data readable, an answer writable. The answer. */
static inline int net_command(struct net_rig *r, unsigned queue, uint8_t class, uint8_t cmd,
			      const void *data, uint32_t len)
{
	uint64_t hdr = fake_alloc(&r->f, 2), body = fake_alloc(&r->f, len + 1),
		 ack = fake_alloc(&r->f, 1);
	struct fake_seg seg[3] = {{hdr, 2, false}, {body, len, false}, {ack, 1, true}};
	uint8_t *h = fake_host(&r->f, hdr), *a = fake_host(&r->f, ack);

	h[0] = class;
	h[1] = cmd;
	*a = 0x55;
	if (len)
		memcpy(fake_host(&r->f, body), data, len);
	else
		seg[1] = seg[2];
	fake_add(&r->f, queue, seg, len ? 3 : 2);
	fake_kick(&r->f, queue);
	CHECK_EQ(1, net_used(r, queue));
	return *a;
}
