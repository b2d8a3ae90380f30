// SPDX-License-Identifier: Apache-2.0
/* Packets that no driver should send. After each of them the device works. */
#include "vsock_rig.h"

/* A fresh connection comes to be and carries a byte. */
static void check_alive(struct rig *r)
{
	struct virtio_vsock_hdr hdr;
	int fd;

	fd = rig_guest_connects(r);
	rig_send(r, rig_hdr(r, OP(RW)), "x", 1);
	expect_text(r, fd, "x");
	hdr = rig_hdr(r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(r, hdr, NULL, 0);
	rig_expect_rst(r);
	rig_expect_nothing(r);
	CHECK(at_end(r, fd));
	close(fd);
}

TEST(packets_for_no_connection_are_answered_by_a_rst_but_a_rst_is_not)
{
	struct rig r;

	rig_init(&r);
	for (uint32_t op = 0; op < 300; op++) {
		if (op == OP(REQUEST))
			continue;
		rig_op(&r, (uint16_t)op);
		if (op != OP(RST))
			rig_expect_rst(&r);
		rig_expect_nothing(&r);
	}
	check_alive(&r);
	rig_fini(&r);
}

TEST(operation_that_does_not_belong_there_ends_the_connection)
{
	static const uint16_t ops[] = {OP(INVALID), OP(REQUEST), OP(RESPONSE), 8, 9, 255, 0xffff};
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = rig_guest_connects(&r);

		rig_op(&r, ops[i]);
		rig_expect_rst(&r);
		rig_expect_nothing(&r);
		CHECK(at_end(&r, fd));
		CHECK_EQ(0, rig_vsock(&r)->table.n);
		close(fd);
	}
	check_alive(&r);
	rig_fini(&r);
}

TEST(only_a_response_answers_a_request)
{
	struct virtio_vsock_hdr req, hdr;
	struct rig r;

	rig_init(&r);
	for (uint16_t op = 0; op < 10; op++) {
		int fd;

		if (op == OP(RESPONSE) || op == OP(RST))
			continue;
		fd = rig_host_asks(&r, &req);
		hdr = rig_hdr(&r, op);
		hdr.dst_port = req.src_port;
		rig_send(&r, hdr, NULL, 0);
		hdr = rig_expect(&r, OP(RST));
		CHECK_EQ(req.src_port, hdr.src_port);
		CHECK(at_end(&r, fd));
		close(fd);
	}
	check_alive(&r);
	rig_fini(&r);
}

TEST(response_to_a_request_that_was_not_sent_yet_is_refused)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	char buf[32];
	int fd;

	rig_init(&r);
	virtio_set_status(r.dev, 0);
	rig_attach(&r); /* no receive buffers */
	fd = unix_sock(r.path, false);
	put(fd, "CONNECT 52\n");
	rig_settle(&r);
	hdr = rig_hdr(&r, OP(RESPONSE));
	hdr.dst_port = VSOCK_FIRST_HOST_PORT; /* as it can guess */
	rig_send(&r, hdr, NULL, 0);
	CHECK_EQ(-1, take(&r, fd, buf, sizeof(buf)));
	rig_rx_buffers(&r, RX_BUFS);
	rig_expect(&r, OP(RST));
	rig_expect(&r, OP(REQUEST));
	close(fd);
	rig_fini(&r);
}

TEST(unknown_type_is_answered_by_a_rst_of_that_type)
{
	static const uint16_t types[] = {0, VIRTIO_VSOCK_TYPE_SEQPACKET, 3, 0xffff};
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		hdr = rig_hdr(&r, OP(REQUEST));
		hdr.type = types[i];
		rig_send(&r, hdr, NULL, 0);
		hdr = rig_expect(&r, OP(RST));
		CHECK_EQ(types[i], hdr.type);
		CHECK_EQ(HPORT, hdr.src_port);
	}
	rig_send(&r, rig_hdr(&r, OP(RW)), "x",
		 1); /* the connection with the same ports is another */
	expect_text(&r, fd, "x");
	close(fd);
	rig_fini(&r);
}

TEST(packets_to_other_cids_are_refused_and_from_other_cids_dropped)
{
	static const uint64_t cids[] = {0, 1, 3, 0xffffffff, 2ULL << 32 | 2, UINT64_MAX};
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(cids); i++) {
		hdr = rig_hdr(&r, OP(RST));
		hdr.src_cid = cids[i];
		rig_send(&r, hdr, NULL, 0);
		hdr.src_cid = 1ULL << 32 | CID;
		rig_send(&r, hdr, NULL, 0);
		rig_expect_nothing(&r);
		hdr = rig_hdr(&r, OP(RW));
		hdr.dst_cid = cids[i];
		rig_send(&r, hdr, "y", 1);
		hdr = rig_expect(&r, OP(RST));
		CHECK_EQ(cids[i], hdr.src_cid);
	}
	rig_send(&r, rig_hdr(&r, OP(RW)), "x", 1);
	expect_text(&r, fd, "x");
	close(fd);
	rig_fini(&r);
}

TEST(length_beyond_the_descriptors_ends_the_connection_and_reads_nothing)
{
	static const uint32_t lens[] = {6, 7, 4096, 0x7fffffff, 0xffffffd4, 0xffffffff};
	struct virtio_vsock_hdr hdr;
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
		int fd = rig_guest_connects(&r);

		hdr = rig_hdr(&r, OP(RW));
		hdr.len = lens[i];
		CHECK(rig_send_raw(&r, &hdr, "hello", 5));
		rig_expect_rst(&r);
		CHECK(at_end(&r, fd));
		CHECK(rig_send_raw(&r, &hdr, "hello", 5)); /* and without a connection */
		rig_expect_rst(&r);
		rig_expect_nothing(&r);
		close(fd);
	}
	check_alive(&r);
	rig_fini(&r);
}

