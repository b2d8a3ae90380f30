// SPDX-License-Identifier: Apache-2.0
/* Credit, queues that are full, and many connections at once. */
#include <sys/resource.h>

#include "vsock_rig.h"

#define BULK (3 * MIB + 17)

/* Everything the program gets of `total` bytes, while it gets any. */
static size_t check_read(struct rig *r, int fd, size_t at)
{
	static uint8_t buf[65536];
	ssize_t n;

	while ((n = take(r, fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (buf[i] != pattern(at))
				CHECK_EQ(pattern(at), buf[i]);
	return at;
}

static void send_pattern(struct rig *r, size_t at, uint32_t len)
{
	static uint8_t buf[256 * KIB];

	for (size_t i = 0; i < len; i++)
		buf[i] = pattern(at + i);
	rig_send(r, rig_hdr(r, OP(RW)), buf, len);
}

TEST(bulk_from_the_guest_arrives_whole)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	uint32_t forwarded = 0;
	size_t sent = 0, got = 0;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	for (unsigned rounds = 0; got < BULK; rounds++) {
		size_t free_space = VSOCK_CONN_BUFFER - (uint32_t)(sent - forwarded);
		uint32_t len = (uint32_t)MIN(MIN(free_space, BULK - sent), 60001);

		CHECK(rounds < 10000);
		if (len > 0)
			send_pattern(&r, sent, len);
		sent += len;
		if (rounds % 3 == 0) /* a reader that is slow at times */
			got = check_read(&r, fd, got);
		while (rig_get(&r, &hdr, NULL)) {
			CHECK_EQ(OP(CREDIT_UPDATE), hdr.op);
			CHECK_EQ(VSOCK_CONN_BUFFER, hdr.buf_alloc);
			forwarded = hdr.fwd_cnt;
		}
	}
	CHECK_EQ(BULK, got);
	close(fd);
	rig_fini(&r);
}

TEST(bulk_from_the_host_arrives_whole)
{
	static uint8_t out[65536], in[RX_DATA];
	struct virtio_vsock_hdr hdr;
	struct rig r;
	size_t sent = 0, got = 0;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	for (unsigned rounds = 0; got < BULK; rounds++) {
		size_t len = MIN(sizeof(out), BULK - sent);
		ssize_t n;

		CHECK(rounds < 10000);
		for (size_t i = 0; i < len; i++)
			out[i] = pattern(sent + i);
		n = send(fd, out, len, MSG_DONTWAIT);
		sent += n > 0 ? (size_t)n : 0;
		while (rig_get(&r, &hdr, in)) {
			if (hdr.op == OP(CREDIT_REQUEST))
				break;
			CHECK_EQ(OP(RW), hdr.op);
			for (size_t i = 0; i < hdr.len; i++, got++)
				if (in[i] != pattern(got))
					CHECK_EQ(pattern(got), in[i]);
			CHECK((uint32_t)(got - r.fwd_cnt) <= r.buf_alloc);
		}
		r.fwd_cnt = (uint32_t)got;
		rig_op(&r, OP(CREDIT_UPDATE));
	}
	CHECK_EQ(BULK, got);
	close(fd);
	rig_fini(&r);
}

TEST(nothing_is_sent_beyond_the_guests_credit_and_it_is_asked_once)
{
	static uint8_t data[10000];
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	r.buf_alloc = 5000;
	fd = rig_guest_connects(&r);
	CHECK_EQ(sizeof(data), write(fd, data, sizeof(data)));
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(4096, hdr.len);
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(904, hdr.len);
	rig_expect(&r, OP(CREDIT_REQUEST));
	rig_expect_nothing(&r);
	rig_op(&r, OP(CREDIT_UPDATE)); /* as little as before: it is not asked again and again */
	rig_expect_nothing(&r);
	r.fwd_cnt = 1000;
	rig_op(&r, OP(CREDIT_UPDATE));
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(1000, hdr.len);
	rig_expect(&r, OP(CREDIT_REQUEST));
	r.fwd_cnt = 6000;
	rig_op(&r, OP(CREDIT_UPDATE));
	hdr = rig_expect(&r, OP(RW));
	CHECK_EQ(4000, hdr.len);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(guest_whose_counters_make_no_sense_gets_nothing_and_harms_nobody)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	r.fwd_cnt = 77; /* more than was ever sent */
	rig_op(&r, OP(CREDIT_UPDATE));
	CHECK_EQ(5, write(fd, "hello", 5));
	rig_expect(&r, OP(CREDIT_REQUEST));
	rig_expect_nothing(&r);
	r.fwd_cnt = 0;
	rig_op(&r, OP(CREDIT_UPDATE));
	rig_expect(&r, OP(RW));
	close(fd);
	rig_fini(&r);
}

TEST(credit_request_is_answered)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), "hello", 5);
	rig_op(&r, OP(CREDIT_REQUEST));
	hdr = rig_expect(&r, OP(CREDIT_UPDATE));
	CHECK_EQ(5, hdr.fwd_cnt);
	CHECK_EQ(VSOCK_CONN_BUFFER, hdr.buf_alloc);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

