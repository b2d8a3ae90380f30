// SPDX-License-Identifier: Apache-2.0
/*
 * The control queue (virtio 1.2, 5.1.6.5): class and command, data, and a byte for the answer. Filters are accepted
 * and not applied: a device may pass on more than the driver asked for (5.1.6.5.1, 5.1.6.5.2).
 */
#include <string.h>

#include "dev/virtio/net_impl.h"

#define HEADER sizeof(struct virtio_net_ctrl_hdr)

#define GUEST_OFFLOADS                                                         \
	(NET_BIT(VIRTIO_NET_F_GUEST_CSUM) | NET_BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	 NET_BIT(VIRTIO_NET_F_GUEST_TSO6) | NET_BIT(VIRTIO_NET_F_GUEST_ECN) |  \
	 NET_BIT(VIRTIO_NET_F_GUEST_USO4) | NET_BIT(VIRTIO_NET_F_GUEST_USO6))

/* Exactly `len` bytes of data. */
static bool data(const struct vq_chain *c, void *to, size_t len)
{
	return c->out_len == HEADER + len && vq_copy_out(c, HEADER, to, len) == len;
}

static bool rx_mode(struct net *net, const struct vq_chain *c, uint8_t cmd)
{
	uint8_t on;

	return virtio_has(&net->base, VIRTIO_NET_F_CTRL_RX) && cmd <= VIRTIO_NET_CTRL_RX_ALLMULTI &&
	       data(c, &on, sizeof(on));
}

/* Two tables, of unicast and of multicast addresses, one after the other: each a count and so many addresses. */
static bool mac_table(const struct vq_chain *c)
{
	uint64_t at = HEADER;

	for (unsigned i = 0; i < 2; i++) {
		uint32_t entries;

		if (vq_copy_out(c, at, &entries, sizeof(entries)) != sizeof(entries))
			return false;
		at += sizeof(entries) + (uint64_t)entries * 6; /* 32 bits times 6: no overflow */
	}
	return at == c->out_len;
}

static bool mac(struct net *net, const struct vq_chain *c, uint8_t cmd)
{
	uint8_t address[sizeof(net->config.mac)];

	if (cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return virtio_has(&net->base, VIRTIO_NET_F_CTRL_RX) && mac_table(c);
	if (cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    !virtio_has(&net->base, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    !data(c, address, sizeof(address)))
		return false;
	memcpy(net->config.mac, address, sizeof(address));
	return true;
}

static bool multiqueue(struct net *net, const struct vq_chain *c, uint8_t cmd)
{
	uint16_t pairs;

	if (!virtio_has(&net->base, VIRTIO_NET_F_MQ) || cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !data(c, &pairs, sizeof(pairs)) || pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN ||
	    pairs > net->max_pairs)
		return false;
	net_use_pairs(net, pairs);
	return true;
}

static bool guest_offloads(struct net *net, const struct vq_chain *c, uint8_t cmd)
{
	uint64_t bits;

	if (!virtio_has(&net->base, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !data(c, &bits, sizeof(bits)) ||
	    bits & ~(GUEST_OFFLOADS & net->base.features)) /* 5.1.6.5.6.2 */
		return false;
	netdev_set_features(net->netdev, (net->base.features & ~GUEST_OFFLOADS) | bits);
	return true;
}

static bool command(struct net *net, const struct vq_chain *c)
{
	struct virtio_net_ctrl_hdr h;

	if (vq_copy_out(c, 0, &h, sizeof(h)) != sizeof(h))
		return false;
	switch (h.class) {
	case VIRTIO_NET_CTRL_RX:
		return rx_mode(net, c, h.cmd);
	case VIRTIO_NET_CTRL_MAC:
		return mac(net, c, h.cmd);
	case VIRTIO_NET_CTRL_MQ:
		return multiqueue(net, c, h.cmd);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return guest_offloads(net, c, h.cmd);
	default:
		return false;
	}
}

void net_ctrl_run(struct net *net, unsigned queue)
{
	struct vq *q = virtio_vq(&net->base, queue);
	struct vq_chain c = {.iov = net->iov, .iov_max = NET_IOV};
	unsigned budget = q->size;
	int rc = 0;

	vq_kicks_off(q);
	for (; budget > 0; budget--) {
		uint8_t ack;

		rc = vq_pop(q, &c);
		if (rc < 0 || (rc == 0 && !vq_kicks_on(q)))
			break;
		if (rc == 0) {
			vq_kicks_off(q);
			continue;
		}
		/* Without a place for the answer nothing is done. */
		if (c.in_len == 0) {
			vq_push(q, &c, 0);
			continue;
		}
		ack = command(net, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
		vq_push(q, &c, (uint32_t)vq_copy_in(&c, 0, &ack, sizeof(ack)));
	}
	if (budget == 0)
		virtio_kick_again(&net->base, queue);
	virtio_finish(&net->base, queue, MIN(rc, 0));
}
