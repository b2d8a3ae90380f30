/* SPDX-License-Identifier: Apache-2.0 */
#include "lib.h"

#define ACPI_PM1_CONTROL 0x604
#define ACPI_S5          (5u << 10 | 1u << 13) /* SLP_TYP = 5, SLP_EN */

#define LAPIC  0xfee00000ULL
#define IOAPIC 0xfec00000ULL

volatile uint32_t guest_irq_count[256];
volatile uint8_t guest_irq_cpu[256];
void (*guest_irq_handler)(unsigned vector);

void guest_poweroff(void)
{
	for (;;) {
		outw(ACPI_PM1_CONTROL, ACPI_S5);
		__asm__ volatile("cli; hlt");
	}
}

void guest_print(const char *text)
{
	for (; *text; text++) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		outb(COM1, (uint8_t)*text);
	}
}

void guest_print_hex(uint64_t value)
{
	char text[19] = "0x0";
	unsigned n = 2;

	for (int shift = 60; shift >= 0; shift -= 4)
		if (value >> shift || shift == 0)
			text[n++] = "0123456789abcdef"[(value >> shift) & 15];
	text[n] = 0;
	guest_print(text);
}

static void fail(const char *text, int line)
{
	guest_print("FAIL line ");
	guest_print_hex((uint64_t)line);
	guest_print(": ");
	guest_print(text);
}

void guest_check(bool ok, const char *text, int line)
{
	if (ok)
		return;
	fail(text, line);
	guest_print("\n");
	guest_poweroff();
}

void guest_check_eq(uint64_t a, uint64_t b, const char *text, int line)
{
	if (a == b)
		return;
	fail(text, line);
	guest_print(": ");
	guest_print_hex(a);
	guest_print(" is not ");
	guest_print_hex(b);
	guest_print("\n");
	guest_poweroff();
}

struct idt_entry {
	uint16_t offset_0, selector;
	uint8_t ist, type;
	uint16_t offset_16;
	uint32_t offset_32, zero;
};

static struct idt_entry idt[256];
extern const uint8_t vector_stubs[256][16];
extern const uint8_t gdt_pointer[];

void guest_interrupt(unsigned vector, uint64_t error, uint64_t rip)
{
	if (vector < VECTOR_IRQ) {
		guest_print("FAIL exception ");
		guest_print_hex(vector);
		guest_print(" error ");
		guest_print_hex(error);
		guest_print(" at ");
		guest_print_hex(rip);
		guest_print("\n");
		guest_poweroff();
	}
	guest_irq_cpu[vector] = (uint8_t)guest_cpu();
	guest_irq_count[vector]++;
	if (guest_irq_handler)
		guest_irq_handler(vector);
	mmio_write32(LAPIC + 0xb0, 0); /* end of interrupt */
}

void guest_interrupts_on(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned i = 0; i < 256; i++) {
		uint64_t stub = (uint64_t)vector_stubs[i];
		idt[i] = (struct idt_entry){.offset_0 = (uint16_t)stub,
					    .selector = 8,
					    .type = 0x8e,
					    .offset_16 = (uint16_t)(stub >> 16),
					    .offset_32 = (uint32_t)(stub >> 32)};
	}
	__asm__ volatile("lgdt (%0)" : : "r"(gdt_pointer));
	__asm__ volatile("lidt %0" : : "m"(pointer));
	__asm__ volatile("pushq $8; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:"
			 :
			 :
			 : "rax", "memory");
	/* The boot loader's selectors mean other descriptors now, and IRET will load SS anew. */
	__asm__ volatile("mov %0, %%ss; mov %0, %%ds; mov %0, %%es" : : "r"(0x10) : "memory");
	outb(0x21, 0xff); /* both PICs masked: the IOAPIC delivers */
	outb(0xa1, 0xff);
	mmio_write32(LAPIC + 0xf0, 0x1ff); /* LAPIC enabled, spurious vector 0xff */
}

static void route(unsigned pin, uint32_t low)
{
	mmio_write32(IOAPIC, 0x10 + 2 * pin);
	mmio_write32(IOAPIC + 0x10, low);
	mmio_write32(IOAPIC, 0x11 + 2 * pin);
	mmio_write32(IOAPIC + 0x10, guest_cpu() << 24);
}

void guest_route(unsigned pin)
{
	route(pin, VECTOR_IRQ + pin);
}

void guest_route_level(unsigned pin)
{
	route(pin, 0xa000 | (VECTOR_IRQ + pin)); /* level, active low */
}

void guest_unroute(unsigned pin)
{
	route(pin, 0x10000);
}

unsigned guest_cpu(void)
{
	return mmio_read32(LAPIC + 0x20) >> 24;
}

#define AP_START 0x8000ULL
#define AP_STACK 4096

extern const uint8_t ap_start[], ap_start_end[], ap_cr3[], ap_stack[], ap_entry[];

static void set_ap(const uint8_t *label, uint64_t value)
{
	*(volatile uint64_t *)(AP_START + (uint64_t)(label - ap_start)) = value;
}

void guest_start_cpu(unsigned id, void (*fn)(void))
{
	static uint8_t stack[AP_STACK] __attribute__((aligned(16)));
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	mem_copy((void *)AP_START, ap_start, (uint64_t)(ap_start_end - ap_start));
	set_ap(ap_cr3, cr3);
	set_ap(ap_stack, (uint64_t)stack + AP_STACK);
	set_ap(ap_entry, (uint64_t)fn);
	mmio_write32(LAPIC + 0xf0, 0x1ff);
	mmio_write32(LAPIC + 0x310, id << 24);
	mmio_write32(LAPIC + 0x300, 0x4500); /* INIT */
	mmio_write32(LAPIC + 0x310, id << 24);
	mmio_write32(LAPIC + 0x300, 0x4600 | AP_START >> 12); /* start-up */
}