/* Sends until the promise is used up while nobody reads: what is in our buffer and in the kernel's. */
static size_t fill_up(struct rig *r)
{
	struct virtio_vsock_hdr hdr;
	uint32_t forwarded = 0;
	size_t sent = 0;

	for (;;) {
		size_t room = VSOCK_CONN_BUFFER - (uint32_t)(sent - forwarded);
		uint32_t len = (uint32_t)MIN(room, 30000);

		if (len > 0)
			send_pattern(r, sent, len);
		sent += len;
		if (rig_get(r, &hdr, NULL)) {
			CHECK_EQ(OP(CREDIT_UPDATE), hdr.op);
			forwarded = hdr.fwd_cnt;
		} else if (len == 0) {
			return sent;
		}
		CHECK(sent < 8 * MIB);
	}
}

TEST(slow_reader_stops_the_guest_and_loses_nothing)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	size_t sent;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	sent = fill_up(&r);
	CHECK(sent >= VSOCK_CONN_BUFFER);
	rig_expect_nothing(&r);
	CHECK_EQ(sent, check_read(&r, fd, 0));
	do
		hdr = rig_expect(&r, OP(CREDIT_UPDATE));
	while (hdr.fwd_cnt != sent);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(guest_that_sends_more_than_it_was_promised_is_cut_off)
{
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	fill_up(&r);
	send_pattern(&r, 0, VSOCK_CONN_BUFFER / 4); /* what it was not told of is less than that */
	rig_expect_rst(&r);
	rig_op(&r, OP(RW)); /* the connection is gone */
	rig_expect_rst(&r);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(packet_larger_than_the_buffer_is_refused)
{
	static uint8_t big[VSOCK_CONN_BUFFER + 1];
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	rig_send(&r, rig_hdr(&r, OP(RW)), big, sizeof(big));
	rig_expect_rst(&r);
	CHECK(at_end(&r, fd));
	close(fd);
	rig_fini(&r);
}

static void close_with_data_waiting(bool confirmed)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	size_t sent;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	sent = fill_up(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = confirmed ? NO_RCV | NO_SEND : NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	if (confirmed)
		rig_expect_rst(&r); /* at once: the guest need not wait for the reader */
	else
		rig_op(&r, OP(RST));
	CHECK_EQ(1, rig_vsock(&r)->table.n);
	CHECK_EQ(sent, check_read(&r, fd, 0));
	CHECK(at_end(&r, fd));
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_expect_nothing(&r);
	close(fd);
	rig_fini(&r);
}

TEST(what_the_guest_sent_before_it_closed_reaches_a_slow_reader)
{
	close_with_data_waiting(true);
	close_with_data_waiting(false);
}

TEST(what_the_guest_sent_before_it_closed_survives_its_reset)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	size_t sent;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	sent = fill_up(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	virtio_set_status(r.dev, 0);
	CHECK_EQ(sent, check_read(&r, fd, 0));
	CHECK(at_end(&r, fd));
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	close(fd);
	rig_fini(&r);
}

TEST(reader_that_dies_with_data_waiting_ends_the_connection)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	fill_up(&r);
	close(fd);
	CHECK(rig_get(&r, &hdr, NULL));
	if (hdr.op == OP(SHUTDOWN)) { /* that it cannot be written to may show first */
		CHECK_EQ(NO_RCV, hdr.flags);
		CHECK(rig_get(&r, &hdr, NULL));
	}
	CHECK_EQ(OP(RST), hdr.op);
	rig_expect_nothing(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(reader_that_dies_after_the_guest_has_closed_frees_the_rest)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	fill_up(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	rig_expect_rst(&r);
	close(fd);
	rig_expect_nothing(&r);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	rig_fini(&r);
}

TEST(without_receive_buffers_the_sockets_wait_and_nothing_spins)
{
	static uint8_t data[100000];
	struct virtio_vsock_hdr hdr;
	struct rig r;
	uint32_t got = 0;
	uint16_t head;
	uint32_t len;
	int fd;

	rig_init(&r);
	r.buf_alloc = 1 << 20;
	fd = rig_guest_connects(&r);
	CHECK_EQ(sizeof(data), write(fd, data, sizeof(data)));
	rig_settle(&r); /* checks that events end */
	CHECK(!fake_turn(&r.f, 20));
	for (unsigned i = 0; i < RX_BUFS;
	     i++) { /* all buffers are full, and none is offered again */
		CHECK(fake_used(&r.f, VSOCK_RX, &head, &len));
		CHECK_EQ(HDR + RX_DATA, len);
		got += len - HDR;
	}
	CHECK(!fake_used(&r.f, VSOCK_RX, &head, &len));
	r.rx_next = 0;
	rig_rx_buffers(&r, RX_BUFS);
	while (rig_get(&r, &hdr, NULL))
		got += hdr.len;
	CHECK_EQ(sizeof(data), got);
	close(fd);
	rig_fini(&r);
}

TEST(many_refusals_wait_for_buffers_and_then_hold_up_the_tx_queue)
{
	struct virtio_vsock_hdr hdr;
	struct rig r;
	unsigned sent, answered = 0;
	uint16_t head;
	uint32_t len;

	rig_init(&r);
	hdr = rig_hdr(&r, OP(RW));
	for (sent = 0; sent < 1000; sent++) {
		hdr.src_port = sent;
		if (!rig_send_raw(&r, &hdr, NULL, 0))
			break;
	}
	/* All buffers, all of rst[], and the packet that was left in the queue. */
	CHECK_EQ(RX_BUFS + VSOCK_RST_MAX, sent);
	CHECK(!fake_used(&r.f, VSOCK_TX, &head, &len));
	rig_settle(&r);
	while (rig_get(&r, &hdr, NULL)) {
		CHECK_EQ(OP(RST), hdr.op);
		CHECK_EQ(answered, hdr.dst_port);
		answered++;
	}
	CHECK(fake_used(&r.f, VSOCK_TX, &head, &len));
	CHECK_EQ(sent + 1, answered);
	rig_fini(&r);
}

TEST(connections_take_turns)
{
	static uint8_t data[150000];
	struct virtio_vsock_hdr hdr;
	struct rig r;
	unsigned seen[2] = {0, 0};
	int l, fd[2];

	rig_init(&r);
	r.buf_alloc = 1 << 20;
	l = unix_sock(r.port_path, true);
	for (unsigned i = 0; i < 2; i++) {
		hdr = rig_hdr(&r, OP(REQUEST));
		hdr.src_port = i;
		rig_send(&r, hdr, NULL, 0);
		rig_expect(&r, OP(RESPONSE));
		fd[i] = accept(l, NULL, NULL);
	}
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(sizeof(data), write(fd[i], data, sizeof(data)));
	for (unsigned i = 0; i < RX_BUFS; i++) /* before the second had its event */
		rig_expect(&r, OP(RW));
	for (unsigned i = 0; i < 20; i++) {
		hdr = rig_expect(&r, OP(RW));
		seen[hdr.dst_port]++;
	}
	CHECK_EQ(10, seen[0]);
	CHECK_EQ(10, seen[1]);
	for (unsigned i = 0; i < 2; i++)
		close(fd[i]);
	close(l);
	rig_fini(&r);
}

static void request_from(struct rig *r, uint32_t port, uint16_t answer)
{
	struct virtio_vsock_hdr hdr = rig_hdr(r, OP(REQUEST));

	hdr.src_port = port;
	rig_send(r, hdr, NULL, 0);
	hdr = rig_expect(r, answer);
	CHECK_EQ(port, hdr.dst_port);
}

/* A descriptor for each connection there may be; skips where the host forbids that. The limit before. */
static struct rlimit allow_all_connections(void)
{
	struct rlimit old, more;

	CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	more = (struct rlimit){.rlim_cur = MIN(old.rlim_max, 4096), .rlim_max = old.rlim_max};
	if (more.rlim_cur < VSOCK_CONNS + 100)
		skip();
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &more));
	return old;
}

