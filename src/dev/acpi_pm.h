/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI fixed hardware (ACPI 6.5, chapter 4.8): PM1 event and control blocks, reset register, and
 * the two sleep registers of the hardware-reduced model. All state is guarded by the device's own
 * lock; the lifecycle function is called with it released.
 */
#pragma once

#include "bus/bus.h"
#include "bus/irq.h"
#include "dev/lifecycle.h"

/* Offsets from PORT_ACPI_PM; the FADT (boot/acpi.c) tells the guest, a unit test keeps both alike.
 */
#define ACPI_PM1_EVENT     0x00 /* 2 bytes status, 2 bytes enable */
#define ACPI_PM1_CONTROL   0x04 /* 2 bytes: SCI_EN, SLP_TYP, SLP_EN */
#define ACPI_RESET         0x08 /* 1 byte: ACPI_RESET_VALUE resets */
#define ACPI_SLEEP_CONTROL 0x09 /* 1 byte: SLP_TYP, SLP_EN (hardware-reduced ACPI) */
#define ACPI_SLEEP_STATUS  0x0a /* 1 byte: WAK_STS, never set */
#define ACPI_PM_PORTS      0x10
#define ACPI_RESET_VALUE   0x06
#define ACPI_SLP_TYP_S5    5 /* what \_S5 in the DSDT says */

struct acpi_pm;

extern const struct bus_ops acpi_pm_bus_ops; /* region: PORT_ACPI_PM, width 2 */

/* The irq is not owned and outlives the device. */
int acpi_pm_create(struct acpi_pm **out, const struct irq *sci, struct lifecycle life,
		   struct err *e);
void acpi_pm_destroy(struct acpi_pm *pm);

/*
 * Presses the power button: the guest is asked to shut down. Any thread. True when the guest has
 * enabled the button (its ACPI button driver runs); false when nobody listens and the press only
 * stays pending.
 */
bool acpi_pm_power_button(struct acpi_pm *pm);
