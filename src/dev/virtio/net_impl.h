/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files net*.c share. Queues (5.1.2): receive 0, transmit 0, receive 1, transmit 1, ..., control.
 * Everything is guarded by the device's lock.
 */
#pragma once

#include <linux/virtio_net.h>

#include "backend/netdev.h"
#include "backend/ratelimit.h"
#include "dev/virtio/net.h"
#include "dev/virtio/vhost_call.h"
#include "vhost/kernel.h"

#define NET_MAX_PAIRS 32
#define NET_IOV       1024 /* IOV_MAX: what one system call takes */
#define NET_BIT(n)    (1ULL << (n))

#define RX_CHAINS    128 /* buffers of the driver in our hands at once */
#define RX_IOV       (NET_IOV - 1)
#define RX_CHAIN_IOV 256 /* segments of one buffer */

/* Bytes in hand while no larger frames come, and how many frames it takes to believe that. 5.1.6.3.1: an Ethernet
 * frame with a VLAN tag, and the header, are 1526 bytes. */
#define RX_SMALL 1526
#define RX_CALM  256

#define RX_QUEUE(pair) (2 * (pair))
#define TX_QUEUE(pair) (2 * (pair) + 1)

/*
 * The receiving half of a pair. Buffers are taken from the ring ahead of the frames, for nobody knows how long
 * the next frame is until it is read; those that a frame leaves over stay in hand for the next. A few for small
 * frames, many once large ones come: the first large frame is copied, and a ping costs one buffer and no more.
 * Invariants: chain[first, first + n) are in hand, their segments are iov[iov_first, iov_first + n_iov) and have
 * `len` bytes in all. Where `spilled` is not set, held <= len.
 */
struct net_rx {
	struct vq_chain chain[RX_CHAINS];
	struct iovec iov[RX_IOV + 1]; /* the last one is spill[]'s */
	unsigned first, n, iov_first, n_iov;
	size_t len;
	size_t target; /* so many bytes are wanted in hand: RX_SMALL, or enough for any frame */
	unsigned calm; /* small frames since the last larger one */
	size_t held; /* length of a frame that was read and could not be handed over yet; 0: none */
	bool spilled; /* that frame is in spill[]: the buffers in hand were too small for it */
	bool waited;  /* for more buffers, since then */
	uint8_t spill[NETDEV_MAX_FRAME + 1]; /* untouched, and so no memory, in ordinary times */
};

/* A pair that the host's kernel serves. */
struct net_vhost {
	struct vhost *v;
	struct vhost_call call[2]; /* receive, transmit */
	bool started;
};

struct net {
	struct virtio_dev base;
	struct netdev *netdev;
	struct virtio_net_config config;
	unsigned max_pairs;
	struct ratelimit rx_limit, tx_limit;

	/* What the driver accepted, or asked for. */
	unsigned pairs;
	bool mergeable;   /* a frame may take several buffers */
	bool offloads;    /* headers of the driver are passed on */
	size_t rx_enough; /* bytes that take any frame which may come, header included */

	struct iovec iov[NET_IOV]; /* of the chain that is sent, or of a control command */
	struct net_rx *rx;         /* max_pairs */
	struct net_vhost *vhost;   /* max_pairs; NULL: frames are carried here */
};

/* Takes the back end over, on failure too. */
int net_create_on(struct virtio_dev **out, const struct net_config *config, struct netdev *netdev,
		  const struct virtio_host *host, struct err *e);

/*
 * With config->vhost (net_vhost.c). A pair is served while it is in use, if the driver has set it up; when
 * net_vhost_use() has ended that, nobody touches its rings, and later it goes on where it was. net_vhost_reset() stops
 * all pairs and releases the lock for that. `sys`: NULL is Linux.
 */
int net_vhost_open(struct net *net, const char *name, const struct vhost_sys *sys, struct err *e);
void net_vhost_close(struct net *net);
void net_vhost_use(struct net *net, unsigned pair, bool use);
void net_vhost_reset(struct net *net);
void net_vhost_vectors_changed(struct net *net);

/* Reads frames into the driver's buffers until there is none, or no buffer, or no token. `kicked`: the driver says
 * that there are buffers. */
void net_rx_run(struct net *net, unsigned pair, bool kicked);
/* Forgets buffers and frames; throws away frames that came for nobody. */
void net_rx_reset(struct net *net, unsigned pair);
void net_rx_drain(struct net *net, unsigned pair);

/* Sends what the driver offers. */
void net_tx_run(struct net *net, unsigned pair);

void net_ctrl_run(struct net *net, unsigned queue);
/* The driver uses `pairs` pairs from now on. */
void net_use_pairs(struct net *net, unsigned pairs);
