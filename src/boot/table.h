/* SPDX-License-Identifier: Apache-2.0 */
/* What the tables of ACPI and of the MultiProcessor Specification share. */
#pragma once

#include "base/base.h"

#define PACKED __attribute__((packed))

#define TABLE_CPUS_MAX 255 /* xAPIC IDs 0 to 254; 255 means all */

struct acpi_header { /* ACPI 6.5, 5.2.6 */
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} PACKED;

/* The byte that makes the sum of the table's bytes 0; the field for it must hold 0. */
uint8_t table_checksum(const void *table, size_t len);
