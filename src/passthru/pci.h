/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that is somewhere else (passthru/vfio.h), shown to the guest on the PCI bus. What the guest may do
 * to the device itself is passed on; what is the machine's business is kept here:
 *
 *   configuration space  identity, BARs, the list of capabilities, MSI, MSI-X and power states are kept; the command register is
 *                        both kept and passed on; the rest is the device's (config.c)
 *   BARs                 memory of the device's is mapped into the guest, page by page; pages of the MSI-X table and
 *                        what cannot be mapped are read and written through the device's functions (bar.c)
 *   interrupts           the device's are eventfds that KVM takes for the guest's MSI, MSI-X or INTx (irq.c)
 *
 * Locks: the PCI bus's, then the front's own (interrupts), then those of msix, of the interrupt routes and of the device.
 */
#pragma once

#include "bus/msi.h"
#include "event/loop.h"
#include "passthru/vfio.h"
#include "pci/pci.h"

struct passthru;

/* What it needs; all of it outlives it. */
struct passthru_host {
	struct pci_bus *bus;
	const struct msi_router *router;
	struct loop *loop;
};

/*
 * Puts the device on the bus. It is the front's from now on, whatever becomes of it. -errno with a text: it does not
 * answer, or the bus has no room.
 */
int passthru_create(struct passthru **out, struct vfio_device *v, const struct passthru_host *host,
		    struct err *e);
/* The vCPUs have stopped. Resets the device and closes it. NULL is fine. */
void passthru_destroy(struct passthru *p);
