// SPDX-License-Identifier: Apache-2.0
#include "dev/acpi_pm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/log.h"

/* PM1 status and enable (ACPI 6.5, 4.8.3.1): a set bit in both raises the SCI. */
#define PM1_TIMER    (1u << 0)
#define PM1_GLOBAL   (1u << 5)
#define PM1_POWERBTN (1u << 8)
#define PM1_SLEEPBTN (1u << 9)
#define PM1_RTC      (1u << 10)
/*
 * Only the power button ever happens. The other enable bits can be set all the same, for ACPICA
 * reads each back after setting it and complains about "no hardware response" where it did not
 * stick.
 */
#define PM1_ENABLE_BITS (PM1_TIMER | PM1_GLOBAL | PM1_POWERBTN | PM1_SLEEPBTN | PM1_RTC)

/* PM1 control (4.8.3.2). */
#define CTL_SCI_EN        (1u << 0)
#define CTL_BM_RLD        (1u << 1)
#define CTL_SLP_TYP       (7u << 10)
#define CTL_SLP_TYP_SHIFT 10
#define CTL_SLP_EN        (1u << 13)

/* Sleep control register (4.8.3.7). */
#define SLEEP_TYP_SHIFT 2
#define SLEEP_EN        (1u << 5)

struct acpi_pm {
	pthread_mutex_t
		lock; /* taken last; guards all below but irq and life, which never change */
	const struct irq *sci;
	struct lifecycle life;
	uint16_t status, enable, control;
	bool sci_line; /* status & enable, as of the last update */
	struct log_limit log;
};

/* What a write asks for; done after the lock is released. */
enum request { REQUEST_NONE, REQUEST_POWEROFF, REQUEST_RESET };

static void update_sci(struct acpi_pm *pm)
{
	bool line = (pm->status & pm->enable) != 0;

	if (line && !pm->sci_line)
		irq_raise(pm->sci);
	pm->sci_line = line;
}

static enum request sleep_request(struct acpi_pm *pm, unsigned type)
{
	if (type == ACPI_SLP_TYP_S5)
		return REQUEST_POWEROFF;
	log_limited(&pm->log, "guest asked for ACPI sleep type %u, which is not offered", type);
	return REQUEST_NONE;
}

/* A 16-bit register at an even offset of the PM1 blocks. */
static uint16_t pm1_register(const struct acpi_pm *pm, uint64_t off)
{
	switch (off) {
	case ACPI_PM1_EVENT:
		return pm->status;
	case ACPI_PM1_EVENT + 2:
		return pm->enable;
	case ACPI_PM1_CONTROL:
		return pm->control;
	default:
		return 0;
	}
}

static void acpi_pm_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct acpi_pm *pm = dev;
	uint8_t *to = data;

	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < len; i++, off++)
		to[i] = (uint8_t)(pm1_register(pm, off & ~1ULL) >> (off & 1 ? 8 : 0));
	pthread_mutex_unlock(&pm->lock);
}

/*
 * Registers are written by the byte: a guest may use any width, and the bits that act
 * (write-1-to-clear, SLP_TYP with SLP_EN) never span two bytes.
 */
static enum request write_byte(struct acpi_pm *pm, uint64_t off, uint8_t value)
{
	unsigned shift = off & 1 ? 8 : 0;
	uint16_t mask = (uint16_t)(0xffu << shift), bits = (uint16_t)(value << shift);

	switch (off) {
	case ACPI_PM1_EVENT:
	case ACPI_PM1_EVENT + 1:
		pm->status &= (uint16_t)~bits;
		return REQUEST_NONE;
	case ACPI_PM1_EVENT + 2:
	case ACPI_PM1_EVENT + 3:
		pm->enable = (pm->enable & (uint16_t)~mask) | (bits & PM1_ENABLE_BITS);
		return REQUEST_NONE;
	case ACPI_PM1_CONTROL:
	case ACPI_PM1_CONTROL + 1:
		pm->control = (pm->control & (uint16_t)~mask) | (bits & (CTL_BM_RLD | CTL_SLP_TYP));
		pm->control |= CTL_SCI_EN; /* there is no legacy mode to go back to */
		return bits & CTL_SLP_EN
			       ? sleep_request(pm, (bits & CTL_SLP_TYP) >> CTL_SLP_TYP_SHIFT)
			       : REQUEST_NONE;
	case ACPI_RESET:
		return value == ACPI_RESET_VALUE ? REQUEST_RESET : REQUEST_NONE;
	case ACPI_SLEEP_CONTROL:
		return value & SLEEP_EN ? sleep_request(pm, value >> SLEEP_TYP_SHIFT & 7)
					: REQUEST_NONE;
	default:
		return REQUEST_NONE;
	}
}

static void acpi_pm_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct acpi_pm *pm = dev;
	const uint8_t *from = data;
	enum request request = REQUEST_NONE;

	pthread_mutex_lock(&pm->lock);
	for (unsigned i = 0; i < len; i++) {
		enum request r = write_byte(pm, off + i, from[i]);
		if (r != REQUEST_NONE)
			request = r;
	}
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);

	if (request == REQUEST_POWEROFF)
		pm->life.event(pm->life.arg, GUEST_POWEROFF);
	else if (request == REQUEST_RESET)
		pm->life.event(pm->life.arg, GUEST_RESET);
}

const struct bus_ops acpi_pm_bus_ops = {.read = acpi_pm_read, .write = acpi_pm_write};

bool acpi_pm_power_button(struct acpi_pm *pm)
{
	bool heard;

	pthread_mutex_lock(&pm->lock);
	pm->status |= PM1_POWERBTN;
	heard = (pm->enable & PM1_POWERBTN) != 0;
	update_sci(pm);
	pthread_mutex_unlock(&pm->lock);
	return heard;
}

int acpi_pm_create(struct acpi_pm **out, const struct irq *sci, struct lifecycle life,
		   struct err *e)
{
	struct acpi_pm *pm = calloc(1, sizeof(*pm));

	if (!pm)
		return err_set(e, ENOMEM, "ACPI registers: out of memory");
	pthread_mutex_init(&pm->lock, NULL);
	pm->sci = sci;
	pm->life = life;
	pm->control = CTL_SCI_EN;
	*out = pm;
	return 0;
}

void acpi_pm_destroy(struct acpi_pm *pm)
{
	if (!pm)
		return;
	pthread_mutex_destroy(&pm->lock);
	free(pm);
}
