/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest is told of the machine's hardware, by ACPI, the MP table and the kernel's command line. */
#pragma once

#include "base/base.h"
#include "mem/layout.h"

/* Which of ACPI's two hardware models the tables describe; docs/acpi.md compares them. */
enum acpi_hardware {
	ACPI_FIXED_HARDWARE,   /* PM1 registers and a system control interrupt, PIC and PIT used */
	ACPI_REDUCED_HARDWARE, /* neither; a sleep register for poweroff. Kernels leave PIC and PIT
				  alone */
};

/* A virtio device over MMIO. */
struct boot_mmio {
	uint64_t base; /* guest-physical; VIRTIO_MMIO_LEN bytes */
	unsigned gsi;  /* edge-triggered */
};

struct boot_hardware {
	unsigned cpus; /* APIC IDs 0 to cpus - 1 */
	enum acpi_hardware acpi;
	bool pci; /* a PCI bus: PCI_ECAM_BASE, PCI_WINDOW_START, interrupts from GSI_PCI_INTX */
	uint64_t window64, window64_last; /* its window above RAM; last < first: none */
	struct boot_mmio mmio[VIRTIO_MMIO_MAX];
	unsigned n_mmio;
};
