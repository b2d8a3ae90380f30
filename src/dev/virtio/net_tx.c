// SPDX-License-Identifier: Apache-2.0
/* Sending (virtio 1.2, 5.1.6.2). */
#include <errno.h>
#include <net/ethernet.h>

#include "dev/virtio/net_impl.h"

/* Puts a header of zeros in place of the driver's. iov[0] is free for it; where the frame begins now. */
static struct iovec *replace_header(struct iovec *iov, unsigned *n)
{
	static uint8_t zero[NETDEV_HEADER];
	size_t skip = NETDEV_HEADER;

	while (*n > 0 && iov[1].iov_len <= skip) {
		skip -= iov[1].iov_len;
		iov++;
		(*n)--;
	}
	iov[1].iov_base = (uint8_t *)iov[1].iov_base + skip;
	iov[1].iov_len -= skip;
	iov[0] = (struct iovec){zero, NETDEV_HEADER};
	(*n)++;
	return iov;
}

/*
 * 0: the chain is done with, sent or not; -EAGAIN: later. Whether the header makes sense is judged by the host's
 * kernel, which has to do that for every user of a tap.
 */
static int send_chain(struct net *net, unsigned pair, const struct vq_chain *c)
{
	struct iovec *iov = c->iov;
	unsigned n = c->n_out;
	ssize_t rc;

	if (c->bad || c->out_len < NETDEV_HEADER + ETH_HLEN || c->out_len > NETDEV_MAX_FRAME)
		return 0;
	if (!ratelimit_take(&net->tx_limit, c->out_len))
		return -EAGAIN;
	if (!net->offloads)
		iov = replace_header(iov - 1, &n);
	rc = netdev_send(net->netdev, pair, iov, n);
	if (rc == -EAGAIN)
		ratelimit_give_back(&net->tx_limit, c->out_len);
	return rc == -EAGAIN ? -EAGAIN : 0;
}

/*
 * A guest that has sent is likely to send more soon. So an empty queue is looked at again after the loop's other
 * sources had their turn: the driver need not ring meanwhile, and is interrupted once for all that was sent. When
 * nothing has come by then, doorbells are on and the driver hears of it: each turn but the last sends something.
 */
void net_tx_run(struct net *net, unsigned pair)
{
	struct vq *q = virtio_vq(&net->base, TX_QUEUE(pair));
	struct vq_chain c = {.iov = net->iov + 1, .iov_max = NET_IOV - 1};
	unsigned budget = q->size;
	bool again = false;
	int rc = 0;

	vq_kicks_off(q);
	for (; budget > 0; budget--) {
		rc = vq_pop(q, &c);
		if (rc < 0)
			break;
		if (rc == 0) {
			again = budget < q->size;
			if (again || !vq_kicks_on(q))
				break;
			vq_kicks_off(q);
			continue;
		}
		/* writable(), or the rate limit, calls again: no doorbell is needed meanwhile. */
		if (send_chain(net, pair, &c) == -EAGAIN) {
			vq_unpop(q, &c);
			break;
		}
		vq_push(q, &c, 0);
	}
	if (budget == 0 || again)
		virtio_kick_again(&net->base, TX_QUEUE(pair));
	if (!again)
		virtio_finish(&net->base, TX_QUEUE(pair), MIN(rc, 0));
}
