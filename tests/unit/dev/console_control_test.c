// SPDX-License-Identifier: Apache-2.0
/* Several ports: the control queues, played as Linux's driver does. */
#include "console_rig.h"

static struct console_config ports[3] = {
	{.kind = CONSOLE_NONE},
	{.kind = CONSOLE_NONE, .name = (char *)"org.example.agent"},
	{.kind = CONSOLE_NONE, .is_console = true},
};

static void setup(struct rig *r)
{
	rig_init(r, ports, 3, MULTIPORT | SIZE);
}

static void add_all(struct rig *r)
{
	tell(r, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned i = 0; i < 3; i++)
		check_told(r, i, VIRTIO_CONSOLE_PORT_ADD);
}

static void check_nothing_told(struct rig *r)
{
	uint32_t len;

	settle(r);
	CHECK(!used(r, CONTROL_RX, &len));
}

TEST(ports_are_announced_when_the_driver_is_ready_and_only_once)
{
	uint8_t buf[64];
	struct rig r;
	uint32_t max;

	setup(&r);
	CHECK_EQ(8, r.f.dev->n_queues);
	virtio_config_read(r.f.dev, 4, &max, 4);
	CHECK_EQ(3, max);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	rig_fini(&r);

	setup(&r);
	add_all(&r);
	tell(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	rig_fini(&r);
}

TEST(a_console_port_is_told_so_with_its_size)
{
	struct {
		struct virtio_console_control head;
		uint16_t cols, rows;
	} m;
	struct rig r;

	setup(&r);
	console_resized(r.f.dev, 100, 30);
	add_all(&r);
	tell(&r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	check_told(&r, 0, VIRTIO_CONSOLE_CONSOLE_PORT);
	CHECK_EQ(sizeof(m), told(&r, &m, sizeof(m)));
	CHECK_EQ(VIRTIO_CONSOLE_RESIZE, m.head.event);
	CHECK_EQ(0, m.head.id);
	CHECK_EQ(100, m.cols);
	CHECK_EQ(30, m.rows);
	check_told(&r, 0, VIRTIO_CONSOLE_PORT_OPEN);
	check_nothing_told(&r);
	tell(&r, 2, VIRTIO_CONSOLE_PORT_READY, 1); /* hvc1: its size is nobody's business */
	check_told(&r, 2, VIRTIO_CONSOLE_CONSOLE_PORT);
	check_told(&r, 2, VIRTIO_CONSOLE_PORT_OPEN);
	check_nothing_told(&r);
	rig_fini(&r);
}

TEST(a_stream_is_told_its_name)
{
	struct {
		struct virtio_console_control head;
		char name[64];
	} m;
	struct rig r;

	setup(&r);
	add_all(&r);
	tell(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK_EQ(sizeof(m.head) + 17, told(&r, &m, sizeof(m)));
	CHECK_EQ(VIRTIO_CONSOLE_PORT_NAME, m.head.event);
	CHECK_EQ(0, memcmp(m.name, "org.example.agent\0", 18)); /* the 0 is the buffer's own */
	check_told(&r, 1, VIRTIO_CONSOLE_PORT_OPEN);
	check_nothing_told(&r);
	rig_fini(&r);
}

TEST(a_resize_is_one_message_however_many_there_were)
{
	struct {
		struct virtio_console_control head;
		uint16_t cols, rows;
	} m;
	uint8_t buf[64];
	struct rig r;

	setup(&r);
	add_all(&r);
	console_resized(r.f.dev, 1, 1); /* the port is not ready: nothing yet */
	tell(&r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK(told(&r, buf, sizeof(buf)) > 0);
	for (unsigned i = 0; i < 1000; i++)
		console_resized(r.f.dev, 80 + i, 25);
	CHECK_EQ(sizeof(m), told(&r, &m, sizeof(m)));
	CHECK_EQ(VIRTIO_CONSOLE_RESIZE, m.head.event);
	CHECK_EQ(80 + 999, m.cols);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	console_resized(r.f.dev, 7, 7); /* that buffer is there now: told at once */
	uint32_t len;
	CHECK(used(&r, CONTROL_RX, &len) && len == sizeof(m));
	rig_fini(&r);
}

TEST(each_port_has_its_own_streams)
{
	struct rig r;
	uint32_t len;
	uint64_t at;

	setup(&r);
	add_all(&r);
	send(&r, TX0, "zero", 4);
	send(&r, TX1, "one", 3);
	send(&r, TX1 + 2, "two!!", 5);
	CHECK_EQ(4, r.end[0]->n_out);
	CHECK_EQ(3, r.end[1]->n_out);
	CHECK_EQ(5, r.end[2]->n_out);
	tell(&r, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	at = give(&r, RX1 + 2, 64);
	type(&r, 2, "in", 2);
	CHECK(used(&r, RX1 + 2, &len) && len == 2);
	CHECK_EQ(0, memcmp(fake_host(&r.f, at), "in", 2));
	rig_fini(&r);
}

TEST(input_waits_until_somebody_opens_the_port)
{
	struct rig r;
	uint32_t len;

	setup(&r);
	add_all(&r);
	give(&r, RX1, 64);
	type(&r, 1, "early", 5);
	CHECK(!used(&r, RX1, &len));
	tell(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK(used(&r, RX1, &len) && len == 5);
	tell(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	give(&r, RX1, 64);
	type(&r, 1, "late", 4);
	CHECK(!used(&r, RX1, &len));
	tell(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK(used(&r, RX1, &len) && len == 4);
	rig_fini(&r);
}

TEST(without_multiport_port_0_works_and_the_others_are_silent)
{
	uint8_t buf[64];
	struct rig r;
	uint32_t len;

	rig_init(&r, ports, 3, SIZE);
	send(&r, TX0, "x", 1);
	CHECK_EQ(1, r.end[0]->n_out);
	give(&r, RX0, 64);
	type(&r, 0, "key", 3);
	CHECK(used(&r, RX0, &len) && len == 3);
	send(&r, TX1, "y", 1);
	CHECK_EQ(0, r.end[1]->n_out);
	give(&r, RX1, 64);
	type(&r, 1, "key", 3);
	CHECK(!used(&r, RX1, &len));
	tell(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	console_resized(r.f.dev, 100, 30);
	CHECK_EQ(1, r.f.config_interrupts);
	rig_fini(&r);
}

TEST(a_new_driver_starts_from_nothing)
{
	uint8_t buf[64];
	struct rig r;

	setup(&r);
	add_all(&r);
	tell(&r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	attach(&r, MULTIPORT);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	attach(&r, MULTIPORT);
	add_all(&r);
	rig_fini(&r);
}

/* ---- hostile ---- */

TEST(control_messages_for_ports_that_are_not_there_do_nothing)
{
	const uint32_t id[] = {3, 4, 8, 0x7fffffff, 0x80000000, VIRTIO_CONSOLE_BAD_ID};
	struct rig r;

	setup(&r);
	tell(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1); /* not announced yet */
	tell(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	add_all(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(id); i++)
		for (unsigned event = 1; event < 10; event++)
			tell(&r, id[i], (uint16_t)event, 1);
	for (unsigned event = 8; event < 0x10000; event += 97)
		tell(&r, 1, (uint16_t)event, 1);
	check_nothing_told(&r);
	send(&r, TX0, "alive", 5);
	CHECK_EQ(5, r.end[0]->n_out);
	rig_fini(&r);
}

TEST(a_control_message_may_be_short_long_or_in_pieces)
{
	struct virtio_console_control m = {.event = VIRTIO_CONSOLE_DEVICE_READY, .value = 1};
	struct fake_seg seg[FAKE_QUEUE_SIZE];
	uint8_t buf[64], junk[256] = {0};
	struct rig r;
	uint64_t at;

	setup(&r);
	for (unsigned len = 1; len < sizeof(m); len++)
		send(&r, CONTROL_TX, &m, len);
	fake_add(&r.f, CONTROL_TX, &(struct fake_seg){FAKE_RAM - 4, 8, false}, 1);
	fake_add(&r.f, CONTROL_TX, &(struct fake_seg){0, 8, true}, 1);
	fake_kick(&r.f, CONTROL_TX);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	memcpy(junk, &m, sizeof(m));
	send(&r, CONTROL_TX, junk, sizeof(junk)); /* what follows is ignored */
	settle(&r);
	uint32_t len;
	CHECK(used(&r, CONTROL_RX, &len) && len == sizeof(m));
	rig_fini(&r);

	setup(&r);
	at = fake_alloc(&r.f, sizeof(m));
	memcpy(fake_host(&r.f, at), &m, sizeof(m));
	for (unsigned i = 0; i < sizeof(m); i++)
		seg[i] = (struct fake_seg){at + i, 1, false};
	fake_add(&r.f, CONTROL_TX, seg, sizeof(m));
	fake_kick(&r.f, CONTROL_TX);
	check_told(&r, 0, VIRTIO_CONSOLE_PORT_ADD);
	rig_fini(&r);
}

TEST(a_buffer_too_small_for_a_message_comes_back_and_the_message_is_kept)
{
	struct rig r;
	uint32_t len;

	setup(&r);
	tell(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	give(&r, CONTROL_RX, 7);
	CHECK(used(&r, CONTROL_RX, &len) && len == 0);
	fake_add(&r.f, CONTROL_RX, &(struct fake_seg){FAKE_RAM, 64, true}, 1);
	fake_kick(&r.f, CONTROL_RX);
	CHECK(used(&r, CONTROL_RX, &len) && len == 0);
	check_told(&r, 0, VIRTIO_CONSOLE_PORT_ADD);
	rig_fini(&r);
}

TEST(a_message_asked_for_a_thousand_times_is_sent_once)
{
	uint8_t buf[64];
	struct rig r;

	setup(&r);
	add_all(&r);
	for (unsigned i = 0; i < 1000; i++)
		tell(&r, 2, VIRTIO_CONSOLE_PORT_READY, 1);
	check_told(&r, 2, VIRTIO_CONSOLE_CONSOLE_PORT);
	check_told(&r, 2, VIRTIO_CONSOLE_PORT_OPEN);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	rig_fini(&r);
}

TEST(a_port_that_the_driver_could_not_make_is_told_nothing)
{
	uint8_t buf[64];
	struct rig r;

	setup(&r);
	add_all(&r);
	tell(&r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	tell(&r, 1, VIRTIO_CONSOLE_PORT_READY, 0);
	CHECK_EQ(0, told(&r, buf, sizeof(buf)));
	tell(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	rig_fini(&r);
}
