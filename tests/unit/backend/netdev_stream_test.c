// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>

#include "backend/netdev_rig.h"

static void open_stream(struct rig *r)
{
	int s[2];

	rig_init(r);
	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s));
	r->peer = s[1];
	CHECK_EQ(0, netdev_open_stream(&r->n, s[0], 0, &r->loop, "net0", &r->e));
	rig_start(r);
}

static void peer_writes(struct rig *r, const void *data, size_t len)
{
	CHECK_EQ(len, write(r->peer, data, len));
}

static void peer_sends(struct rig *r, uint8_t fill, uint32_t len)
{
	static uint8_t frame[70000];
	uint32_t prefix = htonl(len);

	memset(frame, fill, len);
	peer_writes(r, &prefix, 4);
	peer_writes(r, frame, len);
}

TEST(a_frame_comes_with_a_header_of_zeros)
{
	static const uint8_t zero[NETDEV_HEADER];
	struct rig r;

	open_stream(&r);
	peer_sends(&r, 0xab, 60);
	memset(r.frame, 0xff, sizeof(r.frame));
	CHECK_EQ(NETDEV_HEADER + 60, rig_receive(&r));
	CHECK_EQ(0, memcmp(zero, r.frame, NETDEV_HEADER));
	CHECK_EQ(0xab, r.frame[NETDEV_HEADER]);
	CHECK_EQ(0xab, r.frame[NETDEV_HEADER + 59]);
	CHECK_EQ(0xff, r.frame[NETDEV_HEADER + 60]);
	CHECK_EQ(-EAGAIN, rig_receive(&r));
	rig_fini(&r);
}

TEST(frames_are_found_however_the_stream_is_cut)
{
	uint8_t stream[4 + 60 + 4 + 70];
	struct rig r;
	uint32_t a = htonl(60), b = htonl(70);

	open_stream(&r);
	memset(stream, 0x11, sizeof(stream));
	memcpy(stream, &a, 4);
	memcpy(stream + 64, &b, 4);
	for (size_t i = 0; i < sizeof(stream); i++) {
		CHECK_EQ(-EAGAIN, rig_receive(&r));
		peer_writes(&r, stream + i, 1);
		if (i == 63)
			CHECK_EQ(NETDEV_HEADER + 60, rig_receive(&r));
	}
	CHECK_EQ(NETDEV_HEADER + 70, rig_receive(&r));
	rig_fini(&r);
}

TEST(many_frames_at_once_come_one_by_one)
{
	struct rig r;

	open_stream(&r);
	for (unsigned i = 0; i < 50; i++)
		peer_sends(&r, (uint8_t)i, 60 + i);
	for (unsigned i = 0; i < 50; i++) {
		CHECK_EQ(NETDEV_HEADER + 60 + i, rig_receive(&r));
		CHECK_EQ(i, r.frame[NETDEV_HEADER]);
	}
	CHECK_EQ(-EAGAIN, rig_receive(&r));
	rig_fini(&r);
}

TEST(the_longest_frame_passes)
{
	struct rig r;

	open_stream(&r);
	peer_sends(&r, 0x77, NETDEV_MAX_FRAME - NETDEV_HEADER);
	CHECK_EQ(NETDEV_MAX_FRAME, rig_receive(&r));
	CHECK_EQ(0x77, r.frame[NETDEV_MAX_FRAME - 1]);
	CHECK_EQ(0, r.frame[NETDEV_MAX_FRAME]);
	rig_fini(&r);
}

TEST(a_frame_is_spread_over_buffers_and_cut_where_they_end)
{
	uint8_t a[5], b[20], c[10];
	struct iovec iov[] = {{a, 5}, {b, 20}, {c, 10}};
	struct rig r;

	open_stream(&r);
	peer_sends(&r, 0xab, 60);
	CHECK_EQ(35, netdev_receive(r.n, 0, iov, 3));
	CHECK_EQ(0, a[4]);
	CHECK_EQ(0, b[6]);
	CHECK_EQ(0xab, b[7]);
	CHECK_EQ(0xab, c[9]);
	CHECK_EQ(-EAGAIN, rig_receive(&r)); /* the rest is not taken for the next frame */
	rig_fini(&r);
}

TEST(a_frame_goes_out_after_its_length)
{
	uint8_t frame[60], got[80];
	struct rig r;

	open_stream(&r);
	memset(frame, 0x5a, sizeof(frame));
	CHECK_EQ(NETDEV_HEADER + 60, rig_send(&r, frame, sizeof(frame)));
	CHECK_EQ(64, read(r.peer, got, sizeof(got)));
	CHECK_EQ(0, memcmp("\0\0\0\x3c", got, 4));
	CHECK_EQ(0, memcmp(frame, got + 4, 60));
	rig_fini(&r);
}

