// SPDX-License-Identifier: Apache-2.0
#include "serial_rig.h"

#include <poll.h>

TEST(serial_room_is_1_without_fifos_16_with_and_0_in_loopback)
{
	struct rig r;

	rig_init(&r);
	poll_for_input(&r);
	CHECK_EQ(1, room(&r));
	receive(&r, "a");
	CHECK_EQ(0, room(&r));
	in(&r, UART_RX);
	CHECK_EQ(1, room(&r));
	fifo(&r, 0);
	poll_for_input(&r);
	CHECK_EQ(16, room(&r));
	receive(&r, "0123456789abcde");
	CHECK_EQ(1, room(&r));
	receive(&r, "f");
	CHECK_EQ(0, room(&r));
	in(&r, UART_RX);
	CHECK_EQ(1, room(&r));
	out(&r, UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(0, room(&r));
	rig_fini(&r);
}

TEST(serial_data_interrupt_without_fifos)
{
	struct rig r;

	rig_init(&r);
	poll_for_input(&r);
	receive(&r, "a");
	CHECK_EQ(0, edges(&r)); /* not enabled */
	CHECK_EQ(0x61, in(&r, UART_LSR));
	out(&r, UART_IER, UART_IER_RDI);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_RDI, in(&r, UART_IIR));
	CHECK_EQ(UART_IIR_RDI, in(&r, UART_IIR)); /* reading IIR does not end this one */
	CHECK_EQ('a', in(&r, UART_RX));
	CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR));
	CHECK_EQ(0x60, in(&r, UART_LSR));
	receive(&r, "b");
	CHECK_EQ(1, edges(&r));
	rig_fini(&r);
}

TEST(serial_trigger_levels_both_sides)
{
	static const struct {
		uint8_t fcr;
		unsigned level;
	} cases[] = {{UART_FCR_TRIGGER_1, 1},
		     {UART_FCR_TRIGGER_4, 4},
		     {UART_FCR_TRIGGER_8, 8},
		     {UART_FCR_TRIGGER_14, 14}};

	for (size_t i = 0; i < 4; i++) {
		static const char text[] = "0123456789abcdef";
		char some[17] = "";
		struct rig r;

		rig_init(&r);
		fifo(&r, cases[i].fcr);
		out(&r, UART_IER, UART_IER_RDI);
		memcpy(some, text, cases[i].level - 1);
		receive(&r, some);
		CHECK_EQ(cases[i].level > 1 ? 0xcc : 0xc1, in(&r, UART_IIR)); /* below: time-out */
		memcpy(some, text + cases[i].level - 1, 2);
		some[1] = '\0';
		edges(&r);
		receive(&r, some);
		CHECK_EQ(0xc4, in(&r, UART_IIR));
		CHECK_EQ(1, edges(&r));
		in(&r, UART_RX);
		CHECK_EQ(0xc1, in(&r, UART_IIR)); /* below again, and just read: no time-out yet */
		rig_fini(&r);
	}
}

TEST(serial_time_out_ends_with_reading_and_returns_when_the_guest_stops_halfway)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, UART_FCR_TRIGGER_14);
	out(&r, UART_IER, UART_IER_RDI);
	receive(&r, "abc");
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xcc, in(&r, UART_IIR));
	CHECK_EQ('a', in(&r, UART_RX));
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	CHECK_EQ(0, edges(&r));
	run(&r, 20);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xcc, in(&r, UART_IIR));
	CHECK_EQ('b', in(&r, UART_RX));
	CHECK_EQ('c', in(&r, UART_RX));
	run(&r, 20);
	CHECK_EQ(0, edges(&r)); /* nothing left to tell */
	CHECK_EQ(0, run(&r, 20));
	rig_fini(&r);
}

