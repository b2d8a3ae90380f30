// SPDX-License-Identifier: Apache-2.0
/*
 * Tap interfaces (Documentation/networking/tuntap.rst of Linux, linux/if_tun.h). Each frame comes and goes with a
 * struct virtio_net_hdr_v1 in front (IFF_VNET_HDR): the host's kernel and the guest's hand each other segments
 * of 64 KiB and checksums not computed yet, and nobody in between looks at the data.
 *
 * Several queues are several descriptors of one interface (IFF_MULTI_QUEUE); those that the driver does not use
 * are detached, or the kernel would steer frames there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/netdev_impl.h"
#include "base/io.h"
#include "base/log.h"

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define TUN_F_TSO (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define TUN_F_USO (TUN_F_USO4 | TUN_F_USO6) /* the kernel takes both or none */
#define BIT(n)    (1ULL << (n))

struct tap {
	struct netdev base;
	char ifname[IFNAMSIZ];
	unsigned attached;
	bool uso;
	struct log_limit log; /* for what a guest can bring about, by resets */
};

static struct tap *tap_of(struct netdev *n)
{
	return container_of(n, struct tap, base);
}

/* ---- frames ---- */

static ssize_t tap_send(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov)
{
	ssize_t rc;

	do
		rc = writev(n->port[queue].source.fd, iov, (int)n_iov);
	while (rc < 0 && errno == EINTR);
	if (rc >= 0)
		return rc;
	rc = -errno;
	if (rc == -EAGAIN)
		netdev_want_writable(n, queue);
	return rc;
}

static ssize_t tap_receive(struct netdev *n, unsigned queue, const struct iovec *iov,
			   unsigned n_iov)
{
	ssize_t rc;

	do
		rc = readv(n->port[queue].source.fd, iov, (int)n_iov);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : rc;
}

/* ---- what the driver accepted ---- */

static unsigned offloads(const struct tap *t, uint64_t features)
{
	unsigned flags = TUN_F_CSUM;

	if (!(features & BIT(VIRTIO_NET_F_GUEST_CSUM)))
		return 0; /* 5.1.3.1: all others need it */
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
		flags |= TUN_F_TSO4;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
		flags |= TUN_F_TSO6;
	if (flags & (TUN_F_TSO4 | TUN_F_TSO6) && features & BIT(VIRTIO_NET_F_GUEST_ECN))
		flags |= TUN_F_TSO_ECN;
	if (t->uso && features & BIT(VIRTIO_NET_F_GUEST_USO4) &&
	    features & BIT(VIRTIO_NET_F_GUEST_USO6))
		flags |= TUN_F_USO;
	return flags;
}

static void tap_set_features(struct netdev *n, uint64_t features)
{
	struct tap *t = tap_of(n);

	/* Of the interface, not of a queue. It was asked for at the start, so it does not fail. */
	if (ioctl(n->port[0].source.fd, TUNSETOFFLOAD, offloads(t, features)) < 0)
		log_limited(&t->log, "%s: tap '%s': TUNSETOFFLOAD: %s", n->name, t->ifname,
			    strerror(errno));
}

