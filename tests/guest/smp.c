/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the processors in the MP table and in the ACPI MADT, starts each by INIT and SIPI. */
#include "lib.h"

#define LAPIC      0xfee00000ULL
#define TRAMPOLINE 0x8000ULL
#define COUNTER    0x8800ULL /* each processor adds one */

/* Real mode at 0x800:0: lock inc word [0x8800]; cli; hlt; jmp $-2 */
static const uint8_t trampoline[] = {0x31, 0xc0, 0x8e, 0xd8, 0xf0, 0xff, 0x06,
				     0x00, 0x88, 0xfa, 0xf4, 0xeb, 0xfd};

static bool same(const uint8_t *a, const char *b, unsigned n)
{
	while (n--)
		if (*a++ != (uint8_t)*b++)
			return false;
	return true;
}

static uint8_t byte_sum(const uint8_t *p, unsigned n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

static uint32_t get32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const uint8_t *scan(uint64_t from, uint64_t to, const char *signature, unsigned n)
{
	for (uint64_t a = from; a < to; a += 16)
		if (same((const uint8_t *)a, signature, n))
			return (const uint8_t *)a;
	return NULL;
}

static unsigned cpus_in_mptable(void)
{
	const uint8_t *fp = scan(0xf0000, 0x100000, "_MP_", 4);
	unsigned cpus = 0;

	CHECK(fp != NULL);
	CHECK_EQ(byte_sum(fp, 16), 0);
	const uint8_t *table = (const uint8_t *)(uint64_t)get32(fp + 4);
	CHECK(same(table, "PCMP", 4));
	CHECK_EQ(byte_sum(table, table[4] | table[5] << 8), 0);
	const uint8_t *entry = table + 44;
	for (unsigned n = table[34] | table[35] << 8; n > 0; n--) {
		cpus += entry[0] == 0;
		entry += entry[0] == 0 ? 20 : 8;
	}
	return cpus;
}

static unsigned cpus_in_madt(void)
{
	const uint8_t *rsdp = scan(0xe0000, 0x100000, "RSD PTR ", 8);
	unsigned cpus = 0;

	CHECK(rsdp != NULL);
	CHECK_EQ(byte_sum(rsdp, 36), 0);
	const uint8_t *xsdt = (const uint8_t *)(uint64_t)get32(rsdp + 24);
	CHECK_EQ(byte_sum(xsdt, get32(xsdt + 4)), 0);
	for (const uint8_t *p = xsdt + 36; p < xsdt + get32(xsdt + 4); p += 8) {
		const uint8_t *t = (const uint8_t *)(uint64_t)get32(p);
		CHECK_EQ(byte_sum(t, get32(t + 4)), 0);
		if (!same(t, "APIC", 4))
			continue;
		for (const uint8_t *e = t + 44; e < t + get32(t + 4); e += e[1])
			cpus += e[0] == 0 && (e[4] & 1);
	}
	return cpus;
}

static void send_ipi(unsigned apic_id, uint32_t command)
{
	mmio_write32(LAPIC + 0x310, apic_id << 24);
	mmio_write32(LAPIC + 0x300, command);
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	volatile uint16_t *counter = (volatile uint16_t *)COUNTER;
	unsigned cpus = cpus_in_mptable();

	(void)boot_params, (void)pvh_info;
	CHECK_EQ(cpus_in_madt(), cpus);
	for (unsigned i = 0; i < sizeof(trampoline); i++)
		((volatile uint8_t *)TRAMPOLINE)[i] = trampoline[i];
	*counter = 0;
	mmio_write32(LAPIC + 0xf0, 0x1ff);
	for (unsigned id = 1; id < cpus; id++) {
		send_ipi(id, 0x4500);                    /* INIT */
		send_ipi(id, 0x4600 | TRAMPOLINE >> 12); /* start-up */
	}
	for (uint64_t start = rdtsc(); *counter < cpus - 1;)
		CHECK(rdtsc() - start < 60000000000ULL);
	guest_print("CPUS ");
	guest_print_hex(cpus);
	guest_print("\nPASS\n");
}
