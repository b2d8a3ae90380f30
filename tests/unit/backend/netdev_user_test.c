// SPDX-License-Identifier: Apache-2.0
/* User networking as a guest sees it, frame by frame: the real helper process, on the host's loopback. */
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <netinet/in.h>
#include <sys/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "backend/netdev_rig.h"

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static void open_user(struct rig *r, const struct net_config *config)
{
	rig_init(r);
	if (netdev_open(&r->n, config, &r->loop, &r->e) < 0)
		fail_msg("%s", r->e.text);
	rig_start(r);
}

static void put_header(uint8_t *frame, uint16_t type)
{
	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
}

/* Who has 10.0.2.2? */
static void send_arp(struct rig *r)
{
	uint8_t f[60] = {0};
	static const uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};
	static const uint8_t us[4] = {10, 0, 2, 15}, them[4] = {10, 0, 2, 2};

	put_header(f, ETHERTYPE_ARP);
	memcpy(f + 14, fixed, 8);
	memcpy(f + 22, guest_mac, 6);
	memcpy(f + 28, us, 4);
	memcpy(f + 38, them, 4);
	CHECK_EQ(NETDEV_HEADER + 60, rig_send(r, f, sizeof(f)));
}

/* The next frame of an Ethernet type; what else there is (router advertisements) passes by. */
static const uint8_t *next_frame(struct rig *r, uint16_t type, ssize_t *len)
{
	const uint8_t *f = r->frame + NETDEV_HEADER;

	for (;;) {
		*len = rig_wait(r) - NETDEV_HEADER;
		CHECK(*len >= ETH_HLEN);
		if ((f[12] << 8 | f[13]) == type)
			return f;
	}
}

TEST(the_gateway_answers_arp)
{
	struct net_config config = {.kind = NET_USER, .id = text("net0"), .fd = -1};
	const uint8_t *f;
	struct rig r;
	ssize_t len;

	open_user(&r, &config);
	send_arp(&r);
	f = next_frame(&r, ETHERTYPE_ARP, &len);
	CHECK_EQ(0, memcmp(f, guest_mac, 6));
	CHECK_EQ(2, f[21]); /* a reply */
	CHECK_EQ(2, f[31]); /* of 10.0.2.2 */
	rig_fini(&r);
}

static int listen_somewhere(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK_EQ(0, bind(fd, (struct sockaddr *)&at, sizeof(at)));
	CHECK_EQ(0, listen(fd, 1));
	CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&at, &len));
	*port = ntohs(at.sin_port);
	return fd;
}

TEST(a_forwarded_port_that_is_taken_is_said_before_the_guest_runs)
{
	struct hostfwd_config fwd = {.host_addr = text("127.0.0.1"), .guest_port = 22};
	struct net_config config = {.kind = NET_USER, .fd = -1, .hostfwd = &fwd, .n_hostfwds = 1};
	int taken = listen_somewhere(&fwd.host_port);
	struct rig r;

	rig_init(&r);
	CHECK(netdev_open(&r.n, &config, &r.loop, &r.e) < 0);
	CHECK_HAS(r.e.text, "hostfwd tcp 127.0.0.1");
	CHECK_HAS(r.e.text, "Address already in use");
	rig_fini(&r);
	close(taken);
}

TEST(an_address_that_is_none_is_said)
{
	struct hostfwd_config fwd = {.host_addr = text("localhost"),
				     .host_port = 1,
				     .guest_port = 22};
	struct net_config config = {.kind = NET_USER, .fd = -1, .hostfwd = &fwd, .n_hostfwds = 1};
	struct rig r;

	rig_init(&r);
	CHECK(netdev_open(&r.n, &config, &r.loop, &r.e) < 0);
	CHECK_HAS(r.e.text, "hostfwd tcp localhost");
	fwd = (struct hostfwd_config){.host_addr = text("127.0.0.1"),
				      .guest_addr = text("fec0::15")};
	CHECK(netdev_open(&r.n, &config, &r.loop, &r.e) < 0);
	CHECK_HAS(r.e.text, "IPv4 cannot be forwarded to IPv6");
	rig_fini(&r);
}

