// SPDX-License-Identifier: Apache-2.0
/* Receiving (virtio 1.2, 5.1.6.3 and 5.1.6.4). */
#include <errno.h>
#include <net/ethernet.h>
#include <stddef.h>
#include <string.h>

#include "dev/virtio/net_impl.h"

#define DRAIN_MAX 1024 /* frames: more than a tap's queue holds */

enum rx_step {
	RX_GOT,     /* a frame was handed over, or lost: go on */
	RX_IDLE,    /* no frame is there */
	RX_NO_ROOM, /* no buffer, or not enough of them for the frame */
	RX_LIMITED, /* no tokens */
};

/* ---- buffers in hand ---- */

static bool hand_full(const struct net *net, const struct net_rx *rx)
{
	return rx->n == (net->mergeable ? RX_CHAINS : 1) || RX_IOV - rx->n_iov < RX_CHAIN_IOV;
}

/* Moves what is in hand to the front of its arrays when it comes near their ends. */
static void make_space(struct net_rx *rx)
{
	if (rx->first + rx->n < RX_CHAINS && rx->iov_first + rx->n_iov + RX_CHAIN_IOV <= RX_IOV)
		return;
	memmove(rx->chain, rx->chain + rx->first, rx->n * sizeof(*rx->chain));
	memmove(rx->iov, rx->iov + rx->iov_first, rx->n_iov * sizeof(*rx->iov));
	rx->first = rx->iov_first = 0;
}

/* Takes as many buffers as are wanted, and as the frame that waits needs, as far as there are any. 0, or a negative value: the ring is broken. */
static int fill_hand(struct net *net, struct net_rx *rx, struct vq *q)
{
	size_t enough = MAX(rx->target, rx->held);
	int rc = 0;

	for (unsigned tries = 0; tries < q->size && rx->len < enough; tries++) {
		struct vq_chain *c;

		if (hand_full(net, rx))
			break;
		make_space(rx);
		c = &rx->chain[rx->first + rx->n];
		c->iov = &rx->iov[rx->iov_first + rx->n_iov];
		c->iov_max = RX_CHAIN_IOV;
		rc = vq_pop(q, c);
		if (rc <= 0)
			break;
		/* 5.1.6.3.1: only for us to write, and the header fits into each. */
		if (c->bad || c->n_out > 0 || c->in_len < NETDEV_HEADER) {
			vq_push(q, c, 0);
			continue;
		}
		rx->n++;
		rx->n_iov += c->n_in;
		rx->len += c->in_len;
	}
	return MIN(rc, 0);
}

/* All segments in hand as one chain, for vq_copy_*(). */
static struct vq_chain whole_hand(struct net_rx *rx, bool out)
{
	return (struct vq_chain){
		.iov = &rx->iov[rx->iov_first],
		.n_out = out ? rx->n_iov : 0,
		.n_in = out ? 0 : rx->n_iov,
	};
}

/* The first chain in hand leaves it, with `written` bytes in it. */
static void stage_first(struct net_rx *rx, struct vq *q, size_t written)
{
	const struct vq_chain *c = &rx->chain[rx->first];

	vq_stage(q, c, (uint32_t)written);
	rx->iov_first += c->n_in;
	rx->n_iov -= c->n_in;
	rx->len -= c->in_len;
	rx->first++;
	rx->n--;
}

/* ---- one frame ---- */

/* The frame was longer than the buffers: gathers it in spill[], which has its end already. */
static void gather_spill(struct net_rx *rx, size_t len)
{
	struct vq_chain hand = whole_hand(rx, true);

	memmove(rx->spill + rx->len, rx->spill, len - rx->len);
	vq_copy_out(&hand, 0, rx->spill, rx->len);
	rx->spilled = true;
}

/* Reads a frame into the buffers in hand, and from their end on into spill[]. */
static enum rx_step read_frame(struct net *net, struct net_rx *rx, unsigned pair)
{
	struct iovec *end = &rx->iov[rx->iov_first + rx->n_iov];
	/* Of a frame that is going to be lost one byte is enough to see that. */
	size_t room = net->mergeable && rx->len < net->rx_enough ? sizeof(rx->spill) : 1;
	ssize_t n;

	*end = (struct iovec){rx->spill, room};
	n = netdev_receive(net->netdev, pair, &rx->iov[rx->iov_first], rx->n_iov + 1);
	/* After an error, too, the back end says when it is worth a try: one that is dead would fail for ever. */
	if (n < 0)
		return RX_IDLE;
	if (n < NETDEV_HEADER + ETH_HLEN || n > NETDEV_MAX_FRAME)
		return RX_GOT;
	if ((size_t)n > rx->len) {
		if (room == 1)
			return RX_GOT;
		gather_spill(rx, (size_t)n);
	}
	rx->held = (size_t)n;
	return RX_GOT;
}

