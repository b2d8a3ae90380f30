/* SPDX-License-Identifier: Apache-2.0 */
/* i8042 self-test and keyboard, CMOS clock, ACPI registers, ports that belong to nobody, string I/O. */
#include "lib.h"

static uint8_t i8042_answer(void)
{
	for (unsigned i = 0; i < 1000; i++)
		if (inb(0x64) & 1)
			return inb(0x60);
	guest_check(false, "the i8042 answers", __LINE__);
	return 0;
}

static void check_i8042(void)
{
	outb(0x64, 0xaa);
	CHECK_EQ(i8042_answer(), 0x55);
	outb(0x64, 0x60);
	outb(0x60, 0x44);
	outb(0x64, 0x20);
	CHECK_EQ(i8042_answer() & ~0x20, 0x44); /* bit 5 may stick: there is no mouse */
	outb(0x64, 0xab);
	CHECK_EQ(i8042_answer(), 0x00);
}

static uint8_t cmos(uint8_t reg)
{
	outb(0x70, reg);
	return inb(0x71);
}

static void check_rtc(void)
{
	CHECK(cmos(0x0d) & 0x80); /* the battery is good */
	uint8_t b = cmos(0x0b), century = cmos(0x32), year = cmos(9), month = cmos(8),
		day = cmos(7);
	CHECK_EQ(b & 0x02, 0x02); /* 24 hours */
	guest_print("DATE ");
	guest_print_hex((uint64_t)century << 24 | (uint64_t)year << 16 | (uint64_t)month << 8 |
			day);
	guest_print(b & 4 ? " binary\n" : " bcd\n");
	uint8_t before = cmos(0);
	for (uint64_t start = rdtsc(); cmos(0) == before;)
		CHECK(rdtsc() - start < 20000000000ULL); /* seconds go on */
	outb(0x70, 0x50);
	outb(0x71, 0x5a);
	CHECK_EQ(cmos(0x50), 0x5a);
}

static void check_acpi(void)
{
	CHECK_EQ(inw(0x604) & 1, 1); /* SCI_EN: ACPI mode from the start */
	outw(0x600, 0xffff);         /* status: write 1 to clear */
	CHECK_EQ(inw(0x600), 0);
	outw(0x602, 0x0100);
	CHECK_EQ(inw(0x602), 0x0100);
	outb(0x608, 0x01); /* not the reset value: nothing happens */
}

static void check_nobody(void)
{
	CHECK_EQ(inb(0x2000), 0xff);
	CHECK_EQ(inw(0x2000), 0xffff);
	CHECK_EQ(inl(0xcfe0), 0xffffffff);
	CHECK_EQ(mmio_read32(0xd0000000), 0xffffffff);
	mmio_write32(0xd0000000, 1);
	CHECK_EQ(inw(0x3ff), 0xffff); /* over the edge of the serial port: nobody's */
}

static void check_string_io(void)
{
	static const char text[] = "string I/O\n";
	const char *from = text;
	uint64_t count = sizeof(text) - 1;
	uint8_t into[4] = {0};
	void *to = into;

	__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(COM1) : "memory");
	outb(COM1 + 7, 0x77);
	count = sizeof(into);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(COM1 + 7) : "memory");
	for (unsigned i = 0; i < sizeof(into); i++)
		CHECK_EQ(into[i], 0x77);
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	check_i8042();
	check_rtc();
	check_acpi();
	check_nobody();
	check_string_io();
	guest_print("PASS\n");
}