TEST(a_header_in_pieces_is_left_out_all_the_same)
{
	uint8_t bytes[NETDEV_HEADER + 60], got[80];
	struct iovec iov[NETDEV_HEADER + 2];
	struct rig r;

	open_stream(&r);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i <= NETDEV_HEADER; i++)
		iov[i] = (struct iovec){bytes + i, 1};
	iov[NETDEV_HEADER + 1] = (struct iovec){bytes + NETDEV_HEADER + 1, 59};
	CHECK_EQ(sizeof(bytes), netdev_send(r.n, 0, iov, NETDEV_HEADER + 2));
	CHECK_EQ(64, read(r.peer, got, sizeof(got)));
	CHECK_EQ(0, memcmp(bytes + NETDEV_HEADER, got + 4, 60));
	rig_fini(&r);
}

/* Reads all that comes from toyvmm, and checks that it is whole frames of `len`; their number. */
static unsigned read_frames(struct rig *r, size_t len, unsigned want)
{
	static uint8_t buf[4 + 70000];
	size_t have = 0;
	unsigned n = 0;

	while (n < want) {
		ssize_t got = recv(r->peer, buf + have, 4 + len - have, MSG_DONTWAIT);
		if (got < 0) {
			CHECK_EQ(EAGAIN, errno);
			CHECK(rig_turn(r, 10000)); /* the rest is sent once there is room */
			continue;
		}
		have += (size_t)got;
		if (have == 4 + len) {
			uint32_t prefix;
			memcpy(&prefix, buf, 4);
			CHECK_EQ(len, ntohl(prefix));
			for (size_t i = 0; i < len; i++)
				CHECK_EQ((uint8_t)(n + i), buf[4 + i]);
			have = 0;
			n++;
		}
	}
	return n;
}

TEST(a_slow_peer_gets_every_frame_whole_and_its_sender_waits)
{
	static uint8_t frame[40000];
	unsigned sent = 0;
	ssize_t rc;
	struct rig r;

	open_stream(&r);
	for (;;) {
		for (size_t i = 0; i < sizeof(frame); i++)
			frame[i] = (uint8_t)(sent + i);
		rc = rig_send(&r, frame, sizeof(frame));
		if (rc < 0)
			break;
		sent++;
		CHECK(sent < 1000); /* what waits is bounded */
	}
	CHECK_EQ(-EAGAIN, rc);
	CHECK(!rig_turn(&r, 0)); /* no spinning meanwhile */
	CHECK_EQ(sent, read_frames(&r, sizeof(frame), sent));
	while (r.writable == 0)
		CHECK(rig_turn(&r, 10000));
	CHECK_EQ(NETDEV_HEADER + 60, rig_send(&r, frame, 60));
	CHECK_EQ(0, r.link_downs);
	rig_fini(&r);
}

static void check_link_lost(struct rig *r)
{
	for (unsigned i = 0; i < 10 && r->link_downs == 0; i++) {
		rig_turn(r, 100);
		if (r->readable)
			rig_receive(r);
	}
	CHECK_EQ(1, r->link_downs);
	CHECK(!rig_turn(r, 0)); /* and nothing comes any more */
	CHECK_EQ(-EAGAIN, rig_receive(r));
	CHECK_EQ(-EIO, rig_send(r, r->frame, 60));
	CHECK_EQ(1, r->link_downs);
}

static void nonsense(uint32_t length)
{
	uint32_t prefix = htonl(length);
	struct rig r;

	open_stream(&r);
	netdev_want_readable(r.n, 0, true);
	peer_writes(&r, &prefix, 4);
	check_link_lost(&r);
	rig_fini(&r);
}

TEST(a_length_that_no_frame_has_ends_the_link)
{
	nonsense(0);
	nonsense(13);
	nonsense(NETDEV_MAX_FRAME - NETDEV_HEADER + 1);
	nonsense(0x7fffffff);
	nonsense(0xffffffff);
}

TEST(a_peer_that_leaves_takes_the_link_down_once)
{
	struct rig r;

	open_stream(&r);
	netdev_want_readable(r.n, 0, true);
	fd_close(&r.peer);
	check_link_lost(&r);
	rig_fini(&r);
}

TEST(a_peer_that_leaves_is_noticed_without_reading)
{
	struct rig r;

	open_stream(&r);
	fd_close(&r.peer);
	CHECK(rig_turn(&r, 1000));
	CHECK_EQ(1, r.link_downs);
	CHECK(!rig_turn(&r, 0));
	rig_fini(&r);
}

TEST(a_peer_that_leaves_is_noticed_by_sending)
{
	struct rig r;

	open_stream(&r);
	CHECK_EQ(0, shutdown(r.peer, SHUT_RD)); /* it still seems to be there */
	CHECK_EQ(-EPIPE, rig_send(&r, r.frame, 60));
	check_link_lost(&r);
	rig_fini(&r);
}