/* A bare-metal handler: one byte per interrupt, IIR never read. */
TEST(serial_guest_that_reads_one_byte_per_edge_gets_all)
{
	static const uint8_t triggers[] = {UART_FCR_TRIGGER_1, UART_FCR_TRIGGER_8,
					   UART_FCR_TRIGGER_14};

	for (unsigned t = 0; t < 3; t++) {
		static const char text[] = "0123456789abcdef";
		struct rig r;

		rig_init(&r);
		fifo(&r, triggers[t]);
		out(&r, UART_IER, UART_IER_RDI);
		receive(&r, text);
		for (unsigned i = 0; i < 16; i++) {
			run(&r, 5);
			CHECK(edges(&r) > 0);
			CHECK_EQ(text[i], in(&r, UART_RX));
		}
		rig_fini(&r);
	}
}

/* Edges are all that a driver gets: it may have read IIR for the last time before the byte came. */
TEST(serial_input_raises_an_edge_although_another_cause_is_unserved)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, UART_FCR_TRIGGER_8);
	out(&r, UART_IER, UART_IER_RDI | UART_IER_THRI);
	CHECK_EQ(1, edges(&r)); /* the transmitter is empty; nobody asks */
	receive(&r, "p");
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xcc, in(&r, UART_IIR));
	CHECK_EQ('p', in(&r, UART_RX));
	CHECK_EQ(0xc2, in(&r, UART_IIR));
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	CHECK_EQ(0, edges(&r));
	rig_fini(&r);
}

TEST(serial_enabling_the_data_interrupt_tells_of_what_lies_there)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, UART_FCR_TRIGGER_14);
	poll_for_input(&r);
	receive(&r, "ab");
	in(&r, UART_RX);
	CHECK_EQ(0, edges(&r));
	out(&r, UART_IER, UART_IER_RDI);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xcc, in(&r, UART_IIR));
	rig_fini(&r);
}

TEST(serial_fifo_reset_and_toggle_empty_the_receiver)
{
	static const uint8_t fcrs[] = {UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR, 0};
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < 2; i++) {
		fifo(&r, 0);
		out(&r, UART_IER, UART_IER_RDI);
		receive(&r, "abc");
		out(&r, UART_FCR, fcrs[i]);
		CHECK_EQ(0x60, in(&r, UART_LSR));
		CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR) & 0x0f);
	}
	receive(&r, "x");
	out(&r, UART_FCR, UART_FCR_CLEAR_RCVR); /* without bit 0 it is not programmed */
	CHECK_EQ(0x61, in(&r, UART_LSR));
	fifo(&r, 0);
	receive(&r, "abc");
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8); /* level only: data stays */
	CHECK_EQ('a', in(&r, UART_RX));
	rig_fini(&r);
}

/* ---- overrun ---- */

TEST(serial_overrun_with_fifo_keeps_the_first_16)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
	out(&r, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 16; i++)
		out(&r, UART_TX, (uint8_t)i);
	CHECK_EQ(0x61, in(&r, UART_LSR));
	out(&r, UART_IER, UART_IER_RLSI);
	CHECK_EQ(0, edges(&r));
	out(&r, UART_TX, 16);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xc6, in(&r, UART_IIR));
	CHECK_EQ(0x63, in(&r, UART_LSR));
	CHECK_EQ(0x61, in(&r, UART_LSR)); /* told once */
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(i, in(&r, UART_RX));
	CHECK_EQ(0x60, in(&r, UART_LSR));
	rig_fini(&r);
}

TEST(serial_overrun_without_fifo_keeps_the_newest)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_MCR, UART_MCR_LOOP);
	out(&r, UART_TX, 'a');
	CHECK_EQ(0x61, in(&r, UART_LSR));
	out(&r, UART_TX, 'b');
	CHECK_EQ(0x63, in(&r, UART_LSR));
	CHECK_EQ('b', in(&r, UART_RX));
	CHECK_EQ(0x60, in(&r, UART_LSR));
	rig_fini(&r);
}

