// SPDX-License-Identifier: Apache-2.0
/*
 * Which of the device's capabilities the guest sees. They stay where they are, for drivers that know the place by
 * heart; the links are made anew around what is hidden. The lists are the device's, so they are not trusted to end, to
 * stay in configuration space, or not to overlap.
 */
#include <errno.h>
#include <string.h>

#include "passthru/pci_impl.h"

#define CAPS_MAX     ((PCI_CONFIG_LEN - PCI_STD_HEADER_SIZEOF) / 4)
#define EXT_CAPS_MAX ((CONFIG_LEN - EXT_START) / 8)

/* PCI Express capability (PCI Express 3.0, 7.8), version 2, and version 1 of an endpoint in the root complex. */
#define EXP_LEN_V2 0x3c
#define EXP_LEN_V1 0x0c

#define EXT_CAP_ID_VF_REBAR 0x24 /* not in all versions of linux/pci_regs.h */

static void set_through(struct passthru *p, unsigned off, unsigned len, bool through)
{
	memset(p->through + off, through, len * sizeof(p->through[0]));
}

/* Bytes of the capability at `at`, its header included; 0: the guest is not to see it. */
static unsigned length(const struct pci_dev *d, unsigned at)
{
	uint16_t word = pci_get16(d, at + 2);

	switch (d->config[at]) {
	case PCI_CAP_ID_PM:
		return PCI_PM_SIZEOF;
	case PCI_CAP_ID_MSI:
		return word & PCI_MSI_FLAGS_MASKBIT ? (word & PCI_MSI_FLAGS_64BIT ? 24 : 20)
						    : (word & PCI_MSI_FLAGS_64BIT ? 14 : 10);
	case PCI_CAP_ID_MSIX:
		return PCI_CAP_MSIX_SIZEOF;
	case PCI_CAP_ID_EXP:
		return (word & PCI_EXP_FLAGS_VERS) >= 2 ? EXP_LEN_V2 : EXP_LEN_V1;
	case PCI_CAP_ID_VNDR:
		return d->config[at + 2];
	case PCI_CAP_ID_AF:
		return PCI_CAP_AF_SIZEOF;
	default:
		return 0;
	}
}