/* A connection to a forwarded port arrives at the guest as a SYN, once the guest's address is known by ARP. */
static void check_forwarded(const char *host_addr)
{
	struct hostfwd_config fwd = {.host_addr = text(host_addr), .guest_port = 2222};
	struct net_config config = {.kind = NET_USER, .fd = -1, .hostfwd = &fwd, .n_hostfwds = 1};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const uint8_t *f;
	struct rig r;
	ssize_t len;

	close(listen_somewhere(&fwd.host_port)); /* a free one */
	open_user(&r, &config);
	send_arp(&r);
	next_frame(&r, ETHERTYPE_ARP, &len);
	to.sin_port = htons(fwd.host_port);
	CHECK(connect(s, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EINPROGRESS);
	f = next_frame(&r, ETHERTYPE_IP, &len);
	CHECK(len >= 14 + 20 + 20);
	CHECK_EQ(IPPROTO_TCP, f[14 + 9]);
	CHECK_EQ(15, f[14 + 19]);                     /* to 10.0.2.15 */
	CHECK_EQ(2222, f[14 + 22] << 8 | f[14 + 23]); /* its port */
	CHECK_EQ(0x02, f[14 + 20 + 13] & 0x3f);       /* SYN alone */
	close(s);
	rig_fini(&r);
}

TEST(a_connection_to_a_forwarded_port_reaches_the_guest)
{
	check_forwarded("127.0.0.1");
	check_forwarded(NULL); /* every address of the host */
}

static pid_t only_child(void)
{
	char text[64] = "";
	FILE *f = fopen("/proc/thread-self/children", "re");

	CHECK(f != NULL);
	CHECK(fgets(text, sizeof(text), f) != NULL);
	fclose(f);
	return (pid_t)atoi(text);
}

TEST(the_helpers_death_takes_the_link_down_and_leaves_no_zombie)
{
	struct net_config config = {.kind = NET_USER, .fd = -1};
	struct rig r;
	pid_t pid;

	open_user(&r, &config);
	pid = only_child();
	CHECK_EQ(0, kill(pid, SIGKILL));
	while (r.link_downs == 0)
		CHECK(rig_turn(&r, 10000));
	CHECK_EQ(-1, kill(pid, 0));
	CHECK_EQ(ESRCH, errno);
	CHECK_EQ(-EIO, rig_send(&r, r.frame, 60));
	rig_fini(&r);
}

TEST(closing_ends_the_helper)
{
	struct net_config config = {.kind = NET_USER, .fd = -1, .restricted = true, .mtu = 9000};
	struct rig r;
	pid_t pid;

	open_user(&r, &config);
	pid = only_child();
	rig_fini(&r);
	CHECK_EQ(-1, kill(pid, 0));
	CHECK_EQ(ESRCH, errno);
}

TEST(the_helper_inherits_nothing_but_its_socket)
{
	struct net_config config = {.kind = NET_USER, .fd = -1};
	char path[64];
	struct stat st;
	struct rig r;
	int open_for_all = fcntl(STDERR_FILENO, F_DUPFD, 100); /* not close-on-exec */

	open_user(&r, &config);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", only_child(), open_for_all);
	CHECK_EQ(-1, stat(path, &st));
	CHECK_EQ(ENOENT, errno);
	rig_fini(&r);
	close(open_for_all);
}

/* Runs `body` where mounts are its own. Its result, or -1 where the host does not allow that. */
static int with_own_mounts(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(99);
		_exit(body());
	}
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status) == 99 ? -1 : WEXITSTATUS(status);
}

static int open_and_close(struct err *e)
{
	struct net_config config = {.kind = NET_USER, .fd = -1};
	struct netdev *n = NULL;
	struct loop loop;
	int rc;

	if (loop_init(&loop, e) < 0)
		return 2;
	rc = netdev_open(&n, &config, &loop, e);
	netdev_close(n);
	return rc < 0 ? 1 : 0;
}

static int without_proc(void)
{
	struct err e;

	if (mount("none", "/proc", "tmpfs", 0, NULL) < 0)
		return 99;
	return open_and_close(&e);
}

TEST(where_programs_in_memory_cannot_be_run_a_temporary_file_is)
{
	int rc = with_own_mounts(without_proc);

	if (rc < 0) {
		print_message("no mount namespace here: skipped\n");
		skip();
	}
	CHECK_EQ(0, rc);
}

static int without_library(void)
{
	static const char *const place[] = {"/lib/x86_64-linux-gnu/libslirp.so.0",
					    "/usr/lib64/libslirp.so.0", "/usr/lib/libslirp.so.0"};
	struct err e = {""};
	bool hidden = false;

	for (unsigned i = 0; i < ARRAY_SIZE(place); i++)
		hidden |= mount("/dev/null", place[i], NULL, MS_BIND, NULL) == 0;
	if (!hidden)
		return 99;
	if (open_and_close(&e) != 1)
		return 3;
	return strstr(e.text, "apt-get install libslirp0") && !strchr(e.text, '\n') ? 0 : 4;
}

TEST(a_library_that_is_missing_is_said)
{
	int rc = with_own_mounts(without_library);

	if (rc < 0) {
		print_message("no mount namespace here, or libslirp is elsewhere: skipped\n");
		skip();
	}
	CHECK_EQ(0, rc);
}
