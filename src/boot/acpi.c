// SPDX-License-Identifier: Apache-2.0
#include "boot/acpi.h"

#include <errno.h>
#include <string.h>

#include "boot/dsdt.h" /* dsdt_aml_code: boot/dsdt.asl, compiled by iasl */
#include "boot/ssdt.h"
#include "boot/table.h"

/* Tables, little-endian as x86 is. Chapter numbers are those of the ACPI specification 6.5. */

struct rsdp { /* 5.2.5.3 */
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} PACKED;

struct address {       /* 5.2.3.2, "generic address structure" */
	uint8_t space; /* 1: I/O ports */
	uint8_t bits, bit_offset;
	uint8_t access; /* 1: byte, 2: word */
	uint64_t address;
} PACKED;

#define TABLES_MAX 5 /* FADT, MADT, MCFG and two SSDTs */

struct xsdt { /* 5.2.8 */
	struct acpi_header h;
	uint64_t table[TABLES_MAX];
} PACKED;

struct mcfg { /* PCI Firmware Specification 3.0, 4.1.2; one allocation */
	struct acpi_header h;
	uint64_t reserved0;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
} PACKED;

struct facs { /* 5.2.10; no header, no checksum */
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t waking_vector64;
	uint8_t version, reserved[31];
} PACKED;

struct fadt { /* 5.2.9 */
	struct acpi_header h;
	uint32_t facs, dsdt;
	uint8_t reserved0, profile;
	uint16_t sci_irq;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios_request, pstate_control;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0,
		gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len, gpe0_len, gpe1_len;
	uint8_t gpe1_base, cst_control;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved1;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_boot_flags;
	uint8_t minor_revision;
	uint64_t x_facs, x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control;
	struct address x_pm_timer, x_gpe0, x_gpe1, sleep_control, sleep_status;
	char hypervisor_id[8];
} PACKED;

struct madt { /* 5.2.12; entries follow */
	struct acpi_header h;
	uint32_t lapic_address, flags;
} PACKED;

struct madt_lapic { /* 5.2.12.2 */
	uint8_t type, length, processor_uid, apic_id;
	uint32_t flags;
} PACKED;

struct madt_ioapic { /* 5.2.12.3 */
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} PACKED;

struct madt_override { /* 5.2.12.5 */
	uint8_t type, length, bus, irq;
	uint32_t gsi;
	uint16_t flags;
} PACKED;

struct madt_lapic_nmi { /* 5.2.12.7 */
	uint8_t type, length, processor_uid;
	uint16_t flags;
	uint8_t lint;
} PACKED;

_Static_assert(sizeof(struct rsdp) == 36, "ACPI 6.5, 5.2.5.3");
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5, 5.2.6");
_Static_assert(sizeof(struct facs) == 64, "ACPI 6.5, 5.2.10");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 6.5, 5.2.9");
_Static_assert(sizeof(struct madt) == 44, "ACPI 6.5, 5.2.12");
_Static_assert(sizeof(struct mcfg) == 60, "PCI Firmware 3.0, 4.1.2");

/* FADT fixed feature flags (5.2.9) and IA-PC boot architecture flags (5.2.9.3). */
#define FADT_WBINVD          (1u << 0)
#define FADT_C1              (1u << 2) /* HLT works */
#define FADT_NO_SLEEP_BUTTON (1u << 5) /* the power button's bit 4 stays 0: it is in PM1 */
#define FADT_RTC_NOT_IN_PM1  (1u << 6)
#define FADT_RESET_REGISTER  (1u << 10)
#define FADT_HW_REDUCED      (1u << 20)

#define BOOT_LEGACY_DEVICES (1u << 0) /* a serial port */
#define BOOT_NO_VGA         (1u << 2)
#define BOOT_NO_ASPM        (1u << 4)
/* Clear on purpose: bit 1, "8042 present" (docs/acpi.md); bit 3, "no MSI"; bit 5, "no CMOS clock".
 */

#define MADT_PCAT_COMPAT    (1u << 0) /* two 8259 PICs */
#define MADT_LAPIC_ENABLED  (1u << 0)
#define MADT_EDGE_HIGH      0x5 /* MPS INTI flags: edge-triggered, active high */
#define MADT_ALL_PROCESSORS 0xff
#define MADT_NMI_LINT       1

/* Registers of dev/acpi_pm.h, at PORT_ACPI_PM; a unit test keeps both alike. */
#define PM1_EVENT     (PORT_ACPI_PM + 0)
#define PM1_EVENT_LEN 4
#define PM1_CONTROL   (PORT_ACPI_PM + 4)
#define PM1_CTL_LEN   2
#define RESET         (PORT_ACPI_PM + 8)
#define RESET_VALUE   6
#define SLEEP_CONTROL (PORT_ACPI_PM + 9)
#define SLEEP_STATUS  (PORT_ACPI_PM + 10)

#define CMOS_CENTURY 0x32  /* dev/rtc.c */
#define NO_C2        0xfff /* latencies above 100 and 1000 us: "not supported" */
#define NO_C3        0xfff

