// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/net.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "dev/virtio/net_impl.h"

#define QUEUE_SIZE  256
#define VLAN_HEADER 18 /* an Ethernet header and the tag */

static struct net *net_of(struct virtio_dev *dev)
{
	return container_of(dev, struct net, base);
}

/* 5.1.2: after the queues of all pairs; where the driver cannot use more than one pair, after the first. */
static unsigned ctrl_queue(const struct net *net)
{
	return virtio_has(&net->base, VIRTIO_NET_F_MQ) ? 2 * net->max_pairs : 2;
}

static void net_kick(struct virtio_dev *dev, unsigned queue)
{
	struct net *net = net_of(dev);
	unsigned pair = queue / 2;

	if (queue == ctrl_queue(net) && virtio_has(dev, VIRTIO_NET_F_CTRL_VQ))
		net_ctrl_run(net, queue);
	else if (pair >= net->pairs || net->vhost)
		return; /* its turn comes with net_use_pairs(); or it is the kernel's */
	else if (queue == RX_QUEUE(pair))
		net_rx_run(net, pair, true);
	else
		net_tx_run(net, pair);
}

void net_use_pairs(struct net *net, unsigned pairs)
{
	for (unsigned i = pairs; net->vhost && i < net->pairs; i++)
		net_vhost_use(net, i, false);
	netdev_set_queues(net->netdev, pairs);
	for (unsigned i = pairs; i < net->pairs; i++)
		netdev_want_readable(net->netdev, i, false);
	/* What was offered there before is served now. */
	for (unsigned i = net->pairs; i < pairs; i++) {
		if (net->vhost)
			net_vhost_use(net, i, true);
		virtio_kick_again(&net->base, RX_QUEUE(i));
		virtio_kick_again(&net->base, TX_QUEUE(i));
	}
	net->pairs = pairs;
}

/* ---- the back end's side ---- */

/* A pair is served here, now, on this occasion. */
static bool is_ours(const struct net *net, unsigned pair, unsigned queue)
{
	return !net->vhost && pair < net->pairs && virtio_queue_ready(&net->base, queue);
}

static void on_readable(void *arg, unsigned pair)
{
	struct net *net = arg;

	pthread_mutex_lock(&net->base.lock);
	if (is_ours(net, pair, RX_QUEUE(pair)))
		net_rx_run(net, pair, false);
	else
		netdev_want_readable(net->netdev, pair, false);
	pthread_mutex_unlock(&net->base.lock);
}

static void on_writable(void *arg, unsigned pair)
{
	struct net *net = arg;

	pthread_mutex_lock(&net->base.lock);
	if (is_ours(net, pair, TX_QUEUE(pair)))
		net_tx_run(net, pair);
	pthread_mutex_unlock(&net->base.lock);
}

static void on_link(void *arg, bool up)
{
	struct net *net = arg;

	pthread_mutex_lock(&net->base.lock);
	net->config.status = up ? VIRTIO_NET_S_LINK_UP : 0;
	virtio_config_changed(&net->base);
	pthread_mutex_unlock(&net->base.lock);
}

static void on_rx_tokens(void *arg)
{
	struct net *net = arg;

	for (unsigned i = 0; i < net->max_pairs; i++)
		on_readable(net, i);
}

static void on_tx_tokens(void *arg)
{
	struct net *net = arg;

	for (unsigned i = 0; i < net->max_pairs; i++)
		on_writable(net, i);
}

/* ---- life ---- */

static bool takes_segments(const struct virtio_dev *dev)
{
	return virtio_has(dev, VIRTIO_NET_F_GUEST_TSO4) ||
	       virtio_has(dev, VIRTIO_NET_F_GUEST_TSO6) ||
	       virtio_has(dev, VIRTIO_NET_F_GUEST_USO4) || virtio_has(dev, VIRTIO_NET_F_GUEST_USO6);
}

static void net_activate(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	net->mergeable = virtio_has(dev, VIRTIO_NET_F_MRG_RXBUF);
	net->offloads = virtio_has(dev, VIRTIO_NET_F_CSUM);
	net->rx_enough =
		takes_segments(dev)
			? NETDEV_MAX_FRAME
			: MAX(RX_SMALL, NETDEV_HEADER + VLAN_HEADER + (size_t)net->config.mtu);
	for (unsigned i = 0; i < net->max_pairs; i++)
		net_rx_reset(net, i);
	netdev_set_features(net->netdev, dev->features);
	net_rx_drain(net, 0); /* frames for nobody, or in the form of another driver's choice */
	net_use_pairs(net, 1);
}

static void net_reset(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	if (net->vhost)
		net_vhost_reset(net);
	for (unsigned i = 0; i < net->max_pairs; i++)
		net_rx_reset(net, i);
	net->pairs = 0;
	netdev_set_queues(net->netdev, 1);
	netdev_set_features(net->netdev, 0);
}

static void net_vectors_changed(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	if (net->vhost)
		net_vhost_vectors_changed(net);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct net *net = net_of(dev);

	net_vhost_close(net);
	netdev_close(net->netdev);
	ratelimit_fini(&net->rx_limit);
	ratelimit_fini(&net->tx_limit);
	virtio_fini(dev);
	free(net->rx);
	free(net);
}

