// SPDX-License-Identifier: Apache-2.0
/* Register names: PC16550D data sheet, <linux/serial_reg.h>. Sequences: Linux 6.1,
 * drivers/tty/serial/8250/8250_port.c. */
#include "serial_rig.h"

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

TEST(serial_destroy_of_nothing_is_fine)
{
	serial_destroy(NULL);
}
