// SPDX-License-Identifier: Apache-2.0
/*
 * toyvmm-slirp: user networking. Frames of the guest come over the socket that is descriptor 0 (each after its
 * length, 32 bits, big-endian), libslirp makes sockets of them, and the other way round. Started by
 * src/backend/netdev_user.c, which carries this program inside of toyvmm; ends with the socket.
 *
 *   toyvmm-slirp [restrict] [mtu=N] [hostfwd=tcp|udp,HOST-ADDRESS,PORT,GUEST-ADDRESS,PORT]...
 *
 * Descriptor 2 says how the start went: "ready", or one line that says what is wrong.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_FD 0
#define STATUS_FD 2
#define PREFIX    4
#define FRAME_MIN 14
#define FRAME_MAX 65550
#define OUT_SIZE  (1 << 20) /* frames for the guest that the socket does not take yet */
#define OUT_HIGH \
	(1 << 16) /* with more than this waiting, no more is read from the host's sockets */
#define POLL_MAX 4096
#define TIMERS   8

struct timer {
	bool used, armed;
	SlirpTimerId id;
	void *arg;
	int64_t at_ms;
};

struct helper {
	Slirp *slirp;
	struct timer timer[TIMERS];
	struct pollfd poll[POLL_MAX];
	int n_poll;
	bool ended;
	size_t in_len, out_start, out_end;
	uint8_t in[PREFIX + FRAME_MAX], out[OUT_SIZE];
};

static _Noreturn void fail(const char *what, const char *why)
{
	dprintf(STATUS_FD, "%s: %s\n", what, why);
	exit(1);
}

/* ---- time ---- */