/* room() was asked, then the guest changed its mind, then the bytes came. */
TEST(serial_late_input_after_a_change_of_mode_stays_in_bounds)
{
	static const uint8_t sixteen[16] = "0123456789abcde";
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
	poll_for_input(&r);
	CHECK_EQ(16, room(&r));
	out(&r, UART_FCR, 0);
	r.host->base.front.receive(r.s, sixteen, 16);
	CHECK_EQ('\0', in(&r, UART_RX)); /* the newest */
	CHECK_EQ(0x62, in(&r, UART_LSR));
	out(&r, UART_MCR, UART_MCR_LOOP);
	r.host->base.front.receive(r.s, sixteen, 16);
	CHECK_EQ(0x60, in(&r, UART_LSR)); /* the line is cut off */
	rig_fini(&r);
}

/* ---- priorities ---- */

TEST(serial_iir_names_causes_by_priority)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, UART_FCR_TRIGGER_4);
	out(&r, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 17; i++)
		out(&r, UART_TX, 'x');
	out(&r, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	out(&r, UART_IER, 0x0f);
	CHECK_EQ(0xc6, in(&r, UART_IIR));
	in(&r, UART_LSR);
	for (unsigned i = 0; i < 13; i++) {
		CHECK_EQ(0xc4, in(&r, UART_IIR));
		in(&r, UART_RX);
	}
	run(&r, 20);
	CHECK_EQ(0xcc, in(&r, UART_IIR));
	while (in(&r, UART_LSR) & UART_LSR_DR)
		in(&r, UART_RX);
	CHECK_EQ(0xc2, in(&r, UART_IIR));
	CHECK_EQ(0xc0, in(&r, UART_IIR));
	in(&r, UART_MSR);
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	rig_fini(&r);
}

TEST(serial_new_cause_raises_though_an_older_one_keeps_the_line_high)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_THRI | UART_IER_RDI);
	CHECK_EQ(1, edges(&r));
	receive(&r, "x");
	CHECK_EQ(1, edges(&r));
	rig_fini(&r);
}

TEST(serial_out2_does_not_gate_interrupts)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_MCR, 0);
	out(&r, UART_IER, UART_IER_RDI);
	receive(&r, "x");
	CHECK_EQ(1, edges(&r));
	rig_fini(&r);
}

/* ---- both ends ---- */

TEST(serial_input_waits_until_a_driver_wants_it)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(0, room(&r)); /* a kernel that boots: its driver will empty the FIFO first */
	r.host->base.input_held = true;
	fifo(&r, 0);
	in(&r, UART_LSR);
	in(&r, UART_RX);
	CHECK_EQ(0, room(&r));
	CHECK(r.host->base.input_held);
	out(&r, UART_IER, UART_IER_RDI);
	CHECK(!r.host->base.input_held);
	CHECK_EQ(16, room(&r));
	out(&r, UART_IER, 0); /* closed */
	CHECK_EQ(0, room(&r));
	rig_fini(&r);
}

TEST(serial_polling_for_input_is_wanting_it_and_polling_for_output_is_not)
{
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < 10; i++) { /* printk: ready? send */
		in(&r, UART_LSR);
		out(&r, UART_TX, 'x');
	}
	CHECK_EQ(0, room(&r));
	poll_for_input(&r);
	CHECK_EQ(1, room(&r));
	out(&r, UART_TX, 'x'); /* an echo */
	CHECK_EQ(1, room(&r));
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO); /* the next driver */
	CHECK_EQ(0, room(&r));
	rig_fini(&r);
}

TEST(serial_rts_holds_the_line_once_it_was_used)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_RDI);
	CHECK_EQ(1, room(&r)); /* never touched: no flow control */
	out(&r, UART_MCR, UART_MCR_RTS);
	CHECK_EQ(1, room(&r));
	out(&r, UART_MCR, 0);
	CHECK_EQ(0, room(&r));
	r.host->base.input_held = true;
	out(&r, UART_MCR, UART_MCR_RTS);
	CHECK(!r.host->base.input_held);
	rig_fini(&r);
}

