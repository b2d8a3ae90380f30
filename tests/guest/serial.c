/* SPDX-License-Identifier: Apache-2.0 */
/* ttyS0 as a driver sees it: scratch, divisor latch, loopback, FIFO, transmit interrupt by the IOAPIC. */
#include "lib.h"

#define IER (COM1 + 1)
#define IIR (COM1 + 2)
#define FCR (COM1 + 2)
#define LCR (COM1 + 3)
#define MCR (COM1 + 4)
#define LSR (COM1 + 5)
#define MSR (COM1 + 6)
#define SCR (COM1 + 7)

static void check_registers(void)
{
	outb(SCR, 0xa5);
	CHECK_EQ(inb(SCR), 0xa5);
	outb(LCR, 0x83); /* DLAB */
	outb(COM1, 0x0c);
	outb(COM1 + 1, 0x01);
	CHECK_EQ(inb(COM1), 0x0c);
	CHECK_EQ(inb(COM1 + 1), 0x01);
	outb(LCR, 0x03);
	CHECK_EQ(inb(IER), 0);
	CHECK_EQ(inb(LSR) & 0x60, 0x60);
	CHECK_EQ(inb(IIR) & 0x0f, 0x01); /* nothing pending */
}

static void check_loopback(void)
{
	outb(FCR, 0x07); /* FIFOs on and empty */
	CHECK_EQ(inb(IIR) & 0xc0, 0xc0);
	outb(MCR, 0x1a); /* loopback with RTS and OUT2, as Linux's autoconfig does */
	CHECK_EQ(inb(MSR) & 0xf0, 0x90);
	for (unsigned i = 0; i < 16; i++)
		outb(COM1, (uint8_t)(0x40 + i));
	CHECK_EQ(inb(LSR) & 0x03, 0x01); /* full, no overrun yet */
	outb(COM1, 0x7f);
	CHECK_EQ(inb(LSR) & 0x02, 0x02); /* overrun */
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(inb(COM1), 0x40 + i);
	CHECK_EQ(inb(LSR) & 0x01, 0);
	outb(MCR, 0x0b);
}

static void check_transmit_interrupt(void)
{
	guest_interrupts_on();
	guest_route(4);
	outb(IER, 0x02);
	for (unsigned i = 0; i < 1000 && !guest_irq_count[VECTOR_IRQ + 4]; i++)
		__asm__ volatile("sti; pause; cli");
	if (!guest_irq_count[VECTOR_IRQ + 4])
		sti_hlt();
	CHECK_EQ(guest_irq_count[VECTOR_IRQ + 4], 1);
	CHECK_EQ(inb(IIR) & 0x0f, 0x02); /* transmitter empty; reading clears it */
	CHECK_EQ(inb(IIR) & 0x0f, 0x01);
	outb(COM1, '.'); /* gone at once: the next one */
	sti_hlt();
	CHECK_EQ(guest_irq_count[VECTOR_IRQ + 4], 2);
	outb(IER, 0);
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	check_registers();
	check_loopback();
	check_transmit_interrupt();
	guest_print("\nPASS\n");
}
