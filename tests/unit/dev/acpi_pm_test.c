// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <unistd.h>

#include "base/log.h"
#include "dev/acpi_pm.h"
#include "mem/layout.h"

#define STATUS  (PORT_ACPI_PM + ACPI_PM1_EVENT)
#define ENABLE  (PORT_ACPI_PM + ACPI_PM1_EVENT + 2)
#define CONTROL (PORT_ACPI_PM + ACPI_PM1_CONTROL)
#define RESET   (PORT_ACPI_PM + ACPI_RESET)
#define SLEEP   (PORT_ACPI_PM + ACPI_SLEEP_CONTROL)

#define POWER_BUTTON 0x100
#define SCI_EN       0x1
#define SLP_EN       0x2000
#define SLP_TYP(n)   ((n) << 10)

struct fixture {
	struct bus bus;
	struct irq sci;
	struct acpi_pm *pm;
	unsigned events[3];
};

static void on_event(void *arg, enum guest_event what)
{
	struct fixture *f = arg;

	f->events[what]++;
}

static void start(struct fixture *f)
{
	struct bus_region region = {.base = PORT_ACPI_PM,
				    .last = PORT_ACPI_PM + ACPI_PM_PORTS - 1,
				    .width = 2,
				    .name = "acpi",
				    .ops = &acpi_pm_bus_ops};
	struct err e;

	*f = (struct fixture){0};
	bus_init(&f->bus, "ports");
	CHECK_EQ(0, irq_init(&f->sci, &e));
	CHECK_EQ(0, acpi_pm_create(&f->pm, &f->sci, (struct lifecycle){on_event, f}, &e));
	region.dev = f->pm;
	CHECK_EQ(0, bus_add(&f->bus, region, &e));
}

static void stop(struct fixture *f)
{
	acpi_pm_destroy(f->pm);
	irq_fini(&f->sci);
	bus_fini(&f->bus);
}

static unsigned in(struct fixture *f, uint64_t port, unsigned len)
{
	uint32_t value = 0;

	bus_read(&f->bus, port, &value, len);
	return value;
}

static void out(struct fixture *f, uint64_t port, uint32_t value, unsigned len)
{
	bus_write(&f->bus, port, &value, len);
}

/* Edges since the last call. */
static unsigned edges(struct fixture *f)
{
	uint64_t n = 0;

	return read(f->sci.fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

TEST(sci_enable_always_reads_one)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(SCI_EN, in(&f, CONTROL, 2));
	out(&f, CONTROL, 0, 2);
	CHECK_EQ(SCI_EN, in(&f, CONTROL, 2));
	out(&f, CONTROL, 0, 1);
	CHECK_EQ(SCI_EN, in(&f, CONTROL, 1));
	stop(&f);
}

TEST(sleep_type_5_with_sleep_enable_powers_off)
{
	struct fixture f;

	start(&f);
	out(&f, CONTROL, SCI_EN | SLP_TYP(5), 2); /* ACPICA writes twice: the type, then both */
	CHECK_EQ(0, f.events[GUEST_POWEROFF]);
	CHECK_EQ(SCI_EN | SLP_TYP(5), in(&f, CONTROL, 2));
	out(&f, CONTROL, SCI_EN | SLP_TYP(5) | SLP_EN, 2);
	CHECK_EQ(1, f.events[GUEST_POWEROFF]);
	CHECK_EQ(SCI_EN | SLP_TYP(5), in(&f, CONTROL, 2)); /* SLP_EN reads zero */
	stop(&f);
}

TEST(sleep_enable_works_as_a_byte_and_as_a_doubleword)
{
	struct fixture f;

	start(&f);
	out(&f, CONTROL + 1, (SLP_TYP(5) | SLP_EN) >> 8, 1);
	CHECK_EQ(1, f.events[GUEST_POWEROFF]);
	out(&f, CONTROL, SLP_TYP(5) | SLP_EN, 4);
	CHECK_EQ(2, f.events[GUEST_POWEROFF]);
	stop(&f);
}

TEST(other_sleep_types_do_nothing)
{
	struct fixture f;
	enum log_level level = log_level;

	start(&f);
	log_level = LOG_ERROR; /* it would tell the user */
	for (unsigned type = 0; type < 8; type++)
		if (type != ACPI_SLP_TYP_S5)
			out(&f, CONTROL, SLP_TYP(type) | SLP_EN, 2);
	log_level = level;
	CHECK_EQ(0, f.events[GUEST_POWEROFF] + f.events[GUEST_RESET] + f.events[GUEST_PANIC]);
	stop(&f);
}

TEST(sleep_control_register_of_reduced_hardware_powers_off)
{
	struct fixture f;

	start(&f);
	out(&f, SLEEP, 5 << 2, 1);
	CHECK_EQ(0, f.events[GUEST_POWEROFF]);
	out(&f, SLEEP, 5 << 2 | 1 << 5, 1);
	CHECK_EQ(1, f.events[GUEST_POWEROFF]);
	CHECK_EQ(0, in(&f, PORT_ACPI_PM + ACPI_SLEEP_STATUS, 1));
	stop(&f);
}

TEST(reset_register_takes_its_value_only)
{
	struct fixture f;

	start(&f);
	for (unsigned value = 0; value < 256; value++)
		out(&f, RESET, value, 1);
	CHECK_EQ(1, f.events[GUEST_RESET]);
	out(&f, RESET, ACPI_RESET_VALUE, 1);
	CHECK_EQ(2, f.events[GUEST_RESET]);
	stop(&f);
}

TEST(enable_bits_of_fixed_events_stick_and_others_do_not)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(0, in(&f, ENABLE, 2));
	out(&f, ENABLE, 0xffff, 2);
	CHECK_EQ(0x0721, in(&f, ENABLE, 2)); /* timer, global lock, both buttons, clock */
	out(&f, ENABLE + 1, 0, 1);
	CHECK_EQ(0x0021, in(&f, ENABLE, 2)); /* a byte leaves the other byte alone */
	CHECK_EQ(0x00210000, in(&f, STATUS, 4));
	stop(&f);
}

