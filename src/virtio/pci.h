/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio over PCI, modern (virtio 1.2, 4.1): the registers lie in BAR 0, capabilities in configuration space
 * say where, and each queue has a doorbell and an MSI-X vector of its own.
 *
 * Threads: BAR accesses come from vCPU threads without the PCI bus's lock, configuration accesses with it,
 * interrupts from any thread with the device's.
 * Locks, in this order: PCI bus, device, the transport's own (vectors, ISR status, level of INTx), MSI-X and
 * the PCI bus's intx_lock. Nothing here takes the PCI bus's lock but virtio_pci_create().
 */
#pragma once

#include "bus/msi.h"
#include "pci/pci.h"
#include "virtio/virtio.h"

/* BAR 0: a page for each structure, so that a hypervisor in the guest can pass on the one with the doorbells. */
#define VIRTIO_PCI_COMMON    0x0000
#define VIRTIO_PCI_ISR_AT    0x1000
#define VIRTIO_PCI_DEVICE    0x2000
#define VIRTIO_PCI_NOTIFY    0x3000
#define VIRTIO_PCI_MSIX      0x4000
#define VIRTIO_PCI_PBA       0x5000
#define VIRTIO_PCI_BAR_LEN   0x8000
#define VIRTIO_PCI_PAGE      0x1000
#define VIRTIO_PCI_NOTIFY_BY 4 /* notify_off_multiplier: bytes from doorbell to doorbell */

#define VIRTIO_PCI_MAX_QUEUES \
	255 /* with the configuration's vector as many as fill the MSI-X page */

struct virtio_pci;

/*
 * Puts the device into the first free slot. Device, bus and router stay the caller's and outlive the
 * transport. -EINVAL: too many queues; -ENOMEM; or what pci_add() and msix_create() say.
 */
int virtio_pci_create(struct virtio_pci **out, struct virtio_dev *dev, struct pci_bus *bus,
		      const struct msi_router *router, struct err *e);
/*
 * The PCI bus has no unplugging: no vCPU runs any more, and the bus is not used afterwards but for
 * pci_bus_fini(). The device is still there. NULL is fine.
 */
void virtio_pci_destroy(struct virtio_pci *p);