static int64_t now_ns(void *opaque)
{
	struct timespec t;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void *timer_new(SlirpTimerId id, void *arg, void *opaque)
{
	struct helper *h = opaque;

	for (unsigned i = 0; i < TIMERS; i++)
		if (!h->timer[i].used) {
			h->timer[i] = (struct timer){.used = true, .id = id, .arg = arg};
			return &h->timer[i];
		}
	fail("libslirp", "more timers than expected");
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	*(struct timer *)timer = (struct timer){0};
}

static void timer_mod(void *timer, int64_t at_ms, void *opaque)
{
	struct timer *t = timer;

	(void)opaque;
	t->armed = true;
	t->at_ms = at_ms;
}

static void run_timers(struct helper *h)
{
	int64_t now = now_ns(h) / 1000000;

	for (unsigned i = 0; i < TIMERS; i++) {
		struct timer *t = &h->timer[i];
		if (t->armed && t->at_ms <= now) {
			t->armed = false;
			slirp_handle_timer(h->slirp, t->id, t->arg);
		}
	}
}

/* Milliseconds, at most `limit`, until the next timer. */
static uint32_t until_timer(struct helper *h, uint32_t limit)
{
	int64_t now = now_ns(h) / 1000000;

	for (unsigned i = 0; i < TIMERS; i++) {
		int64_t left = h->timer[i].at_ms - now;
		if (h->timer[i].armed && left < limit)
			limit = left > 0 ? (uint32_t)left : 0;
	}
	return limit;
}

/* ---- frames to the guest ---- */

static void flush_out(struct helper *h)
{
	while (h->out_start < h->out_end) {
		ssize_t n = send(SOCKET_FD, h->out + h->out_start, h->out_end - h->out_start,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			h->ended = errno != EAGAIN;
			return;
		}
		h->out_start += (size_t)n;
	}
	h->out_start = h->out_end = 0;
}

static void queue_out(struct helper *h, const void *frame, size_t len)
{
	uint32_t prefix = htonl((uint32_t)len);

	if (h->out_start > 0 && h->out_end + PREFIX + len > OUT_SIZE) {
		memmove(h->out, h->out + h->out_start, h->out_end - h->out_start);
		h->out_end -= h->out_start;
		h->out_start = 0;
	}
	if (h->out_end + PREFIX + len > OUT_SIZE)
		return; /* lost, as on any network: TCP sends it again */
	memcpy(h->out + h->out_end, &prefix, PREFIX);
	memcpy(h->out + h->out_end + PREFIX, frame, len);
	h->out_end += PREFIX + len;
}

/* What is queued goes out once a turn: one system call for many frames. */
static ssize_t send_packet(const void *frame, size_t len, void *opaque)
{
	if (len >= FRAME_MIN && len <= FRAME_MAX)
		queue_out(opaque, frame, len);
	return (ssize_t)len;
}

/* ---- frames from the guest ---- */

/* Hands out all whole frames, and keeps the beginning of the next. False: that is no frame. */
static bool take_frames(struct helper *h)
{
	size_t at = 0;

	while (h->in_len - at >= PREFIX) {
		uint32_t len;

		memcpy(&len, h->in + at, PREFIX);
		len = ntohl(len);
		if (len < FRAME_MIN || len > FRAME_MAX)
			return false;
		if (h->in_len - at - PREFIX < len)
			break;
		slirp_input(h->slirp, h->in + at + PREFIX, (int)len);
		at += PREFIX + len;
	}
	memmove(h->in, h->in + at, h->in_len - at);
	h->in_len -= at;
	return true;
}

static void read_in(struct helper *h)
{
	ssize_t n = recv(SOCKET_FD, h->in + h->in_len, sizeof(h->in) - h->in_len, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		h->ended = true;
		return;
	}
	h->in_len += (size_t)n;
	if (!take_frames(h))
		h->ended = true;
}

/* ---- the loop ---- */

static int add_poll(int fd, int events, void *opaque)
{
	struct helper *h = opaque;

	if (h->n_poll == POLL_MAX)
		return -1;
	h->poll[h->n_poll] = (struct pollfd){
		.fd = fd,
		.events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
				  (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
				  (events & SLIRP_POLL_PRI ? POLLPRI : 0)),
	};
	return h->n_poll++;
}

static int get_revents(int i, void *opaque)
{
	struct helper *h = opaque;
	short got = i >= 0 && i < h->n_poll ? h->poll[i].revents : 0;

	return (got & POLLIN ? SLIRP_POLL_IN : 0) | (got & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (got & POLLPRI ? SLIRP_POLL_PRI : 0) | (got & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (got & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* libslirp is told of its sockets only while the guest takes what they bring. */
static void turn(struct helper *h)
{
	bool congested = h->out_end - h->out_start > OUT_HIGH;
	uint32_t timeout = 1000;
	int rc;

	h->poll[0] = (struct pollfd){.fd = SOCKET_FD, .events = POLLIN};
	if (h->out_end > 0)
		h->poll[0].events |= POLLOUT;
	h->n_poll = 1;
	if (!congested)
		slirp_pollfds_fill(h->slirp, &timeout, add_poll, h);
	do
		rc = poll(h->poll, (nfds_t)h->n_poll, (int)until_timer(h, timeout));
	while (rc < 0 && errno == EINTR);
	if (!congested)
		slirp_pollfds_poll(h->slirp, rc < 0, get_revents, h);
	run_timers(h);
	if (h->poll[0].revents & (POLLIN | POLLHUP | POLLERR))
		read_in(h);
	flush_out(h);
}

/* ---- the start ---- */

static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static void ignore_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void ignore(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = now_ns,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = ignore_fd,
	.unregister_poll_fd = ignore_fd,
	.notify = ignore,
	.timer_new_opaque = timer_new,
};

/* The addresses that everybody knows from QEMU. */
static SlirpConfig default_config(void)
{
	SlirpConfig c = {.version = 4, .in_enabled = true, .in6_enabled = true, .vprefix_len = 64};

	inet_pton(AF_INET, "10.0.2.0", &c.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &c.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &c.vhost);
	inet_pton(AF_INET, "10.0.2.3", &c.vnameserver);
	inet_pton(AF_INET, "10.0.2.15", &c.vdhcp_start);
	inet_pton(AF_INET6, "fec0::", &c.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c.vhost6);
	inet_pton(AF_INET6, "fec0::3", &c.vnameserver6);
	return c;
}

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Text "" is any address of `family`. False: neither an IPv4 nor an IPv6 address. */
static bool parse_address(union address *a, const char *text, int family, const char *port)
{
	in_port_t p = htons((uint16_t)atoi(port));

	memset(a, 0, sizeof(*a));
	if (*text == '\0')
		a->any.sa_family = (sa_family_t)family;
	else if (inet_pton(AF_INET, text, &a->v4.sin_addr) == 1)
		a->any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a->v6.sin6_addr) == 1)
		a->any.sa_family = AF_INET6;
	else
		return false;
	if (a->any.sa_family == AF_INET6)
		a->v6.sin6_port = p;
	else
		a->v4.sin_port = p;
	return true;
}

static socklen_t address_len(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static void add_hostfwd(struct helper *h, char *text)
{
	union address host, guest;
	char what[160], *part[5];
	int flags = 0;

	for (unsigned i = 0; i < 5; i++)
		part[i] = strsep(&text, ",");
	if (!part[4] || text)
		fail("hostfwd", "malformed");
	snprintf(what, sizeof(what), "hostfwd %s %s port %s", part[0], part[1], part[2]);
	/* An address that is not given is of the other's family. */
	if (!parse_address(&host, part[1], strchr(part[3], ':') ? AF_INET6 : AF_INET, part[2]))
		fail(what, "not an address; names are not looked up");
	if (!parse_address(&guest, part[3], host.any.sa_family, part[4]))
		fail(what, "the guest's is not an address; names are not looked up");
	if (host.any.sa_family != guest.any.sa_family)
		fail(what, "IPv4 cannot be forwarded to IPv6, nor IPv6 to IPv4");
	if (strcmp(part[0], "udp") == 0)
		flags |= SLIRP_HOSTFWD_UDP;
	if (host.any.sa_family == AF_INET6)
		flags |= SLIRP_HOSTFWD_V6ONLY;
	if (slirp_add_hostxfwd(h->slirp, &host.any, address_len(&host), &guest.any,
			       address_len(&guest), flags) < 0)
		fail(what, strerror(errno));
}

static void start(struct helper *h, int argc, char **argv)
{
	SlirpConfig config = default_config();

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "restrict") == 0)
			config.restricted = 1;
		else if (strncmp(argv[i], "mtu=", 4) == 0)
			config.if_mtu = config.if_mru = (size_t)atoi(argv[i] + 4);
	h->slirp = slirp_new(&config, &callbacks, h);
	if (!h->slirp)
		fail("libslirp", "refuses its configuration");
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "hostfwd=", 8) == 0)
			add_hostfwd(h, argv[i] + 8);
}

/* Nothing is inherited but the socket and the place for the verdict; and nobody is outlived. */
static void isolate(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0);
	close_range(STATUS_FD + 1, ~0U, 0);
}

/* What libslirp and its libraries print about a guest's frames is nobody's business. */
static void say_ready(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (write(STATUS_FD, "ready\n", 6) != 6)
		exit(1);
	if (null >= 0) {
		dup2(null, 1);
		dup2(null, STATUS_FD);
		close(null);
	} else {
		close(1);
		close(STATUS_FD);
	}
}

int main(int argc, char **argv)
{
	static struct helper helper;

	isolate();
	signal(SIGPIPE, SIG_IGN);
	start(&helper, argc, argv);
	say_ready();
	while (!helper.ended)
		turn(&helper);
	slirp_cleanup(helper.slirp);
	return 0;
}
