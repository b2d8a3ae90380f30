// SPDX-License-Identifier: Apache-2.0
/* What ACPICA's own disassembler reads in the tables that are put together at run time. */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/ssdt.h"
#include "pci/pci.h"

static char text[65536];

static void disassemble(struct acpi_header *h)
{
	char dir[] = "/tmp/toyvmm-ssdt-XXXXXX", command[256];
	FILE *f;

	CHECK(mkdtemp(dir) != NULL);
	h->checksum = 0;
	h->checksum = table_checksum(h, h->length);
	snprintf(command, sizeof(command), "%s/ssdt.dat", dir);
	CHECK((f = fopen(command, "wb")) != NULL);
	CHECK_EQ(h->length, fwrite(h, 1, h->length, f));
	fclose(f);
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d ssdt.dat 2>&1 && cat ssdt.dsl && rm -r %s", dir, dir);
	CHECK((f = popen(command, "r")) != NULL);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	CHECK_EQ(0, pclose(f));
	CHECK(!strstr(text, "rror") && !strstr(text, "arning") && !strstr(text, "nvalid"));
}

static unsigned count(const char *what)
{
	unsigned n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

TEST(pci_windows_are_those_of_the_address_map)
{
	static uint8_t table[SSDT_MAX];
	struct boot_hardware hw = {.pci = true,
				   .window64 = 0x180000000,
				   .window64_last = 0x3ffffffff};
	char number[32];

	disassemble(ssdt_pci(table, &hw));
	snprintf(number, sizeof(number), "0x%08llX,", PCI_WINDOW_START);
	CHECK_HAS(text, number);
	snprintf(number, sizeof(number), "0x%08llX,", PCI_WINDOW_END - 1);
	CHECK_HAS(text, number);
	snprintf(number, sizeof(number), "0x%08llX,", PCI_ECAM_BASE);
	CHECK_HAS(text, number);
	CHECK_HAS(text, "0x0000000180000000,");
	CHECK_HAS(text, "0x00000003FFFFFFFF,");
	CHECK_HAS(text, "0x0000000280000000,"); /* the length */
	CHECK(!strstr(text, "777"));
}

TEST(no_window_above_ram_has_no_length)
{
	static uint8_t table[SSDT_MAX];
	struct boot_hardware hw = {.pci = true};

	ssdt_pci(table, &hw);
	CHECK(!memmem(table, sizeof(table), "\x00\x00\x77\x07", 4));
}

/* _PRT and pci_intx_line() say the same of each slot. */
TEST(interrupt_lines_of_slots_agree)
{
	static uint8_t table[SSDT_MAX];
	struct boot_hardware hw = {.pci = true, .window64 = 1 * GIB, .window64_last = 2 * GIB - 1};
	const char *p;

	disassemble(ssdt_pci(table, &hw));
	p = strstr(text, "_PRT");
	CHECK(p != NULL);
	for (unsigned slot = 1; slot < PCI_SLOTS; slot++) {
		unsigned address, gsi;

		p = strstr(p, "0x00");
		CHECK(p != NULL);
		CHECK_EQ(2, sscanf(p, "0x%x, Zero, Zero, 0x%x", &address, &gsi));
		CHECK_EQ(slot << 16 | 0xffff, address);
		CHECK_EQ(GSI_PCI_INTX + pci_intx_line(slot), gsi);
		p += strlen("0x0001FFFF");
	}
}

TEST(each_mmio_device_has_its_own_place)
{
	static uint8_t table[SSDT_MAX];
	struct boot_hardware hw = {.n_mmio = VIRTIO_MMIO_MAX};

	for (unsigned i = 0; i < hw.n_mmio; i++)
		hw.mmio[i] = (struct boot_mmio){VIRTIO_MMIO_BASE + i * PAGE_SIZE, 5 + i};
	disassemble(ssdt_mmio(table, &hw));
	CHECK_EQ(VIRTIO_MMIO_MAX, count("\"LNRO0005\""));
	CHECK_EQ(VIRTIO_MMIO_MAX, count("Device (VM"));
	CHECK_HAS(text, "Device (VM00)");
	CHECK_HAS(text, "Device (VM0F)");
	CHECK_HAS(text, "0xE8000000,");
	CHECK_HAS(text, "0xE800F000,");
	CHECK_HAS(text, "0x00000005,\n");
	CHECK_HAS(text, "0x00000014,\n"); /* 5 + 15 */
	CHECK(!strstr(text, "VMIO") && !strstr(text, "5555") && !strstr(text, "6666") &&
	      !strstr(text, "7777"));
}
