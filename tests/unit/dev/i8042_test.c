// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <errno.h>
#include <unistd.h>

#include "dev/i8042.h"
#include "mem/layout.h"

#define DATA    PORT_I8042_DATA
#define COMMAND PORT_I8042_CMD

#define FULL    0x01
#define SYSTEM  0x04
#define IS_CMD  0x08
#define UNLOCK  0x10
#define AUX     0x20
#define TIMEOUT 0x40

struct fixture {
	struct bus bus;
	struct irq irq;
	struct i8042 *k;
	unsigned resets, others;
};

static void on_event(void *arg, enum guest_event what)
{
	struct fixture *f = arg;

	if (what == GUEST_RESET)
		f->resets++;
	else
		f->others++;
}

static void start(struct fixture *f)
{
	struct bus_region region = {
		.base = DATA, .last = COMMAND, .width = 1, .name = "i8042", .ops = &i8042_bus_ops};
	struct err e;

	*f = (struct fixture){0};
	bus_init(&f->bus, "ports");
	CHECK_EQ(0, irq_init(&f->irq, &e));
	CHECK_EQ(0, i8042_create(&f->k, &f->irq, (struct lifecycle){on_event, f}, &e));
	region.dev = f->k;
	CHECK_EQ(0, bus_add(&f->bus, region, &e));
}

static void stop(struct fixture *f)
{
	i8042_destroy(f->k);
	irq_fini(&f->irq);
	bus_fini(&f->bus);
}

static uint8_t in(struct fixture *f, uint16_t port)
{
	uint8_t value;

	bus_read(&f->bus, port, &value, 1);
	return value;
}

static void out(struct fixture *f, uint16_t port, uint8_t value)
{
	CHECK(!(in(f, COMMAND) & 2)); /* "input full": a driver would wait */
	bus_write(&f->bus, port, &value, 1);
}

static unsigned edges(struct fixture *f)
{
	uint64_t n = 0;

	return read(f->irq.fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

/* Fails where a driver would run into its timeout. */
static uint8_t take(struct fixture *f)
{
	CHECK(in(f, COMMAND) & FULL);
	return in(f, DATA);
}

static uint8_t ask(struct fixture *f, uint8_t command)
{
	out(f, COMMAND, command);
	return take(f);
}

static void set_ctr(struct fixture *f, uint8_t ctr)
{
	out(f, COMMAND, 0x60);
	out(f, DATA, ctr);
}

/* One byte to the keyboard by interrupt, as libps2 does it: exactly one edge brings the answer. */
static void command_by_irq(struct fixture *f, uint8_t byte, uint8_t answer)
{
	edges(f);
	out(f, DATA, byte);
	CHECK_EQ(1, edges(f));
	CHECK_EQ(answer, take(f));
}

TEST(i8042_starts_as_firmware_leaves_it)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(UNLOCK | SYSTEM, in(&f, COMMAND));
	CHECK_EQ(0x65, ask(&f, 0x20)); /* translation, no mouse, system flag, keyboard interrupt */
	stop(&f);
}

TEST(i8042_tests_itself_and_its_port)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(0x55, ask(&f, 0xaa));
	CHECK_EQ(0x00, ask(&f, 0xab));
	CHECK_EQ(0xf1, ask(&f, 0xa4));
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	stop(&f);
}

TEST(i8042_ram_reads_back)
{
	struct fixture f;

	start(&f);
	for (uint8_t i = 1; i < 32; i++) {
		out(&f, COMMAND, 0x60 + i);
		out(&f, DATA, 0x80 + i);
	}
	for (uint8_t i = 1; i < 32; i++)
		CHECK_EQ(0x80 + i, ask(&f, 0x20 + i));
	stop(&f);
}

TEST(i8042_status_tells_command_from_data)
{
	struct fixture f;

	start(&f);
	out(&f, COMMAND, 0xae);
	CHECK(in(&f, COMMAND) & IS_CMD);
	out(&f, DATA, 0xee);
	CHECK(!(in(&f, COMMAND) & IS_CMD));
	stop(&f);
}

/* i8042_init() to i8042_check_aux() in drivers/input/serio/i8042.c: no poll may find an empty
 * register. */
TEST(linux_finds_a_controller_without_a_mouse_port)
{
	struct fixture f;
	uint8_t ctr;

	start(&f);
	out(&f, COMMAND, 0xd1); /* i8042_platform_init(): A20 on */
	out(&f, DATA, 0xdf);
	out(&f, COMMAND, 0xff);
	CHECK_EQ(0, f.resets);
	CHECK_EQ(0, in(&f, COMMAND) & FULL); /* i8042_controller_check(): nothing to flush */
	ctr = ask(&f, 0x20);
	CHECK_EQ(ctr, ask(&f, 0x20));
	CHECK(in(&f, COMMAND) & UNLOCK);
	set_ctr(&f, (ctr | 0x10) & ~1);
	CHECK_EQ(0, in(&f, COMMAND) & FULL);

	out(&f, COMMAND, 0xd3); /* i8042_check_aux(): a loop through the mouse port */
	out(&f, DATA, 0x5a);
	CHECK_EQ(FULL, in(&f, COMMAND) & (FULL | AUX)); /* at once, and not from the mouse */
	CHECK_EQ(0x01, ask(&f, 0xa9)); /* the byte of the loop was left there: it must be gone */
	set_ctr(&f, ctr | 1);
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	stop(&f);
}

