// SPDX-License-Identifier: Apache-2.0
/* The devices as options: what each word does, and what one device may not say. */
#include "config/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "one_option.h"

TEST(disk_is_a_path_and_little_else)
{
	struct vm_config c = good(OPT_DISK, "a.img");
	const struct disk_config *d = &c.disk[0];

	CHECK_EQ(1, c.n_disks);
	CHECK_STR("a.img", d->path);
	CHECK(!d->readonly && !d->direct && !d->no_flush && !d->no_discard && !d->no_lock);
	CHECK(!d->packed && !d->root && !d->partuuid && !d->id && !d->serial);
	CHECK_EQ(OVERLAY_NONE, d->overlay);
	CHECK_EQ(DISK_ENGINE_AUTO, d->engine);
	CHECK(d->queues == 0 && d->queue_size == 0);
	CHECK(d->limit.bandwidth.size == 0 && d->limit.ops.size == 0);
	config_fini(&c);
}

TEST(disk_takes_every_word)
{
	struct vm_config c = good(OPT_DISK, "/a,,b=c,direct,id=sys-1.x,serial=S 1,overlay=o,,v,"
					    "engine=io_uring,queues=16,queue-size=1024,packed,root,"
					    "partuuid=6d1c4d2a-02,bw=2M,iops=500,noflush,nodiscard,"
					    "nolock");
	const struct disk_config *d = &c.disk[0];

	CHECK_STR("/a,b=c", d->path);
	CHECK(d->direct && d->packed && d->root && d->no_flush && d->no_discard && d->no_lock);
	CHECK_STR("sys-1.x", d->id);
	CHECK_STR("S 1", d->serial);
	CHECK_EQ(OVERLAY_FILE, d->overlay);
	CHECK_STR("o,v", d->overlay_path);
	CHECK_EQ(DISK_ENGINE_IO_URING, d->engine);
	CHECK_EQ(16, d->queues);
	CHECK_EQ(1024, d->queue_size);
	CHECK_STR("6d1c4d2a-02", d->partuuid);
	CHECK_EQ(2 * MIB, d->limit.bandwidth.size);
	CHECK_EQ(1000, d->limit.bandwidth.refill_ms);
	CHECK_EQ(500, d->limit.ops.size);
	CHECK_EQ(1000, d->limit.ops.refill_ms);
	config_fini(&c);
}

TEST(disk_readonly_and_ro_are_the_same)
{
	struct vm_config c = good(OPT_DISK, "a,readonly");

	CHECK(c.disk[0].readonly);
	config_fini(&c);
	c = good(OPT_DISK, "a,ro,engine=threads");
	CHECK(c.disk[0].readonly);
	CHECK_EQ(DISK_ENGINE_THREADS, c.disk[0].engine);
	config_fini(&c);
}

TEST(disk_overlay_may_be_temporary)
{
	struct vm_config c = good(OPT_DISK, "a,overlay=temporary");

	CHECK_EQ(OVERLAY_TEMPORARY, c.disk[0].overlay);
	CHECK(c.disk[0].overlay_path == NULL);
	config_fini(&c);
	c = good(OPT_DISK, "a,overlay=./temporary");
	CHECK_EQ(OVERLAY_FILE, c.disk[0].overlay);
	config_fini(&c);
}