static int attach(struct tap *t, unsigned queue, bool on)
{
	struct ifreq r = {.ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	if (ioctl(t->base.port[queue].source.fd, TUNSETQUEUE, &r) == 0)
		return 0;
	log_limited(&t->log, "%s: tap '%s': queue %u: TUNSETQUEUE: %s", t->base.name, t->ifname,
		    queue, strerror(errno));
	return -1;
}

/* A detached descriptor is an error to epoll, always: it has to leave the loop first. */
static void tap_set_queues(struct netdev *n, unsigned pairs)
{
	struct tap *t = tap_of(n);

	for (; t->attached < pairs && attach(t, t->attached, true) == 0; t->attached++)
		netdev_watch(&n->port[t->attached], true);
	for (; t->attached > pairs; t->attached--) {
		netdev_watch(&n->port[t->attached - 1], false);
		attach(t, t->attached - 1, false);
	}
}

static int tap_start(struct netdev *n, struct err *e)
{
	int rc = netdev_start_ports(n, e);

	if (rc == 0)
		tap_set_queues(n, 1);
	return rc;
}

/* ---- opening ---- */

static int explain_open(const char *name, struct err *e)
{
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return err_set(e, errno, "%s: /dev/net/tun is not there: sudo modprobe tun", name);
	if (errno == EACCES || errno == EPERM)
		return err_set(e, errno,
			       "%s: no permission for /dev/net/tun: sudo chmod 666 /dev/net/tun",
			       name);
	return err_sys(e, "%s: /dev/net/tun", name);
}

static int explain_attach(const char *name, const char *ifname, bool exists, bool multi,
			  struct err *e)
{
	const char *more = multi ? " multi_queue" : "";

	switch (errno) {
	case EPERM:
		if (exists)
			return err_set(
				e, EPERM,
				"%s: tap '%s' belongs to somebody else: root can give it away: "
				"ip tuntap del dev %s mode tap; ip tuntap add dev %s mode tap%s user $USER",
				name, ifname, ifname, ifname, more);
		return err_set(
			e, EPERM,
			"%s: making a tap needs CAP_NET_ADMIN: let root make it once: "
			"ip tuntap add dev %s mode tap%s user $USER (--net user needs no root)",
			name, ifname, more);
	case EBUSY:
		return err_set(e, EBUSY, "%s: tap '%s' is busy: another program uses it", name,
			       ifname);
	case EINVAL:
		if (exists && multi)
			return err_set(
				e, EINVAL,
				"%s: tap '%s' has one queue: make it anew: ip tuntap del dev %s "
				"mode tap; ip tuntap add dev %s mode tap multi_queue user $USER",
				name, ifname, ifname, ifname);
		return err_set(e, EINVAL, "%s: '%s' is not a tap interface", name, ifname);
	default:
		return err_sys(e, "%s: tap '%s'", name, ifname);
	}
}

/* Whether the interface that has this name already is a tap at all, by what ethtool's driver information says. */
static int judge_existing(const struct tap *t, struct err *e)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq r = {.ifr_data = (char *)&info};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (sock < 0)
		return err_sys(e, "%s: socket", t->base.name);
	memcpy(r.ifr_name, t->ifname, sizeof(r.ifr_name));
	rc = ioctl(sock, SIOCETHTOOL, &r);
	fd_close(&sock);
	if (rc < 0 || strcmp(info.driver, "tun") != 0)
		return err_set(e, EINVAL, "%s: '%s' is not a tap interface", t->base.name,
			       t->ifname);
	if (strcmp(info.bus_info, "tun") == 0)
		return err_set(e, EINVAL,
			       "%s: '%s' is not a tap (frames) but a tun interface (IP packets)",
			       t->base.name, t->ifname);
	return 0;
}

/* An interface keeps the flag that it was made with: one of several queues wants to hear of it for one as well. */
static int set_interface(int fd, struct ifreq *r, short flags)
{
	r->ifr_flags = flags;
	if (ioctl(fd, TUNSETIFF, r) == 0)
		return 0;
	if (errno != EINVAL || flags & IFF_MULTI_QUEUE)
		return -1;
	r->ifr_flags = flags | IFF_MULTI_QUEUE;
	return ioctl(fd, TUNSETIFF, r);
}

/* Opens one queue of the interface t->ifname, whose name the kernel may fill in. */
static int open_queue(struct tap *t, unsigned i, short flags, struct err *e)
{
	struct ifreq r = {0};
	bool exists = !strchr(t->ifname, '%') && if_nametoindex(t->ifname) != 0;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return explain_open(t->base.name, e);
	t->base.port[i].source.fd = fd;
	memcpy(r.ifr_name, t->ifname, sizeof(r.ifr_name));
	if (set_interface(fd, &r, flags) < 0)
		return explain_attach(t->base.name, strchr(t->ifname, '%') ? "NAME" : t->ifname,
				      exists, flags & IFF_MULTI_QUEUE, e);
	memcpy(t->ifname, r.ifr_name, sizeof(t->ifname));
	t->attached = i + 1;
	return 0;
}

static int open_named(struct tap *t, const struct net_config *config, bool *created, struct err *e)
{
	const char *wanted = config->tap ? config->tap : "vmtap%d";
	short flags = TAP_FLAGS | (t->base.n_ports > 1 ? IFF_MULTI_QUEUE : 0);
	int rc = 0;

	if (strlen(wanted) >= sizeof(t->ifname) || strchr(wanted, '/'))
		return err_set(
			e, EINVAL,
			"%s: '%s' is no name for an interface: at most %zu characters, no '/'",
			t->base.name, wanted, sizeof(t->ifname) - 1);
	snprintf(t->ifname, sizeof(t->ifname), "%s", wanted);
	*created = !config->tap || if_nametoindex(wanted) == 0;
	if (!*created)
		rc = judge_existing(t, e);
	for (unsigned i = 0; rc == 0 && i < t->base.n_ports; i++)
		rc = open_queue(t, i, flags, e);
	return rc;
}

static int take_inherited(struct tap *t, int fd, struct err *e)
{
	struct ifreq r = {0};
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0)
		return err_set(e, errno, "%s: descriptor %d is not open", t->base.name, fd);
	if (ioctl(fd, TUNGETIFF, &r) < 0 || !(r.ifr_flags & IFF_TAP))
		return err_set(e, EINVAL, "%s: descriptor %d is not a tap's", t->base.name, fd);
	if ((r.ifr_flags & TAP_FLAGS) != TAP_FLAGS)
		return err_set(e, EINVAL,
			       "%s: the tap of descriptor %d must be opened with "
			       "IFF_NO_PI | IFF_VNET_HDR",
			       t->base.name, fd);
	if (fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(e, "%s: descriptor %d", t->base.name, fd);
	memcpy(t->ifname, r.ifr_name, sizeof(t->ifname));
	t->base.port[0].source.fd = fd;
	t->attached = 1;
	return 0;
}

