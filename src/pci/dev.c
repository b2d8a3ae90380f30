// SPDX-License-Identifier: Apache-2.0
/* A device's 256 bytes of configuration space: header, capabilities, reads and writes. */
#include <errno.h>
#include <string.h>

#include "pci/pci_impl.h"

/* The status register's upper byte: error bits, which a write of 1 clears (PCI 3.0, 6.2.3). */
#define STATUS_ERRORS_AT (PCI_STATUS + 1)
#define STATUS_ERRORS    0xf9

uint16_t pci_get16(const struct pci_dev *d, unsigned off)
{
	return (uint16_t)(d->config[off] | d->config[off + 1] << 8);
}

uint32_t pci_get32(const struct pci_dev *d, unsigned off)
{
	return pci_get16(d, off) | (uint32_t)pci_get16(d, off + 2) << 16;
}

void pci_put16(struct pci_dev *d, unsigned off, uint16_t value)
{
	d->config[off] = (uint8_t)value;
	d->config[off + 1] = (uint8_t)(value >> 8);
}

void pci_put32(struct pci_dev *d, unsigned off, uint32_t value)
{
	pci_put16(d, off, (uint16_t)value);
	pci_put16(d, off + 2, (uint16_t)(value >> 16));
}

/* The command register's decode bits follow in pci_add(), when it is known which kinds of BARs there are. */
void pci_dev_init(struct pci_dev *d, const char *name, struct pci_id id)
{
	*d = (struct pci_dev){.name = name, .cap_end = PCI_STD_HEADER_SIZEOF};
	pci_put16(d, PCI_VENDOR_ID, id.vendor);
	pci_put16(d, PCI_DEVICE_ID, id.device);
	pci_put32(d, PCI_CLASS_REVISION, id.class_code << 8 | id.revision);
	pci_put16(d, PCI_SUBSYSTEM_VENDOR_ID, id.subsystem_vendor);
	pci_put16(d, PCI_SUBSYSTEM_ID, id.subsystem);
	d->writable[PCI_COMMAND] = PCI_COMMAND_MASTER;
	d->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	if (id.intx) {
		d->config[PCI_INTERRUPT_PIN] = 1; /* INTA# */
		d->writable[PCI_INTERRUPT_LINE] = 0xff;
		d->writable[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	}
}

/* Where the link to the next capability is to be written: the list's end. Ours, so it does end. */
static unsigned last_link(const struct pci_dev *d)
{
	unsigned link = PCI_CAPABILITY_LIST;

	while (d->config[link])
		link = d->config[link] + PCI_CAP_LIST_NEXT;
	return link;
}

int pci_add_cap(struct pci_dev *d, const void *cap, unsigned len)
{
	unsigned at = d->cap_end;

	if (len > PCI_CONFIG_LEN - at || len < PCI_CAP_FLAGS)
		return -ENOSPC;
	d->config[last_link(d)] = (uint8_t)at;
	memcpy(d->config + at, cap, len);
	d->config[at + PCI_CAP_LIST_NEXT] = 0;
	d->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	d->cap_end = (unsigned)align_up(at + len, 4);
	return (int)at;
}

void pci_config_read(struct pci_dev *d, unsigned off, void *data, unsigned len)
{
	uint8_t *to = data;

	for (unsigned i = 0; i < len; i++) {
		to[i] = off + i < PCI_CONFIG_LEN ? d->config[off + i] : 0;
		if (off + i == PCI_STATUS && pci_intx_status(d))
			to[i] |= PCI_STATUS_INTERRUPT;
	}
}

static bool touches(unsigned off, unsigned len, unsigned from, unsigned n)
{
	return off < from + n && from < off + len;
}

void pci_config_write(struct pci_dev *d, unsigned off, const void *data, unsigned len)
{
	const uint8_t *from = data;

	if (off >= PCI_CONFIG_LEN)
		return;
	len = MIN(len, PCI_CONFIG_LEN - off);
	for (unsigned at = off; at < off + len; at++, from++) {
		uint8_t mask = d->writable[at];
		d->config[at] = (d->config[at] & (uint8_t)~mask) | (*from & mask);
		if (at == STATUS_ERRORS_AT)
			d->config[at] &= (uint8_t) ~(*from & STATUS_ERRORS);
	}
	if (touches(off, len, PCI_COMMAND, 2))
		pci_update_intx(d);
	if (touches(off, len, PCI_COMMAND, 2) ||
	    touches(off, len, PCI_BASE_ADDRESS_0, PCI_BARS * 4) ||
	    touches(off, len, PCI_ROM_ADDRESS, 4))
		pci_update_bars(d->bus);
	if (d->ops && d->ops->config_written)
		d->ops->config_written(d, off, len);
}
