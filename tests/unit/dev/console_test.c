// SPDX-License-Identifier: Apache-2.0
/* One port: streams, flow control, configuration. */
#include "console_rig.h"

static const struct console_config one = {.kind = CONSOLE_NONE};

static void setup(struct rig *r)
{
	rig_init(r, &one, 1, SIZE);
}

static uint16_t config16(struct rig *r, unsigned off)
{
	uint16_t value;

	virtio_config_read(r->f.dev, off, &value, 2);
	return value;
}

/* ---- output ---- */

TEST(console_output_reaches_the_host_in_order)
{
	struct rig r;
	uint32_t len;

	setup(&r);
	send(&r, TX0, "hello, ", 7);
	send(&r, TX0, "world\n", 6);
	CHECK_EQ(13, r.end[0]->n_out);
	CHECK_EQ(0, memcmp(r.end[0]->out, "hello, world\n", 13));
	CHECK(used(&r, TX0, &len) && len == 0);
	CHECK(used(&r, TX0, &len) && len == 0);
	CHECK_EQ(2, r.f.interrupts[TX0]);
	rig_fini(&r);
}

static void note(void *arg, uint8_t byte)
{
	char *text = arg;

	text[strlen(text)] = (char)byte;
}

TEST(tap_sees_what_the_first_port_sends)
{
	char seen[64] = "";
	struct rig r;

	setup(&r);
	console_set_tap(r.f.dev, note, seen);
	send(&r, TX0, "last ", 5);
	send(&r, TX0, "words", 5);
	CHECK_STR("last words", seen);
	rig_fini(&r);
}

TEST(console_output_of_several_buffers_is_one_text)
{
	struct rig r;
	struct fake_seg seg[3];
	uint64_t at;

	setup(&r);
	at = fake_alloc(&r.f, 16);
	memcpy(fake_host(&r.f, at), "abcdef", 6);
	for (unsigned i = 0; i < 3; i++)
		seg[i] = (struct fake_seg){at + 2 * i, 2, false};
	fake_add(&r.f, TX0, seg, 3);
	fake_kick(&r.f, TX0);
	CHECK_EQ(6, r.end[0]->n_out);
	CHECK_EQ(0, memcmp(r.end[0]->out, "abcdef", 6));
	rig_fini(&r);
}

static void check_pattern(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		CHECK_EQ((uint8_t)(i ^ i >> 8 ^ i >> 16), data[i]);
}

static uint64_t pattern(struct rig *r, size_t len)
{
	uint64_t at = r->f.next;
	uint8_t *data = fake_host(&r->f, at);

	r->f.next += len;
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
	return at;
}

TEST(a_slow_reader_holds_the_driver_back_and_no_byte_is_lost)
{
	struct rig r;
	uint64_t at;
	uint32_t len;
	unsigned done = 0;

	setup(&r);
	at = pattern(&r, 16 * 16384);
	r.end[0]->full = true;
	for (unsigned i = 0; i < 16; i++)
		fake_add(&r.f, TX0, &(struct fake_seg){at + 16384 * i, 16384, false}, 1);
	fake_kick(&r.f, TX0);
	settle(&r);
	while (used(&r, TX0, &len))
		done++;
	CHECK(done >= 1 && done <= 4); /* what a chardev's ring holds, and no more */
	CHECK_EQ(0, r.end[0]->n_out);
	resume(&r, 0);
	while (used(&r, TX0, &len))
		done++;
	CHECK_EQ(16, done);
	CHECK_EQ(16 * 16384, r.end[0]->n_out);
	check_pattern(r.end[0]->out, r.end[0]->n_out);
	CHECK_EQ(0, chardev_dropped(&r.end[0]->base));
	rig_fini(&r);
}

TEST(a_request_larger_than_all_queues_is_held_back_too)
{
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	at = pattern(&r, 400000);
	r.end[0]->full = true;
	fake_add(&r.f, TX0, &(struct fake_seg){at, 400000, false}, 1);
	fake_kick(&r.f, TX0);
	settle(&r);
	CHECK(!used(&r, TX0, &len));
	for (unsigned i = 0; i < 100 && r.end[0]->n_out < 400000; i++)
		resume(&r, 0);
	CHECK(used(&r, TX0, &len));
	CHECK_EQ(400000, r.end[0]->n_out);
	check_pattern(r.end[0]->out, 400000);
	CHECK_EQ(0, chardev_dropped(&r.end[0]->base));
	rig_fini(&r);
}