TEST(disk_says_what_is_wrong)
{
	bad("the file name is empty", OPT_DISK, "");
	bad("'redonly' is unknown; did you mean 'readonly'?", OPT_DISK, "a,redonly");
	bad("overlay and readonly contradict each other: with an overlay the file is only read",
	    OPT_DISK, "a,readonly,overlay=b");
	bad("the overlay is the disk's own file", OPT_DISK, "a,overlay=a");
	bad("id: 'a b' is no name of 1 to 64 letters, digits, '_', '-' and '.'", OPT_DISK,
	    "a,id=a b");
	bad("serial: '123456789012345678901' is longer than 20 bytes", OPT_DISK,
	    "a,serial=123456789012345678901");
	bad("queues: '17' is not a whole number from 1 to 16", OPT_DISK, "a,queues=17");
	bad("queue-size: '100' is not a power of two from 4 to 1024", OPT_DISK, "a,queue-size=100");
	bad("queue-size: '2' is not a power of two from 4 to 1024", OPT_DISK, "a,queue-size=2");
	bad("queue-size: '2048' is not a power of two from 4 to 1024", OPT_DISK,
	    "a,queue-size=2048");
	bad("partuuid without root", OPT_DISK, "a,partuuid=1-2");
	bad("partuuid: 'x y' is no UUID of a partition", OPT_DISK, "a,root,partuuid=x y");
	bad("bw: '0' a second is too little or too much", OPT_DISK, "a,bw=0");
	bad("bw: '9999999T' a second is too little or too much", OPT_DISK, "a,bw=9999999T");
	bad("iops: '0' is not a whole number from 1 to 4294967295", OPT_DISK, "a,iops=0");
	bad("engine: 'aoi' is none of auto, io_uring, threads, Async, Sync", OPT_DISK,
	    "a,engine=aoi");
}

TEST(disks_are_counted)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	for (int i = 0; i < CONFIG_MAX_PCI_DEVICES; i++)
		CHECK(config_add_disk(&c, &e));
	CHECK(!config_add_disk(&c, &e));
	CHECK_STR("there are at most 31 disks", e.text);
	config_fini(&c);
}

TEST(net_has_three_kinds)
{
	struct vm_config c = good(OPT_NET, "tap");

	CHECK_EQ(NET_TAP, c.net[0].kind);
	CHECK(!c.net[0].tap && c.net[0].fd == -1 && !c.net[0].has_mac && !c.net[0].no_offload);
	config_fini(&c);
	c = good(OPT_NET, "tap=vmtap0");
	CHECK_STR("vmtap0", c.net[0].tap);
	config_fini(&c);
	c = good(OPT_NET, "user");
	CHECK_EQ(NET_USER, c.net[0].kind);
	config_fini(&c);
	c = good(OPT_NET, "passt=/run/a,,b");
	CHECK_EQ(NET_PASST, c.net[0].kind);
	CHECK_STR("/run/a,b", c.net[0].socket);
	config_fini(&c);
}

TEST(net_takes_every_word)
{
	static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xab, 0xCD, 0xef};
	struct vm_config c = good(OPT_NET, "tap=t,id=lan,mac=52:54:00:ab:CD:ef,mtu=9000,queues=8,"
					   "queue-size=512,offload=off,packed,bw=1G,pps=100000");
	const struct net_config *n = &c.net[0];

	CHECK_STR("lan", n->id);
	CHECK(n->has_mac && memcmp(n->mac, mac, 6) == 0);
	CHECK_EQ(9000, n->mtu);
	CHECK_EQ(8, n->queues);
	CHECK_EQ(512, n->queue_size);
	CHECK(n->no_offload && n->packed);
	CHECK_EQ(GIB, n->rx_limit.bandwidth.size);
	CHECK_EQ(GIB, n->tx_limit.bandwidth.size);
	CHECK_EQ(100000, n->rx_limit.ops.size);
	CHECK_EQ(100000, n->tx_limit.ops.size);
	config_fini(&c);
	c = good(OPT_NET, "tap,fd=3,offload=on");
	CHECK_EQ(3, c.net[0].fd);
	CHECK(!c.net[0].no_offload);
	config_fini(&c);
}

TEST(net_forwards_ports)
{
	struct vm_config c = good(OPT_NET, "user,restrict,hostfwd=tcp:127.0.0.1:2222-:22,"
					   "hostfwd=udp::53-10.0.2.15:5353,hostfwd=::1-:65535");
	const struct hostfwd_config *f = c.net[0].hostfwd;

	CHECK_EQ(3, c.net[0].n_hostfwds);
	CHECK(c.net[0].restricted);
	CHECK(!f[0].udp && f[1].udp && !f[2].udp);
	CHECK_STR("127.0.0.1", f[0].host_addr);
	CHECK(!f[0].guest_addr && !f[1].host_addr && !f[2].host_addr);
	CHECK_STR("10.0.2.15", f[1].guest_addr);
	CHECK(f[0].host_port == 2222 && f[0].guest_port == 22 && f[1].host_port == 53);
	CHECK(f[1].guest_port == 5353 && f[2].host_port == 1 && f[2].guest_port == 65535);
	config_fini(&c);
}

