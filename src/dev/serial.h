/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A UART (National Semiconductor PC16550D data sheet, June 1995): what Linux calls ttyS0.
 *
 * Time does not pass in it: a byte written is sent, a byte received is there. So the transmitter is
 * always empty (LSR.THRE and TEMT read as 1; a polling printk never waits), and a FIFO below its
 * trigger level has "timed out" as soon as the host has no more to give.
 *
 * Flow control to the host's side: while chardev_congested() the transmitter-empty *interrupt* is
 * withheld, so that a driver which sends by interrupt waits and loses nothing.
 *
 * The interrupt line. The chip has a level: high while a cause is pending and enabled. The PC's ISA
 * interrupt is an edge, and so is struct irq. An edge is raised
 * - whenever a cause becomes pending, even while another keeps the line high: a handler that serves
 * one cause and returns does not miss the second (Linux's loops until IIR says that none is left);
 * - when THR is written and the transmitter is empty again at once: the line went low and high. If
 * the guest acknowledges by IIR, one edge after each reading of it is enough, not one for each of
 * 16 bytes;
 * - when a guest took some bytes and left others for a millisecond: the character time-out, which
 * the chip too repeats. This also heals an edge that was lost while the pin was masked. An edge too
 * many is harmless: the handler finds nothing in IIR.
 *
 * MCR.OUT2 gates the interrupt on a PC's serial card; here it does not: Linux always sets it, a
 * small bare-metal guest often forgets it and would wonder why nothing comes.
 *
 * Lock: the serial's own, taken after none and before the chardev's. irq_raise() is called with it
 * held, so that edges come in the order of their causes; it does not block.
 */
#pragma once

#include "backend/chardev.h"
#include "bus/bus.h"
#include "bus/irq.h"

#define SERIAL_PORTS 8 /* I/O ports of one UART; region width 1 */

struct serial;

extern const struct bus_ops serial_bus_ops; /* dev argument: struct serial * */

/* Neither irq nor chardev is owned; both outlive the serial. Starts the chardev. */
int serial_create(struct serial **out, const struct irq *irq, struct chardev *c, struct err *e);
/* Taps what the guest transmits (boot doctor); fn runs with the serial's lock held, one byte a
 * call. */
void serial_set_tap(struct serial *s, void (*fn)(void *arg, uint8_t byte), void *arg);
/* When the vCPUs and the loop have stopped. NULL is fine. */
void serial_destroy(struct serial *s);
