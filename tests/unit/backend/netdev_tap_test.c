// SPDX-License-Identifier: Apache-2.0
/*
 * Taps of this host's kernel, in a network namespace of a child process's own: nothing of the host is touched, and
 * no privilege is needed where user namespaces are allowed. Elsewhere these tests say that they are skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "backend/netdev_rig.h"

#define BIT(n) (1ULL << (n))

enum { PASSED = 0, FAILED = 1, NO_NAMESPACE = 2 };

#define MUST(cond)                                                                         \
	do {                                                                               \
		if (!(cond)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
			_exit(FAILED);                                                     \
		}                                                                          \
	} while (0)

/* Runs `body` in a child, where a failed CHECK() would go on with the other tests: hence MUST(). */
static void in_namespace(void (*body)(struct rig *r))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rig r;
		int fd;

		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
			_exit(NO_NAMESPACE);
		fd = open("/dev/net/tun", O_RDWR);
		if (fd < 0)
			_exit(NO_NAMESPACE);
		close(fd);
		memset(&r, 0, sizeof(r));
		MUST(loop_init(&r.loop, &r.e) == 0);
		body(&r);
		_exit(PASSED);
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_NAMESPACE) {
		print_message("no /dev/net/tun or no user namespace here: skipped\n");
		skip();
	}
	CHECK_EQ(PASSED, WEXITSTATUS(status));
}

static void open_tap(struct rig *r, struct net_config c)
{
	struct netdev_front front = {rig_readable, rig_writable, rig_link, r};

	if (netdev_open(&r->n, &c, &r->loop, &r->e) < 0) {
		fprintf(stderr, "%s\n", r->e.text);
		_exit(FAILED);
	}
	MUST(netdev_start(r->n, front, &r->e) == 0);
}

/* A socket that sees what the tap's host side sees, and sends there. */
static int packet_socket(const char *ifname)
{
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(ifname),
	};
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	MUST(s >= 0 && at.sll_ifindex > 0);
	MUST(bind(s, (struct sockaddr *)&at, sizeof(at)) == 0);
	return s;
}

static void test_frame(uint8_t *f, uint8_t fill)
{
	memset(f, fill, 60);
	memset(f, 0xff, 6);
	memset(f + 6, 2, 6);
	f[12] = 0x88; /* an experimental type, IEEE 802: nothing answers */
	f[13] = 0xb5;
}

static bool same(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, 60) == 0;
}

static void frames_both_ways(struct rig *r)
{
	uint8_t frame[60], got[2048];
	ssize_t n;
	int s;

	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mytap")});
	s = packet_socket("mytap");
	test_frame(frame, 0x31);
	MUST(rig_send(r, frame, 60) == NETDEV_HEADER + 60);
	do /* the kernel's own (router solicitations) are there as well */
		n = recv(s, got, sizeof(got), 0);
	while (n > 0 && !same(frame, got));
	MUST(n == 60);
	test_frame(frame, 0x32);
	MUST(send(s, frame, 60, 0) == 60);
	netdev_want_readable(r->n, 0, true);
	MUST(rig_turn(r, 10000));
	MUST(r->readable > 0);
	do
		n = rig_wait(r);
	while (n > 0 && !same(frame, r->frame + NETDEV_HEADER));
	MUST(n == NETDEV_HEADER + 60);
	netdev_close(r->n);
	MUST(if_nametoindex("mytap") == 0); /* what we made goes with us */
}

TEST(frames_go_through_a_tap_both_ways)
{
	in_namespace(frames_both_ways);
}

static void kernel_names(struct rig *r)
{
	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1});
	MUST(if_nametoindex("vmtap0") != 0);
	netdev_close(r->n);
}

TEST(a_tap_without_a_name_gets_one)
{
	in_namespace(kernel_names);
}

static void all_offloads(struct rig *r)
{
	const uint64_t least = BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
			       BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
			       BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	uint64_t all;

	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1});
	all = netdev_features(r->n);
	MUST((all & least) == least);
	MUST(!(all & BIT(VIRTIO_NET_F_GUEST_USO4)) == !(all & BIT(VIRTIO_NET_F_GUEST_USO6)));
	/* Any choice of a driver, sensible or not, is taken by the kernel without a word. */
	for (unsigned i = 0; i < 64; i++)
		netdev_set_features(r->n, all & ~BIT(i));
	netdev_set_features(r->n, BIT(VIRTIO_NET_F_GUEST_TSO4));
	netdev_set_features(r->n, 0);
	netdev_close(r->n);
}

TEST(the_kernels_offloads_are_found)
{
	in_namespace(all_offloads);
}