TEST(net_refuses_what_is_no_forwarding)
{
	static const char *const wrong[] = {
		"tcp::22",
		"tcp:22-:22",
		":-:22",
		"sctp::1-:2",
		"tcp::1-:0",
		"tcp::65536-:1",
		"tcp:::1:22-:22",
		"tcp:localhost:1-:2",
		"tcp:1.2.3:1-:2",
		"tcp::1-:2-:3",
		"t::1-:2",
		"tcp::1",
		"tcp::-1-:2",
		"tcp:127.0.0.1:1-2",
		"tcp:123.123.123.1234:1-:2",
		"-",
		":",
		"tcp",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char value[128], expected[256];

		snprintf(value, sizeof(value), "user,hostfwd=%s", wrong[i]);
		snprintf(
			expected, sizeof(expected),
			"hostfwd: '%s' is not [tcp|udp]:[HOST ADDRESS]:PORT-[GUEST ADDRESS]:PORT, as in "
			"tcp:127.0.0.1:2222-:22",
			wrong[i]);
		bad(expected, OPT_NET, value);
	}
}

TEST(net_says_what_is_wrong)
{
	bad("'bridge' is none of tap, user, passt", OPT_NET, "bridge");
	bad("'usr' is unknown; did you mean 'user'?", OPT_NET, "usr");
	bad("'user' takes no name", OPT_NET, "user=x");
	bad("'passt' needs a socket: passt=SOCKET", OPT_NET, "passt");
	bad("'0123456789abcdef' is no name of a network interface", OPT_NET,
	    "tap=0123456789abcdef");
	bad("'a/b' is no name of a network interface", OPT_NET, "tap=a/b");
	bad("'' is no name of a network interface", OPT_NET, "tap=");
	bad("'..' is no name of a network interface", OPT_NET, "tap=..");
	bad("fd: '2' is not a whole number from 3 to 1048576", OPT_NET, "tap,fd=2");
	bad("mtu: '67' is not a whole number from 68 to 65535", OPT_NET, "tap,mtu=67");
	bad("queues: '9' is not a whole number from 1 to 8", OPT_NET, "tap,queues=9");
	bad("queue-size: '17' is not a power of two from 16 to 1024", OPT_NET, "tap,queue-size=17");
	bad("a tap has a name or an fd, not both", OPT_NET, "tap=a,fd=3");
	bad("an fd is one queue; queues=2 is not possible", OPT_NET, "tap,fd=3,queues=2");
	bad("'user' has one queue; queues=2 is not possible", OPT_NET, "user,queues=2");
	bad("'user' has no fd: that is a tap's", OPT_NET, "user,fd=3");
	bad("'tap' has no hostfwd: that is of the kind 'user'", OPT_NET, "tap,hostfwd=::1-:2");
	bad("'passt' has no restrict: that is of the kind 'user'", OPT_NET, "passt=a,restrict");
}

TEST(net_refuses_what_is_no_mac_of_an_interface)
{
	static const char *const wrong[] = {"",
					    "52:54:00:12:34",
					    "52:54:00:12:34:5",
					    "52:54:00:12:34:567",
					    "52-54-00-12-34-56",
					    "5:254:00:12:34:56",
					    "52:54:00:12:34:gg",
					    "::::::::::::::::::",
					    "5254:0:0:12:34:56"};

	for (size_t i = 1; i < ARRAY_SIZE(wrong); i++) {
		char value[64], expected[128];

		snprintf(value, sizeof(value), "tap,mac=%s", wrong[i]);
		snprintf(expected, sizeof(expected),
			 "mac: '%s' is no MAC address like 52:54:00:12:34:56", wrong[i]);
		bad(expected, OPT_NET, value);
	}
	bad("mac: '01:00:5e:00:00:01' is a multicast address: no interface may have one", OPT_NET,
	    "tap,mac=01:00:5e:00:00:01");
	bad("mac: '00:00:00:00:00:00' is nobody's address", OPT_NET, "tap,mac=00:00:00:00:00:00");
}

