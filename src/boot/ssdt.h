/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of ACPI that describe devices which a machine may have or not: boot/pci.asl, boot/mmio.asl. */
#pragma once

#include "boot/hardware.h"
#include "boot/table.h"

#define SSDT_MAX 4096 /* bytes of the largest */

/* Each fills `to` and returns it as a table, complete but for its checksum. */
struct acpi_header *ssdt_pci(uint8_t to[SSDT_MAX], const struct boot_hardware *hw);
struct acpi_header *ssdt_mmio(uint8_t to[SSDT_MAX], const struct boot_hardware *hw);