TEST(one_turn_writes_a_bounded_amount_and_the_rest_follows)
{
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	at = pattern(&r, 400000);
	fake_add(&r.f, TX0, &(struct fake_seg){at, 400000, false}, 1);
	fake_kick(&r.f, TX0);
	CHECK(r.end[0]->n_out > 200 * KIB && r.end[0]->n_out <= 256 * KIB);
	CHECK(!used(&r, TX0, &len));
	settle(&r);
	CHECK_EQ(400000, r.end[0]->n_out);
	CHECK(used(&r, TX0, &len));
	check_pattern(r.end[0]->out, 400000);
	rig_fini(&r);
}

TEST(output_that_is_not_ram_comes_back_and_the_next_is_written)
{
	struct rig r;
	uint32_t len;

	setup(&r);
	fake_add(&r.f, TX0, &(struct fake_seg){FAKE_RAM - 4, 8, false}, 1);
	fake_add(&r.f, TX0, &(struct fake_seg){0, 8, true}, 1); /* nothing to read in it */
	send(&r, TX0, "x", 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK(used(&r, TX0, &len) && len == 0);
	CHECK_EQ(1, r.end[0]->n_out);
	rig_fini(&r);
}

TEST(a_reset_amid_a_request_forgets_it)
{
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	at = pattern(&r, 200000);
	r.end[0]->full = true;
	fake_add(&r.f, TX0, &(struct fake_seg){at, 200000, false}, 1);
	fake_kick(&r.f, TX0);
	virtio_set_status(r.f.dev, 0);
	resume(&r, 0);
	CHECK(r.end[0]->n_out < 200000);
	r.end[0]->n_out = 0;
	attach(&r, SIZE);
	send(&r, TX0, "next", 4);
	CHECK(used(&r, TX0, &len));
	CHECK_EQ(4, r.end[0]->n_out);
	rig_fini(&r);
}

TEST(an_emergency_write_needs_no_driver)
{
	struct rig r;

	setup(&r);
	CHECK(virtio_offered(r.f.dev, 0) & 1 << VIRTIO_CONSOLE_F_EMERG_WRITE);
	virtio_set_status(r.f.dev, 0);
	virtio_config_write(r.f.dev, 8, &(uint32_t){0x4241}, 4); /* the lower byte */
	virtio_config_write(r.f.dev, 8, "c", 1);
	virtio_config_write(r.f.dev, 9, "xyz", 3);
	virtio_config_write(r.f.dev, 0, "0123", 4);
	virtio_config_write(r.f.dev, 8, "01234567", 8); /* over the end */
	CHECK_EQ(2, r.end[0]->n_out);
	CHECK_EQ(0, memcmp(r.end[0]->out, "Ac", 2));
	rig_fini(&r);
}

/* ---- input ---- */

TEST(console_input_lands_in_the_drivers_buffer_at_once)
{
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	at = give(&r, RX0, 4096);
	CHECK(!used(&r, RX0, &len));
	type(&r, 0, "ls\r", 3);
	CHECK(used(&r, RX0, &len) && len == 3);
	CHECK_EQ(0, memcmp(fake_host(&r.f, at), "ls\r", 3));
	CHECK_EQ(1, r.f.interrupts[RX0]);
	rig_fini(&r);
}

TEST(input_without_a_buffer_waits_outside_and_comes_complete)
{
	uint8_t all[3000], got[3000];
	struct rig r;
	uint32_t len;
	size_t n = 0;

	setup(&r);
	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)(i * 7);
	type(&r, 0, all, sizeof(all));
	CHECK(!used(&r, RX0, &len));
	while (n < sizeof(all)) {
		uint64_t at = give(&r, RX0, 100);
		CHECK(used(&r, RX0, &len));
		memcpy(got + n, fake_host(&r.f, at), len);
		n += len;
		CHECK(!used(&r, RX0, &len));
	}
	CHECK_EQ(0, memcmp(all, got, sizeof(all)));
	rig_fini(&r);
}

