/* SPDX-License-Identifier: Apache-2.0 */
/* What the ACPI tables (boot/acpi.c) and the MP table (boot/mptable.c) have in common. */
#pragma once

#include "base/base.h"

#define TABLE_CPUS_MAX 255 /* xAPIC ID 255 means all */

/* The byte that makes the sum of the table's bytes 0; the field for it must hold 0. */
uint8_t table_checksum(const void *table, size_t len);
