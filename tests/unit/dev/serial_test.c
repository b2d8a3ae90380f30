// SPDX-License-Identifier: Apache-2.0
/* Register names and sequences: PC16550D data sheet; Linux 6.1,
 * drivers/tty/serial/8250/8250_port.c. */
#include "dev/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "test.h"

/* A chardev whose output lands in an array and whose slowness is ours to say. */
struct host {
	struct chardev base;
	uint8_t out[4096];
	size_t n_out;
	bool full; /* it takes nothing */
};

struct rig {
	struct loop loop;
	struct irq irq;
	struct bus bus;
	struct host *host;
	struct serial *s;
	struct err e;
};

#define BASE 0x3f8

static ssize_t host_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct host *h = container_of(c, struct host, base);

	if (h->full)
		return -EAGAIN;
	for (size_t i = 0; i < len; i++)
		h->out[h->n_out++ % sizeof(h->out)] = data[i];
	return (ssize_t)len;
}

static void host_close(struct chardev *c)
{
	(void)c;
}

static const struct chardev_ops host_ops = {.write = host_write, .close = host_close};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	CHECK_EQ(0, loop_init(&r->loop, &r->e));
	CHECK_EQ(0, irq_init(&r->irq, &r->e));
	r->host = calloc(1, sizeof(*r->host));
	CHECK_EQ(0, chardev_init(&r->host->base, &host_ops, &r->loop, &r->e));
	r->host->base.reader = true;
	CHECK_EQ(0, serial_create(&r->s, &r->irq, &r->host->base, &r->e));
	bus_init(&r->bus, "ports");
	CHECK_EQ(0, bus_add(&r->bus,
			    (struct bus_region){.base = BASE,
						.last = BASE + SERIAL_PORTS - 1,
						.name = "serial",
						.ops = &serial_bus_ops,
						.dev = r->s,
						.width = 1},
			    &r->e));
}

static void rig_fini(struct rig *r)
{
	r->host->full = false;
	serial_destroy(r->s);
	chardev_destroy(&r->host->base);
	bus_fini(&r->bus);
	irq_fini(&r->irq);
	loop_fini(&r->loop);
}

static uint8_t in(struct rig *r, unsigned reg)
{
	uint8_t value;

	bus_read(&r->bus, BASE + reg, &value, 1);
	return value;
}

static void out(struct rig *r, unsigned reg, uint8_t value)
{
	bus_write(&r->bus, BASE + reg, &value, 1);
}

/* Edges since the last call. */
static unsigned edges(struct rig *r)
{
	uint64_t n;

	return read(r->irq.fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

static size_t room(struct rig *r)
{
	return r->host->base.front.room(r->s);
}

static void receive(struct rig *r, const char *text)
{
	size_t len = strlen(text);

	CHECK(len <= room(r));
	r->host->base.front.receive(r->s, (const uint8_t *)text, len);
}

/* Serves the loop for a while; how many sources it had to serve. */
static unsigned run(struct rig *r, int ms)
{
	struct epoll_event ev;
	unsigned n = 0;

	while (epoll_wait(r->loop.epoll_fd, &ev, 1, ms) == 1) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
		CHECK(++n < 1000);
	}
	return n;
}

static void fifo(struct rig *r, uint8_t trigger)
{
	out(r, UART_FCR,
	    UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT | trigger);
}

/* ---- registers ---- */

TEST(serial_after_reset)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(0x00, in(&r, UART_IER));
	CHECK_EQ(0x01, in(&r, UART_IIR));
	CHECK_EQ(0x00, in(&r, UART_LCR));
	CHECK_EQ(0x00, in(&r, UART_MCR));
	CHECK_EQ(0x60, in(&r, UART_LSR));
	CHECK_EQ(0xb0, in(&r, UART_MSR)); /* DCD, DSR, CTS, and no delta */
	CHECK_EQ(0x00, in(&r, UART_RX));
	CHECK_EQ(0, edges(&r));
	rig_fini(&r);
}