TEST(i8042_mouse_port_cannot_be_enabled)
{
	struct fixture f;

	start(&f);
	out(&f, COMMAND, 0xa8);
	CHECK(ask(&f, 0x20) & 0x20);
	set_ctr(&f, 0x03);
	CHECK_EQ(0x21, ask(&f, 0x20));
	out(&f, COMMAND, 0xd4);
	out(&f, DATA, 0xff);
	CHECK_EQ(FULL | AUX | TIMEOUT, in(&f, COMMAND) & (FULL | AUX | TIMEOUT));
	CHECK_EQ(0xfe, in(&f, DATA));
	stop(&f);
}

/* atkbd_connect() in drivers/input/keyboard/atkbd.c, each answer by interrupt. */
TEST(linux_probes_the_keyboard_without_a_timeout)
{
	struct fixture f;

	start(&f);
	set_ctr(&f, 0x65);
	command_by_irq(&f, 0xff, 0xfa);
	CHECK_EQ(1, edges(&f)); /* each byte that moves up is an edge of its own */
	CHECK_EQ(0xaa, take(&f));
	command_by_irq(&f, 0xf2, 0xfa);
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(0xab, take(&f));
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(0x41, take(&f)); /* 0x83 as the controller translates it */
	command_by_irq(&f, 0xf5, 0xfa);
	command_by_irq(&f, 0xed, 0xfa);
	command_by_irq(&f, 0x00, 0xfa);
	command_by_irq(&f, 0xf3, 0xfa);
	command_by_irq(&f, 0x00, 0xfa);
	command_by_irq(&f, 0xf4, 0xfa);
	CHECK_EQ(0, edges(&f));
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	stop(&f);
}

TEST(keyboard_tells_its_id_untranslated_when_translation_is_off)
{
	struct fixture f;

	start(&f);
	set_ctr(&f, 0x25);
	out(&f, DATA, 0xf2);
	CHECK_EQ(0xfa, take(&f));
	CHECK_EQ(0xab, take(&f));
	CHECK_EQ(0x83, take(&f));
	stop(&f);
}

TEST(keyboard_has_three_scan_code_sets)
{
	struct fixture f;

	start(&f);
	set_ctr(&f, 0x25);
	for (uint8_t set = 1; set <= 3; set++) {
		command_by_irq(&f, 0xf0, 0xfa);
		command_by_irq(&f, set, 0xfa);
		command_by_irq(&f, 0xf0, 0xfa);
		command_by_irq(&f, 0, 0xfa);
		CHECK_EQ(set, take(&f));
	}
	command_by_irq(&f, 0xf0, 0xfa);
	command_by_irq(&f, 4, 0xfe);
	stop(&f);
}

TEST(keyboard_echoes_resends_and_refuses)
{
	struct fixture f;

	start(&f);
	command_by_irq(&f, 0xee, 0xee);
	command_by_irq(&f, 0xfe, 0xee);
	command_by_irq(&f, 0xea, 0xfe); /* ATKBD_CMD_EX_ENABLE: not one of those keyboards */
	command_by_irq(&f, 0x00, 0xfe);
	stop(&f);
}

TEST(keyboard_takes_a_command_in_place_of_an_argument)
{
	struct fixture f;

	start(&f);
	command_by_irq(&f, 0xed, 0xfa);
	command_by_irq(&f, 0xee, 0xee);
	command_by_irq(&f, 0x00, 0xfe); /* the lights are no longer waiting */
	stop(&f);
}

TEST(disabled_keyboard_interface_holds_bytes_back)
{
	struct fixture f;

	start(&f);
	out(&f, DATA, 0xee);
	out(&f, COMMAND, 0xad);
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	edges(&f);
	out(&f, COMMAND, 0xae);
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(0xee, take(&f));
	out(&f, COMMAND, 0xad);
	out(&f, DATA, 0xee); /* sending opens the interface */
	CHECK_EQ(0xee, take(&f));
	stop(&f);
}

TEST(no_interrupt_unless_the_command_byte_has_it)
{
	struct fixture f;

	start(&f);
	set_ctr(&f, 0x64);
	out(&f, DATA, 0xee);
	CHECK_EQ(0, edges(&f));
	set_ctr(&f, 0x65); /* a byte is there already */
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(0xee, take(&f));
	CHECK_EQ(0, edges(&f));
	stop(&f);
}