static const struct virtio_ops net_ops = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.kick = net_kick,
	.activate = net_activate,
	.reset = net_reset,
	.vectors_changed = net_vectors_changed,
	.destroy = net_destroy,
};

static void set_mac(struct net *net, const struct net_config *c)
{
	uint8_t *m = net->config.mac;

	if (c->has_mac) {
		memcpy(m, c->mac, sizeof(net->config.mac));
		return;
	}
	/* Without entropy an address of zeros and the bits below: still a valid one. */
	if (getrandom(m, sizeof(net->config.mac), 0) < 0)
		memset(m, 0, sizeof(net->config.mac));
	m[0] = (uint8_t)((m[0] & ~1) | 2); /* not a group's; locally administered */
	log_info("%s: MAC address %02x:%02x:%02x:%02x:%02x:%02x", c->id ? c->id : "net", m[0], m[1],
		 m[2], m[3], m[4], m[5]);
}

static uint64_t features(const struct net *net, const struct net_config *c)
{
	uint64_t f = NET_BIT(VIRTIO_NET_F_MAC) | NET_BIT(VIRTIO_NET_F_STATUS) |
		     NET_BIT(VIRTIO_NET_F_MRG_RXBUF) | NET_BIT(VIRTIO_NET_F_CTRL_VQ) |
		     NET_BIT(VIRTIO_NET_F_CTRL_RX) | NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);

	if (!c->no_offload)
		f |= netdev_features(net->netdev);
	if (f & NET_BIT(VIRTIO_NET_F_GUEST_CSUM))
		f |= NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (c->mtu)
		f |= NET_BIT(VIRTIO_NET_F_MTU);
	if (net->max_pairs > 1)
		f |= NET_BIT(VIRTIO_NET_F_MQ);
	if (c->packed)
		f |= NET_BIT(VIRTIO_F_RING_PACKED);
	return f;
}

static int check(const struct net_config *c, struct err *e)
{
	const char *name = c->id ? c->id : "net";

	if (c->queues > NET_MAX_PAIRS)
		return err_set(e, EINVAL, "%s: %u queue pairs; at most %u", name, c->queues,
			       NET_MAX_PAIRS);
	if (c->queue_size > VQ_MAX_SIZE || c->queue_size & (c->queue_size - 1))
		return err_set(e, EINVAL, "%s: a queue size of %u; a power of two, at most %u",
			       name, c->queue_size, VQ_MAX_SIZE);
	if (c->mtu && (c->mtu < 68 || c->mtu > 65535)) /* 5.1.4.1 */
		return err_set(e, EINVAL, "%s: an MTU of %u; 68 to 65535", name, c->mtu);
	return 0;
}

/* What virtio_init() needs. On failure nothing but `net` itself is left. */
static int init_common(struct net *net, const struct net_config *c, const struct virtio_host *host,
		       struct err *e)
{
	uint16_t size = (uint16_t)(c->queue_size ? c->queue_size : QUEUE_SIZE);
	int rc;

	net->rx_limit.timer.fd = net->tx_limit.timer.fd = -1;
	net->max_pairs = MAX(c->queues, 1u);
	net->rx = calloc(net->max_pairs, sizeof(*net->rx));
	if (!net->rx)
		return err_set(e, ENOMEM, "net: out of memory");
	rc = virtio_init(&net->base, &net_ops, host, 2 * net->max_pairs + 1, size, &net->config,
			 offsetof(struct virtio_net_config, speed), e);
	if (rc < 0)
		free(net->rx);
	return rc;
}

static int set_up(struct net *net, const struct net_config *c, struct err *e)
{
	struct netdev_front front = {on_readable, on_writable, on_link, net};
	struct loop *loop = net->base.host->loop;
	int rc;

	net->base.offered |= features(net, c);
	set_mac(net, c);
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.max_virtqueue_pairs = (uint16_t)net->max_pairs;
	net->config.mtu = (uint16_t)c->mtu;
	rc = ratelimit_init(&net->rx_limit, &c->rx_limit, loop, on_rx_tokens, net, e);
	if (rc == 0)
		rc = ratelimit_init(&net->tx_limit, &c->tx_limit, loop, on_tx_tokens, net, e);
	if (rc == 0 && c->vhost)
		rc = net_vhost_open(net, c->id ? c->id : "net", NULL, e);
	if (rc == 0)
		rc = netdev_start(net->netdev, front, e);
	return rc;
}

int net_create_on(struct virtio_dev **out, const struct net_config *config, struct netdev *netdev,
		  const struct virtio_host *host, struct err *e)
{
	struct net *net = calloc(1, sizeof(*net));
	int rc;

	rc = net ? init_common(net, config, host, e) : err_set(e, ENOMEM, "net: out of memory");
	if (rc < 0) {
		netdev_close(netdev);
		free(net);
		return rc;
	}
	net->netdev = netdev;
	rc = set_up(net, config, e);
	if (rc < 0) {
		net_destroy(&net->base);
		return rc;
	}
	*out = &net->base;
	return 0;
}

int net_create(struct virtio_dev **out, const struct net_config *config,
	       const struct virtio_host *host, struct err *e)
{
	struct netdev *netdev;
	int rc = check(config, e);

	if (rc == 0)
		rc = netdev_open(&netdev, config, host->loop, e);
	return rc < 0 ? rc : net_create_on(out, config, netdev, host, e);
}
