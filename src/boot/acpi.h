/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables: RSDP, XSDT, FADT, FACS, MADT, DSDT (ACPI specification 6.5, chapter 5), and for what a machine
 * may have or not, MCFG (PCI Firmware Specification 3.0, 4.1.2) and SSDTs. DSDT and SSDTs are written in ACPI
 * source language: boot/dsdt.asl, boot/pci.asl, boot/mmio.asl.
 */
#pragma once

#include "base/err.h"
#include "boot/hardware.h"
#include "mem/gmem.h"

/*
 * Writes the tables to BIOS_START, the RSDP first, and code that resets the machine to the firmware's entry in
 * the last 16 bytes below 1 MiB. -EINVAL for a number of vCPUs that has no APIC IDs, -EFAULT when there is no
 * RAM there.
 */
int acpi_write(struct gmem *m, const struct boot_hardware *hw, struct err *e);
