// SPDX-License-Identifier: Apache-2.0
/* Connections and their ends. */
#include <sys/stat.h>

#include "vsock_rig.h"

static const char hello[] = "hello";

TEST(guest_cid_is_in_the_configuration)
{
	struct rig r;
	uint64_t cid;

	rig_init(&r);
	virtio_config_read(r.dev, 0, &cid, sizeof(cid));
	CHECK_EQ(CID, cid);
	CHECK_EQ(VIRTIO_ID_VSOCK, r.dev->ops->id);
	CHECK_EQ(3, r.dev->n_queues);
	CHECK_EQ(1, virtio_offered(r.dev, 0) & 3); /* STREAM, not SEQPACKET */
	rig_fini(&r);
}

TEST(reserved_cids_and_a_missing_socket_are_refused)
{
	static const uint32_t cids[] = {0, 1, 2, 0xffffffff};
	struct vsock_config config = {.socket = (char *)(uintptr_t) "/tmp/never"};
	struct rig r;
	struct virtio_dev *dev;

	rig_paths(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(cids); i++) {
		config.cid = cids[i];
		CHECK_EQ(-EINVAL, vsock_create(&dev, &config, &r.f.host, &r.e));
	}
	config = (struct vsock_config){.cid = 3};
	CHECK_EQ(-EINVAL, vsock_create(&dev, &config, &r.f.host, &r.e));
	rig_create(&r); /* something to take down */
	r.f.dev = r.dev;
	rig_fini(&r);
}

TEST(path_without_room_for_a_port_is_refused)
{
	char path[109];
	struct vsock_config config = {.cid = 3, .socket = path};
	struct rig r;
	struct virtio_dev *dev;

	rig_paths(&r);
	memset(path, 'x', sizeof(path));
	path[97] = '\0'; /* and "_4294967295" makes 108 */
	CHECK_EQ(-ENAMETOOLONG, vsock_create(&dev, &config, &r.f.host, &r.e));
	CHECK_HAS(r.e.text, "at most 96 bytes");
	rig_create(&r);
	r.f.dev = r.dev;
	rig_fini(&r);
}

TEST(socket_of_a_live_process_is_refused_a_stale_one_replaced_and_ours_removed)
{
	struct rig r;
	struct virtio_dev *dev;
	struct stat st;
	int l;

	rig_paths(&r);
	l = unix_sock(r.path, true);
	CHECK_EQ(-EADDRINUSE,
		 vsock_create(&dev, &(struct vsock_config){.cid = CID, .socket = r.path}, &r.f.host,
			      &r.e));
	CHECK_HAS(r.e.text, "vsock: '");
	CHECK_HAS(r.e.text, "is in use by another process");
	CHECK_EQ(0, stat(r.path, &st)); /* and left alone */
	close(l);
	rig_create(&r);
	close(unix_sock(r.path, false));
	virtio_destroy(r.dev);
	CHECK_EQ(-1, stat(r.path, &st));
	r.f.dev = NULL;
	fake_init(&r.f);
	rig_create(&r);
	r.f.dev = r.dev;
	rig_fini(&r);
}