TEST(serial_registers_keep_the_bits_they_have)
{
	static const struct {
		uint8_t reg, lcr, wrote, reads;
	} cases[] = {
		{UART_IER, 0x03, 0xff, 0x0f}, {UART_IER, 0x03, 0x00, 0x00},
		{UART_LCR, 0x03, 0xff, 0xff}, {UART_LCR, 0x03, 0x03, 0x03},
		{UART_MCR, 0x03, 0xff, 0x1f}, {UART_MCR, 0x03, 0xe0, 0x00},
		{UART_SCR, 0x03, 0xa5, 0xa5}, {UART_SCR, 0x03, 0x5a, 0x5a},
		{UART_SCR, 0x83, 0xa5, 0xa5}, {UART_DLL, 0x83, 0x0c, 0x0c},
		{UART_DLM, 0x83, 0xff, 0xff}, {UART_DLM, 0x83, 0x00, 0x00},
		{UART_LSR, 0x03, 0x00, 0x60}, {UART_MSR, 0x03, 0x00, 0xb0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		rig_init(&r);
		out(&r, UART_LCR, cases[i].lcr);
		out(&r, cases[i].reg, cases[i].wrote);
		CHECK_EQ(cases[i].reads, in(&r, cases[i].reg));
		rig_fini(&r);
	}
}

TEST(serial_divisor_latch_hides_data_and_ier_only_while_dlab_is_set)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_RDI);
	receive(&r, "x");
	out(&r, UART_LCR, UART_LCR_DLAB);
	out(&r, UART_DLL, 0x34);
	out(&r, UART_DLM, 0x12);
	CHECK_EQ(0x34, in(&r, UART_DLL));
	CHECK_EQ(0x12, in(&r, UART_DLM));
	CHECK_EQ(0, r.host->n_out); /* nothing was sent */
	CHECK_EQ(0x61, in(&r, UART_LSR));
	out(&r, UART_LCR, 0x03);
	CHECK_EQ(UART_IER_RDI, in(&r, UART_IER));
	CHECK_EQ('x', in(&r, UART_RX));
	out(&r, UART_LCR, UART_LCR_DLAB);
	CHECK_EQ(0x34, in(&r, UART_DLL));
	rig_fini(&r);
}

TEST(serial_wide_access_is_taken_byte_by_byte)
{
	struct rig r;
	uint32_t wide = 0;

	rig_init(&r);
	bus_read(&r.bus, BASE + 4, &wide, 4);
	CHECK_EQ(0x00b06000, wide); /* SCR, MSR, LSR, MCR */
	wide = 0x5a00000b;
	bus_write(&r.bus, BASE + 4, &wide, 4);
	CHECK_EQ(0x0b, in(&r, UART_MCR));
	CHECK_EQ(0x5a, in(&r, UART_SCR));
	rig_fini(&r);
}

TEST(serial_iir_shows_fifos_and_nothing_in_bits_4_and_5)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(0x01, in(&r, UART_IIR));
	out(&r, UART_FCR, 0xff);
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	out(&r, UART_FCR, 0xfe); /* bit 0 clear: FIFOs off, the rest ignored */
	CHECK_EQ(0x01, in(&r, UART_IIR));
	rig_fini(&r);
}

/* ---- Linux's probing ---- */

TEST(serial_passes_linux_autoconfig_as_a_16550a)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, 0);
	CHECK_EQ(0, in(&r, UART_IER) & 0x0f);
	out(&r, UART_IER, 0x0f);
	CHECK_EQ(0x0f, in(&r, UART_IER) & 0x0f);
	out(&r, UART_IER, 0);
	out(&r, UART_MCR, UART_MCR_LOOP | 0x0a);
	CHECK_EQ(0x90, in(&r, UART_MSR) & 0xf0);
	out(&r, UART_MCR, 0);
	out(&r, UART_LCR, UART_LCR_CONF_MODE_B);
	out(&r, UART_EFR, 0);
	out(&r, UART_LCR, 0);
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK_EQ(3, in(&r, UART_IIR) >> 6);
	rig_fini(&r);
}