TEST(serial_asks_for_more_input_when_the_fifo_ran_empty_and_not_before)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
	poll_for_input(&r);
	receive(&r, "0123456789abcdef");
	run(&r, 0);
	CHECK_EQ(0, room(&r));
	r.host->base.input_held = true; /* what the chardev does with that answer */
	for (unsigned i = 0; i < 15; i++) {
		in(&r, UART_RX);
		CHECK(r.host->base.input_held);
	}
	in(&r, UART_RX);
	CHECK(!r.host->base.input_held);
	rig_fini(&r);
}

TEST(serial_asks_for_more_input_when_loopback_ends)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_RDI);
	out(&r, UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(0, room(&r));
	r.host->base.input_held = true;
	out(&r, UART_SCR, 1);
	CHECK(r.host->base.input_held);
	out(&r, UART_MCR, 0);
	CHECK(!r.host->base.input_held);
	rig_fini(&r);
}

#define PASTE (256u * 1024) /* chardev_test.c pastes ten; here each 16 bytes cross two threads */

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i ^ (i >> 8) * 7 ^ (i >> 16) * 13);
}

static void *paste(void *arg)
{
	uint8_t buf[4096];

	for (size_t at = 0; at < PASTE; at += sizeof(buf)) {
		for (size_t i = 0; i < sizeof(buf); i++)
			buf[i] = pattern(at + i);
		if (write(*(int *)arg, buf, sizeof(buf)) != sizeof(buf))
			break;
	}
	close(*(int *)arg);
	return NULL;
}

static void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

/* The guest is this thread: it sleeps until an edge, then serves IIR until nothing is pending. */
static size_t serve(struct serial *s, int irq_fd, size_t got)
{
	const struct bus_ops *b = &serial_bus_ops;
	struct pollfd p = {.fd = irq_fd, .events = POLLIN};
	uint64_t n;
	uint8_t v;

	CHECK_EQ(1, poll(&p, 1,
			 10000)); /* an edge that was not raised would halt the guest for ever */
	CHECK_EQ(sizeof(n), read(irq_fd, &n, sizeof(n)));
	for (b->read(s, UART_IIR, &v, 1); !(v & UART_IIR_NO_INT); b->read(s, UART_IIR, &v, 1)) {
		for (b->read(s, UART_LSR, &v, 1); v & UART_LSR_DR; b->read(s, UART_LSR, &v, 1)) {
			CHECK_EQ(0, v & UART_LSR_OE);
			b->read(s, UART_RX, &v, 1);
			if (v != pattern(got++))
				CHECK_EQ(0, got);
		}
	}
	return got;
}

TEST(serial_paste_into_stdin_arrives_whole_by_interrupt_alone)
{
	struct loop loop;
	struct irq irq;
	struct chardev *c;
	struct serial *s;
	struct err e;
	int p[2], saved = dup(STDIN_FILENO);
	pthread_t paster, looper;
	uint8_t ier = UART_IER_RDI, fcr = UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_8;
	size_t got = 0;

	CHECK_EQ(0, pipe(p));
	CHECK_EQ(0, loop_init(&loop, &e));
	irq.fd = -1;
	CHECK_EQ(0, irq_init(&irq, &e));
	dup2(p[0], STDIN_FILENO);
	CHECK_EQ(0, chardev_open_stdio(&c, &loop, NULL, NULL, &e));
	dup2(saved, STDIN_FILENO);
	CHECK_EQ(0, serial_create(&s, &irq, c, &e));
	serial_bus_ops.write(s, UART_FCR, &fcr, 1);
	serial_bus_ops.write(s, UART_IER, &ier, 1);
	pthread_create(&looper, NULL, run_loop, &loop);
	pthread_create(&paster, NULL, paste, &p[1]);
	while (got < PASTE)
		got = serve(s, irq.fd, got);
	CHECK_EQ(PASTE, got);
	pthread_join(paster, NULL);
	loop_stop(&loop);
	pthread_join(looper, NULL);
	serial_destroy(s);
	chardev_destroy(c);
	irq_fini(&irq);
	loop_fini(&loop);
	close(p[0]), close(saved);
}
