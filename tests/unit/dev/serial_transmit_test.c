// SPDX-License-Identifier: Apache-2.0
#include "serial_rig.h"

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
	run(&r, 300 + 800);
	CHECK_EQ(1, edges(&r));
	CHECK_EQ(UART_IIR_THRI, in(&r, UART_IIR));
	rig_fini(&r);
}
