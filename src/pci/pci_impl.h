/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. Everywhere: the PCI bus's lock is held. */
#pragma once

#include "pci/pci.h"

#define PCI_FUNCTION_LEN 4096 /* configuration space of a function behind ECAM */

/* pci_add()'s part: checks the BARs, gives them registers and addresses. On error no cursor has moved. */
MUST_CHECK int pci_place_bars(struct pci_bus *b, struct pci_dev *d, struct err *e);
/* Takes off the bus what is not where its register says, and puts there what can be put. */
void pci_update_bars(struct pci_bus *b);
/* Takes all of the device's BARs off the buses. */
void pci_unmap_bars(struct pci_dev *d);

/* The command register may have changed. */
void pci_update_intx(struct pci_dev *d);
/* The Interrupt Status bit. */
bool pci_intx_status(const struct pci_dev *d);