TEST(host_connects_to_the_guest_and_both_talk)
{
	struct virtio_vsock_hdr req, hdr;
	struct rig r;
	char buf[RX_DATA];
	char ok[32];
	int fd;

	rig_init(&r);
	fd = rig_host_asks(&r, &req);
	CHECK_EQ(VSOCK_CONN_BUFFER, req.buf_alloc);
	CHECK(nothing_to_take(&r, fd)); /* no OK before the guest has accepted */
	hdr = rig_hdr(&r, OP(RESPONSE));
	hdr.dst_port = req.src_port;
	rig_send(&r, hdr, NULL, 0);
	snprintf(ok, sizeof(ok), "OK %u\n", req.src_port);
	expect_text(&r, fd, ok);
	put(fd, hello);
	CHECK(rig_get(&r, &hdr, buf));
	CHECK_EQ(OP(RW), hdr.op);
	CHECK_EQ(5, hdr.len);
	CHECK_EQ(0, memcmp(buf, hello, 5));
	hdr = rig_hdr(&r, OP(RW));
	hdr.dst_port = req.src_port;
	rig_send(&r, hdr, "you too", 7);
	expect_text(&r, fd, "you too");
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(host_ports_of_two_clients_differ)
{
	struct virtio_vsock_hdr a, b;
	struct rig r;
	int fd, fd2;

	rig_init(&r);
	fd = rig_host_asks(&r, &a);
	fd2 = rig_host_asks(&r, &b);
	CHECK(a.src_port >= VSOCK_FIRST_HOST_PORT && a.src_port != b.src_port);
	close(fd);
	close(fd2);
	rig_fini(&r);
}

TEST(host_sees_the_end_where_nobody_listens_in_the_guest)
{
	struct virtio_vsock_hdr req, hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_host_asks(&r, &req);
	hdr = rig_hdr(&r, OP(RST));
	hdr.dst_port = req.src_port;
	rig_send(&r, hdr, NULL, 0);
	CHECK(at_end(&r, fd));
	rig_expect_nothing(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	close(fd);
	rig_fini(&r);
}

TEST(connect_line_may_come_in_pieces_in_any_case_and_with_blanks)
{
	static const char *const lines[] = {"CONNECT 52\n", "connect  52 \n", "Connect 52\r\n",
					    " CONNECT\t0000000052\n"};
	struct virtio_vsock_hdr hdr;
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		int fd = unix_sock(r.path, false);

		for (const char *c = lines[i]; *c; c++) {
			rig_expect_nothing(&r);
			CHECK_EQ(1, send(fd, c, 1, 0));
		}
		hdr = rig_expect(&r, OP(REQUEST));
		CHECK_EQ(52, hdr.dst_port);
		close(fd);
	}
	rig_fini(&r);
}

TEST(nonsense_instead_of_a_connect_line_ends_the_client)
{
	static const struct {
		const char *text;
		size_t len;
	} bad[] = {
		{"\n", 1},
		{"CONNECT\n", 8},
		{"CONNECT \n", 9},
		{"CONNECT x\n", 10},
		{"CONNECT 5x\n", 11},
		{"CONNECT -1\n", 11},
		{"CONNECT 52 53\n", 14},
		{"CONNECT52\n", 10},
		{"CONNECTED 52\n", 13},
		{"CONNECT 4294967296\n", 19},
		{"CONNECT 99999999999999999999\n", 29},
		{"CONNECT 5\0002\n", 12},
		{"\0\0\0\0\377\377\376\n", 8},
		{"GET / HTTP/1.1\r\n", 16},
		{"CONNECT                       52\n", 33},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 32},
	};
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = unix_sock(r.path, false);

		CHECK_EQ(bad[i].len, write(fd, bad[i].text, bad[i].len));
		CHECK(at_end(&r, fd));
		close(fd);
		rig_expect_nothing(&r);
		CHECK_EQ(0, rig_vsock(&r)->table.n);
	}
	rig_fini(&r);
}