/* Where the tables go: a piece of guest RAM filled from the start, and what the XSDT will point to. */
struct area {
	uint8_t *host;
	uint64_t gpa, size, used;
	uint64_t table[TABLES_MAX];
	unsigned n_tables;
	bool full;
};

/* Copies a table to the next 64-byte boundary. *gpa is 0 when it does not fit. */
static void *place(struct area *a, const void *table, size_t len, uint64_t *gpa)
{
	uint64_t at = align_up(a->used, 64);

	*gpa = 0;
	if (at > a->size || len > a->size - at) {
		a->full = true;
		return NULL;
	}
	memcpy(a->host + at, table, len);
	a->used = at + len;
	*gpa = a->gpa + at;
	return a->host + at;
}

/* The same for a table that the XSDT lists. `h`: its header, with the checksum still to be filled in. */
static void place_listed(struct area *a, struct acpi_header *h)
{
	h->checksum = 0;
	h->checksum = table_checksum(h, h->length);
	place(a, h, h->length, &a->table[a->n_tables++]);
}

static struct acpi_header header(const char *signature, uint8_t revision, size_t len)
{
	struct acpi_header h = {
		.length = (uint32_t)len,
		.revision = revision,
		.oem_id = {'T', 'O', 'Y', 'V', 'M', 'M'},
		.oem_table_id = {'T', 'O', 'Y', 'V', 'M', 'M', ' ', ' '},
		.oem_revision = 1,
		.creator_id = {'T', 'O', 'Y', 'V'},
		.creator_revision = 1,
	};

	memcpy(h.signature, signature, sizeof(h.signature));
	return h;
}

static struct address io_ports(uint64_t port, uint8_t bits, uint8_t access)
{
	return (struct address){.space = 1, .bits = bits, .access = access, .address = port};
}

/* PM1 registers and the interrupt they raise. No SMI command port: the machine is in ACPI mode
 * already. */
static void fadt_fixed_hardware(struct fadt *f)
{
	f->sci_irq = GSI_ACPI_SCI;
	f->pm1a_event = PM1_EVENT;
	f->pm1_event_len = PM1_EVENT_LEN;
	f->pm1a_control = PM1_CONTROL;
	f->pm1_control_len = PM1_CTL_LEN;
	f->x_pm1a_event = io_ports(PM1_EVENT, PM1_EVENT_LEN * 8, 2);
	f->x_pm1a_control = io_ports(PM1_CONTROL, PM1_CTL_LEN * 8, 2);
}

static void fadt_reduced_hardware(struct fadt *f)
{
	f->flags |= FADT_HW_REDUCED;
	f->sleep_control = io_ports(SLEEP_CONTROL, 8, 1);
	f->sleep_status = io_ports(SLEEP_STATUS, 8, 1);
}

static void place_fadt(struct area *a, enum acpi_hardware hardware, uint64_t facs, uint64_t dsdt)
{
	struct fadt f = {
		.h = header("FACP", 6, sizeof(f)),
		.minor_revision = 5,
		.facs = (uint32_t)facs,
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.c2_latency = NO_C2,
		.c3_latency = NO_C3,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM,
		.flags = FADT_WBINVD | FADT_C1 | FADT_NO_SLEEP_BUTTON | FADT_RTC_NOT_IN_PM1 |
			 FADT_RESET_REGISTER,
		.reset = io_ports(RESET, 8, 1),
		.reset_value = RESET_VALUE,
		.hypervisor_id = {'T', 'O', 'Y', 'V', 'M', 'M'},
	};

	if (hardware == ACPI_FIXED_HARDWARE)
		fadt_fixed_hardware(&f);
	else
		fadt_reduced_hardware(&f);
	place_listed(a, &f.h);
}

/*
 * The interrupt controllers. KVM's default routing connects each interrupt below 24 to the IOAPIC
 * pin of its own number, IRQ 0 included, and those below 16 to the PICs too: so the timer needs no
 * override. The SCI does: without one it is taken for level-triggered and active low, and ours
 * comes as an edge.
 */
static void place_madt(struct area *a, unsigned cpus, enum acpi_hardware hardware)
{
	struct madt_ioapic ioapic = {1, sizeof(ioapic), (uint8_t)cpus, 0, IOAPIC_BASE, 0};
	struct madt_override sci = {2, sizeof(sci), 0, GSI_ACPI_SCI, GSI_ACPI_SCI, MADT_EDGE_HIGH};
	struct madt_lapic_nmi nmi = {4, sizeof(nmi), MADT_ALL_PROCESSORS, 0, MADT_NMI_LINT};
	struct {
		struct madt m;
		uint8_t entries[TABLE_CPUS_MAX * sizeof(struct madt_lapic) + sizeof(ioapic) +
				sizeof(sci) + sizeof(nmi)];
	} PACKED table = {0};
	uint8_t *to = table.entries;
	size_t len;

	for (unsigned i = 0; i < cpus; i++) {
		struct madt_lapic l = {0, sizeof(l), (uint8_t)i, (uint8_t)i, MADT_LAPIC_ENABLED};
		to = (uint8_t *)memcpy(to, &l, sizeof(l)) + sizeof(l);
	}
	to = (uint8_t *)memcpy(to, &ioapic, sizeof(ioapic)) + sizeof(ioapic);
	if (hardware == ACPI_FIXED_HARDWARE)
		to = (uint8_t *)memcpy(to, &sci, sizeof(sci)) + sizeof(sci);
	to = (uint8_t *)memcpy(to, &nmi, sizeof(nmi)) + sizeof(nmi);

	len = (size_t)(to - (uint8_t *)&table);
	table.m.h = header("APIC", 5, len);
	table.m.lapic_address = LAPIC_BASE;
	table.m.flags = hardware == ACPI_FIXED_HARDWARE ? MADT_PCAT_COMPAT : 0;
	place_listed(a, &table.m.h);
}