TEST(controller_reply_goes_before_keyboard_bytes_and_loses_none)
{
	struct fixture f;

	start(&f);
	out(&f, DATA, 0xf2);
	CHECK_EQ(0x55, ask(&f, 0xaa));
	CHECK_EQ(0xfa, take(&f));
	CHECK_EQ(0xab, take(&f));
	CHECK_EQ(0x41, take(&f));
	stop(&f);
}

TEST(keyboard_loopback_comes_from_the_keyboard)
{
	struct fixture f;

	start(&f);
	edges(&f);
	out(&f, COMMAND, 0xd2);
	out(&f, DATA, 0x1e);
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(FULL, in(&f, COMMAND) & (FULL | AUX));
	CHECK_EQ(0x1e, in(&f, DATA));
	stop(&f);
}

/* i8042_flush() calls a controller absent that has more than 16 bytes. */
TEST(i8042_never_buffers_more_than_linux_flushes)
{
	struct fixture f;
	unsigned n = 0;

	start(&f);
	for (unsigned i = 0; i < 1000; i++)
		out(&f, DATA, 0xf2);
	out(&f, COMMAND, 0xaa);
	while (in(&f, COMMAND) & FULL && n < 1000) {
		in(&f, DATA);
		n++;
	}
	CHECK_EQ(I8042_BUFFERED, n);
	command_by_irq(&f, 0xee, 0xee); /* and it works as before */
	stop(&f);
}

TEST(reset_line_pulses_with_every_even_command_from_f0)
{
	struct fixture f;
	unsigned expected = 0;

	start(&f);
	for (unsigned command = 0xf0; command <= 0xff; command++) {
		expected += command % 2 == 0;
		out(&f, COMMAND, (uint8_t)command);
		CHECK_EQ(expected, f.resets);
	}
	stop(&f);
}

TEST(output_port_bit_0_low_resets)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(0xc3, ask(&f, 0xd0));
	out(&f, COMMAND, 0xd1);
	out(&f, DATA, 0xdd); /* A20 off, which is not done, no reset */
	CHECK_EQ(0, f.resets);
	CHECK_EQ(0xc1, ask(&f, 0xd0));
	out(&f, COMMAND, 0xd1);
	out(&f, DATA, 0xfe);
	CHECK_EQ(1, f.resets);
	stop(&f);
}

TEST(no_other_command_ends_the_guest)
{
	struct fixture f;

	start(&f);
	for (unsigned command = 0; command < 0xf0; command++) {
		out(&f, COMMAND, (uint8_t)command);
		out(&f, DATA, 0xff);
	}
	CHECK_EQ(0, f.resets + f.others);
	stop(&f);
}

static void check_keys(struct fixture *f, const uint8_t *keys, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(keys[i], take(f));
	CHECK_EQ(0, in(f, COMMAND) & FULL);
}

TEST(ctrl_alt_del_types_set_1_when_translated)
{
	static const uint8_t keys[] = {0x1d, 0x38, 0xe0, 0x53, 0xe0, 0xd3, 0xb8, 0x9d};
	struct fixture f;

	start(&f);
	CHECK_EQ(0, i8042_ctrl_alt_del(f.k));
	CHECK_EQ(1, edges(&f));
	check_keys(&f, keys, sizeof(keys));
	stop(&f);
}

TEST(ctrl_alt_del_types_set_2_otherwise)
{
	static const uint8_t keys[] = {0x14, 0x11, 0xe0, 0x71, 0xe0, 0xf0,
				       0x71, 0xf0, 0x11, 0xf0, 0x14};
	struct fixture f;

	start(&f);
	set_ctr(&f, 0x25);
	CHECK_EQ(0, i8042_ctrl_alt_del(f.k));
	check_keys(&f, keys, sizeof(keys));
	stop(&f);
}

TEST(ctrl_alt_del_is_sent_whole_or_not_at_all)
{
	struct fixture f;

	start(&f);
	command_by_irq(&f, 0xf5, 0xfa); /* keys off */
	CHECK_EQ(-EAGAIN, i8042_ctrl_alt_del(f.k));
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	command_by_irq(&f, 0xf4, 0xfa);
	CHECK_EQ(0, i8042_ctrl_alt_del(f.k));
	CHECK_EQ(-EAGAIN, i8042_ctrl_alt_del(f.k)); /* 8 of 15 places taken */
	for (unsigned i = 0; i < 8; i++)
		take(&f);
	CHECK_EQ(0, in(&f, COMMAND) & FULL);
	out(&f, COMMAND, 0xad);
	CHECK_EQ(-EAGAIN, i8042_ctrl_alt_del(f.k));
	stop(&f);
}
