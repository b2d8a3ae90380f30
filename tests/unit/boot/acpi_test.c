// SPDX-License-Identifier: Apache-2.0
/*
 * The tables as ACPICA in the guest sees them: read by offset from guest memory, with numbers from
 * the specification instead of the structures that wrote them.
 */
#include "../test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/acpi.h"
#include "dev/acpi_pm.h"

struct table {
	uint64_t gpa;
	uint32_t len;
	const uint8_t *at;
};

static struct gmem ram;
static struct err err;

static void start(unsigned cpus, enum acpi_hardware hardware)
{
	CHECK_EQ(0, gmem_create(&ram, 2 * MIB, false, &err));
	memset(gmem_slice(&ram, BIOS_START, 0x20000), 0xaa,
	       0x20000); /* no field may be left unset */
	CHECK_EQ(0,
		 acpi_write(&ram, &(struct boot_hardware){.cpus = cpus, .acpi = hardware}, &err));
}

static uint64_t le(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static uint64_t field(struct table t, unsigned offset, unsigned bytes)
{
	CHECK(offset + bytes <= t.len);
	return le(t.at + offset, bytes);
}

static uint8_t sum(const uint8_t *at, uint64_t len)
{
	uint8_t total = 0;

	while (len-- > 0)
		total += *at++;
	return total;
}

/* A table at an address that some other table gave. */
static struct table table_at(uint64_t gpa, const char *signature)
{
	struct table t = {.gpa = gpa};

	CHECK(gpa >= BIOS_START && gpa + 36 <= MPTABLE_START);
	t.at = gmem_slice(&ram, gpa, 36);
	t.len = (uint32_t)le(t.at + 4, 4);
	CHECK(gpa + t.len <= MPTABLE_START);
	CHECK_EQ(0, memcmp(t.at, signature, 4));
	CHECK_EQ(0, gpa % 16);
	return t;
}

static struct table checked_table_at(uint64_t gpa, const char *signature)
{
	struct table t = table_at(gpa, signature);

	CHECK_EQ(0, sum(t.at, t.len));
	CHECK_EQ(0, memcmp(t.at + 10, "TOYVMM", 6));
	return t;
}

static struct table xsdt(void)
{
	const uint8_t *rsdp = gmem_slice(&ram, BIOS_START, 36);

	return checked_table_at(le(rsdp + 24, 8), "XSDT");
}

static struct table fadt(void)
{
	return checked_table_at(field(xsdt(), 36, 8), "FACP");
}

static struct table madt(void)
{
	return checked_table_at(field(xsdt(), 44, 8), "APIC");
}

static struct table dsdt(void)
{
	return checked_table_at(field(fadt(), 140, 8), "DSDT");
}

static void check_io(struct table t, unsigned offset, uint64_t port, unsigned bits)
{
	CHECK_EQ(1, field(t, offset, 1)); /* I/O space */
	CHECK_EQ(bits, field(t, offset + 1, 1));
	CHECK_EQ(0, field(t, offset + 2, 1));
	CHECK_EQ(port, field(t, offset + 4, 8));
}

static void check_zero(struct table t, unsigned offset, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		CHECK_EQ(0, field(t, offset + i, 1));
}

TEST(rsdp_is_first_and_of_revision_2)
{
	const uint8_t *r;

	start(1, ACPI_FIXED_HARDWARE);
	r = gmem_slice(&ram, BIOS_START, 36);
	CHECK_EQ(0, memcmp(r, "RSD PTR ", 8));
	CHECK_EQ(0, sum(r, 20));
	CHECK_EQ(0, sum(r, 36));
	CHECK_EQ(2, r[15]);
	CHECK_EQ(36, le(r + 20, 4));
	CHECK_EQ(0, le(r + 16, 4)); /* no RSDT */
	CHECK_EQ(0, le(r + 33, 3));
	gmem_destroy(&ram);
}

TEST(xsdt_lists_fadt_and_madt)
{
	start(1, ACPI_FIXED_HARDWARE);
	CHECK_EQ(36 + 2 * 8, xsdt().len);
	CHECK_EQ(1, field(xsdt(), 8, 1));
	fadt();
	madt();
	gmem_destroy(&ram);
}

TEST(fadt_of_fixed_hardware_names_the_registers_of_acpi_pm)
{
	struct table f;

	start(1, ACPI_FIXED_HARDWARE);
	f = fadt();
	CHECK_EQ(276, f.len);
	CHECK_EQ(6, field(f, 8, 1));
	CHECK_EQ(5, field(f, 131, 1));
	CHECK_EQ(GSI_ACPI_SCI, field(f, 46, 2));
	CHECK_EQ(0, field(f, 48, 4)); /* SMI_CMD: in ACPI mode from the start */
	CHECK_EQ(PORT_ACPI_PM + ACPI_PM1_EVENT, field(f, 56, 4));
	CHECK_EQ(PORT_ACPI_PM + ACPI_PM1_CONTROL, field(f, 64, 4));
	CHECK_EQ(4, field(f, 88, 1));
	CHECK_EQ(2, field(f, 89, 1));
	check_io(f, 148, PORT_ACPI_PM + ACPI_PM1_EVENT, 32);
	check_io(f, 172, PORT_ACPI_PM + ACPI_PM1_CONTROL, 16);
	check_io(f, 116, PORT_ACPI_PM + ACPI_RESET, 8);
	CHECK_EQ(ACPI_RESET_VALUE, field(f, 128, 1));
	CHECK_EQ(1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 10, field(f, 112, 4));
	CHECK_EQ(0x32, field(f, 108, 1));
	CHECK_EQ(1 << 0 | 1 << 2 | 1 << 4, field(f, 109, 2));
	gmem_destroy(&ram);
}

TEST(fadt_has_no_timer_no_gpe_and_no_second_blocks)
{
	struct table f;

	start(1, ACPI_FIXED_HARDWARE);
	f = fadt();
	check_zero(f, 60, 4);  /* PM1b event */
	check_zero(f, 68, 20); /* PM1b control, PM2, timer, GPE0, GPE1 */
	check_zero(f, 90, 6);  /* their lengths */
	check_zero(f, 160, 12);
	check_zero(f, 184, 60);
	check_zero(f, 244, 24); /* sleep registers: of reduced hardware */
	CHECK(field(f, 96, 2) > 100 && field(f, 98, 2) > 1000); /* no C2, no C3 */
	gmem_destroy(&ram);
}

TEST(facs_is_64_byte_aligned_and_given_once)
{
	struct table f, facs;

	start(1, ACPI_FIXED_HARDWARE);
	f = fadt();
	facs = table_at(field(f, 36, 4), "FACS");
	CHECK_EQ(0, field(f, 132, 8)); /* one of the two pointers must be zero */
	CHECK_EQ(0, facs.gpa % 64);
	CHECK_EQ(64, facs.len);
	CHECK_EQ(2, field(facs, 32, 1));
	check_zero(facs, 8, 24);
	gmem_destroy(&ram);
}

TEST(fadt_of_reduced_hardware_has_sleep_registers_only)
{
	struct table f;

	start(1, ACPI_REDUCED_HARDWARE);
	f = fadt();
	CHECK(field(f, 112, 4) & 1 << 20);
	CHECK_EQ(0, field(f, 36, 4));
	CHECK_EQ(0, field(f, 132, 8));
	check_zero(f, 46, 46); /* SCI, SMI, all fixed blocks and their lengths */
	check_zero(f, 148, 96);
	check_io(f, 244, PORT_ACPI_PM + ACPI_SLEEP_CONTROL, 8);
	check_io(f, 256, PORT_ACPI_PM + ACPI_SLEEP_STATUS, 8);
	check_io(f, 116, PORT_ACPI_PM + ACPI_RESET, 8);
	dsdt();
	gmem_destroy(&ram);
}

static void check_madt(unsigned cpus, bool fixed)
{
	struct table m = madt();
	unsigned at = 44;

	CHECK_EQ(0xfee00000, field(m, 36, 4));
	CHECK_EQ(fixed, field(m, 40, 4)); /* PCAT_COMPAT */
	for (unsigned i = 0; i < cpus; i++, at += 8) {
		CHECK_EQ(0, field(m, at, 1));
		CHECK_EQ(8, field(m, at + 1, 1));
		CHECK_EQ(i, field(m, at + 2, 1));
		CHECK_EQ(i, field(m, at + 3, 1));
		CHECK_EQ(1, field(m, at + 4, 4));
	}
	CHECK_EQ(1, field(m, at, 1)); /* IOAPIC */
	CHECK_EQ(12, field(m, at + 1, 1));
	CHECK_EQ(cpus, field(m, at + 2, 1));
	CHECK_EQ(0xfec00000, field(m, at + 4, 4));
	CHECK_EQ(0, field(m, at + 8, 4));
	at += 12;
	if (fixed) { /* SCI: edge-triggered, active high, same number */
		CHECK_EQ(2 | 10 << 8, field(m, at, 2));
		CHECK_EQ(0 | GSI_ACPI_SCI << 8, field(m, at + 2, 2));
		CHECK_EQ(GSI_ACPI_SCI, field(m, at + 4, 4));
		CHECK_EQ(0x5, field(m, at + 8, 2));
		at += 10;
	}
	CHECK_EQ(4 | 6 << 8, field(m, at, 2)); /* NMI: LINT 1 of all */
	CHECK_EQ(0xff, field(m, at + 2, 1));
	CHECK_EQ(0, field(m, at + 3, 2));
	CHECK_EQ(1, field(m, at + 5, 1));
	CHECK_EQ(m.len, at + 6);
}

TEST(madt_lists_every_processor_and_one_ioapic)
{
	static const unsigned cpus[] = {1, 2, 32, 254, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		start(cpus[i], ACPI_FIXED_HARDWARE);
		check_madt(cpus[i], true);
		gmem_destroy(&ram);
		start(cpus[i], ACPI_REDUCED_HARDWARE);
		check_madt(cpus[i], false);
		gmem_destroy(&ram);
	}
}

TEST(acpi_refuses_processors_without_an_apic_id)
{
	CHECK_EQ(0, gmem_create(&ram, 2 * MIB, false, &err));
	CHECK_EQ(-EINVAL, acpi_write(&ram, &(struct boot_hardware){.cpus = 0}, &err));
	CHECK_EQ(-EINVAL, acpi_write(&ram, &(struct boot_hardware){.cpus = 256}, &err));
	CHECK_HAS(err.text, "256 CPUs");
	CHECK_EQ(0, acpi_write(&ram, &(struct boot_hardware){.cpus = 255}, &err));
	gmem_destroy(&ram);
}

TEST(acpi_needs_ram_below_1_mib)
{
	CHECK_EQ(0, gmem_create(&ram, 0xe0000, false, &err));
	CHECK_EQ(-EFAULT, acpi_write(&ram, &(struct boot_hardware){.cpus = 1}, &err));
	CHECK_HAS(err.text, "0xe0000");
	gmem_destroy(&ram);
}

TEST(acpi_tables_end_before_the_mp_table)
{
	start(255, ACPI_FIXED_HARDWARE);
	for (uint64_t gpa = MPTABLE_START; gpa < BIOS_END - 16; gpa++)
		CHECK_EQ(0xaa, *(uint8_t *)gmem_slice(&ram, gpa, 1));
	gmem_destroy(&ram);
}

TEST(firmware_entry_writes_the_reset_register)
{
	/* mov dx, imm16; mov al, imm8; out dx, al; hlt; jmp -3 */
	enum { port = PORT_ACPI_PM + ACPI_RESET };
	static const uint8_t code[] = {0xba, port & 0xff, port >> 8, 0xb0, ACPI_RESET_VALUE,
				       0xee, 0xf4,        0xeb,      0xfd};

	start(1, ACPI_FIXED_HARDWARE);
	CHECK_EQ(0, memcmp(gmem_slice(&ram, 0xffff0, sizeof(code)), code, sizeof(code)));
	gmem_destroy(&ram);
}

/* A small I/O port descriptor (ACPI 6.4.2.5) as AML has it. */
static bool dsdt_has_ports(uint16_t base, uint8_t n)
{
	const uint8_t lo = (uint8_t)base, hi = (uint8_t)(base >> 8);
	const uint8_t io[] = {0x47, 1, lo, hi, lo, hi, 1, n};

	return memmem(dsdt().at, dsdt().len, io, sizeof(io)) != NULL;
}

/* IRQ descriptor without flags (6.4.2.1): edge-triggered, active high, exclusive. */
static bool dsdt_has_irq(unsigned irq)
{
	const uint8_t d[] = {0x22, (uint8_t)(1 << irq), (uint8_t)(1 << irq >> 8)};

	return memmem(dsdt().at, dsdt().len, d, sizeof(d)) != NULL;
}

TEST(dsdt_agrees_with_the_address_map)
{
	start(1, ACPI_FIXED_HARDWARE);
	CHECK_EQ(2, field(dsdt(), 8, 1)); /* 64-bit integers */
	CHECK(dsdt_has_ports(PORT_SERIAL0, 8));
	CHECK(dsdt_has_irq(GSI_SERIAL0));
	CHECK(dsdt_has_ports(PORT_RTC, 2));
	CHECK(dsdt_has_irq(GSI_RTC));
	CHECK(dsdt_has_ports(PORT_PVPANIC, 1));
	CHECK(!dsdt_has_ports(PORT_I8042_DATA, 1));
	gmem_destroy(&ram);
}

TEST(dsdt_s5_is_the_sleep_type_that_powers_off)
{
	/* NameOp "_S5_" PackageOp, length 8, 4 elements: byte 5, byte 5, 0, 0 */
	static const uint8_t s5[] = {
		0x08, '_', 'S', '5', '_', 0x12, 8, 4, 0x0a, ACPI_SLP_TYP_S5, 0x0a, ACPI_SLP_TYP_S5,
		0,    0};

	start(1, ACPI_FIXED_HARDWARE);
	CHECK(memmem(dsdt().at, dsdt().len, s5, sizeof(s5)));
	gmem_destroy(&ram);
}

/* ACPICA's own view: its disassembler names every field, and what is wrong with it. */
static void disassemble(struct table t, const char *dir, const char *name, const char *must_have)
{
	char path[256], command[600], *text = calloc(1, 65536);
	size_t n;
	FILE *f;

	CHECK(text != NULL);
	snprintf(path, sizeof(path), "%s/%s.dat", dir, name);
	CHECK((f = fopen(path, "wb")) != NULL);
	CHECK_EQ(t.len, fwrite(t.at, 1, t.len, f));
	fclose(f);
	snprintf(command, sizeof(command), "iasl -d %s 2>&1 && cat %s/%s.dsl", path, dir, name);
	CHECK((f = popen(command, "r")) != NULL);
	n = fread(text, 1, 65535, f);
	CHECK_EQ(0, pclose(f));
	CHECK(n > 0);
	CHECK(!strstr(text, "Incorrect") && !strstr(text, "rror") && !strstr(text, "nvalid") &&
	      !strstr(text, "arning") && !strstr(text, "xceed"));
	CHECK_HAS(text, must_have);
	free(text);
}

TEST(iasl_disassembles_every_table)
{
	char dir[] = "/tmp/toyvmm-acpi-XXXXXX", command[64];

	CHECK(mkdtemp(dir) != NULL);
	for (unsigned hardware = 0; hardware < 2; hardware++) {
		start(32, hardware);
		disassemble(xsdt(), dir, "xsdt", "[Extended System Description Table]");
		disassemble(fadt(), dir, "fadt",
			    hardware ? "Hardware Reduced (V5) : 1" : "Hardware Reduced (V5) : 0");
		disassemble(madt(), dir, "madt", "Local Apic ID : 1F");
		disassemble(dsdt(), dir, "dsdt", "EisaId (\"PNP0501\")");
		if (!hardware)
			disassemble(table_at(field(fadt(), 36, 4), "FACS"), dir, "facs",
				    "Signature : \"FACS\"");
		gmem_destroy(&ram);
	}
	snprintf(command, sizeof(command), "rm -r %s", dir);
	CHECK_EQ(0, system(command));
}

TEST(machine_with_pci_has_mcfg_and_a_table_of_it)
{
	struct boot_hardware hw = {.cpus = 1, .pci = true, .n_mmio = 1};
	struct table mcfg;

	start(1, ACPI_FIXED_HARDWARE);
	CHECK_EQ(36 + 2 * 8, xsdt().len); /* without: FADT and MADT */
	CHECK_EQ(0, acpi_write(&ram, &hw, &err));
	CHECK_EQ(36 + 5 * 8, xsdt().len);
	mcfg = checked_table_at(field(xsdt(), 36 + 16, 8), "MCFG");
	CHECK_EQ(60, mcfg.len);
	CHECK_EQ(PCI_ECAM_BASE, field(mcfg, 44, 8));
	CHECK_EQ(0, field(mcfg, 52, 4)); /* segment 0, buses 0 to 0 */
	CHECK_EQ(PCI_ECAM_END - PCI_ECAM_BASE, 1 * MIB);
	checked_table_at(field(xsdt(), 36 + 24, 8), "SSDT");
	checked_table_at(field(xsdt(), 36 + 32, 8), "SSDT");
	gmem_destroy(&ram);
}
