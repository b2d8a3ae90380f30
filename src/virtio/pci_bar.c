// SPDX-License-Identifier: Apache-2.0
/* Virtio over PCI: what lies in BAR 0. */
#include <string.h>

#include "virtio/pci_impl.h"

/* The common configuration structure (4.1.4.3). */

struct reg {
	uint8_t off, len;
	int8_t queue_field; /* enum virtio_queue_field of the selected queue; or: */
};

#define OWN (-1) /* see get_own(), set_own() */

static const struct reg regs[] = {
	{VIRTIO_PCI_COMMON_DFSELECT, 4, OWN},
	{VIRTIO_PCI_COMMON_DF, 4, OWN},
	{VIRTIO_PCI_COMMON_GFSELECT, 4, OWN},
	{VIRTIO_PCI_COMMON_GF, 4, OWN},
	{VIRTIO_PCI_COMMON_MSIX, 2, OWN},
	{VIRTIO_PCI_COMMON_NUMQ, 2, OWN},
	{VIRTIO_PCI_COMMON_STATUS, 1, OWN},
	{VIRTIO_PCI_COMMON_CFGGENERATION, 1, OWN},
	{VIRTIO_PCI_COMMON_Q_SELECT, 2, OWN},
	{VIRTIO_PCI_COMMON_Q_SIZE, 2, VQ_FIELD_SIZE},
	{VIRTIO_PCI_COMMON_Q_MSIX, 2, OWN},
	{VIRTIO_PCI_COMMON_Q_ENABLE, 2, VQ_FIELD_ENABLE},
	{VIRTIO_PCI_COMMON_Q_NOFF, 2, OWN},
	{VIRTIO_PCI_COMMON_Q_DESCLO, 4, VQ_FIELD_DESC_LO},
	{VIRTIO_PCI_COMMON_Q_DESCHI, 4, VQ_FIELD_DESC_HI},
	{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, VQ_FIELD_DRIVER_LO},
	{VIRTIO_PCI_COMMON_Q_AVAILHI, 4, VQ_FIELD_DRIVER_HI},
	{VIRTIO_PCI_COMMON_Q_USEDLO, 4, VQ_FIELD_DEVICE_LO},
	{VIRTIO_PCI_COMMON_Q_USEDHI, 4, VQ_FIELD_DEVICE_HI},
};

static uint32_t get_own(struct virtio_pci *p, unsigned off)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return p->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return virtio_offered(p->dev, p->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return p->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return virtio_accepted(p->dev, p->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return virtio_pci_vector(p, 0);
	case VIRTIO_PCI_COMMON_NUMQ:
		return p->dev->n_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return virtio_status(p->dev);
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return virtio_generation(p->dev);
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return p->queue_select;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return virtio_pci_vector(p, 1u + p->queue_select);
	case VIRTIO_PCI_COMMON_Q_NOFF: /* in units of VIRTIO_PCI_NOTIFY_BY */
		return p->queue_select;
	default:
		return 0;
	}
}