TEST(who_waits_to_send_is_let_go_when_the_peer_leaves)
{
	struct rig r;

	open_stream(&r);
	while (rig_send(&r, r.frame, 40000) > 0)
		;
	fd_close(&r.peer);
	while (r.link_downs == 0)
		CHECK(rig_turn(&r, 10000));
	CHECK(r.writable > 0);
	rig_fini(&r);
}

TEST(frames_before_the_end_are_not_lost)
{
	struct rig r;

	open_stream(&r);
	netdev_want_readable(r.n, 0, true);
	peer_sends(&r, 1, 60);
	peer_sends(&r, 2, 61);
	fd_close(&r.peer);
	CHECK(rig_turn(&r, 1000));
	CHECK_EQ(1, r.readable);
	CHECK_EQ(NETDEV_HEADER + 60, rig_receive(&r));
	CHECK_EQ(NETDEV_HEADER + 61, rig_receive(&r));
	check_link_lost(&r);
	rig_fini(&r);
}

static void frames_wait_for_buffers(bool sends)
{
	struct rig r;

	open_stream(&r);
	peer_sends(&r, 1, 60);
	peer_sends(&r, 2, 61);
	CHECK_EQ(NETDEV_HEADER + 60, rig_receive(&r)); /* the second is in our hands, too */
	peer_sends(&r, 3, 62);
	fd_close(&r.peer);
	CHECK(rig_turn(&r, 1000));
	CHECK(!rig_turn(&r, 0)); /* it makes no noise */
	CHECK_EQ(0, r.link_downs);
	if (sends) {
		CHECK_EQ(-EPIPE, rig_send(&r, r.frame, 60));
		CHECK(rig_turn(&r, 1000));
		CHECK_EQ(1, r.link_downs);
	} else {
		netdev_want_readable(r.n, 0, true);
		CHECK(rig_turn(&r, 1000));
		CHECK_EQ(1, r.readable);
		CHECK_EQ(NETDEV_HEADER + 61, rig_receive(&r));
		CHECK_EQ(NETDEV_HEADER + 62, rig_receive(&r));
		check_link_lost(&r);
	}
	rig_fini(&r);
}

TEST(frames_before_the_end_wait_for_buffers)
{
	frames_wait_for_buffers(false);
	frames_wait_for_buffers(true);
}

TEST(readable_is_called_only_while_it_is_wanted)
{
	struct rig r;

	open_stream(&r);
	peer_sends(&r, 1, 60);
	CHECK(!rig_turn(&r, 0));
	netdev_want_readable(r.n, 0, true);
	CHECK(rig_turn(&r, 1000));
	CHECK_EQ(1, r.readable);
	netdev_want_readable(r.n, 0, false);
	CHECK(!rig_turn(&r, 0));
	rig_fini(&r);
}

TEST(frames_that_are_none_are_not_sent)
{
	struct rig r;
	uint8_t got[8];

	open_stream(&r);
	CHECK_EQ(-EMSGSIZE, rig_send(&r, r.frame, 13));
	CHECK_EQ(-EMSGSIZE, rig_send(&r, r.frame, NETDEV_MAX_FRAME - NETDEV_HEADER + 1));
	CHECK_EQ(-1, recv(r.peer, got, sizeof(got), MSG_DONTWAIT));
	rig_fini(&r);
}

/* ---- passt's socket ---- */

TEST(passt_that_is_not_there_is_said)
{
	struct net_config config = {.kind = NET_PASST,
				    .id = text("net3"),
				    .socket = text("/nonexistent/passt")};
	struct rig r;

	rig_init(&r);
	CHECK_EQ(-ENOENT, netdev_open(&r.n, &config, &r.loop, &r.e));
	CHECK_HAS(r.e.text, "net3");
	CHECK_HAS(r.e.text, "passt --socket /nonexistent/passt");
	config.queues = 2;
	CHECK_EQ(-EINVAL, netdev_open(&r.n, &config, &r.loop, &r.e));
	rig_fini(&r);
}

TEST(passt_is_spoken_to_over_its_socket)
{
	char dir[] = "/tmp/toyvmm-test.XXXXXX";
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct net_config config = {.kind = NET_PASST, .socket = at.sun_path};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rig r;

	rig_init(&r);
	CHECK(mkdtemp(dir) != NULL);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	CHECK_EQ(0, bind(listener, (struct sockaddr *)&at, sizeof(at)));
	CHECK_EQ(0, listen(listener, 1));
	CHECK_EQ(0, netdev_open(&r.n, &config, &r.loop, &r.e));
	rig_start(&r);
	r.peer = accept(listener, NULL, NULL);
	peer_sends(&r, 9, 100);
	CHECK_EQ(NETDEV_HEADER + 100, rig_wait(&r));
	CHECK_EQ(0, netdev_features(r.n)); /* no offloads: no header on this wire */
	rig_fini(&r);
	close(listener);
	unlink(at.sun_path);
	rmdir(dir);
}