static void place_mcfg(struct area *a)
{
	struct mcfg m = {.h = header("MCFG", 1, sizeof(m)), .base = PCI_ECAM_BASE};

	place_listed(a, &m.h);
}

static void place_ssdts(struct area *a, const struct boot_hardware *hw)
{
	uint8_t table[SSDT_MAX];

	if (hw->pci) {
		place_mcfg(a);
		place_listed(a, ssdt_pci(table, hw));
	}
	if (hw->n_mmio > 0)
		place_listed(a, ssdt_mmio(table, hw));
}

static uint64_t place_xsdt(struct area *a)
{
	size_t len = offsetof(struct xsdt, table) + a->n_tables * sizeof(a->table[0]);
	struct xsdt x = {.h = header("XSDT", 1, len)};
	uint64_t gpa;

	memcpy(x.table, a->table, sizeof(x.table));
	x.h.checksum = table_checksum(&x, len);
	place(a, &x, len, &gpa);
	return gpa;
}

/* The pointer that firmware leaves between 0xe0000 and 1 MiB for kernels to search for (5.2.5.1).
 */
static void write_rsdp(uint8_t *to, uint64_t xsdt)
{
	struct rsdp r = {
		.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '},
		.oem_id = {'T', 'O', 'Y', 'V', 'M', 'M'},
		.revision = 2,
		.length = sizeof(r),
		.xsdt = xsdt,
	};

	r.checksum = table_checksum(&r, 20);
	r.extended_checksum = table_checksum(&r, sizeof(r));
	memcpy(to, &r, sizeof(r));
}

/*
 * A PC's firmware is entered at f000:fff0, and kernels jump there in real mode to restart: Linux
 * with reboot=bios, or with hardware-reduced ACPI and no EFI, where it tries neither the reset
 * register nor the keyboard controller before. Zeros there would run on for ever, so the entry
 * writes the register.
 */
static void write_reset_entry(struct gmem *m)
{
	static const uint8_t code[] = {
		0xba, RESET & 0xff, RESET >> 8, /* mov dx, RESET */
		0xb0, RESET_VALUE,              /* mov al, RESET_VALUE */
		0xee,                           /* out dx, al */
		0xf4,                           /* hlt */
		0xeb, 0xfd,                     /* jmp to the hlt */
	};
	uint8_t *entry = gmem_slice(m, BIOS_END - 16, sizeof(code));

	if (entry)
		memcpy(entry, code, sizeof(code));
}

int acpi_write(struct gmem *m, const struct boot_hardware *hw, struct err *e)
{
	struct area a = {.gpa = BIOS_START, .size = MPTABLE_START - BIOS_START};
	struct facs facs = {.signature = {'F', 'A', 'C', 'S'},
			    .length = sizeof(facs),
			    .version = 2};
	uint64_t facs_gpa = 0, dsdt_gpa, xsdt_gpa;

	if (hw->cpus < 1 || hw->cpus > TABLE_CPUS_MAX)
		return err_set(e, EINVAL, "ACPI tables: %u CPUs: 1 to %d have APIC IDs", hw->cpus,
			       TABLE_CPUS_MAX);
	a.host = gmem_slice(m, a.gpa, a.size);
	if (!a.host)
		return err_set(e, EFAULT, "ACPI tables: no RAM at 0x%llx", BIOS_START);

	a.used = sizeof(struct rsdp); /* written last, when it is known what it points to */
	if (hw->acpi == ACPI_FIXED_HARDWARE)
		place(&a, &facs, sizeof(facs), &facs_gpa);
	place(&a, dsdt_aml_code, sizeof(dsdt_aml_code), &dsdt_gpa);
	place_fadt(&a, hw->acpi, facs_gpa, dsdt_gpa);
	place_madt(&a, hw->cpus, hw->acpi);
	place_ssdts(&a, hw);
	xsdt_gpa = place_xsdt(&a);
	if (a.full)
		return err_set(e, E2BIG, "ACPI tables: larger than %llu bytes",
			       (unsigned long long)a.size);
	write_rsdp(a.host, xsdt_gpa);
	write_reset_entry(m);
	return 0;
}