/* How long frames are just now decides how many buffers are taken ahead. */
static void adapt(const struct net *net, struct net_rx *rx)
{
	if (rx->held > RX_SMALL) {
		rx->target = net->rx_enough;
		rx->calm = 0;
	} else if (rx->target > RX_SMALL && ++rx->calm == RX_CALM) {
		rx->target = RX_SMALL;
	}
}

/* The frame that is held becomes the driver's, in as many buffers as it takes: all of them at once. */
static void hand_over(struct net_rx *rx, struct vq *q)
{
	struct vq_chain hand = whole_hand(rx, false);
	uint16_t count = 0;
	size_t left;

	for (left = rx->held; left > 0; count++)
		left -= MIN(left, rx->chain[rx->first + count].in_len);
	if (rx->spilled)
		vq_copy_in(&hand, 0, rx->spill, rx->held);
	vq_copy_in(&hand, offsetof(struct virtio_net_hdr_v1, num_buffers), &count, sizeof(count));
	for (left = rx->held; left > 0;) {
		size_t part = MIN(left, rx->chain[rx->first].in_len);

		stage_first(rx, q, part);
		left -= part;
	}
	vq_publish(q);
	rx->held = 0;
	rx->spilled = rx->waited = false;
}

static void lose_held(struct net_rx *rx)
{
	rx->held = 0;
	rx->spilled = rx->waited = false;
}

static enum rx_step step(struct net *net, struct net_rx *rx, struct vq *q, unsigned pair, int *rc)
{
	enum rx_step got;

	*rc = fill_hand(net, rx, q);
	if (*rc < 0 || rx->n == 0)
		return RX_NO_ROOM;
	if (rx->held == 0) {
		got = read_frame(net, rx, pair);
		if (rx->held == 0)
			return got;
	}
	if (rx->held > rx->len) {
		if (!hand_full(net, rx))
			return RX_NO_ROOM;
		lose_held(rx); /* it never fits */
		return RX_GOT;
	}
	if (!ratelimit_take(&net->rx_limit, rx->held))
		return RX_LIMITED;
	adapt(net, rx);
	hand_over(rx, q);
	return RX_GOT;
}

/* ---- many ---- */

/*
 * There are not buffers enough. True: go on, some came meanwhile, or the frame that waits for them is given up:
 * the driver said that there are more, and they still were too few.
 */
static bool go_on_without_room(struct net_rx *rx, struct vq *q, bool *kicked)
{
	bool more = vq_kicks_on(q);

	if (!more && rx->held && rx->waited && *kicked) {
		lose_held(rx);
		more = true;
	}
	*kicked = false;
	rx->waited = rx->held > 0;
	if (more)
		vq_kicks_off(q);
	return more;
}

void net_rx_run(struct net *net, unsigned pair, bool kicked)
{
	struct vq *q = virtio_vq(&net->base, RX_QUEUE(pair));
	struct net_rx *rx = &net->rx[pair];
	enum rx_step last = RX_GOT;
	int rc = 0;

	vq_kicks_off(q);
	for (unsigned budget = q->size; budget > 0; budget--) {
		last = step(net, rx, q, pair, &rc);
		if (rc < 0)
			break;
		if (last == RX_NO_ROOM && go_on_without_room(rx, q, &kicked))
			last = RX_GOT;
		if (last != RX_GOT)
			break;
	}
	if (rc == 0 && last == RX_GOT)
		virtio_kick_again(&net->base, RX_QUEUE(pair));
	else
		netdev_want_readable(net->netdev, pair, rc == 0 && last == RX_IDLE);
	virtio_finish(&net->base, RX_QUEUE(pair), rc);
}

void net_rx_reset(struct net *net, unsigned pair)
{
	struct net_rx *rx = &net->rx[pair];

	netdev_want_readable(net->netdev, pair, false);
	rx->first = rx->n = rx->iov_first = rx->n_iov = 0;
	rx->len = 0;
	rx->target = RX_SMALL;
	lose_held(rx);
}

void net_rx_drain(struct net *net, unsigned pair)
{
	struct iovec iov = {net->rx[pair].spill, NETDEV_HEADER + ETH_HLEN};

	for (unsigned i = 0; i < DRAIN_MAX; i++)
		if (netdev_receive(net->netdev, pair, &iov, 1) == -EAGAIN)
			break;
}