TEST(input_skips_buffers_that_are_no_buffers)
{
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	fake_add(&r.f, RX0, &(struct fake_seg){FAKE_RAM, 8, true}, 1);
	fake_add(&r.f, RX0, &(struct fake_seg){0, 8, false}, 1);
	at = give(&r, RX0, 8);
	type(&r, 0, "k", 1);
	CHECK(used(&r, RX0, &len) && len == 0);
	CHECK(used(&r, RX0, &len) && len == 0);
	CHECK(used(&r, RX0, &len) && len == 1);
	CHECK_EQ('k', *(char *)fake_host(&r.f, at));
	rig_fini(&r);
}

TEST(input_that_came_during_a_reset_is_there_for_the_next_driver)
{
	const struct chardev_front *front;
	struct rig r;
	uint64_t at;
	uint32_t len;

	setup(&r);
	give(&r, RX0, 64);
	front = &r.end[0]->base.front;
	CHECK(front->room(front->arg) >= 3);
	virtio_set_status(r.f.dev, 0); /* a vCPU's, between the two calls */
	front->receive(front->arg, (const uint8_t *)"abc", 3);
	CHECK_EQ(0, front->room(front->arg));
	attach(&r, 0);
	at = fake_alloc(&r.f, 64);
	fake_add(&r.f, RX0, &(struct fake_seg){at, 64, true}, 1);
	CHECK_EQ(0, front->room(front->arg)); /* or newer input would take the place of this */
	fake_kick(&r.f, RX0);
	CHECK(used(&r, RX0, &len) && len == 3);
	CHECK_EQ(0, memcmp(fake_host(&r.f, at), "abc", 3));
	rig_fini(&r);
}

TEST(a_flood_of_input_is_not_read_from_the_host_while_the_guest_sleeps)
{
	uint8_t chunk[4096] = {1};
	struct rig r;
	size_t before = 0, after = 0;

	setup(&r);
	give(&r, RX0, 16);
	while (write(r.end[0]->keys, chunk, sizeof(chunk)) > 0)
		before += sizeof(chunk);
	settle(&r);
	while (write(r.end[0]->keys, chunk, sizeof(chunk)) > 0)
		after += sizeof(chunk);
	CHECK(before > 0);
	CHECK(after <= sizeof(chunk)); /* one reading of CONSOLE_INPUT bytes at most */
	rig_fini(&r);
}

/* 2.7.10: a driver rings when it passes the index that we ask for. */
static uint16_t asked_for(struct rig *r, unsigned queue)
{
	const struct fake_queue *q = &r->f.queue[queue];
	uint16_t event;

	CHECK_EQ(0, gmem_read(&r->f.mem, q->used + 4 + 8u * q->size, &event, 2));
	return event;
}

