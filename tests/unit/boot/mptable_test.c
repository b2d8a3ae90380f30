// SPDX-License-Identifier: Apache-2.0
/* The table as a kernel reads it (arch/x86/kernel/mpparse.c): by offset, with numbers from the MPS.
 */
#include "../test.h"

#include <errno.h>
#include <string.h>

#include "boot/mptable.h"

static struct gmem ram;
static struct err err;

static void start(unsigned cpus)
{
	CHECK_EQ(0, gmem_create(&ram, 2 * MIB, false, &err));
	memset(gmem_slice(&ram, BIOS_START, 0x20000), 0xaa,
	       0x20000); /* no field may be left unset */
	CHECK_EQ(0, mptable_write(&ram, &(struct boot_hardware){.cpus = cpus}, &err));
}

static unsigned le(const uint8_t *at, unsigned bytes)
{
	unsigned value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static uint8_t sum(const uint8_t *at, unsigned len)
{
	uint8_t total = 0;

	while (len-- > 0)
		total += *at++;
	return total;
}

/* As smp_scan_config(): the floating pointer on a 16-byte boundary of the last 64 KiB below 1 MiB.
 */
static const uint8_t *find_pointer(void)
{
	for (uint64_t gpa = 0xf0000; gpa < 0x100000; gpa += 16) {
		const uint8_t *p = gmem_slice(&ram, gpa, 16);
		if (!memcmp(p, "_MP_", 4) && p[8] == 1 && sum(p, 16) == 0 &&
		    (p[9] == 1 || p[9] == 4))
			return p;
	}
	return NULL;
}

static const uint8_t *find_table(void)
{
	const uint8_t *p = find_pointer(), *t;
	unsigned gpa;

	CHECK(p != NULL);
	gpa = le(p + 4, 4);
	CHECK(gpa >= 0xf0000 && gpa + 44 <= 0x100000);
	t = gmem_slice(&ram, gpa, 44);
	CHECK(gpa + le(t + 4, 2) <= 0x100000);
	CHECK_EQ(0, memcmp(t, "PCMP", 4));
	CHECK_EQ(0, sum(t, le(t + 4, 2)));
	return t;
}

static unsigned entry_size(uint8_t type)
{
	CHECK(type <= 4);
	return type == 0 ? 20 : 8;
}

/* The nth entry of a type, or NULL. */
static const uint8_t *entry(const uint8_t *t, uint8_t type, unsigned nth)
{
	const uint8_t *end = t + le(t + 4, 2), *at = t + 44;

	for (; at < end; at += entry_size(*at))
		if (*at == type && nth-- == 0)
			return at;
	CHECK(at == end);
	return NULL;
}

TEST(mp_floating_pointer_says_there_is_a_table)
{
	const uint8_t *p;

	start(1);
	p = find_pointer();
	CHECK(p == gmem_slice(&ram, MPTABLE_START, 16));
	CHECK_EQ(4, p[9]);
	CHECK_EQ(0, p[11]); /* no default configuration */
	CHECK_EQ(0, le(p + 12, 4));
	gmem_destroy(&ram);
}

TEST(mp_header_counts_its_entries)
{
	static const unsigned cpus[] = {1, 2, 32, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		const uint8_t *t;
		start(cpus[i]);
		t = find_table();
		CHECK_EQ(4, t[6]);
		CHECK_EQ(0xfee00000, le(t + 36, 4));
		CHECK_EQ(cpus[i] + 1 + 1 + 16 + 2, le(t + 34, 2));
		CHECK_EQ(44 + cpus[i] * 20 + (1 + 1 + 16 + 2) * 8, le(t + 4, 2));
		CHECK_EQ(0, le(t + 28, 4) | le(t + 32, 2) |
				    le(t + 40, 4)); /* no OEM, no extended table */
		gmem_destroy(&ram);
	}
}

TEST(mp_processors_have_their_apic_ids_and_the_first_boots)
{
	static const unsigned cpus[] = {1, 32, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		const uint8_t *t;
		start(cpus[i]);
		t = find_table();
		for (unsigned n = 0; n < cpus[i]; n++) {
			const uint8_t *p = entry(t, 0, n);
			CHECK(p != NULL);
			CHECK_EQ(n, p[1]);
			CHECK_EQ(0x14, p[2]);
			CHECK_EQ(n == 0 ? 3 : 1, p[3]);
			CHECK(le(p + 8, 4) & 1 << 9); /* has an APIC */
			CHECK_EQ(0, le(p + 12, 4) | le(p + 16, 4));
		}
		CHECK(entry(t, 0, cpus[i]) == NULL);
		gmem_destroy(&ram);
	}
}

TEST(mp_ioapic_has_an_id_of_its_own)
{
	static const unsigned cpus[] = {1, 32, 255};

	for (unsigned i = 0; i < ARRAY_SIZE(cpus); i++) {
		const uint8_t *io;
		start(cpus[i]);
		io = entry(find_table(), 2, 0);
		CHECK(io != NULL);
		CHECK_EQ(cpus[i], io[1]); /* processors end at cpus - 1 */
		CHECK_EQ(0x11, io[2]);
		CHECK_EQ(1, io[3]);
		CHECK_EQ(0xfec00000, le(io + 4, 4));
		CHECK(entry(find_table(), 2, 1) == NULL);
		gmem_destroy(&ram);
	}
}

TEST(mp_isa_interrupts_are_edges_at_their_own_pins)
{
	const uint8_t *t, *bus;

	start(2);
	t = find_table();
	bus = entry(t, 1, 0);
	CHECK(bus != NULL);
	CHECK_EQ(0, memcmp(bus + 2, "ISA   ", 6));
	for (unsigned irq = 0; irq < 16; irq++) { /* the serial port's 4 among them */
		const uint8_t *i = entry(t, 3, irq);
		CHECK(i != NULL);
		CHECK_EQ(0, i[1]);         /* a vectored interrupt */
		CHECK_EQ(0, le(i + 2, 2)); /* as the bus has it: edge, active high */
		CHECK_EQ(bus[1], i[4]);
		CHECK_EQ(irq, i[5]);
		CHECK_EQ(entry(t, 2, 0)[1], i[6]);
		CHECK_EQ(irq, i[7]); /* KVM's default routing, the timer included */
	}
	CHECK(entry(t, 3, 16) == NULL);
	gmem_destroy(&ram);
}

TEST(mp_local_interrupts_are_pic_and_nmi)
{
	const uint8_t *pic, *nmi;

	start(2);
	pic = entry(find_table(), 4, 0);
	nmi = entry(find_table(), 4, 1);
	CHECK(pic && nmi);
	CHECK_EQ(3, pic[1]); /* ExtINT */
	CHECK_EQ(0, pic[6]);
	CHECK_EQ(0, pic[7]);
	CHECK_EQ(1, nmi[1]);
	CHECK_EQ(0xff, nmi[6]);
	CHECK_EQ(1, nmi[7]);
	gmem_destroy(&ram);
}

TEST(mptable_refuses_processors_without_an_apic_id)
{
	CHECK_EQ(0, gmem_create(&ram, 2 * MIB, false, &err));
	CHECK_EQ(-EINVAL, mptable_write(&ram, &(struct boot_hardware){.cpus = 0}, &err));
	CHECK_EQ(-EINVAL, mptable_write(&ram, &(struct boot_hardware){.cpus = 256}, &err));
	CHECK_HAS(err.text, "256 CPUs");
	gmem_destroy(&ram);
}

TEST(mptable_needs_ram_below_1_mib)
{
	CHECK_EQ(0, gmem_create(&ram, 0xf0000, false, &err));
	CHECK_EQ(-EFAULT, mptable_write(&ram, &(struct boot_hardware){.cpus = 1}, &err));
	gmem_destroy(&ram);
}

TEST(mp_pci_slots_have_level_triggered_pins)
{
	struct boot_hardware hw = {.cpus = 2, .pci = true};
	const uint8_t *t, *bus;

	start(2);
	CHECK_EQ(0, mptable_write(&ram, &hw, &err));
	t = find_table();
	bus = entry(t, 1, 0);
	CHECK_EQ(0, memcmp(bus + 2, "PCI   ", 6));
	CHECK_EQ(0, bus[1]); /* the number of the bus in configuration space */
	CHECK_EQ(0, memcmp(entry(t, 1, 1) + 2, "ISA   ", 6));
	for (unsigned slot = 1; slot < 32; slot++) {
		const uint8_t *i = entry(t, 3, 16 + slot - 1);
		CHECK(i != NULL);
		CHECK_EQ(0, le(i + 2, 2)); /* as the bus has it: level, active low */
		CHECK_EQ(0, i[4]);
		CHECK_EQ(slot << 2, i[5]); /* INTA# */
		CHECK_EQ(16 + slot % 4, i[7]);
	}
	CHECK(entry(t, 3, 16 + 31) == NULL);
	gmem_destroy(&ram);
}
