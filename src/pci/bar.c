// SPDX-License-Identifier: Apache-2.0
/*
 * Base address registers (PCI 3.0, 6.2.5.1). The address bits below a BAR's size are not writable, so a
 * guest that writes all ones reads back the size: nothing here has to know that it is being asked. The expansion ROM's
 * register (6.2.5.2) is one more of 32 bits, with a bit of its own that switches it on.
 */
#include <errno.h>

#include "base/log.h"
#include "pci/pci_impl.h"

#define PAGE  (4 * KIB)
#define SMALL (1 * MIB)

static unsigned reg(unsigned i)
{
	return i == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * i;
}

static uint32_t flags(const struct pci_bar *bar)
{
	if (bar->io)
		return PCI_BASE_ADDRESS_SPACE_IO;
	return (bar->is_64 ? PCI_BASE_ADDRESS_MEM_TYPE_64 : PCI_BASE_ADDRESS_MEM_TYPE_32) |
	       (bar->prefetchable ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/* [at, at + size) lies in [first, last]. */
static bool inside(uint64_t at, uint64_t size, uint64_t first, uint64_t last)
{
	return at >= first && at <= last && size - 1 <= last - at;
}

/* Whether the guest wants BAR `i` to be somewhere where it may be; *at: there. */
static bool wanted(const struct pci_bus *b, const struct pci_dev *d, unsigned i, uint64_t *at)
{
	const struct pci_bar *bar = &d->bar[i];
	uint16_t decode = bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;

	if (!bar->size || !(pci_get16(d, PCI_COMMAND) & decode))
		return false;
	*at = pci_get32(d, reg(i));
	if (i == PCI_ROM_BAR && !(*at & PCI_ROM_ADDRESS_ENABLE))
		return false;
	if (bar->is_64)
		*at |= (uint64_t)pci_get32(d, reg(i + 1)) << 32;
	*at &= ~(bar->size - 1);
	if (bar->io)
		return inside(*at, bar->size, b->window_io, b->window_io_last);
	return inside(*at, bar->size, b->window32, b->window32_last) ||
	       (bar->is_64 && inside(*at, bar->size, b->window64, b->window64_last));
}

static struct bus *space(const struct pci_bus *b, const struct pci_bar *bar)
{
	return bar->io ? b->pio : b->mmio;
}

static void unmap_moved(struct pci_bus *b, struct pci_dev *d, unsigned i)
{
	struct pci_bar *bar = &d->bar[i];
	uint64_t at;

	if (!bar->mapped || (wanted(b, d, i, &at) && at == bar->at))
		return;
	bus_remove(space(b, bar), bar->at);
	bar->mapped = false;
}

/* Something may be in the way; then the BAR stays unmapped, and the next update tries again. */
static void map(struct pci_bus *b, struct pci_dev *d, unsigned i)
{
	struct pci_bar *bar = &d->bar[i];
	struct bus_region r = {.name = bar->name,
			       .ops = bar->ops,
			       .dev = bar->dev,
			       .doorbell = bar->doorbell,
			       .n_doorbells = bar->n_doorbells,
			       .memory = bar->memory,
			       .n_memories = bar->n_memories};
	struct err ignored;

	if (bar->mapped || !wanted(b, d, i, &r.base))
		return;
	r.last = r.base + (bar->size - 1);
	if (bus_add(space(b, bar), r, &ignored) == 0) {
		bar->at = r.base;
		bar->mapped = true;
	}
}

static void for_each_bar(struct pci_bus *b,
			 void (*fn)(struct pci_bus *b, struct pci_dev *d, unsigned i))
{
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
		for (unsigned i = 0; b->slot[slot] && i < PCI_REGIONS; i++)
			fn(b, b->slot[slot], i);
}

/* All of the bus, not only the device that was written to: its BAR may have been in another's way. */
void pci_update_bars(struct pci_bus *b)
{
	for_each_bar(b, unmap_moved);
	for_each_bar(b, map);
}

void pci_unmap_bars(struct pci_dev *d)
{
	for (unsigned i = 0; i < PCI_REGIONS; i++) {
		if (d->bar[i].mapped)
			bus_remove(space(d->bus, &d->bar[i]), d->bar[i].at);
		d->bar[i].mapped = false;
	}
}

/* What pci_add() does: */

static int check(const struct pci_dev *d, unsigned i, struct err *e)
{
	const struct pci_bar *bar = &d->bar[i];
	bool rom = i == PCI_ROM_BAR;
	uint64_t least = rom ? 2 * KIB : bar->io ? 4 : 16;
	uint64_t most = bar->io ? 256 : bar->is_64 ? 1ULL << 63 : 1ULL << 31;

	if (bar->size & (bar->size - 1) || bar->size < least || bar->size > most)
		return err_set(e, EINVAL, "PCI: BAR %u of %s has an impossible size of %#llx", i,
			       d->name, (unsigned long long)bar->size);
	if ((bar->io && (bar->is_64 || bar->prefetchable)) || (rom && (bar->io || bar->is_64)))
		return err_set(e, EINVAL, "PCI: BAR %u of %s cannot be of two kinds", i, d->name);
	if (bar->is_64 && (i + 1 == PCI_BARS || d->bar[i + 1].size))
		return err_set(e, EINVAL, "PCI: BAR %u of %s has no register for its upper half", i,
			       d->name);
	return 0;
}

/*
 * The first free place of a window. Memory BARs get pages of their own: one that is mapped into the guest
 * (a passed-through device's) has to.
 */
static bool take(uint64_t *next, uint64_t first, uint64_t last, uint64_t size, uint64_t alignment,
		 uint64_t *at)
{
	uint64_t up;

	if (__builtin_add_overflow(MAX(*next, first), alignment - 1, &up) ||
	    !inside(align_down(up, alignment), size, first, last))
		return false;
	*at = align_down(up, alignment);
	if (__builtin_add_overflow(*at, size, next))
		*next = UINT64_MAX; /* the window ends at 2^64: nothing fits any more */
	return true;
}

static bool find_place(struct pci_bus *b, const struct pci_bar *bar, uint64_t *at)
{
	uint64_t size = bar->size, alignment = MAX(size, PAGE);

	if (bar->io)
		return take(&b->next_io, b->window_io, b->window_io_last, size, size, at);
	/* Small ones where guests in 32-bit mode reach them, too: firmware, boot loaders, test programs. */
	if (bar->is_64 && size > SMALL &&
	    take(&b->next64, b->window64, b->window64_last, size, alignment, at))
		return true;
	return take(&b->next32, b->window32, b->window32_last, size, alignment, at) ||
	       (bar->is_64 && take(&b->next64, b->window64, b->window64_last, size, alignment, at));
}

static void fill_registers(struct pci_dev *d, unsigned i, uint64_t at)
{
	const struct pci_bar *bar = &d->bar[i];
	uint64_t mask = ~(bar->size - 1);

	pci_put32(d, reg(i), (uint32_t)at | flags(bar));
	for (unsigned byte = 0; byte < (bar->is_64 ? 8 : 4); byte++)
		d->writable[reg(i) + byte] = (uint8_t)(mask >> (8 * byte));
	if (i == PCI_ROM_BAR)
		d->writable[reg(i)] |= PCI_ROM_ADDRESS_ENABLE;
	if (bar->is_64)
		pci_put32(d, reg(i + 1), (uint32_t)(at >> 32));
	d->writable[PCI_COMMAND] |= bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
}

int pci_place_bars(struct pci_bus *b, struct pci_dev *d, struct err *e)
{
	uint64_t next32 = b->next32, next64 = b->next64, next_io = b->next_io, at[PCI_REGIONS];
	int rc = 0;

	for (unsigned i = 0; i < PCI_REGIONS && rc == 0; i++) {
		if (!d->bar[i].size)
			continue;
		rc = check(d, i, e);
		if (rc == 0 && !find_place(b, &d->bar[i], &at[i]))
			rc = err_set(e, ENOSPC, "PCI: no room for BAR %u of %s (%#llx bytes)", i,
				     d->name, (unsigned long long)d->bar[i].size);
		/* A device works without its ROM. */
		if (rc < 0 && i == PCI_ROM_BAR) {
			log_warn("%s; the guest gets the device without its ROM", e->text);
			d->bar[i].size = 0;
			rc = 0;
		}
	}
	if (rc < 0) {
		b->next32 = next32, b->next64 = next64, b->next_io = next_io;
		return rc;
	}
	for (unsigned i = 0; i < PCI_REGIONS; i++)
		if (d->bar[i].size)
			fill_registers(d, i, at[i]);
	return 0;
}
