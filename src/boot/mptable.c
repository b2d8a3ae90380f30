// SPDX-License-Identifier: Apache-2.0
#include "boot/mptable.h"

#include <errno.h>
#include <string.h>

#include "boot/table.h"

/* Numbers are chapters of the MultiProcessor Specification 1.4. */

struct floating_pointer { /* 4.1 */
	char signature[4];
	uint32_t table;
	uint8_t length; /* in 16 bytes */
	uint8_t revision, checksum;
	uint8_t features[5]; /* the first: 0, there is a table; bit 7 of the second: PIC mode */
} PACKED;

struct config_header { /* 4.2 */
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem_id[8], product_id[12];
	uint32_t oem_table;
	uint16_t oem_table_size, entries;
	uint32_t lapic_address;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
} PACKED;

struct processor { /* 4.3.1 */
	uint8_t type, apic_id, apic_version, flags;
	uint32_t signature, features, reserved[2];
} PACKED;

struct bus { /* 4.3.2 */
	uint8_t type, id;
	char name[6];
} PACKED;

struct ioapic { /* 4.3.3 */
	uint8_t type, id, version, flags;
	uint32_t address;
} PACKED;

struct interrupt { /* 4.3.4 and 4.3.5: to an IOAPIC pin, or to a local APIC's LINT */
	uint8_t type, kind;
	uint16_t flags; /* 0: as the bus has it, which for ISA is edge-triggered, active high */
	uint8_t bus, irq, apic, pin;
} PACKED;

_Static_assert(sizeof(struct floating_pointer) == 16, "MPS 1.4, 4.1");
_Static_assert(sizeof(struct config_header) == 44, "MPS 1.4, 4.2");
_Static_assert(sizeof(struct processor) == 20, "MPS 1.4, 4.3.1");
_Static_assert(sizeof(struct bus) == 8, "MPS 1.4, 4.3.2");
_Static_assert(sizeof(struct ioapic) == 8, "MPS 1.4, 4.3.3");
_Static_assert(sizeof(struct interrupt) == 8, "MPS 1.4, 4.3.4");

enum { ENTRY_PROCESSOR, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum { KIND_INT = 0, KIND_NMI = 1, KIND_EXTINT = 3 };

#define MPS_1_4        4
#define CPU_ENABLED    (1u << 0)
#define CPU_BOOTS      (1u << 1)
#define CPU_SIGNATURE  0x600 /* family 6; kernels ask CPUID itself */
#define CPU_FEATURES   0x301 /* FPU, CMPXCHG8B, APIC: of CPUID.1:EDX all that has a meaning here */
#define LAPIC_VERSION  0x14  /* KVM's */
#define IOAPIC_VERSION 0x11  /* KVM's */
#define IOAPIC_ENABLED (1u << 0)
#define APIC_ALL       0xff
#define PCI_BUS        0 /* a PCI bus has here the number that it has in configuration space (D.1) */
#define PCI_SLOTS      32
#define ISA_BUS        1
#define ISA_IRQS       16

#define TABLE_MAX                                                             \
	(sizeof(struct floating_pointer) + sizeof(struct config_header) +     \
	 TABLE_CPUS_MAX * sizeof(struct processor) + 2 * sizeof(struct bus) + \
	 sizeof(struct ioapic) + (ISA_IRQS + PCI_SLOTS + 2) * sizeof(struct interrupt))

/* The last 16 bytes are the firmware's entry (boot/acpi.c). */
_Static_assert(TABLE_MAX <= BIOS_END - 16 - MPTABLE_START, "the largest table must fit");

/* What is being written: entries follow the header. */
struct writer {
	struct config_header *header;
	uint8_t *to;
};

static void add(struct writer *w, const void *entry, size_t len)
{
	memcpy(w->to, entry, len);
	w->to += len;
	w->header->entries++;
}

static void add_processors(struct writer *w, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		struct processor p = {
			.type = ENTRY_PROCESSOR,
			.apic_id = (uint8_t)i,
			.apic_version = LAPIC_VERSION,
			.flags = CPU_ENABLED | (i == 0 ? CPU_BOOTS : 0),
			.signature = CPU_SIGNATURE,
			.features = CPU_FEATURES,
		};
		add(w, &p, sizeof(p));
	}
}

