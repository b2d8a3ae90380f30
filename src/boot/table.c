// SPDX-License-Identifier: Apache-2.0
#include "boot/table.h"

uint8_t table_checksum(const void *table, size_t len)
{
	const uint8_t *byte = table;
	uint8_t sum = 0;

	while (len-- > 0)
		sum += *byte++;
	return (uint8_t)-sum;
}
