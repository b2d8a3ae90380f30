// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that writes and reads the ports of the keyboard controller, the CMOS clock, the ACPI
 * registers and pvpanic in any order and width, while time passes or jumps. Nothing may crash or
 * grow, and afterwards each device must still do its work. Four bytes of input are one step: what:
 * bits 0-1 device, bit 2 write, bits 3-4 log2 of the width, bits 5-7 other steps; offset; value (2)
 */
#include <stdlib.h>

#include "base/log.h"
#include "dev/acpi_pm.h"
#include "dev/i8042.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "mem/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct platform {
	struct bus bus;
	struct loop loop;
	struct i8042 *i8042;
	struct rtc *rtc;
	struct acpi_pm *pm;
	struct pvpanic *pvpanic;
	int64_t now_us;
	unsigned events;
};

static const struct irq no_irq = {.fd = -1};

static void require(bool what)
{
	if (!what)
		abort();
}

static void on_event(void *arg, enum guest_event what)
{
	struct platform *p = arg;

	require(what <= GUEST_PANIC);
	p->events++;
}

static int64_t now_us(void *arg)
{
	return ((struct platform *)arg)->now_us;
}

static void start(struct platform *p)
{
	struct lifecycle life = {on_event, p};
	struct err e;

	*p = (struct platform){.now_us = 1700000000000000LL};
	bus_init(&p->bus, "ports");
	require(loop_init(&p->loop, &e) == 0);
	require(i8042_create(&p->i8042, &no_irq, life, &e) == 0);
	require(rtc_create(&p->rtc, &no_irq, &p->loop, &e) == 0);
	require(acpi_pm_create(&p->pm, &no_irq, life, &e) == 0);
	require(pvpanic_create(&p->pvpanic, life, &e) == 0);
	rtc_set_clock(p->rtc, now_us, p);

	struct bus_region regions[] = {
		{PORT_I8042_DATA, PORT_I8042_CMD, "i8042", &i8042_bus_ops, p->i8042, 1},
		{PORT_RTC, PORT_RTC + 1, "rtc", &rtc_bus_ops, p->rtc, 1},
		{PORT_PVPANIC, PORT_PVPANIC, "pvpanic", &pvpanic_bus_ops, p->pvpanic, 1},
		{PORT_ACPI_PM, PORT_ACPI_PM + ACPI_PM_PORTS - 1, "acpi", &acpi_pm_bus_ops, p->pm,
		 2},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(regions); i++)
		require(bus_add(&p->bus, regions[i], &e) == 0);
}

static void stop(struct platform *p)
{
	rtc_destroy(p->rtc);
	i8042_destroy(p->i8042);
	acpi_pm_destroy(p->pm);
	pvpanic_destroy(p->pvpanic);
	loop_fini(&p->loop);
	bus_fini(&p->bus);
}

static uint8_t in(struct platform *p, uint16_t port)
{
	uint8_t value;

	bus_read(&p->bus, port, &value, 1);
	return value;
}

static void out(struct platform *p, uint16_t port, uint8_t value)
{
	bus_write(&p->bus, port, &value, 1);
}

static void serve_timer(struct platform *p)
{
	struct epoll_event ev;

	if (epoll_wait(p->loop.epoll_fd, &ev, 1, 0) == 1) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
	}
}

static void step(struct platform *p, const uint8_t in4[4])
{
	static const uint16_t base[] = {PORT_I8042_DATA, PORT_RTC, PORT_ACPI_PM, PORT_PVPANIC};
	uint16_t port = (uint16_t)(base[in4[0] & 3] + in4[1] % 16),
		 value = (uint16_t)(in4[2] | in4[3] << 8);
	uint64_t wide = value * 0x0001000100010001ULL;
	unsigned len = 1u << (in4[0] >> 3 & 3);

	switch (in4[0] >> 5) {
	case 1:
		p->now_us += value;
		break;
	case 2:
		p->now_us += (int16_t)value * 100000000LL; /* a host's clock may be set, too */
		break;
	case 3:
		serve_timer(p);
		break;
	case 4:
		i8042_ctrl_alt_del(p->i8042);
		break;
	case 5:
		acpi_pm_power_button(p->pm);
		break;
	case 6: /* one clock register, the way a guest does it */
		out(p, PORT_RTC, in4[1]);
		if (in4[0] & 4)
			out(p, PORT_RTC + 1, in4[2]);
		else
			in(p, PORT_RTC + 1);
		break;
	default:
		if (in4[0] & 4)
			bus_write(&p->bus, port, &wide, len);
		else
			bus_read(&p->bus, port, &wide, len);
		break;
	}
}

static void check_i8042(struct platform *p)
{
	unsigned n = 0;

	out(p, PORT_I8042_CMD, 0xae);
	while (in(p, PORT_I8042_CMD) & 1) {
		require(++n <= I8042_BUFFERED);
		in(p, PORT_I8042_DATA);
	}
	out(p, PORT_I8042_CMD, 0xaa);
	require((in(p, PORT_I8042_CMD) & 1) && in(p, PORT_I8042_DATA) == 0x55);
	out(p, PORT_I8042_DATA, 0xee);
	require((in(p, PORT_I8042_CMD) & 1) && in(p, PORT_I8042_DATA) == 0xee);
}

static void check_rtc(struct platform *p)
{
	static const uint8_t set[][2] = {{0x0a, 0x26}, {0x0b, 0x86}, {0x32, 20}, {9, 24},
					 {8, 2},       {7, 29},      {4, 23},    {2, 59},
					 {0, 59},      {0x0b, 0x06}};

	for (unsigned i = 0; i < ARRAY_SIZE(set); i++) {
		out(p, PORT_RTC, set[i][0]);
		out(p, PORT_RTC + 1, set[i][1]);
	}
	p->now_us += 500000;
	out(p, PORT_RTC, 8);
	require(in(p, PORT_RTC + 1) == 3); /* 29 February 2024 is over */
	out(p, PORT_RTC, 0x0d);
	require(in(p, PORT_RTC + 1) == 0x80);
}

static void check_acpi(struct platform *p)
{
	uint16_t control, poweroff = 5 << 10 | 1 << 13;
	unsigned events = p->events;

	bus_read(&p->bus, PORT_ACPI_PM + ACPI_PM1_CONTROL, &control, 2);
	require(control & 1);
	bus_write(&p->bus, PORT_ACPI_PM + ACPI_PM1_CONTROL, &poweroff, 2);
	require(p->events == events + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct platform p;

	log_level = LOG_ERROR;
	start(&p);
	for (size_t at = 0; at + 4 <= size; at += 4)
		step(&p, data + at);
	check_i8042(&p);
	check_rtc(&p);
	check_acpi(&p);
	stop(&p);
	return 0;
}
