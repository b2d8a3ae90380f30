/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects the rooms that know nothing of KVM to it: doorbells of bus regions become ioeventfds, messages of
 * devices become irqfds, PCI's interrupt lines become lines of the IOAPIC.
 */
#pragma once

#include "machine/machine.h"

/* Once KVM's VM and the buses are there; nothing of it needs to be taken down but m->routes. */
int wiring_init(struct machine *m, struct err *e);
/* For struct pci_bus. */
void wiring_set_intx(void *machine, unsigned line, bool level);
int wiring_connect_intx(void *machine, unsigned line, int trigger, int resample, bool connect);
