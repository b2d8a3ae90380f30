// SPDX-License-Identifier: Apache-2.0
#include "boot/ssdt.h"

#include <stdio.h>
#include <string.h>

#include "boot/mmio.h" /* mmio_aml_code: boot/mmio.asl, compiled by iasl */
#include "boot/pci.h"  /* pci_aml_code: boot/pci.asl */

/* Numbers of the sources that stand for what is known only now. */
#define PCI_WINDOW64 0x0007770000000000ULL
#define MMIO_UID     0x55555555u
#define MMIO_BASE    0x66666000u
#define MMIO_GSI     0x77777777u

#define MMIO_BODY_LEN (sizeof(mmio_aml_code) - sizeof(struct acpi_header))

_Static_assert(sizeof(pci_aml_code) <= SSDT_MAX, "SSDT_MAX");
_Static_assert(sizeof(struct acpi_header) + VIRTIO_MMIO_MAX * MMIO_BODY_LEN <= SSDT_MAX,
	       "SSDT_MAX");

/* Puts `by` where `what` stands in a table: there is one such place, a unit test makes sure. */
static void replace(uint8_t *in, size_t len, const void *what, size_t what_len, const void *by,
		    size_t by_len)
{
	uint8_t *at = memmem(in, len, what, what_len);

	if (at)
		memcpy(at, by, by_len);
}

static void replace32(uint8_t *in, size_t len, uint32_t what, uint32_t by)
{
	replace(in, len, &what, sizeof(what), &by, sizeof(by));
}

/*
 * A QWord address space descriptor (6.4.3.5.1) has, after its granularity: minimum, maximum, translation and
 * length. Where there is no window, its length is 0 and it is not used.
 */
struct acpi_header *ssdt_pci(uint8_t to[SSDT_MAX], const struct boot_hardware *hw)
{
	uint64_t placeholder = PCI_WINDOW64;
	uint64_t len = hw->window64_last > hw->window64 ? hw->window64_last - hw->window64 + 1 : 0;
	uint64_t range[] = {hw->window64, hw->window64_last, 0, len};

	memcpy(to, pci_aml_code, sizeof(pci_aml_code));
	replace(to, sizeof(pci_aml_code), &placeholder, sizeof(placeholder), range, sizeof(range));
	return (struct acpi_header *)to;
}

struct acpi_header *ssdt_mmio(uint8_t to[SSDT_MAX], const struct boot_hardware *hw)
{
	struct acpi_header *h = (struct acpi_header *)to;
	uint8_t *body = to + sizeof(*h);
	char name[8];

	memcpy(to, mmio_aml_code, sizeof(*h));
	for (unsigned i = 0; i < hw->n_mmio; i++, body += MMIO_BODY_LEN) {
		memcpy(body, mmio_aml_code + sizeof(*h), MMIO_BODY_LEN);
		snprintf(name, sizeof(name), "VM%02X", (uint8_t)i);
		replace(body, MMIO_BODY_LEN, "VMIO", 4, name, 4);
		replace32(body, MMIO_BODY_LEN, MMIO_UID, i);
		replace32(body, MMIO_BODY_LEN, MMIO_BASE, (uint32_t)hw->mmio[i].base);
		replace32(body, MMIO_BODY_LEN, MMIO_GSI, hw->mmio[i].gsi);
	}
	h->length = (uint32_t)(body - to);
	return h;
}