TEST(bytes_beyond_the_length_are_ignored)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	hdr = rig_hdr(&r, OP(RW));
	hdr.len = 3;
	CHECK(rig_send_raw(&r, &hdr, "hello", 5));
	expect_text(&r, fd, "hel");
	hdr.len = 0;
	CHECK(rig_send_raw(&r, &hdr, "hello", 5));
	CHECK(nothing_to_take(&r, fd));
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(header_and_payload_may_be_cut_into_any_pieces)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	uint16_t head;
	uint32_t len;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	hdr = rig_hdr(&r, OP(RW));
	hdr.len = 5;
	memcpy(fake_host(&r.f, r.tx), &hdr, HDR);
	memcpy((char *)fake_host(&r.f, r.tx) + HDR, "hello", 5);
	fake_add(&r.f, VSOCK_TX,
		 (struct fake_seg[]){{r.tx, 1, false},
				     {r.tx + 1, HDR - 2, false},
				     {r.tx + HDR - 1, 3, false},
				     {r.tx + HDR + 2, 3, false}},
		 4);
	fake_kick(&r.f, VSOCK_TX);
	CHECK(fake_used(&r.f, VSOCK_TX, &head, &len));
	expect_text(&r, fd, "hello");
	close(fd);
	rig_fini(&r);
}

TEST(short_headers_and_buffers_outside_ram_are_dropped)
{
	struct rig r;
	uint16_t head;
	uint32_t len;

	rig_init(&r);
	memset(fake_host(&r.f, r.tx), 0xff, HDR);
	for (uint32_t n = 1; n <= HDR + 1; n++) {
		bool outside = n > HDR - 1;

		fake_add(&r.f, VSOCK_TX,
			 &(struct fake_seg){outside ? FAKE_RAM - HDR + 1 : r.tx, n, n == 20}, 1);
		fake_kick(&r.f, VSOCK_TX);
		CHECK(fake_used(&r.f, VSOCK_TX, &head, &len));
		CHECK_EQ(0, len);
		rig_expect_nothing(&r);
	}
	check_alive(&r);
	rig_fini(&r);
}

TEST(receive_buffers_without_room_are_handed_back_empty)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	struct fake_seg seg;
	uint16_t head;
	uint32_t len;
	uint8_t *at;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	virtio_set_status(r.dev, 0);
	close(fd);
	rig_attach(&r);
	at = fake_host(&r.f, r.rx[0]);
	memset(at, 0x5a, HDR + RX_DATA);
	for (uint32_t n = 1; n <= HDR; n++) {
		seg = (struct fake_seg){r.rx[0], n, true};
		if (n == 2)
			seg.gpa = FAKE_RAM; /* no RAM there */
		if (n == 3)
			seg.write = false;
		fake_add(&r.f, VSOCK_RX, &seg, 1);
		fake_kick(&r.f, VSOCK_RX);
		rig_op(&r, OP(RW)); /* a RST is due */
		rig_settle(&r);
		CHECK(fake_used(&r.f, VSOCK_RX, &head, &len));
		CHECK_EQ(0, len);
		for (uint32_t i = 0; i < HDR + RX_DATA; i++)
			CHECK_EQ(0x5a, at[i]);
	}
	seg = (struct fake_seg){r.rx[0], HDR + 1, true}; /* one byte of payload is enough */
	for (uint32_t n = 1; n <= HDR; n++) {
		fake_add(&r.f, VSOCK_RX, &seg, 1);
		fake_kick(&r.f, VSOCK_RX);
		CHECK(fake_used(&r.f, VSOCK_RX, &head, &len));
		CHECK_EQ(HDR, len);
		memcpy(&hdr, at, HDR);
		CHECK_EQ(OP(RST), hdr.op);
	}
	rig_fini(&r);
}

TEST(payload_reaches_a_buffer_cut_into_pieces)
{
	struct rig r;
	uint16_t head;
	uint32_t len;
	int l, fd;

	rig_init(&r);
	virtio_set_status(r.dev, 0);
	rig_attach(&r);
	l = unix_sock(r.port_path, true);
	rig_op(&r, OP(REQUEST));
	fd = accept(l, NULL, NULL);
	put(fd, "hello");
	for (unsigned i = 0; i < 2; i++)
		fake_add(&r.f, VSOCK_RX,
			 (struct fake_seg[]){{r.rx[0], HDR - 1, true},
					     {r.rx[1], 3, true},
					     {r.rx[2], 1, true},
					     {r.rx[3], 9, true}},
			 4);
	fake_kick(&r.f, VSOCK_RX);
	rig_settle(&r);
	CHECK(fake_used(&r.f, VSOCK_RX, &head, &len));
	CHECK_EQ(HDR, len);
	CHECK(fake_used(&r.f, VSOCK_RX, &head, &len));
	CHECK_EQ(HDR + 5, len);
	CHECK_EQ(0, memcmp((char *)fake_host(&r.f, r.rx[1]) + 1, "he", 2));
	CHECK_EQ(0, memcmp(fake_host(&r.f, r.rx[2]), "l", 1));
	CHECK_EQ(0, memcmp(fake_host(&r.f, r.rx[3]), "lo", 2));
	close(l);
	close(fd);
	rig_fini(&r);
}

TEST(data_after_the_guest_said_it_would_send_none_is_refused)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_SEND | 0xfffffffc; /* what the other bits mean nobody knows */
	rig_send(&r, hdr, NULL, 0);
	rig_expect_nothing(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), "x", 1);
	rig_expect_rst(&r);
	close(fd);
	check_alive(&r);
	rig_fini(&r);
}