/* autoconfig_16550a(): it must not look like any of the cleverer chips. */
TEST(serial_is_no_variant_of_the_16550a)
{
	struct rig r;
	uint8_t mcr, exdr;

	rig_init(&r);
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(&r, UART_LCR, UART_LCR_CONF_MODE_A);
	CHECK(in(&r, UART_EFR) != 0); /* EFR version 1 */
	out(&r, UART_LCR, UART_LCR_CONF_MODE_B);
	CHECK(in(&r, UART_EFR) != 0); /* version 2 */
	out(&r, UART_LCR, 0);
	mcr = in(&r, UART_MCR);
	out(&r, UART_LCR, 0xe0);
	exdr = in(&r, 2);
	CHECK_EQ(0, (exdr ^ mcr) & UART_MCR_LOOP);
	out(&r, UART_LCR, 0);
	out(&r, UART_MCR, mcr ^ UART_MCR_LOOP);
	out(&r, UART_LCR, 0xe0);
	exdr = in(&r, 2);
	CHECK_EQ(0, (exdr ^ mcr) & UART_MCR_LOOP); /* NS16550A SuperIO: bank 2 mirrors it */
	out(&r, UART_LCR, 0);
	out(&r, UART_MCR, mcr);
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	CHECK_EQ(6, in(&r, UART_IIR) >> 5);
	out(&r, UART_LCR, UART_LCR_CONF_MODE_A);
	out(&r, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR7_64BYTE);
	CHECK_EQ(6, in(&r, UART_IIR) >> 5); /* TI16750 would say 7 */
	out(&r, UART_LCR, 0);
	out(&r, UART_IER, UART_IER_UUE);
	CHECK_EQ(0, in(&r, UART_IER) & UART_IER_UUE); /* XScale */
	rig_fini(&r);
}

TEST(serial_fifo_measures_16_in_loopback)
{
	struct rig r;
	unsigned count = 0;

	rig_init(&r);
	fifo(&r, 0);
	out(&r, UART_MCR, UART_MCR_LOOP);
	for (unsigned i = 0; i < 256; i++)
		out(&r, UART_TX, (uint8_t)i);
	while ((in(&r, UART_LSR) & UART_LSR_DR) && count < 256)
		CHECK_EQ(count++, in(&r, UART_RX));
	CHECK_EQ(16, count);
	CHECK_EQ(0, r.host->n_out); /* nothing of it reaches the host */
	rig_fini(&r);
}

/* serial8250_do_startup(): "do not reassert THRE", and the one after it. */
TEST(serial_passes_linux_thre_and_txen_tests)
{
	struct rig r;

	rig_init(&r);
	CHECK(in(&r, UART_LSR) & UART_LSR_THRE);
	out(&r, UART_IER, UART_IER_THRI);
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	out(&r, UART_IER, 0);
	out(&r, UART_IER, UART_IER_THRI);
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	out(&r, UART_IER, 0);
	CHECK_EQ(2, edges(&r));

	out(&r, UART_IER, UART_IER_THRI);
	CHECK(in(&r, UART_LSR) & UART_LSR_TEMT);
	CHECK_EQ(0, in(&r, UART_IIR) & UART_IIR_NO_INT);
	out(&r, UART_IER, 0);
	CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR));
	rig_fini(&r);
}

/* ---- transmitter ---- */

static void tap(void *arg, uint8_t byte)
{
	struct host *h = arg;

	h->out[2048 + h->out[2047]++] = byte;
}