TEST(net_forwards_are_counted)
{
	struct given given = {.text = "::1-:1"};
	const struct field *f = field_of_option(net_fields, "hostfwd");
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK(config_add_net(&c, &e));
	for (int i = 0; i < CONFIG_MAX_HOSTFWDS; i++)
		CHECK_EQ(0, field_set(f, c.net, &given, &e));
	CHECK_EQ(-EINVAL, field_set(f, c.net, &given, &e));
	CHECK_STR("there are at most 64 forwarded ports", e.text);
	config_fini(&c);
}

TEST(console_goes_where_a_serial_port_can)
{
	struct vm_config c = good(OPT_CONSOLE, "stdio");

	CHECK_EQ(CONSOLE_STDIO, c.console[0].kind);
	config_fini(&c);
	c = good(OPT_CONSOLE, "socket=/tmp/a,,b=c,name=agent.0");
	CHECK_EQ(CONSOLE_SOCKET, c.console[0].kind);
	CHECK_STR("/tmp/a,b=c", c.console[0].path);
	CHECK_STR("agent.0", c.console[0].name);
	config_fini(&c);
	bad("'file' needs a path", OPT_CONSOLE, "file");
	bad("'pty' takes no path", OPT_CONSOLE, "pty=x");
	bad("'soket' is unknown; did you mean 'socket'?", OPT_CONSOLE, "soket=x");
	bad("name: 'a/b' is no name of 1 to 64 letters, digits, '_', '-' and '.'", OPT_CONSOLE,
	    "pty,name=a/b");
}

TEST(vsock_has_a_number_and_a_socket)
{
	struct vm_config c = good(OPT_VSOCK, "cid=4294967294,socket=s");
	char value[128] = "cid=3,socket=";

	CHECK_EQ(4294967294, c.vsock.cid);
	CHECK_STR("s", c.vsock.socket);
	config_fini(&c);
	bad("cid: '2' is not a whole number from 3 to 4294967294", OPT_VSOCK, "cid=2,socket=s");
	bad("cid: '4294967295' is not a whole number from 3 to 4294967294", OPT_VSOCK,
	    "cid=4294967295,socket=s");
	bad("the host's side is missing: socket=PATH", OPT_VSOCK, "cid=3");
	bad("the guest's number is missing: cid=N, from 3 on", OPT_VSOCK, "socket=s");
	/* "_4294967295" has to fit as well */
	memset(value + 13, 'x', 97);
	bad("socket: the socket's path is longer than 96 bytes", OPT_VSOCK, value);
	value[13 + 96] = '\0';
	c = good(OPT_VSOCK, value);
	config_fini(&c);
}

TEST(balloon_has_a_size)
{
	struct vm_config c = good(OPT_BALLOON, "0");

	CHECK(c.balloon.enabled);
	CHECK_EQ(0, c.balloon.target);
	config_fini(&c);
	c = good(OPT_BALLOON, "64,deflate-on-oom,stats=5,reporting");
	CHECK_EQ(64 * MIB, c.balloon.target);
	CHECK(c.balloon.deflate_on_oom && c.balloon.free_page_reporting);
	CHECK_EQ(5, c.balloon.stats_interval_s);
	config_fini(&c);
	bad("'x' is not a size: write 512M or 2G; a plain number is MiB", OPT_BALLOON, "x");
	bad("'4K' is not a whole number of MiB", OPT_BALLOON, "4K");
	bad("'9T' is too much: at most 8 TiB", OPT_BALLOON, "9T");
	bad("stats: '65536' is not a whole number from 0 to 65535", OPT_BALLOON, "1,stats=65536");
	bad("'deflate' is unknown; did you mean 'deflate-on-oom'?", OPT_BALLOON, "1,deflate");
}

TEST(transport_is_pci_or_mmio)
{
	struct vm_config c = good(OPT_TRANSPORT, "mmio");

	CHECK(c.transport == TRANSPORT_MMIO && c.transport_given);
	config_fini(&c);
	bad("'isa' is neither pci nor mmio", OPT_TRANSPORT, "isa");
	bad("'' is neither pci nor mmio", OPT_TRANSPORT, "");
}