TEST(power_button_sets_status_and_interrupts_when_enabled)
{
	struct fixture f;

	start(&f);
	out(&f, ENABLE, POWER_BUTTON, 2);
	CHECK_EQ(0, edges(&f));
	CHECK(acpi_pm_power_button(f.pm));
	CHECK_EQ(1, edges(&f));
	CHECK_EQ(POWER_BUTTON, in(&f, STATUS, 2));
	out(&f, STATUS, POWER_BUTTON, 2);
	CHECK_EQ(0, in(&f, STATUS, 2));
	CHECK(acpi_pm_power_button(f.pm));
	CHECK_EQ(1, edges(&f));
	stop(&f);
}

TEST(sci_is_one_edge_until_the_status_is_cleared)
{
	struct fixture f;

	start(&f);
	out(&f, ENABLE, POWER_BUTTON, 2);
	acpi_pm_power_button(f.pm);
	CHECK_EQ(1, edges(&f));
	out(&f, ENABLE, POWER_BUTTON, 2);
	acpi_pm_power_button(f.pm);
	CHECK_EQ(0, edges(&f));
	out(&f, ENABLE, 0, 2);
	out(&f, ENABLE, POWER_BUTTON, 2);
	CHECK_EQ(1, edges(&f)); /* enabled anew with the status still set */
	stop(&f);
}

TEST(power_button_nobody_listens_to_waits_without_an_interrupt)
{
	struct fixture f;

	start(&f);
	CHECK(!acpi_pm_power_button(f.pm));
	CHECK_EQ(0, edges(&f));
	CHECK_EQ(POWER_BUTTON, in(&f, STATUS, 2));
	out(&f, ENABLE, POWER_BUTTON, 2); /* the driver comes late */
	CHECK_EQ(1, edges(&f));
	stop(&f);
}

TEST(status_is_cleared_by_ones_only)
{
	struct fixture f;

	start(&f);
	acpi_pm_power_button(f.pm);
	out(&f, STATUS, 0, 2);
	out(&f, STATUS, (uint32_t)~POWER_BUTTON & 0xffff, 2);
	out(&f, STATUS, 0xff, 1);
	CHECK_EQ(POWER_BUTTON, in(&f, STATUS, 2));
	CHECK_EQ(POWER_BUTTON >> 8, in(&f, STATUS + 1, 1));
	out(&f, STATUS + 1, POWER_BUTTON >> 8, 1);
	CHECK_EQ(0, in(&f, STATUS, 2));
	stop(&f);
}

TEST(ports_without_a_register_read_zero_and_ignore_writes)
{
	struct fixture f;

	start(&f);
	for (unsigned port = 6; port < ACPI_PM_PORTS; port++) {
		if (port < ACPI_RESET || port > ACPI_SLEEP_CONTROL)
			out(&f, PORT_ACPI_PM + port, 0xff, 1);
		CHECK_EQ(0, in(&f, PORT_ACPI_PM + port, 1));
	}
	CHECK_EQ(0, f.events[GUEST_POWEROFF] + f.events[GUEST_RESET]);
	stop(&f);
}