/* The device stays in D0: what it is asked for in other states is not always there, its memory for one. */
static void keep_power(struct passthru *p, unsigned at)
{
	struct pci_dev *d = &p->dev;

	pci_put16(d, at + PCI_PM_PMC,
		  pci_get16(d, at + PCI_PM_PMC) & (uint16_t)~PCI_PM_CAP_PME_MASK);
	memset(d->config + at + PCI_PM_CTRL, 0, PCI_PM_SIZEOF - PCI_PM_CTRL);
	pci_put16(d, at + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	d->writable[at + PCI_PM_CTRL] = PCI_PM_CTRL_STATE_MASK;
	set_through(p, at, PCI_PM_SIZEOF, false);
}

/*
 * On our bus there is no port above it: an endpoint is one of the root complex, which has no link (7.8.2). Latency
 * tolerance and buffer flushing are of the way to memory, which is the host's.
 */
static void keep_express(struct passthru *p, unsigned at, unsigned len)
{
	struct pci_dev *d = &p->dev;
	uint16_t flags = pci_get16(d, at + PCI_EXP_FLAGS) &
			 (uint16_t) ~(PCI_EXP_FLAGS_TYPE | PCI_EXP_FLAGS_SLOT);
	uint32_t cap2;

	pci_put16(d, at + PCI_EXP_FLAGS, flags | PCI_EXP_TYPE_RC_END << 4);
	set_through(p, at, 4, false);
	if (len == EXP_LEN_V1)
		return;
	memset(d->config + at + PCI_EXP_LNKCAP, 0, PCI_EXP_DEVCAP2 - PCI_EXP_LNKCAP);
	set_through(p, at + PCI_EXP_LNKCAP, PCI_EXP_DEVCAP2 - PCI_EXP_LNKCAP, false);
	cap2 = pci_get32(d, at + PCI_EXP_DEVCAP2) &
	       ~(uint32_t)(PCI_EXP_DEVCAP2_LTR | PCI_EXP_DEVCAP2_OBFF_MASK);
	pci_put32(d, at + PCI_EXP_DEVCAP2, cap2);
	set_through(p, at + PCI_EXP_DEVCAP2, 4, false);
	memset(d->config + at + PCI_EXP_LNKCAP2, 0, EXP_LEN_V2 - PCI_EXP_LNKCAP2);
	set_through(p, at + PCI_EXP_LNKCAP2, EXP_LEN_V2 - PCI_EXP_LNKCAP2, false);
}

static void keep_msi(struct passthru *p, unsigned at, unsigned len)
{
	struct pci_dev *d = &p->dev;
	uint16_t flags = pci_get16(d, at + PCI_MSI_FLAGS);
	uint16_t fixed = PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT;
	unsigned data = flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32;

	memset(d->config + at + PCI_MSI_FLAGS, 0, len - PCI_MSI_FLAGS);
	/* More than 32 there cannot be (6.8.1.3). */
	if ((flags & PCI_MSI_FLAGS_QMASK) > 5 << 1)
		flags = (uint16_t)((flags & ~PCI_MSI_FLAGS_QMASK) | 5 << 1);
	pci_put16(d, at + PCI_MSI_FLAGS, flags & fixed);
	d->writable[at + PCI_MSI_FLAGS] = PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE;
	d->writable[at + PCI_MSI_ADDRESS_LO] = 0xfc;
	memset(d->writable + at + PCI_MSI_ADDRESS_LO + 1, 0xff, data + 2 - PCI_MSI_ADDRESS_LO - 1);
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		memset(d->writable + at + data + 4, 0xff, 4);
	set_through(p, at, len, false);
	msi_init(&p->msi, at, len);
}

/* Whether [off, off + len) is in a memory BAR. */
static bool in_bar(const struct passthru *p, const struct passthru_span *s)
{
	const struct vfio_region *r;

	if (s->bar >= PCI_BARS ||
	    p->dev.config[PCI_BASE_ADDRESS_0 + 4 * s->bar] & PCI_BASE_ADDRESS_SPACE_IO)
		return false;
	r = &p->v->region[VFIO_PCI_BAR0_REGION_INDEX + s->bar];
	return s->off <= r->size && s->len <= r->size - s->off;
}

/* false: its table is nowhere, so that nobody can use it. */
static bool keep_msix(struct passthru *p, unsigned at)
{
	struct pci_dev *d = &p->dev;
	unsigned n = (pci_get16(d, at + PCI_MSIX_FLAGS) & PCI_MSIX_FLAGS_QSIZE) + 1;
	uint32_t table = pci_get32(d, at + PCI_MSIX_TABLE), pba = pci_get32(d, at + PCI_MSIX_PBA);

	p->table = (struct passthru_span){table & PCI_MSIX_TABLE_BIR, table & PCI_MSIX_TABLE_OFFSET,
					  (uint64_t)n * MSIX_ENTRY_LEN};
	p->pba = (struct passthru_span){pba & PCI_MSIX_PBA_BIR, pba & PCI_MSIX_PBA_OFFSET,
					align_up(n, 64) / 8};
	if (!p->v->irq[VFIO_PCI_MSIX_IRQ_INDEX].count || !in_bar(p, &p->table) ||
	    !in_bar(p, &p->pba)) {
		p->table.len = p->pba.len = 0;
		return false;
	}
	set_through(p, at, PCI_CAP_MSIX_SIZEOF, false);
	return true;
}

/* What becomes of the capability at `at`; false: it is hidden. */
static bool keep(struct passthru *p, unsigned at, unsigned len, unsigned *msix)
{
	switch (p->dev.config[at]) {
	case PCI_CAP_ID_PM:
		keep_power(p, at);
		return true;
	case PCI_CAP_ID_EXP:
		keep_express(p, at, len);
		return true;
	case PCI_CAP_ID_MSI:
		if (p->v->irq[VFIO_PCI_MSI_IRQ_INDEX].count == 0 || p->msi.cap)
			return false;
		keep_msi(p, at, len);
		return true;
	case PCI_CAP_ID_MSIX:
		if (*msix || !keep_msix(p, at))
			return false;
		*msix = at;
		return true;
	default:
		set_through(p, at, 2, false);
		return true;
	}
}

/* Whether [at, at + len) is free of other capabilities; then it is taken. */
static bool claim(bool taken[PCI_CONFIG_LEN], unsigned at, unsigned len)
{
	for (unsigned i = at; i < at + len; i++)
		if (taken[i])
			return false;
	memset(taken + at, true, len * sizeof(taken[0]));
	return true;
}

static void hide(struct passthru *p, unsigned at, unsigned len)
{
	memset(p->dev.config + at, 0, len);
	memset(p->dev.writable + at, 0, len);
	set_through(p, at, len, false);
}

/* Bytes from `at` to the next start of a capability: what a hidden one may consist of. */
static unsigned to_next(const bool *start, unsigned at, unsigned end)
{
	unsigned i = at + 4;

	while (i < end && !start[i])
		i++;
	return MIN(i, end) - at;
}

void passthru_caps_init(struct passthru *p, unsigned *msix)
{
	struct pci_dev *d = &p->dev;
	bool start[PCI_CONFIG_LEN] = {0}, taken[PCI_CONFIG_LEN] = {0};
	unsigned list[CAPS_MAX], n = 0, link = PCI_CAPABILITY_LIST;
	unsigned at = d->config[PCI_STATUS] & PCI_STATUS_CAP_LIST
			      ? d->config[PCI_CAPABILITY_LIST] & ~3u
			      : 0;

	while (n < CAPS_MAX && at >= PCI_STD_HEADER_SIZEOF && !start[at]) {
		start[at] = true;
		list[n++] = at;
		at = d->config[at + PCI_CAP_LIST_NEXT] & ~3u;
	}
	*msix = 0;
	d->config[PCI_CAPABILITY_LIST] = 0;
	d->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_CAP_LIST;
	for (unsigned i = 0; i < n; i++) {
		unsigned len = length(d, list[i]);
		at = list[i];
		if (taken[at])
			continue; /* inside another one */
		if (len < 3 || len > PCI_CONFIG_LEN - at || !claim(taken, at, len) ||
		    !keep(p, at, len, msix)) {
			hide(p, at, to_next(start, at, PCI_CONFIG_LEN));
			continue;
		}
		d->config[link] = (uint8_t)at;
		link = at + PCI_CAP_LIST_NEXT;
		d->config[link] = 0;
		d->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	}
}

/* ---- the extended list (PCI Express 3.0, 7.9.3) ---- */

static uint32_t ext_get(const struct passthru *p, unsigned at)
{
	uint32_t value;

	memcpy(&value, p->ext + (at - EXT_START), sizeof(value));
	return value;
}

static void ext_put(struct passthru *p, unsigned at, uint32_t value)
{
	memcpy(p->ext + (at - EXT_START), &value, sizeof(value));
}

/*
 * Hidden: what makes more devices or moves BARs behind the machine's back, and what is of the way through ports and
 * IOMMU, of which the guest has none.
 */
static bool ext_is_hidden(uint32_t header)
{
	switch (PCI_EXT_CAP_ID(header)) {
	case PCI_EXT_CAP_ID_SRIOV:
	case PCI_EXT_CAP_ID_MRIOV:
	case PCI_EXT_CAP_ID_REBAR:
	case EXT_CAP_ID_VF_REBAR:
	case PCI_EXT_CAP_ID_ATS:
	case PCI_EXT_CAP_ID_PRI:
	case PCI_EXT_CAP_ID_PASID:
	case PCI_EXT_CAP_ID_ACS:
	case PCI_EXT_CAP_ID_ARI:
	case PCI_EXT_CAP_ID_LTR:
	case PCI_EXT_CAP_ID_L1SS:
	case PCI_EXT_CAP_ID_DPC:
	case PCI_EXT_CAP_ID_PTM:
	case PCI_EXT_CAP_ID_SECPCI:
	case PCI_EXT_CAP_ID_TPH:
	case PCI_EXT_CAP_ID_MCAST:
		return true;
	default:
		return false;
	}
}

/* The first header cannot go: without an id it is a capability of no meaning, with a link (7.9.3: 0000h). */
void passthru_ext_caps_init(struct passthru *p)
{
	bool start[CONFIG_LEN] = {0};
	unsigned list[EXT_CAPS_MAX], n = 0, at = EXT_START, link = EXT_START;

	while (n < EXT_CAPS_MAX && at >= EXT_START && at <= CONFIG_LEN - 8 && !start[at] &&
	       ext_get(p, at)) {
		start[at] = true;
		list[n++] = at;
		at = PCI_EXT_CAP_NEXT(ext_get(p, at)) & ~3u;
	}
	set_through(p, EXT_START, 4, false); /* also of an empty list: nobody begins one later */
	for (unsigned i = 0; i < n; i++) {
		uint32_t header = ext_get(p, list[i]);
		at = list[i];
		if (ext_is_hidden(header)) {
			unsigned len = to_next(start, at, CONFIG_LEN);
			memset(p->ext + (at - EXT_START), 0, len);
			set_through(p, at, len, false);
			continue;
		}
		ext_put(p, at, header & 0xfffff);
		set_through(p, at, 4, false);
		if (at != link)
			ext_put(p, link, (ext_get(p, link) & 0xfffff) | at << 20);
		link = at;
	}
}
