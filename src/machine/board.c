// SPDX-License-Identifier: Apache-2.0
#include "machine/board.h"

#include "base/log.h"
#include "dev/acpi_pm.h"
#include "dev/i8042.h"
#include "dev/pvpanic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "machine/passthru_board.h"
#include "machine/virtio_board.h"

/* Called by devices on vCPU threads: what the guest asked for becomes the machine's outcome. */
static void on_guest_event(void *arg, enum guest_event what)
{
	struct machine *m = arg;

	switch (what) {
	case GUEST_POWEROFF:
		machine_stop(m, OUTCOME_ENDED);
		break;
	case GUEST_RESET:
		machine_guest_reset(m);
		break;
	case GUEST_PANIC:
		atomic_store(&m->panicked, true);
		doctor_expect_end(&m->doctor);
		break;
	}
}

static void on_quit_key(void *arg)
{
	machine_stop(arg, OUTCOME_ENDED);
}

static int open_serial_end(struct machine *m, struct err *e)
{
	struct chardev **out = &m->board.console;

	switch (m->config->serial.kind) {
	case SERIAL_STDIO:
		return chardev_open_stdio(out, &m->loop, on_quit_key, m, e);
	case SERIAL_PTY:
		return chardev_open_pty(out, &m->loop, "serial", e);
	case SERIAL_FILE:
		return chardev_open_file(out, &m->loop, m->config->serial.path, e);
	case SERIAL_SOCKET:
		return chardev_open_socket(out, &m->loop, m->config->serial.path, e);
	case SERIAL_NONE:
		return chardev_open_none(out, &m->loop, e);
	}
	return 0;
}

static int open_console(struct machine *m, struct err *e)
{
	int rc = open_serial_end(m, e);

	return rc < 0 ? err_wrap(e, rc, "serial: ") : 0;
}

static int create_serial(struct machine *m, struct err *e)
{
	struct board *b = &m->board;
	int rc = serial_create(&b->serial0, &b->irq_serial0, b->console, e);

	if (rc == 0)
		serial_set_tap(b->serial0, doctor_see, &m->doctor.ear[DOCTOR_SERIAL]);
	return rc;
}

static int create_i8042(struct machine *m, struct err *e)
{
	struct lifecycle life = {on_guest_event, m};

	return i8042_create(&m->board.i8042, &m->board.irq_keyboard, life, e);
}

static int create_rtc(struct machine *m, struct err *e)
{
	return rtc_create(&m->board.rtc, &m->board.irq_rtc, &m->loop, e);
}

static int create_acpi_pm(struct machine *m, struct err *e)
{
	struct lifecycle life = {on_guest_event, m};

	return acpi_pm_create(&m->board.acpi_pm, &m->board.irq_sci, life, e);
}

static int create_pvpanic(struct machine *m, struct err *e)
{
	struct lifecycle life = {on_guest_event, m};

	return pvpanic_create(&m->board.pvpanic, life, e);
}

static int connect_irqs(struct machine *m, struct err *e)
{
	struct {
		struct irq *irq;
		unsigned gsi;
	} line[] = {
		{&m->board.irq_keyboard, GSI_KEYBOARD},
		{&m->board.irq_serial0, GSI_SERIAL0},
		{&m->board.irq_rtc, GSI_RTC},
		{&m->board.irq_sci, GSI_ACPI_SCI},
	};
	int rc;

	for (unsigned i = 0; i < ARRAY_SIZE(line); i++)
		if ((rc = irq_init(line[i].irq, e)) < 0 ||
		    (rc = kvm_connect_irq(&m->kvm, line[i].irq->fd, line[i].gsi, e)) < 0)
			return rc;
	return 0;
}

static int place_devices(struct machine *m, struct err *e)
{
	const struct board *b = &m->board;
	const struct bus_region place[] = {
		{.name = "i8042",
		 .base = PORT_I8042_DATA,
		 .last = PORT_I8042_CMD,
		 .width = 1,
		 .ops = &i8042_bus_ops,
		 .dev = b->i8042},
		{.name = "rtc",
		 .base = PORT_RTC,
		 .last = PORT_RTC + 1,
		 .width = 1,
		 .ops = &rtc_bus_ops,
		 .dev = b->rtc},
		{.name = "serial0",
		 .base = PORT_SERIAL0,
		 .last = PORT_SERIAL0 + SERIAL_PORTS - 1,
		 .width = 1,
		 .ops = &serial_bus_ops,
		 .dev = b->serial0},
		{.name = "pvpanic",
		 .base = PORT_PVPANIC,
		 .last = PORT_PVPANIC,
		 .width = 1,
		 .ops = &pvpanic_bus_ops,
		 .dev = b->pvpanic},
		{.name = "acpi-pm",
		 .base = PORT_ACPI_PM,
		 .last = PORT_ACPI_PM + ACPI_PM_PORTS - 1,
		 .width = 2,
		 .ops = &acpi_pm_bus_ops,
		 .dev = b->acpi_pm},
	};
	int rc;

	for (unsigned i = 0; i < ARRAY_SIZE(place); i++)
		if ((rc = bus_add(&m->pio, place[i], e)) < 0)
			return rc;
	return 0;
}

int board_create(struct machine *m, struct err *e)
{
	static int (*const create[])(struct machine * m, struct err * e) = {
		connect_irqs,        open_console,          create_serial,  create_i8042,
		create_rtc,          create_acpi_pm,        create_pvpanic, place_devices,
		virtio_board_create, passthru_board_create,
	};
	int rc;

	for (unsigned i = 0; i < ARRAY_SIZE(create); i++)
		if ((rc = create[i](m, e)) < 0)
			return rc;
	return 0;
}

static void report_losses(const struct board *b)
{
	uint64_t n = b->console ? chardev_dropped(b->console) : 0;

	if (n > 0)
		log_warn("serial: %llu bytes of output were lost: nobody read them",
			 (unsigned long long)n);
}

void board_destroy(struct machine *m)
{
	struct board *b = &m->board;

	passthru_board_destroy(m);
	virtio_board_destroy(m);
	pvpanic_destroy(b->pvpanic);
	acpi_pm_destroy(b->acpi_pm);
	rtc_destroy(b->rtc);
	i8042_destroy(b->i8042);
	serial_destroy(b->serial0);
	report_losses(b);
	chardev_destroy(b->console);
	irq_fini(&b->irq_sci);
	irq_fini(&b->irq_rtc);
	irq_fini(&b->irq_serial0);
	irq_fini(&b->irq_keyboard);
}
