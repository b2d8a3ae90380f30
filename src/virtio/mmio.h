/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over MMIO, version 2 (virtio 1.2, 4.2): one page of registers at a fixed address and one interrupt
 * line. Nothing to discover: the machine tells the guest the address and the interrupt (kernel command line,
 * ACPI).
 *
 * Threads: the registers are accessed by vCPU threads, interrupts come from any. No lock of its own: what
 * belongs to the transport are single words, read and written atomically. Bytes are the host's: little-endian.
 */
#pragma once

#include "bus/bus.h"
#include "bus/irq.h"
#include "virtio/virtio.h"

#define VIRTIO_MMIO_LEN \
	0x1000 /* bytes of address space: 0x100 of registers, then the configuration */

struct virtio_mmio;

/*
 * Puts the device's registers on the bus at `base` (guest-physical, 4-byte aligned), with a doorbell for each
 * queue. `irq` is edge-triggered: it is raised for each event. Device, bus and irq stay the caller's and
 * outlive the transport. -ENOMEM, or what bus_add() says.
 */
int virtio_mmio_create(struct virtio_mmio **out, struct virtio_dev *dev, struct bus *mmio,
		       uint64_t base, const struct irq *irq, struct err *e);
/* Takes them off the bus again. No vCPU runs, and the device is still there. NULL is fine. */
void virtio_mmio_destroy(struct virtio_mmio *p);
