// SPDX-License-Identifier: Apache-2.0
/*
 * INTx: four level-triggered lines, each shared by every fourth slot. A line is high while any of its devices
 * asserts INTA# and has it not disabled in its command register (PCI 3.0, 6.2.2 and 6.2.3).
 */
#include "pci/pci_impl.h"

static bool level(const struct pci_bus *b, unsigned line)
{
	uint32_t slots = 0x11111111u << line; /* see pci_intx_line() */

	return b->intx_asserted & ~b->intx_disabled & slots;
}

/* Sets or clears the slot's bit in one of the two masks, and drives its line if that has changed. */
static void change(struct pci_dev *d, uint32_t *slots, bool on)
{
	struct pci_bus *b = d->bus;
	unsigned line = pci_intx_line(d->slot);
	uint32_t bit = 1u << d->slot;
	bool before;

	pthread_mutex_lock(&b->intx_lock);
	before = level(b, line);
	*slots = on ? *slots | bit : *slots & ~bit;
	if (level(b, line) != before && b->set_intx)
		b->set_intx(b->intx_arg, line, !before);
	pthread_mutex_unlock(&b->intx_lock);
}

void pci_set_intx(struct pci_dev *d, bool asserted)
{
	if (d->bus && d->config[PCI_INTERRUPT_PIN])
		change(d, &d->bus->intx_asserted, asserted);
}

void pci_update_intx(struct pci_dev *d)
{
	change(d, &d->bus->intx_disabled, pci_get16(d, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);
}

bool pci_intx_status(const struct pci_dev *d)
{
	struct pci_bus *b = d->bus;
	bool asserted;

	pthread_mutex_lock(&b->intx_lock);
	asserted = b->intx_asserted & 1u << d->slot;
	pthread_mutex_unlock(&b->intx_lock);
	return asserted;
}