static int set_header(struct tap *t, struct err *e)
{
	int size = NETDEV_HEADER;

	for (unsigned i = 0; i < t->base.n_ports; i++)
		if (ioctl(t->base.port[i].source.fd, TUNSETVNETHDRSZ, &size) < 0)
			return err_sys(e, "%s: tap '%s': TUNSETVNETHDRSZ", t->base.name, t->ifname);
	return 0;
}

/* Finds what this kernel can do, and ends with all of it off. */
static void probe_offloads(struct tap *t)
{
	int fd = t->base.port[0].source.fd;

	t->uso = ioctl(fd, TUNSETOFFLOAD, TUN_F_TSO | TUN_F_USO) == 0;
	if (!t->uso && ioctl(fd, TUNSETOFFLOAD, TUN_F_TSO) < 0)
		return;
	t->base.features = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			   BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
			   BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
			   BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN);
	if (t->uso)
		t->base.features |= BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_USO4) |
				    BIT(VIRTIO_NET_F_GUEST_USO6);
	ioctl(fd, TUNSETOFFLOAD, 0);
}

static int set_mtu(struct tap *t, int sock, unsigned mtu, struct err *e)
{
	struct ifreq r = {0};

	memcpy(r.ifr_name, t->ifname, sizeof(r.ifr_name));
	if (ioctl(sock, SIOCGIFMTU, &r) == 0 && r.ifr_mtu == (int)mtu)
		return 0;
	r.ifr_mtu = (int)mtu;
	if (ioctl(sock, SIOCSIFMTU, &r) == 0)
		return 0;
	return err_set(e, errno,
		       "%s: tap '%s' cannot have an MTU of %u (%s): let root set it: "
		       "ip link set dev %s mtu %u",
		       t->base.name, t->ifname, mtu, strerror(errno), t->ifname, mtu);
}

/* MTU, and an interface that we made is switched on: what it is connected to is the user's business. */
static int set_link(struct tap *t, unsigned mtu, bool created, struct err *e)
{
	struct ifreq r = {0};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (sock < 0)
		return err_sys(e, "%s: socket", t->base.name);
	if (mtu)
		rc = set_mtu(t, sock, mtu, e);
	memcpy(r.ifr_name, t->ifname, sizeof(r.ifr_name));
	if (rc == 0 && created && ioctl(sock, SIOCGIFFLAGS, &r) == 0) {
		r.ifr_flags |= IFF_UP;
		if (ioctl(sock, SIOCSIFFLAGS, &r) < 0)
			log_warn("%s: tap '%s' stays down: %s", t->base.name, t->ifname,
				 strerror(errno));
	}
	fd_close(&sock);
	return rc;
}

static void tap_close(struct netdev *n)
{
	netdev_fini(n);
	free(tap_of(n));
}

static const struct netdev_ops tap_ops = {
	.start = tap_start,
	.set_features = tap_set_features,
	.set_queues = tap_set_queues,
	.send = tap_send,
	.receive = tap_receive,
	.want_readable = netdev_want_port,
	.close = tap_close,
};

static int open_tap(struct tap *t, const struct net_config *config, struct err *e)
{
	bool created = false;
	int rc;

	rc = config->fd >= 0 ? take_inherited(t, config->fd, e)
			     : open_named(t, config, &created, e);
	if (rc == 0)
		rc = set_header(t, e);
	if (rc == 0)
		rc = set_link(t, config->mtu, created, e);
	if (rc == 0)
		probe_offloads(t);
	if (rc == 0 && created)
		log_info("%s: tap '%s'", t->base.name, t->ifname);
	return rc;
}

int netdev_open_tap(struct netdev **out, const struct net_config *config, struct loop *loop,
		    const char *name, struct err *e)
{
	unsigned pairs = MAX(config->queues, 1u);
	struct tap *t;
	int rc;

	if (config->fd >= 0 && pairs > 1)
		return err_set(e, EINVAL, "%s: an inherited descriptor is one queue", name);
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, ENOMEM, "%s: out of memory", name);
	rc = netdev_init(&t->base, &tap_ops, loop, name, pairs, e);
	if (rc < 0) {
		free(t);
		return rc;
	}
	rc = open_tap(t, config, e);
	if (rc < 0) {
		tap_close(&t->base);
		return rc;
	}
	*out = &t->base;
	return 0;
}