TEST(with_event_idx_the_driver_is_asked_to_ring_for_the_next_buffer)
{
	struct rig r;

	setup(&r);
	attach(&r, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	for (unsigned i = 0; i < 3; i++)
		send(&r, TX0, "x", 1);
	CHECK_EQ(3, asked_for(&r, TX0));
	give(&r, RX0, 64);
	CHECK_EQ(0, asked_for(&r, RX0)); /* one is there: no need to ring for more */
	type(&r, 0, "a", 1);
	CHECK_EQ(1, asked_for(&r, RX0));
	rig_fini(&r);
}

/* ---- size and features ---- */

TEST(first_size_is_told_once_the_driver_has_its_port)
{
	struct rig r;

	setup(&r);
	console_resized(r.f.dev, 132, 43);
	CHECK_EQ(0, r.f.config_interrupts); /* Linux would follow a null pointer */
	send(&r, TX0, "x", 1);
	CHECK_EQ(1, r.f.config_interrupts);
	send(&r, TX0, "y", 1);
	CHECK_EQ(1, r.f.config_interrupts);
	rig_fini(&r);
}

TEST(a_resized_terminal_is_told_by_the_configuration)
{
	struct rig r;

	setup(&r);
	send(&r, TX0, "x", 1); /* the driver has its port */
	CHECK_EQ(0, r.f.config_interrupts);
	console_resized(r.f.dev, 132, 43);
	CHECK_EQ(132, config16(&r, 0));
	CHECK_EQ(43, config16(&r, 2));
	CHECK_EQ(1, r.f.config_interrupts);
	console_resized(r.f.dev, 132, 43); /* the same */
	CHECK_EQ(1, r.f.config_interrupts);
	console_resized(r.f.dev, 1 << 20, 43);
	CHECK_EQ(0xffff, config16(&r, 0));
	CHECK_EQ(2, r.f.config_interrupts);
	virtio_set_status(r.f.dev, 0);
	console_resized(r.f.dev, 80, 24); /* nobody to tell; whoever comes reads it */
	CHECK_EQ(80, config16(&r, 0));
	CHECK_EQ(2, r.f.config_interrupts);
	rig_fini(&r);
}

TEST(a_single_port_has_no_control_queues)
{
	struct rig r;

	setup(&r);
	CHECK_EQ(2, r.f.dev->n_queues);
	CHECK(!(virtio_offered(r.f.dev, 0) & MULTIPORT));
	CHECK(virtio_offered(r.f.dev, 0) & SIZE);
	/* Not even for a driver that claims them. */
	virtio_set_status(r.f.dev, 0);
	virtio_accept(r.f.dev, 0, MULTIPORT);
	console_resized(r.f.dev, 1, 2);
	rig_fini(&r);
}

TEST(an_idle_console_never_wakes_up)
{
	struct rig r;

	setup(&r);
	give(&r, RX0, 64);
	send(&r, TX0, "x", 1);
	settle(&r);
	CHECK(!fake_turn(&r.f, 20));
	rig_fini(&r);
}

/* ---- a broken driver ---- */

TEST(a_broken_receive_ring_stops_the_device_and_a_reset_mends_it)
{
	struct rig r;
	uint32_t len;
	uint16_t idx = 5000;

	setup(&r);
	give(&r, RX0, 64);
	CHECK_EQ(0, gmem_write(&r.f.mem, r.f.queue[RX0].avail + 4, &(uint16_t){0xffff}, 2));
	type(&r, 0, "a", 1);
	CHECK(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	attach(&r, 0);
	CHECK_EQ(0, gmem_write(&r.f.mem, r.f.queue[TX0].avail + 2, &idx, 2));
	fake_kick(&r.f, TX0);
	CHECK(virtio_status(r.f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	attach(&r, 0);
	give(&r, RX0, 64);
	CHECK(used(&r, RX0, &len) && len == 1);
	send(&r, TX0, "x", 1);
	CHECK_EQ(1, r.end[0]->n_out);
	rig_fini(&r);
}

/* ---- creation ---- */

TEST(ports_that_cannot_be_are_errors_with_a_text)
{
	char name[CONSOLE_NAME_MAX + 2] = {0}, path[] = "/nowhere/at/all";
	struct console_config ports[CONSOLE_PORTS_MAX + 1] = {{.kind = CONSOLE_NONE}};
	struct console_quit quit = {0};
	struct virtio_dev *dev;
	struct fake_driver f;
	struct err e;

	fake_init(&f);
	CHECK_EQ(-EINVAL, console_create(&dev, ports, CONSOLE_PORTS_MAX + 1, quit, &f.host, &e));
	CHECK_HAS(e.text, "at most 8");
	CHECK_EQ(-EINVAL, console_create(&dev, ports, 0, quit, &f.host, &e));
	memset(name, 'n', CONSOLE_NAME_MAX + 1);
	ports[1] = (struct console_config){.kind = CONSOLE_NONE, .name = name};
	CHECK_EQ(-ENAMETOOLONG, console_create(&dev, ports, 2, quit, &f.host, &e));
	CHECK_HAS(e.text, "at most 64 bytes");
	ports[1] = (struct console_config){.kind = CONSOLE_FILE, .path = path};
	CHECK_EQ(-ENOENT, console_create(&dev, ports, 2, quit, &f.host, &e));
	CHECK_HAS(e.text, "console port 1: cannot write to '/nowhere/at/all'");
	fake_fini(&f);
}

TEST(a_port_may_end_in_a_file)
{
	char path[] = "/tmp/toyvmm-console-XXXXXX", text[16] = "";
	struct console_config port = {.kind = CONSOLE_FILE, .path = path};
	int fd = mkstemp(path);
	struct rig r = {0};
	struct err e;

	fake_init(&r.f);
	CHECK_EQ(0, console_create(&r.f.dev, &port, 1, (struct console_quit){0}, &r.f.host, &e));
	attach(&r, 0);
	send(&r, TX0, "to a file", 9);
	rig_fini(&r);
	CHECK_EQ(9, read(fd, text, sizeof(text)));
	CHECK_STR("to a file", text);
	close(fd);
	unlink(path);
}
