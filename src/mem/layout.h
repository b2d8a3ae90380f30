/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-physical address map, as in a PC. Every address that two rooms have to agree on is here.
 *
 *   0x0000_0000  RAM: real-mode vectors, BIOS data area, and what we hand the kernel (below)
 *   0x0009_fc00  end of conventional memory
 *   0x000e_0000  "BIOS ROM": ACPI tables, from 0xf0000 the MP table; reserved in the E820 map
 *   0x0010_0000  RAM: the kernel (usually at 16 MiB); the initrd as high as it may go
 *   0xc000_0000  hole of 1 GiB: PCI windows, ECAM, IOAPIC, LAPIC, KVM's own pages
 *   0x1_0000_0000 RAM that did not fit below 3 GiB
 */
#pragma once

#include "base/base.h"

#define PAGE_SIZE 4096ULL

/* Below 1 MiB. */
#define BDA_RESET_FLAG   0x472ULL /* BIOS data area: Linux writes it before a reset */
#define BOOT_GDT         0x500ULL
#define BOOT_PARAMS      0x7000ULL /* Linux: the zero page. PVH: hvm_start_info */
#define BOOT_STACK_TOP   0x8ff0ULL
#define BOOT_PML4        0x9000ULL  /* 1 page */
#define BOOT_PDPT        0xa000ULL  /* 1 page */
#define BOOT_PD          0xb000ULL  /* 4 pages: the first 4 GiB, 2 MiB a piece */
#define BOOT_SETUP_DATA  0x10000ULL /* setup_data list (random seed) */
#define BOOT_CMDLINE     0x20000ULL
#define BOOT_CMDLINE_MAX 0x10000ULL /* bytes, terminating NUL included */
#define LOW_RAM_END      0x9fc00ULL
#define BIOS_START       0xe0000ULL /* RSDP first, then the ACPI tables */
#define MPTABLE_START    0xf0000ULL /* MP floating pointer, then the MP configuration table */
#define BIOS_END         0x100000ULL
#define HIGH_RAM_START   0x100000ULL

/* The hole below 4 GiB. Large BARs go above all RAM, where there is no end of room. */
#define RAM_HOLE_START   0xc0000000ULL
#define PCI_WINDOW_START 0xc0000000ULL
#define PCI_WINDOW_END   0xe0000000ULL
#define PCI_ECAM_BASE    0xe0000000ULL /* 1 MiB: configuration space of bus 0 */
#define PCI_ECAM_END     0xe0100000ULL
#define VIRTIO_MMIO_BASE 0xe8000000ULL /* one page a device */
#define IOAPIC_BASE      0xfec00000ULL
#define LAPIC_BASE       0xfee00000ULL
#define KVM_IDENTITY_MAP 0xfeffc000ULL /* one page; KVM runs real mode through it on old Intel */
#define KVM_TSS          0xfeffd000ULL /* three pages */
#define RAM_HOLE_END     0x100000000ULL

/* I/O ports. */
#define PORT_I8042_DATA 0x60
#define PORT_I8042_CMD  0x64
#define PORT_RTC        0x70 /* index, 0x71 data */
#define PORT_SERIAL0    0x3f8
#define PORT_PVPANIC    0x505
#define PORT_PCI_CONFIG 0xcf8  /* address, 0xcfc to 0xcff data */
#define PORT_PCI_WINDOW 0xc000 /* to 0xffff: I/O BARs; only passed-through devices have any */
#define PORT_ACPI_PM    0x600  /* see dev/acpi_pm.h */

/* Global system interrupts; below 16 they are the ISA IRQs. */
#define GSI_KEYBOARD 1
#define GSI_SERIAL0  4
#define GSI_RTC      8
#define GSI_ACPI_SCI 9
#define GSI_PCI_INTX 16 /* four lines: 16 to 19, level-triggered */
#define GSI_END      24 /* pins of the IOAPIC; message-signalled interrupts come after */

/*
 * Virtio over MMIO: an interrupt each. Those that the PICs know come first, for kernels that were told
 * noapic. The rest of the first 16 belong to the timer, the keyboard, ttyS0, the clock, ACPI and the FPU.
 */
#define VIRTIO_MMIO_MAX 16
#define VIRTIO_MMIO_GSIS                                                    \
	{                                                                   \
		5, 7, 10, 11, 6, 12, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23 \
	}
