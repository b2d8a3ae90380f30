// SPDX-License-Identifier: Apache-2.0
/* The bus: its slots, and the two ways in which a processor reaches configuration space. */
#include <errno.h>
#include <string.h>

#include "pci/pci_impl.h"

#define CONFIG_ENABLE  0x80000000u /* of port 0xcf8; PCI 3.0, 3.2.2.3.2 */
#define CONFIG_ADDRESS 0x80fffffcu /* the others are read-only zeros */

#define BRIDGE_CLASS 0x060000 /* host bridge: Linux looks for one before it trusts 0xcf8 */

/* `function` is bus << 8 | slot << 3 | function. NULL: nobody is there. */
static struct pci_dev *find(struct pci_bus *b, uint64_t function)
{
	return function < PCI_SLOTS << 3 && (function & 7) == 0 ? b->slot[function >> 3] : NULL;
}

static void function_read(struct pci_bus *b, uint64_t function, unsigned off, void *data,
			  unsigned len)
{
	struct pci_dev *d = find(b, function);

	if (!d || len > PCI_FUNCTION_LEN - off)
		memset(data, 0xff, len); /* on the wire a master abort: nobody answered */
	else if (d->ops && d->ops->config_read)
		d->ops->config_read(d, off, data, len);
	else
		pci_config_read(d, off, data, len);
}

static void function_write(struct pci_bus *b, uint64_t function, unsigned off, const void *data,
			   unsigned len)
{
	struct pci_dev *d = find(b, function);

	if (!d || len > PCI_FUNCTION_LEN - off)
		return;
	if (d->ops && d->ops->config_write)
		d->ops->config_write(d, off, data, len);
	else
		pci_config_write(d, off, data, len);
}

/* Mechanism #1. Only whole accesses reach the address register: its bytes are other chips' ports on a PC. */

static bool is_data_port(const struct pci_bus *b, uint64_t off, unsigned len)
{
	return off >= 4 && off < PCI_PORTS && len <= PCI_PORTS - off && b->address & CONFIG_ENABLE;
}

static uint64_t addressed_function(const struct pci_bus *b)
{
	return b->address >> 8 & 0xffff;
}

static unsigned addressed_offset(const struct pci_bus *b, uint64_t off)
{
	return (b->address & 0xfc) + (unsigned)(off - 4);
}

static void port_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct pci_bus *b = dev;

	memset(data, 0xff, len);
	pthread_mutex_lock(&b->lock);
	if (off == 0 && len == sizeof(b->address))
		memcpy(data, &b->address, len);
	else if (is_data_port(b, off, len))
		function_read(b, addressed_function(b), addressed_offset(b, off), data, len);
	pthread_mutex_unlock(&b->lock);
}

static void port_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct pci_bus *b = dev;

	pthread_mutex_lock(&b->lock);
	if (off == 0 && len == sizeof(b->address)) {
		memcpy(&b->address, data, len);
		b->address &= CONFIG_ADDRESS;
	} else if (is_data_port(b, off, len)) {
		function_write(b, addressed_function(b), addressed_offset(b, off), data, len);
	}
	pthread_mutex_unlock(&b->lock);
}

const struct bus_ops pci_port_ops = {.read = port_read, .write = port_write};

/* ECAM (PCI Express 3.0, 7.2.2): the address is bus, slot, function and offset side by side. */

static void ecam_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct pci_bus *b = dev;

	pthread_mutex_lock(&b->lock);
	function_read(b, off / PCI_FUNCTION_LEN, off % PCI_FUNCTION_LEN, data, len);
	pthread_mutex_unlock(&b->lock);
}

static void ecam_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct pci_bus *b = dev;

	pthread_mutex_lock(&b->lock);
	function_write(b, off / PCI_FUNCTION_LEN, off % PCI_FUNCTION_LEN, data, len);
	pthread_mutex_unlock(&b->lock);
}

const struct bus_ops pci_ecam_ops = {.read = ecam_read, .write = ecam_write};

static int add(struct pci_bus *b, struct pci_dev *d, struct err *e)
{
	unsigned slot = 0;
	int rc;

	while (slot < PCI_SLOTS && b->slot[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return err_set(e, ENOSPC, "PCI: no slot left for %s; there are %d", d->name,
			       PCI_SLOTS - 1);
	rc = pci_place_bars(b, d, e);
	if (rc < 0)
		return rc;
	d->bus = b;
	d->slot = slot;
	if (d->config[PCI_INTERRUPT_PIN])
		d->config[PCI_INTERRUPT_LINE] = b->interrupt_line[pci_intx_line(slot)];
	b->slot[slot] = d;
	return 0;
}

int pci_add(struct pci_bus *b, struct pci_dev *d, struct err *e)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = add(b, d, e);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

void pci_remove(struct pci_dev *d)
{
	struct pci_bus *b = d->bus;

	pci_set_intx(d, false);
	pthread_mutex_lock(&b->lock);
	if (b->slot[d->slot] == d) {
		pci_unmap_bars(d);
		b->slot[d->slot] = NULL;
		pci_update_bars(b); /* another's BAR may have waited for the place */
	}
	pthread_mutex_unlock(&b->lock);
}

int pci_bus_init(struct pci_bus *b, struct bus *mmio, struct bus *pio, struct err *e)
{
	/*
	 * "QEMU PCIe host bridge", which is what QEMU shows where no chipset is imitated: lspci has a
	 * name for it, and Linux neither a driver nor a quirk, as it has for the bridges of real
	 * chipsets.
	 */
	static const struct pci_id bridge = {.vendor = 0x1b36,
					     .device = 0x0008,
					     .class_code = BRIDGE_CLASS};

	memset(b, 0, sizeof(*b));
	b->mmio = mmio;
	b->pio = pio;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->intx_lock, NULL);
	pci_dev_init(&b->bridge, "host bridge", bridge);
	return pci_add(b, &b->bridge, e);
}

void pci_bus_fini(struct pci_bus *b)
{
	pthread_mutex_destroy(&b->intx_lock);
	pthread_mutex_destroy(&b->lock);
}
