/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables: RSDP, XSDT, FADT, FACS, MADT, DSDT (ACPI specification 6.5, chapter 5). The DSDT is
 * written in ACPI source language, in boot/dsdt.asl.
 */
#pragma once

#include "base/err.h"
#include "mem/gmem.h"

/* Which of ACPI's two hardware models the tables describe; docs/acpi.md compares them. */
enum acpi_hardware {
	ACPI_FIXED_HARDWARE,   /* PM1 registers and a system control interrupt, PIC and PIT used */
	ACPI_REDUCED_HARDWARE, /* neither; a sleep register for poweroff. Kernels leave PIC and PIT
				  alone */
};

/*
 * Writes the tables to BIOS_START, the RSDP first, for a machine with `cpus` vCPUs (APIC IDs 0 to
 * cpus - 1), and code that resets the machine to the firmware's entry in the last 16 bytes below 1
 * MiB. -EINVAL for a number of vCPUs that has no APIC IDs, -EFAULT when there is no RAM there.
 */
int acpi_write(struct gmem *m, unsigned cpus, struct err *e);
int acpi_write_for(struct gmem *m, unsigned cpus, enum acpi_hardware hardware, struct err *e);