TEST(serial_output_reaches_host_and_tap_and_thre_stays_set)
{
	struct rig r;

	rig_init(&r);
	serial_set_tap(r.s, tap, r.host);
	out(&r, UART_TX, 'o');
	CHECK_EQ(0x60, in(&r, UART_LSR));
	out(&r, UART_TX, 'k');
	CHECK_EQ(2, r.host->n_out);
	CHECK_EQ(0, memcmp("ok", r.host->out, 2));
	CHECK_EQ(0, memcmp("ok", r.host->out + 2048, 2));
	CHECK_EQ(0, edges(&r));
	out(&r, UART_MCR, UART_MCR_LOOP);
	out(&r, UART_TX, 'l');
	CHECK_EQ(2, r.host->n_out);
	CHECK_EQ(2, r.host->out[2047]); /* nor the tap */
	rig_fini(&r);
}

TEST(serial_thre_interrupt_ends_by_reading_iir_and_comes_with_the_next_byte)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_THRI);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR));
	CHECK_EQ(0, edges(&r));
	out(&r, UART_TX, 'a');
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	rig_fini(&r);
}

TEST(serial_burst_of_16_costs_one_edge_for_a_driver_that_reads_iir)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
	out(&r, UART_IER, UART_IER_THRI);
	for (unsigned burst = 0; burst < 3; burst++) {
		CHECK_EQ(1, edges(&r));
		CHECK_EQ(0xc2, in(&r, UART_IIR));
		for (unsigned i = 0; i < 16; i++)
			out(&r, UART_TX, 'x');
	}
	CHECK_EQ(1, edges(&r));
	rig_fini(&r);
}

TEST(serial_driver_that_never_reads_iir_gets_an_edge_for_each_byte)
{
	struct rig r;

	rig_init(&r);
	in(&r, UART_IIR); /* before it was enabled does not count */
	out(&r, UART_IER, UART_IER_THRI);
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(1, edges(&r));
		out(&r, UART_TX, 'x');
	}
	rig_fini(&r);
}

/* The handler was called for data, found the transmitter empty and used it. */
TEST(serial_write_after_iir_named_another_cause_still_raises)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_THRI | UART_IER_RDI);
	receive(&r, "x");
	edges(&r);
	CHECK_EQ(UART_IIR_RDI, in(&r, UART_IIR));
	CHECK_EQ('x', in(&r, UART_RX));
	out(&r, UART_TX, 'a');
	CHECK_EQ(1, edges(&r));
	rig_fini(&r);
}

TEST(serial_fifo_reset_makes_thre_pending)
{
	static const uint8_t writes[] = {UART_FCR_ENABLE_FIFO,
					 UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_XMIT, 0};
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_THRI);
	in(&r, UART_IIR);
	edges(&r);
	for (size_t i = 0; i < sizeof(writes); i++) {
		out(&r, UART_FCR, writes[i]);
		CHECK_EQ(1, edges(&r));
		CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR) & 0x0f);
	}
	out(&r, UART_FCR, 0); /* no change */
	CHECK_EQ(0, edges(&r));
	rig_fini(&r);
}

TEST(serial_slow_reader_holds_thre_interrupts_back_but_not_lsr)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
	r.host->full = true;
	out(&r, UART_IER, UART_IER_THRI);
	for (unsigned i = 0; i <= CHARDEV_RING / 2; i++)
		out(&r, UART_TX, 'x');
	edges(&r);
	CHECK_EQ(0x60, in(&r, UART_LSR));
	CHECK_EQ(0xc1, in(&r, UART_IIR));
	out(&r, UART_TX, 'x'); /* a polling printk */
	CHECK_EQ(0, edges(&r));
	out(&r, UART_IER, 0);
	out(&r, UART_IER, UART_IER_THRI); /* start_tx: waits too */
	CHECK_EQ(0, edges(&r));
	CHECK_EQ(0, chardev_dropped(&r.host->base));

	r.host->full = false;
	chardev_set_reader(&r.host->base, true);
	chardev_settle(&r.host->base);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(0xc2, in(&r, UART_IIR));
	CHECK_EQ(CHARDEV_RING / 2 + 2, r.host->n_out);
	rig_fini(&r);
}

