/* SPDX-License-Identifier: Apache-2.0 */
/* Sends back what it receives by interrupts, until a 0x04; then prints how many bytes and their sum. */
#include "lib.h"

static uint32_t received, sum;
static volatile bool ended;

static void on_serial(unsigned vector)
{
	(void)vector;
	for (;;) {
		uint8_t iir = inb(COM1 + 2);
		if (iir & 1)
			return;
		while (inb(COM1 + 5) & 1) {
			uint8_t byte = inb(COM1);
			if (byte == 4) {
				ended = true;
				return;
			}
			received++;
			sum = sum * 31 + byte;
		}
	}
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params, (void)pvh_info;
	guest_irq_handler = on_serial;
	guest_interrupts_on();
	guest_route(4);
	outb(COM1 + 2, 0xc7); /* FIFOs, interrupt at 14 bytes */
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, 0x01);
	guest_print("READY\n");
	while (!ended)
		sti_hlt();
	outb(COM1 + 1, 0);
	guest_print("bytes ");
	guest_print_hex(received);
	guest_print(" sum ");
	guest_print_hex(sum);
	guest_print("\nPASS\n");
}
