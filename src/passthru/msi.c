// SPDX-License-Identifier: Apache-2.0
/*
 * MSI (PCI 3.0, 6.8.1): up to 32 messages that differ in the lowest bits of their data, with a mask each where the
 * device has that. The capability is the guest's to write, in dev.config[]; the device's own one is the host's. A
 * masked message's route is taken away, so that what the device sends waits in the eventfd.
 */
#include <string.h>

#include "passthru/pci_impl.h"

void msi_init(struct passthru_msi *m, unsigned cap, unsigned len)
{
	m->cap = cap;
	m->len = len;
	for (unsigned i = 0; i < MSI_MAX; i++)
		m->vector[i] = MSI_SOURCE_EMPTY;
}

static uint16_t flags(const struct passthru *p)
{
	return pci_get16(&p->dev, p->msi.cap + PCI_MSI_FLAGS);
}

static unsigned data_at(const struct passthru *p)
{
	return p->msi.cap + (flags(p) & PCI_MSI_FLAGS_64BIT ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

static uint64_t address(const struct passthru *p)
{
	uint64_t high = flags(p) & PCI_MSI_FLAGS_64BIT
				? pci_get32(&p->dev, p->msi.cap + PCI_MSI_ADDRESS_HI)
				: 0;

	return high << 32 | pci_get32(&p->dev, p->msi.cap + PCI_MSI_ADDRESS_LO);
}

static uint32_t masks(const struct passthru *p)
{
	return flags(p) & PCI_MSI_FLAGS_MASKBIT ? pci_get32(&p->dev, data_at(p) + 4) : 0;
}

bool msi_enabled(const struct passthru *p)
{
	return p->msi.cap && flags(p) & PCI_MSI_FLAGS_ENABLE;
}

/* As many as the guest has enabled, but no more than it was offered (6.8.1.3). */
static unsigned wanted(const struct passthru *p)
{
	unsigned enabled = (flags(p) & PCI_MSI_FLAGS_QSIZE) >> 4;
	unsigned offered = (flags(p) & PCI_MSI_FLAGS_QMASK) >> 1;

	return MIN(1u << MIN(enabled, offered),
		   MIN(p->v->irq[VFIO_PCI_MSI_IRQ_INDEX].count, MSI_MAX));
}

static void route_all(struct passthru *p)
{
	const struct msi_router *r = p->host.router;
	unsigned n = p->msi.count;
	uint16_t data = pci_get16(&p->dev, data_at(p));

	for (unsigned i = 0; i < n; i++) {
		uint32_t mine = (data & ~(n - 1)) | i;
		int rc = 0;
		if (masks(p) >> i & 1)
			msi_source_disconnect(&p->msi.vector[i], r);
		else
			rc = msi_source_connect(&p->msi.vector[i], r, address(p), mine);
		if (rc < 0)
			log_limited(&p->limit, "%s: MSI %u cannot be delivered: %s", p->v->name, i,
				    strerror(-rc));
	}
}

int msi_arm(struct passthru *p)
{
	unsigned n = wanted(p);
	int fd[MSI_MAX], rc = 0;

	for (unsigned i = 0; i < n && rc == 0; i++) {
		rc = msi_source_open(&p->msi.vector[i], p->host.router);
		fd[i] = p->msi.vector[i].irq.fd;
	}
	if (rc == 0)
		rc = passthru_trigger(p, VFIO_PCI_MSI_IRQ_INDEX, 0, n, fd);
	if (rc == 0) {
		p->msi.count = n;
		route_all(p);
	}
	return rc;
}

void msi_disarm(struct passthru *p)
{
	if (p->msi.count)
		passthru_trigger(p, VFIO_PCI_MSI_IRQ_INDEX, 0, 0, NULL);
	for (unsigned i = 0; i < p->msi.count; i++) {
		msi_source_disconnect(&p->msi.vector[i], p->host.router);
		msi_source_forget(&p->msi.vector[i]);
	}
	p->msi.count = 0;
}

void msi_update(struct passthru *p)
{
	if (p->msi.count != wanted(p)) {
		int rc;
		msi_disarm(p);
		rc = msi_arm(p);
		if (rc < 0)
			log_limited(&p->limit, "%s: MSI cannot be had: %s", p->v->name,
				    strerror(-rc));
	} else {
		route_all(p);
	}
}

void msi_read_pending(struct passthru *p)
{
	uint32_t bits = 0;

	if (!(flags(p) & PCI_MSI_FLAGS_MASKBIT))
		return;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < p->msi.count; i++)
		bits |= (uint32_t)msi_source_waiting(&p->msi.vector[i]) << i;
	pthread_mutex_unlock(&p->lock);
	pci_put32(&p->dev, data_at(p) + 8, bits);
}

void msi_fini(struct passthru *p)
{
	for (unsigned i = 0; i < MSI_MAX && p->msi.cap; i++)
		msi_source_close(&p->msi.vector[i], p->host.router);
}