TEST(serial_stopped_reader_releases_the_driver_after_a_second)
{
	struct rig r;

	rig_init(&r);
	r.host->full = true;
	out(&r, UART_IER, UART_IER_THRI);
	for (unsigned i = 0; i <= CHARDEV_RING / 2; i++)
		out(&r, UART_TX, 'x');
	edges(&r);
	CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR));
	run(&r, 1200);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	rig_fini(&r);
}

/* ---- receiver ---- */

TEST(serial_room_is_1_without_fifos_16_with_and_0_in_loopback)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(1, room(&r));
	receive(&r, "a");
	CHECK_EQ(0, room(&r));
	in(&r, UART_RX);
	CHECK_EQ(1, room(&r));
	fifo(&r, 0);
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

TEST(serial_enabling_the_data_interrupt_tells_of_what_lies_there)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, UART_FCR_TRIGGER_14);
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

/* ---- modem lines ---- */

TEST(serial_loopback_wires_each_output_to_its_input)
{
	static const struct {
		uint8_t mcr, line, delta;
	} cases[] = {
		{UART_MCR_RTS, UART_MSR_CTS, UART_MSR_DCTS},
		{UART_MCR_DTR, UART_MSR_DSR, UART_MSR_DDSR},
		{UART_MCR_OUT1, UART_MSR_RI, 0}, /* RI tells its end only */
		{UART_MCR_OUT2, UART_MSR_DCD, UART_MSR_DDCD},
	};
	struct rig r;

	rig_init(&r);
	out(&r, UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD, in(&r, UART_MSR));
	CHECK_EQ(0, in(&r, UART_MSR));
	for (unsigned i = 0; i < 4; i++) {
		out(&r, UART_MCR, UART_MCR_LOOP | cases[i].mcr);
		CHECK_EQ(cases[i].line | cases[i].delta, in(&r, UART_MSR));
		CHECK_EQ(cases[i].line, in(&r, UART_MSR));
		out(&r, UART_MCR, UART_MCR_LOOP);
		CHECK_EQ(i == 2 ? UART_MSR_TERI : cases[i].delta, in(&r, UART_MSR));
	}
	out(&r, UART_MCR, 0);
	CHECK_EQ(0xbb, in(&r, UART_MSR));
	CHECK_EQ(0xb0, in(&r, UART_MSR));
	rig_fini(&r);
}

TEST(serial_modem_interrupt_comes_with_a_delta_and_goes_with_reading_msr)
{
	struct rig r;

	rig_init(&r);
	out(&r, UART_IER, UART_IER_MSI);
	out(&r, UART_MCR, UART_MCR_DTR | UART_MCR_RTS); /* outputs alone change no input */
	CHECK_EQ(0, edges(&r));
	out(&r, UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_MSI, in(&r, UART_IIR));
	CHECK_EQ(UART_IIR_MSI, in(&r, UART_IIR));
	in(&r, UART_MSR);
	CHECK_EQ(UART_IIR_NO_INT, in(&r, UART_IIR));
	rig_fini(&r);
}

/* ---- both ends ---- */

TEST(serial_asks_for_more_input_when_the_fifo_ran_empty_and_not_before)
{
	struct rig r;

	rig_init(&r);
	fifo(&r, 0);
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
	out(&r, UART_MCR, UART_MCR_LOOP);
	CHECK_EQ(0, room(&r));
	r.host->base.input_held = true;
	out(&r, UART_SCR, 1);
	CHECK(r.host->base.input_held);
	out(&r, UART_MCR, 0);
	CHECK(!r.host->base.input_held);
	rig_fini(&r);
}

#define PASTE \
	(1u * 1024 * 1024) /* chardev_test.c pastes ten; here each 16 bytes cross two threads */

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

TEST(serial_a_megabyte_pasted_into_stdin_arrive_whole_by_interrupt_alone)
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

TEST(serial_destroy_of_nothing_is_fine)
{
	serial_destroy(NULL);
}