/*
 * Each ISA interrupt at the IOAPIC pin of its own number, IRQ 0 included, as KVM's default routing
 * has it (a PC's board connects the timer to pin 2).
 */
static void add_isa_interrupts(struct writer *w, uint8_t ioapic_id)
{
	for (uint8_t irq = 0; irq < ISA_IRQS; irq++) {
		struct interrupt i = {ENTRY_IO_INTERRUPT, KIND_INT, 0, ISA_BUS, irq,
				      ioapic_id,          irq};
		add(w, &i, sizeof(i));
	}
}

/* INTA# of each slot; the rest of a source's number says which pin (D.3). As PCI has it: by level. */
static void add_pci_interrupts(struct writer *w, uint8_t ioapic_id)
{
	for (uint8_t slot = 1; slot < PCI_SLOTS; slot++) {
		struct interrupt i = {ENTRY_IO_INTERRUPT,
				      KIND_INT,
				      0,
				      PCI_BUS,
				      (uint8_t)(slot << 2),
				      ioapic_id,
				      (uint8_t)(GSI_PCI_INTX + slot % 4)};
		add(w, &i, sizeof(i));
	}
}

/* Entries come sorted by their type (4.3). */
static void add_interrupts(struct writer *w, const struct boot_hardware *hw)
{
	struct bus pci = {ENTRY_BUS, PCI_BUS, {'P', 'C', 'I', ' ', ' ', ' '}};
	struct bus isa = {ENTRY_BUS, ISA_BUS, {'I', 'S', 'A', ' ', ' ', ' '}};
	uint8_t id = (uint8_t)hw->cpus; /* the first APIC ID that no processor has */
	struct ioapic io = {ENTRY_IOAPIC, id, IOAPIC_VERSION, IOAPIC_ENABLED, IOAPIC_BASE};

	if (hw->pci)
		add(w, &pci, sizeof(pci));
	add(w, &isa, sizeof(isa));
	add(w, &io, sizeof(io));
	add_isa_interrupts(w, id);
	if (hw->pci)
		add_pci_interrupts(w, id);
}

/* LINT 0 of the first processor takes the PICs' output, LINT 1 of all takes NMI: "virtual wire"
 * (3.6.2). */
static void add_local(struct writer *w)
{
	struct interrupt pic = {ENTRY_LOCAL_INTERRUPT, KIND_EXTINT, 0, ISA_BUS, 0, 0, 0};
	struct interrupt nmi = {ENTRY_LOCAL_INTERRUPT, KIND_NMI, 0, ISA_BUS, 0, APIC_ALL, 1};

	add(w, &pic, sizeof(pic));
	add(w, &nmi, sizeof(nmi));
}

int mptable_write(struct gmem *m, const struct boot_hardware *hw, struct err *e)
{
	struct floating_pointer pointer = {
		.signature = {'_', 'M', 'P', '_'},
		.table = MPTABLE_START + sizeof(pointer),
		.length = 1,
		.revision = MPS_1_4,
	};
	struct config_header header = {
		.signature = {'P', 'C', 'M', 'P'},
		.revision = MPS_1_4,
		.oem_id = {'T', 'O', 'Y', 'V', 'M', 'M', ' ', ' '},
		.product_id = {'T', 'O', 'Y', 'V', 'M', 'M', ' ', ' ', ' ', ' ', ' ', ' '},
		.lapic_address = LAPIC_BASE,
	};
	struct writer w = {.header = &header};
	uint8_t *host, *table;

	if (hw->cpus < 1 || hw->cpus > TABLE_CPUS_MAX)
		return err_set(e, EINVAL, "MP table: %u CPUs: 1 to %d have APIC IDs", hw->cpus,
			       TABLE_CPUS_MAX);
	host = gmem_slice(m, MPTABLE_START, TABLE_MAX);
	if (!host)
		return err_set(e, EFAULT, "MP table: no RAM at 0x%llx", MPTABLE_START);

	table = host + sizeof(pointer);
	w.to = table + sizeof(header);
	add_processors(&w, hw->cpus);
	add_interrupts(&w, hw);
	add_local(&w);

	header.length = (uint16_t)(w.to - table);
	memcpy(table, &header, sizeof(header));
	table[offsetof(struct config_header, checksum)] = table_checksum(table, header.length);
	pointer.checksum = table_checksum(&pointer, sizeof(pointer));
	memcpy(host, &pointer, sizeof(pointer));
	return 0;
}
