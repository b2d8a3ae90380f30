// SPDX-License-Identifier: Apache-2.0
/*
 * BARs: the device's regions. Pages that can be mapped are the guest's without an exit, but for those that hold the
 * MSI-X table or the pending bits: these are served here. What cannot be mapped (ports, regions smaller than a page, the
 * expansion ROM, what the device's owner does not offer) goes through the device's functions, access by access.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/layout.h"
#include "passthru/pci_impl.h"

static unsigned region_index(const struct passthru_bar *b)
{
	return VFIO_PCI_BAR0_REGION_INDEX + b->index;
}

/* Whether the access touches the span; *at: where in it. One that begins before it is nobody's. */
static bool in_span(const struct passthru_span *s, unsigned bar, uint64_t off, unsigned len)
{
	return s->len && s->bar == bar && off < s->off + s->len && s->off < off + len;
}

static void bar_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct passthru_bar *b = dev;
	struct passthru *p = b->front;

	if (in_span(&p->table, b->index, off, len))
		msix_table_read(p->msix, off - p->table.off, data, len);
	else if (in_span(&p->pba, b->index, off, len))
		msix_pba_read(p->msix, off - p->pba.off, data, len);
	else
		p->v->ops->read(p->v, region_index(b), off, data, len);
}

static void bar_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct passthru_bar *b = dev;
	struct passthru *p = b->front;

	if (in_span(&p->table, b->index, off, len)) {
		msix_table_write(p->msix, off - p->table.off, data, len);
		passthru_update_vector(p, (unsigned)((off - p->table.off) / MSIX_ENTRY_LEN));
	} else if (!in_span(&p->pba, b->index, off, len) && b->index != PCI_ROM_BAR) {
		p->v->ops->write(p->v, region_index(b), off, data, len);
	}
}

static const struct bus_ops bar_ops = {.read = bar_read, .write = bar_write};

/* The pages that the span touches. */
static struct passthru_span pages(const struct passthru_span *s, unsigned bar)
{
	uint64_t first = align_down(s->off, PAGE_SIZE);

	if (!s->len || s->bar != bar)
		return (struct passthru_span){0};
	return (struct passthru_span){bar, first, align_up(s->off + s->len, PAGE_SIZE) - first};
}

/* [off, off + len) of an area without the pages from `hole` on; what is behind the hole goes on with the rest. */
static void add_memory(struct pci_bar *bar, struct bus_memory *list, const struct vfio_area *a,
		       bool readonly, const struct passthru_span hole[2])
{
	uint64_t off = a->off, end = a->off + a->len;

	while (off < end) {
		uint64_t stop = end, next = end;
		for (unsigned i = 0; i < 2; i++) {
			uint64_t hole_end = hole[i].off + hole[i].len;
			if (!hole[i].len || hole_end <= off || hole[i].off >= stop)
				continue;
			stop = MAX(hole[i].off, off);
			next = hole_end;
		}
		if (stop > off)
			list[bar->n_memories++] = (struct bus_memory){
				.off = off,
				.len = stop - off,
				.host = (char *)a->host + (off - a->off),
				.readonly = readonly,
			};
		off = next;
	}
}

static int init_memory(struct passthru *p, unsigned i, struct err *e)
{
	const struct vfio_region *r = &p->v->region[VFIO_PCI_BAR0_REGION_INDEX + i];
	struct pci_bar *bar = &p->dev.bar[i];
	struct passthru_span hole[2] = {pages(&p->table, i), pages(&p->pba, i)};

	/* Each hole cuts one area in two. */
	p->bar[i].memory = calloc(r->n_areas + ARRAY_SIZE(hole), sizeof(*p->bar[i].memory));
	if (!p->bar[i].memory)
		return err_set(e, ENOMEM, "out of memory");
	/* Memory that the guest can only write does not exist for KVM: it is trapped. */
	for (unsigned k = 0; k < r->n_areas && r->flags & VFIO_REGION_INFO_FLAG_READ; k++)
		add_memory(bar, p->bar[i].memory, &r->area[k],
			   !(r->flags & VFIO_REGION_INFO_FLAG_WRITE), hole);
	bar->memory = p->bar[i].memory;
	return 0;
}

static int init_doorbells(struct passthru *p, unsigned i, struct err *e)
{
	const struct vfio_region *r = &p->v->region[VFIO_PCI_BAR0_REGION_INDEX + i];
	struct pci_bar *bar = &p->dev.bar[i];

	if (!r->n_doorbells)
		return 0;
	p->bar[i].doorbell = calloc(r->n_doorbells, sizeof(*p->bar[i].doorbell));
	if (!p->bar[i].doorbell)
		return err_set(e, ENOMEM, "out of memory");
	for (unsigned k = 0; k < r->n_doorbells; k++) {
		const struct vfio_doorbell *d = &r->doorbell[k];
		p->bar[i].doorbell[k] =
			(struct bus_doorbell){d->off, d->len, d->match, d->value, d->fd};
	}
	bar->doorbell = p->bar[i].doorbell;
	bar->n_doorbells = r->n_doorbells;
	return 0;
}

/* A mediated device's region may have any size; a BAR is a power of two. Nobody answers behind the region's end. */
static uint64_t bar_size(uint64_t region, bool io)
{
	uint64_t size = io ? 4 : 16;

	while (size < region && size < 1ULL << 63)
		size *= 2;
	return size;
}

static int init_bar(struct passthru *p, unsigned i, struct err *e)
{
	uint64_t size = p->v->region[VFIO_PCI_BAR0_REGION_INDEX + i].size;
	/* The ROM's register has an address only. */
	uint32_t reg = i == PCI_ROM_BAR ? 0 : pci_get32(&p->dev, PCI_BASE_ADDRESS_0 + 4 * i);
	bool io = reg & PCI_BASE_ADDRESS_SPACE_IO;
	struct pci_bar *bar = &p->dev.bar[i];
	int rc;

	p->bar[i] = (struct passthru_bar){.front = p, .index = i};
	*bar = (struct pci_bar){
		.name = p->v->name,
		.size = i == PCI_ROM_BAR ? MAX(bar_size(size, false), 2 * KIB) : bar_size(size, io),
		.io = io,
		.is_64 = !io &&
			 (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64,
		.prefetchable = !io && reg & PCI_BASE_ADDRESS_MEM_PREFETCH,
		.ops = &bar_ops,
		.dev = &p->bar[i],
	};
	if (io)
		return 0;
	rc = init_memory(p, i, e);
	return rc < 0 ? rc : init_doorbells(p, i, e);
}

int passthru_bars_init(struct passthru *p, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < PCI_REGIONS && rc == 0; i++)
		if (p->v->region[VFIO_PCI_BAR0_REGION_INDEX + i].size)
			rc = init_bar(p, i, e);
	/* Their addresses are the host's; ours follow in pci_add(). */
	memset(p->dev.config + PCI_BASE_ADDRESS_0, 0, 4ul * PCI_BARS);
	return rc;
}

void passthru_bars_fini(struct passthru *p)
{
	for (unsigned i = 0; i < PCI_REGIONS; i++) {
		free(p->bar[i].memory);
		free(p->bar[i].doorbell);
	}
}
