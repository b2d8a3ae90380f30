/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MP table (Intel MultiProcessor Specification 1.4, chapter 4): how a kernel without ACPI, or
 * told to leave it alone (acpi=off), finds the processors and the IOAPIC.
 */
#pragma once

#include "base/err.h"
#include "boot/hardware.h"
#include "mem/gmem.h"

/*
 * Writes the floating pointer and the table to MPTABLE_START, with the interrupt lines of
 * ISA and, where there is a PCI bus, of its slots. -EINVAL for a number of vCPUs that has no APIC IDs,
 * -EFAULT when there is no RAM there.
 */
int mptable_write(struct gmem *m, const struct boot_hardware *hw, struct err *e);