TEST(client_that_leaves_without_a_line_is_forgotten)
{
	struct rig r;
	int fd, half;

	rig_init(&r);
	fd = unix_sock(r.path, false);
	half = unix_sock(r.path, false);
	put(half, "CONNECT 5");
	rig_settle(&r);
	CHECK_EQ(2, rig_vsock(&r)->table.n);
	close(fd);
	close(half);
	rig_expect_nothing(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(client_is_turned_away_where_no_driver_is_ready)
{
	struct virtio_vsock_hdr req;
	struct rig r;
	int early, patient;

	rig_init(&r);
	virtio_set_status(r.dev, 0);
	early = unix_sock(r.path, false);
	put(early, "CONNECT 52\n");
	patient = unix_sock(r.path, false);
	CHECK(at_end(&r, early));
	CHECK(nothing_to_take(&r, patient)); /* has not asked yet */
	rig_attach(&r);
	rig_rx_buffers(&r, RX_BUFS);
	put(patient, "CONNECT 52\n");
	req = rig_expect(&r, OP(REQUEST));
	CHECK_EQ(GPORT, req.dst_port);
	close(early);
	close(patient);
	rig_fini(&r);
}

TEST(bytes_sent_with_the_line_reach_the_guest_even_if_the_program_has_left)
{
	struct virtio_vsock_hdr req, hdr;
	struct rig r;
	char buf[RX_DATA];
	int fd;

	rig_init(&r);
	fd = unix_sock(r.path, false);
	put(fd, "CONNECT 52\nhello");
	close(fd);
	req = rig_expect(&r, OP(REQUEST));
	hdr = rig_hdr(&r, OP(RESPONSE));
	hdr.dst_port = req.src_port;
	rig_send(&r, hdr, NULL, 0);
	do
		CHECK(rig_get(&r, &hdr, buf));
	while (hdr.op == OP(SHUTDOWN) && hdr.flags == NO_RCV); /* it cannot read, which is true */
	CHECK_EQ(OP(RW), hdr.op);
	CHECK_EQ(0, memcmp(buf, hello, 5));
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_RCV | NO_SEND, hdr.flags);
	rig_fini(&r);
}

TEST(guest_connects_to_a_program_and_both_talk)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	char buf[RX_DATA];
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	expect_text(&r, fd, hello);
	put(fd, "you too");
	CHECK(rig_get(&r, &hdr, buf));
	CHECK_EQ(OP(RW), hdr.op);
	CHECK_EQ(2, hdr.src_cid);
	CHECK_EQ(HPORT, hdr.src_port);
	CHECK_EQ(GPORT, hdr.dst_port);
	CHECK_EQ(5, hdr.fwd_cnt);
	CHECK_EQ(7, hdr.len);
	CHECK_EQ(0, memcmp(buf, "you too", 7));
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(guest_is_refused_where_nobody_listens_and_where_the_file_is_no_socket)
{
	struct rig r;

	rig_init(&r);
	rig_op(&r, OP(REQUEST));
	rig_expect_rst(&r);
	fclose(fopen(r.port_path, "w"));
	rig_op(&r, OP(REQUEST));
	rig_expect_rst(&r);
	rig_expect_nothing(&r);
	rig_fini(&r);
}

TEST(half_close_by_the_host_leaves_the_other_direction)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	put(fd, "last");
	CHECK_EQ(0, shutdown(fd, SHUT_WR));
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(4, hdr.len);
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_SEND, hdr.flags);
	rig_expect_nothing(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	expect_text(&r, fd, hello);
	close(fd);
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_SEND | NO_RCV, hdr.flags);
	rig_fini(&r);
}

TEST(half_close_by_the_guest_leaves_the_other_direction)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	expect_text(&r, fd, hello);
	CHECK(at_end(&r, fd));
	put(fd, "still here");
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(10, hdr.len);
	hdr = rig_hdr(&r, OP(SHUTDOWN)); /* the bits add up: 5.10.6.5 */
	hdr.flags = NO_RCV;
	rig_send(&r, hdr, NULL, 0);
	rig_expect_rst(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	close(fd);
	rig_fini(&r);
}

TEST(program_cannot_write_to_a_guest_that_does_not_receive)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV;
	rig_send(&r, hdr, NULL, 0);
	CHECK_EQ(-1, send(fd, "x", 1, MSG_NOSIGNAL));
	CHECK_EQ(EPIPE, errno);
	rig_expect_nothing(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	expect_text(&r, fd, hello);
	close(fd);
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_SEND | NO_RCV, hdr.flags);
	rig_fini(&r);
}

TEST(guest_closes_and_gets_its_rst)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	rig_expect_rst(&r);
	expect_text(&r, fd, hello);
	CHECK(at_end(&r, fd));
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	close(fd);
	rig_fini(&r);
}

