/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bare-metal guest program has: ports, console, interrupts. A program is one file with
 * guest_main(); it prints "PASS" lines or calls CHECK(), and powers off by returning.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COM1       0x3f8
#define VECTOR_IRQ 0x20 /* IOAPIC pin n is vector VECTOR_IRQ + n */

/* boot_params of the Linux boot protocol or hvm_start_info of PVH; the other one is NULL. */
void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info);

void guest_poweroff(void) __attribute__((noreturn));
void guest_print(const char *text);
void guest_print_hex(uint64_t value);

/* Says what failed and powers off, unless cond holds. */
#define CHECK(cond) guest_check(cond, #cond, __LINE__)
void guest_check(bool ok, const char *text, int line);
#define CHECK_EQ(a, b) guest_check_eq((uint64_t)(a), (uint64_t)(b), #a " == " #b, __LINE__)
void guest_check_eq(uint64_t a, uint64_t b, const char *text, int line);

/* Interrupts: own IDT, LAPIC on. Each interrupt counts in guest_irq_count[vector] and is acknowledged. */
extern volatile uint32_t guest_irq_count[256];
extern volatile uint8_t guest_irq_cpu[256]; /* that took it last */
extern void (*guest_irq_handler)(unsigned vector);
void guest_interrupts_on(void);
/* Routes IOAPIC pin to vector VECTOR_IRQ + pin on this CPU, edge-triggered; or level-triggered, as PCI's are. */
void guest_route(unsigned pin);
void guest_route_level(unsigned pin);
void guest_unroute(unsigned pin); /* masked */
/* The number of the processor that asks: of its LAPIC. */
unsigned guest_cpu(void);
/* Starts processor `id` in fn(), with a small stack of its own; it sleeps when fn() returns. One at a time. */
void guest_start_cpu(unsigned id, void (*fn)(void));

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t mmio_read32(uint64_t a)
{
	return *(volatile uint32_t *)a;
}

static inline void mmio_write32(uint64_t a, uint32_t v)
{
	*(volatile uint32_t *)a = v;
}

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

/* String instructions: where guests are interpreted in part, a loop over a page takes as long as a request. */
static inline void mem_fill(void *at, uint8_t byte, uint64_t len)
{
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(len) : "a"(byte) : "memory");
}

static inline void mem_copy(void *to, const void *from, uint64_t len)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(len) : : "memory");
}

static inline bool mem_same(const void *a, const void *b, uint64_t len)
{
	bool same;

	__asm__ volatile("cmp %%al, %%al; repe cmpsb; sete %0"
			 : "=q"(same), "+D"(a), "+S"(b), "+c"(len)
			 :
			 : "memory", "cc");
	return same;
}

static inline void sti_hlt(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}