static void many_queues(struct rig *r)
{
	uint8_t frame[60];
	ssize_t n;
	int s;

	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mq"), .queues = 4});
	s = packet_socket("mq");
	MUST(!rig_turn(r, 0)); /* detached queues do not spin in the loop */
	netdev_set_queues(r->n, 4);
	netdev_set_queues(r->n, 2);
	netdev_set_queues(r->n, 1);
	test_frame(frame, 0x33); /* with one queue all comes to it */
	MUST(send(s, frame, 60, 0) == 60);
	do
		n = rig_wait(r);
	while (n > 0 && !same(frame, r->frame + NETDEV_HEADER));
	MUST(n == NETDEV_HEADER + 60);
	netdev_close(r->n);
}

TEST(queues_are_attached_and_detached)
{
	in_namespace(many_queues);
}

static void one_of_many(struct rig *r)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE};
	int fd = open("/dev/net/tun", O_RDWR);

	snprintf(ifr.ifr_name, IFNAMSIZ, "mq");
	MUST(ioctl(fd, TUNSETIFF, &ifr) == 0 && ioctl(fd, TUNSETPERSIST, 1) == 0);
	close(fd);
	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mq")});
	netdev_close(r->n);
	MUST(if_nametoindex("mq") != 0); /* not ours to remove */
}

TEST(an_interface_of_many_queues_serves_for_one)
{
	in_namespace(one_of_many);
}

static void refused(struct rig *r, struct net_config c, const char *says)
{
	MUST(netdev_open(&r->n, &c, &r->loop, &r->e) < 0);
	if (!strstr(r->e.text, says) || strchr(r->e.text, '\n')) {
		fprintf(stderr, "\"%s\" does not say \"%s\"\n", r->e.text, says);
		_exit(FAILED);
	}
}

static void wrong_interfaces(struct rig *r)
{
	struct net_config c = {.kind = NET_TAP, .fd = -1, .tap = text("mytap")};
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	int tun = open("/dev/net/tun", O_RDWR);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	struct netdev *first;

	open_tap(r, c);
	first = r->n;
	refused(r, c, "busy");
	c.queues = 2;
	refused(r, c, "multi_queue");
	netdev_close(first);
	snprintf(ifr.ifr_name, IFNAMSIZ, "mytun");
	MUST(ioctl(tun, TUNSETIFF, &ifr) == 0);
	refused(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mytun")},
		"not a tap");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("lo")}, "not a tap");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("a/b")}, "no name");
	refused(r,
		(struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("a-name-that-is-long")},
		"at most 15");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = -1, .mtu = 65536}, "ip link set dev");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = 99}, "not open");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = tun}, "not a tap");
	refused(r, (struct net_config){.kind = NET_TAP, .fd = r->loop.epoll_fd}, "not a tap");
	MUST(syscall(SYS_capset, &header, none) == 0); /* no rights over the network any longer */
	refused(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mine")},
		"ip tuntap add dev mine mode tap user");
}

TEST(what_cannot_be_used_is_said_with_the_mend)
{
	in_namespace(wrong_interfaces);
}

static void inherited(struct rig *r)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int plain = open("/dev/net/tun", O_RDWR), fd = open("/dev/net/tun", O_RDWR);

	MUST(ioctl(plain, TUNSETIFF, &ifr) == 0);
	refused(r, (struct net_config){.kind = NET_TAP, .fd = plain}, "IFF_VNET_HDR");
	ifr = (struct ifreq){.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	MUST(ioctl(fd, TUNSETIFF, &ifr) == 0);
	refused(r, (struct net_config){.kind = NET_TAP, .fd = fd, .queues = 2}, "one queue");
	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = fd});
	MUST(rig_receive(r) == -EAGAIN); /* it does not block any longer */
	netdev_close(r->n);
	MUST(fcntl(fd, F_GETFD) < 0);
}

TEST(an_inherited_descriptor_is_judged_and_used)
{
	in_namespace(inherited);
}

/* ip link del */
static void delete_link(const char *ifname)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} msg = {
		.header = {.nlmsg_len = sizeof(msg),
			   .nlmsg_type = RTM_DELLINK,
			   .nlmsg_flags = NLM_F_REQUEST},
		.link = {.ifi_index = (int)if_nametoindex(ifname)},
	};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	MUST(send(s, &msg, sizeof(msg), 0) == (ssize_t)sizeof(msg));
	close(s);
}

static void vanishes(struct rig *r)
{
	open_tap(r, (struct net_config){.kind = NET_TAP, .fd = -1, .tap = text("mytap")});
	netdev_want_readable(r->n, 0, true);
	delete_link("mytap");
	for (unsigned i = 0; i < 100 && r->link_downs == 0; i++)
		rig_turn(r, 100);
	MUST(r->link_downs == 1);
	MUST(!rig_turn(r, 0));
	MUST(rig_send(r, r->frame, 60) < 0);
	netdev_close(r->n);
}

TEST(a_tap_that_is_deleted_takes_the_link_down)
{
	in_namespace(vanishes);
}