TEST(table_full_of_connections_refuses_the_guest_and_keeps_clients_waiting)
{
	struct rlimit old = allow_all_connections();
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int l, client;

	rig_init(&r);
	l = unix_sock(r.port_path, true); /* its queue takes them all */
	for (unsigned i = 0; i < VSOCK_CONNS; i++)
		request_from(&r, i, OP(RESPONSE));
	request_from(&r, VSOCK_CONNS, OP(RST));
	client = unix_sock(r.path, false);
	put(client, "CONNECT 52\n");
	rig_expect_nothing(&r);
	CHECK(!fake_turn(&r.f, 0)); /* the client that waits makes no noise */
	hdr = rig_hdr(&r, OP(RST)); /* one ends */
	hdr.src_port = 500;
	rig_send(&r, hdr, NULL, 0);
	hdr = rig_expect(&r, OP(REQUEST));
	CHECK_EQ(52, hdr.dst_port);
	CHECK_EQ(VSOCK_CONNS, rig_vsock(&r)->table.n);
	virtio_set_status(r.dev, 0);
	CHECK_EQ(0, rig_vsock(&r)->table.n);
	close(client);
	close(l);
	rig_fini(&r);
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

/* A program that never reads keeps what the guest had sent before it closed, but not others from connecting. */
TEST(slots_of_dead_connections_are_given_to_new_ones)
{
	struct rlimit old = allow_all_connections();
	struct virtio_vsock_hdr hdr;
	struct rig r;
	int fd, l;

	rig_init(&r);
	fd = rig_guest_connects(&r);
	fill_up(&r);
	hdr = rig_hdr(&r, OP(SHUTDOWN));
	hdr.flags = NO_RCV | NO_SEND;
	rig_send(&r, hdr, NULL, 0);
	rig_expect_rst(&r);
	CHECK_EQ(1, rig_vsock(&r)->table.n);
	unlink(r.port_path);
	l = unix_sock(r.port_path, true);
	for (unsigned i = 1; i < VSOCK_CONNS; i++)
		request_from(&r, 10000 + i, OP(RESPONSE));
	CHECK_EQ(VSOCK_CONNS, rig_vsock(&r)->table.n);
	CHECK_EQ(VSOCK_CONN_BUFFER, rig_vsock(&r)->table.conn[VSOCK_LARGE - 1].buffer);
	CHECK_EQ(VSOCK_CONN_BUFFER_SMALL, rig_vsock(&r)->table.conn[VSOCK_LARGE].buffer);
	request_from(&r, 20000, OP(RESPONSE));
	CHECK_EQ(VSOCK_CONNS, rig_vsock(&r)->table.n);
	request_from(&r, 20001, OP(RST));
	close(fd);
	close(l);
	rig_fini(&r);
	CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
}

static void *run_loop(void *loop)
{
	return (void *)(intptr_t)loop_run(loop);
}

/* As a vCPU thread does it, while the loop's thread has packets and sockets in hand. */
TEST(reset_by_another_thread_in_the_middle_of_traffic)
{
	static uint8_t data[30000];
	struct virtio_vsock_hdr hdr;
	struct rig r;
	pthread_t thread;
	uint64_t ram;
	int l, fd[3];

	rig_init(&r);
	ram = r.f.next;
	l = unix_sock(r.port_path, true);
	CHECK_EQ(0, pthread_create(&thread, NULL, run_loop, &r.f.loop));
	for (unsigned round = 0; round < 100; round++) {
		hdr = rig_hdr(&r, OP(REQUEST));
		rig_send(&r, hdr, NULL, 0);
		fd[0] = accept(l, NULL, NULL);
		CHECK(fd[0] >= 0);
		CHECK(send(fd[0], data, sizeof(data), MSG_NOSIGNAL) > 0);
		for (unsigned i = 1; i < 3; i++) {
			fd[i] = unix_sock(r.path, false);
			(void)!send(fd[i], "CONNECT 52\nhello", 16, MSG_NOSIGNAL);
		}
		virtio_set_status(r.dev, 0);
		CHECK_EQ(0, virtio_queue_get(r.dev, VSOCK_RX, VQ_FIELD_ENABLE));
		r.f.next = ram;
		rig_attach(&r);
		rig_rx_buffers(&r, round % RX_BUFS);
		for (unsigned i = 0; i < 3; i++)
			close(fd[i]);
	}
	loop_stop(&r.f.loop);
	CHECK_EQ(0, pthread_join(thread, NULL));
	close(l);
	rig_fini(&r);
}
