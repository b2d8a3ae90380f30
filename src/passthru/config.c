// SPDX-License-Identifier: Apache-2.0
/*
 * Configuration space. Each byte is either kept here (in dev.config[] with its mask, or in ext[]), or the device's, which
 * is then asked and told as it comes. An access may hold bytes of both kinds.
 */
#include <errno.h>
#include <string.h>

#include "passthru/pci_impl.h"

#define CONFIG_INDEX VFIO_PCI_CONFIG_REGION_INDEX
#define DECODE       (PCI_COMMAND_IO | PCI_COMMAND_MEMORY)

static struct passthru *front(struct pci_dev *d)
{
	return container_of(d, struct passthru, dev);
}

/* The device's bytes that the access holds are asked for in one access of the same size. */
static void read_part(struct passthru *p, unsigned off, uint8_t *to, unsigned len)
{
	uint8_t theirs[4];
	bool asked = false;

	if (off < EXT_START)
		pci_config_read(&p->dev, off, to, len);
	else
		memcpy(to, p->ext + (off - EXT_START), len);
	for (unsigned i = 0; i < len; i++) {
		if (!p->through[off + i])
			continue;
		if (!asked)
			p->v->ops->read(p->v, CONFIG_INDEX, off, theirs, len);
		asked = true;
		to[i] = theirs[i];
		if (off + i == PCI_STATUS) /* the rest of it is the device's */
			to[i] = (uint8_t)((to[i] & ~PCI_STATUS_CAP_LIST) |
					  (p->dev.config[PCI_STATUS] & PCI_STATUS_CAP_LIST));
	}
}

/* How much of an access goes in one piece: no more than 4 bytes, and not across the end of the lower part. */
static unsigned piece(unsigned off, unsigned len)
{
	len = MIN(len, 4u);
	return off < EXT_START ? MIN(len, EXT_START - off) : len;
}

static bool overlaps(unsigned off, unsigned len, unsigned from, unsigned n)
{
	return off < from + n && from < off + len;
}

void passthru_config_read(struct pci_dev *d, unsigned off, void *data, unsigned len)
{
	struct passthru *p = front(d);
	uint8_t *to = data;

	if (p->msi.cap && overlaps(off, len, p->msi.cap, p->msi.len))
		msi_read_pending(p);
	for (unsigned n; len > 0; off += n, to += n, len -= n) {
		n = piece(off, len);
		read_part(p, off, to, n);
	}
}

/* Runs of bytes that are the device's. */
static void write_theirs(struct passthru *p, unsigned off, const uint8_t *from, unsigned len)
{
	for (unsigned i = 0, n; i < len; i += n) {
		bool through = p->through[off + i];
		for (n = 1; i + n < len && p->through[off + i + n] == through; n++)
			;
		if (through)
			p->v->ops->write(p->v, CONFIG_INDEX, off + i, from + i, n);
	}
}

/*
 * The device has to decode its memory for as long as the guest may reach it: it learns first that it shall, and last
 * that it shall not any more.
 */
static void pass_command(struct passthru *p)
{
	uint16_t command = pci_get16(&p->dev, PCI_COMMAND);

	p->v->ops->write(p->v, CONFIG_INDEX, PCI_COMMAND, &command, sizeof(command));
}

static void write_part(struct passthru *p, unsigned off, const uint8_t *from, unsigned len)
{
	struct pci_dev *d = &p->dev;

	write_theirs(p, off, from, len);
	if (off <= PCI_COMMAND && PCI_COMMAND < off + len && from[PCI_COMMAND - off] & DECODE) {
		uint16_t early = pci_get16(d, PCI_COMMAND) |
				 (from[PCI_COMMAND - off] & d->writable[PCI_COMMAND] & DECODE);
		p->v->ops->write(p->v, CONFIG_INDEX, PCI_COMMAND, &early, sizeof(early));
	}
	pci_config_write(d, off, from, len);
	if (overlaps(off, len, PCI_COMMAND, 2))
		pass_command(p);
}

void passthru_config_write(struct pci_dev *d, unsigned off, const void *data, unsigned len)
{
	struct passthru *p = front(d);
	const uint8_t *from = data;
	unsigned start = off, whole = len;

	for (unsigned n; len > 0; off += n, from += n, len -= n) {
		n = piece(off, len);
		write_part(p, off, from, n);
	}
	if (p->msix)
		msix_config_written(p->msix, start, whole);
	if (start < EXT_START)
		passthru_update_irqs(p);
}

/* ---- at the start ---- */

static int read_all(struct passthru *p, struct err *e)
{
	uint64_t size = p->v->region[CONFIG_INDEX].size;

	p->config_len = (unsigned)MIN(size, CONFIG_LEN);
	if (p->config_len < PCI_STD_HEADER_SIZEOF)
		return err_set(e, EPROTO, "its configuration space has %u bytes only",
			       p->config_len);
	for (unsigned off = 0; off < p->config_len; off++) {
		unsigned n = off % 4 == 0 && p->config_len - off >= 4 ? 4 : 1;
		uint8_t *to = off < EXT_START ? p->dev.config + off : p->ext + (off - EXT_START);
		int rc = p->v->ops->read(p->v, CONFIG_INDEX, off, to, n);
		if (rc < 0)
			return err_set(e, -rc, "its configuration space cannot be read: %s",
				       strerror(-rc));
		off += n - 1;
	}
	return 0;
}

/* Identity as it is; the rest of the header is the machine's. */
static void init_header(struct passthru *p)
{
	struct pci_dev *d = &p->dev;
	bool intx = p->v->irq[VFIO_PCI_INTX_IRQ_INDEX].count > 0 && d->config[PCI_INTERRUPT_PIN];

	memset(p->through, 0, PCI_STD_HEADER_SIZEOF * sizeof(p->through[0]));
	pci_put16(d, PCI_COMMAND, 0);
	d->writable[PCI_COMMAND] = PCI_COMMAND_MASTER | PCI_COMMAND_INVALIDATE | PCI_COMMAND_PARITY;
	d->writable[PCI_COMMAND + 1] = PCI_COMMAND_SERR >> 8;
	p->through[PCI_STATUS] = p->through[PCI_STATUS + 1] = true;
	d->writable[PCI_CACHE_LINE_SIZE] = 0xff;
	d->writable[PCI_LATENCY_TIMER] = 0xff;
	d->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_NORMAL;
	d->config[PCI_BIST] = 0;
	pci_put32(d, PCI_ROM_ADDRESS, 0);
	d->config[PCI_INTERRUPT_PIN] = intx ? 1 : 0;
	d->config[PCI_INTERRUPT_LINE] = 0;
	if (intx) {
		d->writable[PCI_INTERRUPT_LINE] = 0xff;
		d->writable[PCI_COMMAND + 1] |= PCI_COMMAND_INTX_DISABLE >> 8;
	}
}

int passthru_config_init(struct passthru *p, struct err *e)
{
	unsigned msix;
	int rc = read_all(p, e);

	if (rc < 0)
		return rc;
	if ((p->dev.config[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL)
		return err_set(e, EINVAL, "it is a bridge: those cannot be passed");
	memset(p->through, true, p->config_len * sizeof(p->through[0]));
	init_header(p);
	passthru_caps_init(p, &msix);
	passthru_ext_caps_init(p);
	return msix ? msix_adopt(&p->msix, &p->dev, p->host.router, msix, e) : 0;
}