TEST(host_closes_and_the_guest_confirms)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	put(fd, "last");
	close(fd);
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(4, hdr.len);
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_SEND | NO_RCV, hdr.flags);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5); /* was under way: nobody minds */
	rig_expect_nothing(&r);
	CHECK_EQ(1, rig_vsock(&r)->table.n);
	rig_op(&r, OP(RST));
	rig_expect_nothing(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(both_close_at_once)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	close(fd);
	rig_expect(&r, OP(SHUTDOWN));
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	rig_expect_rst(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(program_that_dies_with_bytes_unread_cuts_the_guest_off)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	rig_settle(&r);
	close(fd);
	rig_expect_rst(&r);
	rig_expect_nothing(&r);
	rig_fini(&r);
}

TEST(guest_learns_that_a_program_reads_no_more)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	CHECK_EQ(0, shutdown(fd, SHUT_RD));
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	hdr = rig_expect(&r, OP(SHUTDOWN));
	CHECK_EQ(NO_RCV, hdr.flags);
	CHECK_EQ(5, hdr.fwd_cnt); /* what is thrown away does not take up room */
	put(fd, hello);
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(5, hdr.len);
	close(fd);
	rig_fini(&r);
}

/* Brings the deadline of the only connection forward, and waits for the device to look. */
static void let_expire(struct rig *r)
{
	struct vsock_conn *c = &rig_vsock(r)->table.conn[0];

	CHECK(c->deadline_ms > 0);
	CHECK(rig_vsock(r)->ticking);
	c->deadline_ms = 1;
	for (unsigned i = 0; i < 20 && c->deadline_ms == 1; i++)
		fake_turn(&r->f, 1000);
	CHECK(c->deadline_ms == 0);
}

TEST(client_without_a_line_is_closed_after_a_while)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = unix_sock(r.path, false);
	rig_settle(&r);
	let_expire(&r);
	CHECK(at_end(&r, fd));
	rig_expect_nothing(&r);
	CHECK(!rig_vsock(&r)->ticking); /* nothing has a deadline: nothing wakes */
	close(fd);
	rig_fini(&r);
}

TEST(request_that_the_guest_never_answers_ends_with_a_rst)
{
	struct virtio_vsock_hdr req, hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_host_asks(&r, &req);
	let_expire(&r);
	CHECK(at_end(&r, fd));
	hdr = rig_expect(&r, OP(RST));
	CHECK_EQ(req.src_port, hdr.src_port);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(end_that_the_guest_never_confirms_is_forced)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	close(fd);
	rig_expect(&r, OP(SHUTDOWN));
	let_expire(&r);
	rig_expect_rst(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(reset_closes_all_connections_and_the_driver_starts_afresh)
{
	struct virtio_vsock_hdr req;
	struct rig r;
	uint16_t head;
	uint32_t len;
	int fd, asked;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	asked = rig_host_asks(&r, &req);
	put(fd, hello); /* would be the next packet */
	virtio_set_status(r.dev, 0);
	CHECK(!fake_used(&r.f, VSOCK_RX, &head, &len));
	CHECK(at_end(&r, fd));
	CHECK(at_end(&r, asked));
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	CHECK(!fake_used(&r.f, VSOCK_RX, &head, &len));
	close(fd);
	close(asked);
	rig_attach(&r);
	rig_rx_buffers(&r, RX_BUFS);
	rig_expect_nothing(&r); /* no event, and no RST for what was */
	CHECK(!fake_used(&r.f, VSOCK_EVENT, &head, &len));
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), hello, 5);
	expect_text(&r, fd, hello);
	close(fd);
	rig_fini(&r);
}

TEST(broken_ring_ends_the_connections)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	fake_offer(&r.f, VSOCK_TX, 0x7fff);
	fake_kick(&r.f, VSOCK_TX);
	CHECK(virtio_status(r.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK(at_end(&r, fd));
	close(fd);
	rig_fini(&r);
}