static void set_own(struct virtio_pci *p, unsigned off, uint32_t value)
{
	switch (off) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		p->device_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		p->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_accept(p->dev, p->driver_feature_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		virtio_pci_set_vector(p, 0, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		virtio_set_status(p->dev, (uint8_t)value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		p->queue_select = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		virtio_pci_set_vector(p, 1u + p->queue_select, value);
		break;
	default: /* read only */
		break;
	}
}

static uint32_t get_reg(struct virtio_pci *p, const struct reg *r)
{
	return r->queue_field == OWN ? get_own(p, r->off)
				     : virtio_queue_get(p->dev, p->queue_select,
							(enum virtio_queue_field)r->queue_field);
}

static void set_reg(struct virtio_pci *p, const struct reg *r, uint32_t value)
{
	if (r->queue_field == OWN)
		set_own(p, r->off, value);
	else
		virtio_queue_set(p->dev, p->queue_select, (enum virtio_queue_field)r->queue_field,
				 value);
}

/* A driver reads field by field; whatever else is read is put together from the bytes of the fields in it. */
static void common_read(struct virtio_pci *p, uint64_t off, uint8_t *data, unsigned len)
{
	for (const struct reg *r = regs; r < regs + ARRAY_SIZE(regs); r++) {
		uint32_t value;

		if (r->off + r->len <= off || r->off >= off + len)
			continue;
		value = get_reg(p, r);
		for (unsigned i = 0; i < r->len; i++)
			if (r->off + i >= off && r->off + i < off + len)
				data[r->off + i - off] = (uint8_t)(value >> (8 * i));
	}
}

/*
 * A field is written whole or not at all: there are no half-written values. 8 bytes are two fields of 4, as in a
 * queue's addresses (4.1.3: 64-bit fields are two 32-bit fields).
 */
static void common_write(struct virtio_pci *p, uint64_t off, const uint8_t *data, unsigned len)
{
	for (unsigned at = 0; at < len; at += 4)
		for (const struct reg *r = regs; r < regs + ARRAY_SIZE(regs); r++)
			if (r->off == off + at && r->len == MIN(len, 4)) {
				uint32_t value = 0;

				memcpy(&value, data + at, r->len);
				set_reg(p, r, value);
			}
}

static bool inside(uint64_t off, unsigned len, uint64_t start, uint64_t size)
{
	return off >= start && off - start < size && len <= size - (off - start);
}

static uint64_t table_len(const struct virtio_pci *p)
{
	return (uint64_t)msix_vectors(p->msix) * MSIX_ENTRY_LEN;
}

static uint64_t pba_len(const struct virtio_pci *p)
{
	return align_up(msix_vectors(p->msix), 64) / 8;
}

static void bar_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct virtio_pci *p = dev;

	memset(data, 0, len);
	if (inside(off, len, VIRTIO_PCI_COMMON, VIRTIO_PCI_PAGE))
		common_read(p, off - VIRTIO_PCI_COMMON, data, len);
	else if (off == VIRTIO_PCI_ISR_AT)
		*(uint8_t *)data = virtio_pci_take_isr(p);
	else if (inside(off, len, VIRTIO_PCI_DEVICE, VIRTIO_PCI_PAGE))
		virtio_config_read(p->dev, off - VIRTIO_PCI_DEVICE, data, len);
	else if (inside(off, len, VIRTIO_PCI_MSIX, table_len(p)))
		msix_table_read(p->msix, off - VIRTIO_PCI_MSIX, data, len);
	else if (inside(off, len, VIRTIO_PCI_PBA, pba_len(p)))
		msix_pba_read(p->msix, off - VIRTIO_PCI_PBA, data, len);
}

static void bar_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct virtio_pci *p = dev;

	if (inside(off, len, VIRTIO_PCI_COMMON, VIRTIO_PCI_PAGE)) {
		common_write(p, off - VIRTIO_PCI_COMMON, data, len);
	} else if (inside(off, len, VIRTIO_PCI_DEVICE, VIRTIO_PCI_PAGE)) {
		virtio_config_write(p->dev, off - VIRTIO_PCI_DEVICE, data, len);
	} else if (inside(off, len, VIRTIO_PCI_NOTIFY, VIRTIO_PCI_PAGE)) {
		/* The host's kernel did not take it. The place says which queue, whatever is written. */
		if (off % VIRTIO_PCI_NOTIFY_BY == 0)
			virtio_kick(p->dev,
				    (uint32_t)(off - VIRTIO_PCI_NOTIFY) / VIRTIO_PCI_NOTIFY_BY);
	} else if (inside(off, len, VIRTIO_PCI_MSIX, table_len(p))) {
		msix_table_write(p->msix, off - VIRTIO_PCI_MSIX, data, len);
	}
}

const struct bus_ops virtio_pci_bar_ops = {.read = bar_read, .write = bar_write};
