// SPDX-License-Identifier: Apache-2.0
/* Virtio over PCI: MSI-X vectors, ISR status and INTA#. */
#include <errno.h>

#include "virtio/pci_impl.h"

#define ISR_QUEUE  1
#define ISR_CONFIG VIRTIO_PCI_ISR_CONFIG

/* 4.1.4.5.1: the line is the OR of the ISR bits, and quiet while MSI-X is enabled (PCI 3.0, 6.8.3.3). Lock held. */
static void update_line(struct virtio_pci *p)
{
	bool level = p->isr != 0 && !msix_enabled(p->msix);

	if (level != p->line)
		pci_set_intx(&p->pci, level);
	p->line = level;
}

/* The device's lock is held. ISR bit 0 belongs to INTx alone, bit 1 is set for both kinds (4.1.4.5.1). */
void virtio_pci_interrupt(void *arg, int queue)
{
	struct virtio_pci *p = arg;
	bool config = queue == VIRTIO_CONFIG_CHANGED, msix;

	pthread_mutex_lock(&p->lock);
	msix = msix_enabled(p->msix);
	if (config || !msix)
		p->isr |= config ? ISR_CONFIG : ISR_QUEUE;
	if (msix)
		msix_raise(p->msix, p->vector[1 + queue]); /* NO_VECTOR: there is none */
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}

int virtio_pci_eventfd(void *arg, int queue)
{
	struct virtio_pci *p = arg;
	int fd = -ENOENT;

	pthread_mutex_lock(&p->lock);
	if (msix_enabled(p->msix))
		fd = msix_eventfd(p->msix, p->vector[1 + queue]); /* NO_VECTOR: there is none */
	pthread_mutex_unlock(&p->lock);
	return fd;
}

void virtio_pci_reset(void *arg)
{
	struct virtio_pci *p = arg;

	p->device_feature_select = p->driver_feature_select = 0;
	p->queue_select = 0;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i <= p->dev->n_queues; i++)
		p->vector[i] = VIRTIO_MSI_NO_VECTOR;
	p->isr = 0;
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}

uint8_t virtio_pci_take_isr(struct virtio_pci *p)
{
	uint8_t isr;

	pthread_mutex_lock(&p->lock);
	isr = p->isr;
	p->isr = 0;
	update_line(p);
	pthread_mutex_unlock(&p->lock);
	return isr;
}

uint16_t virtio_pci_vector(struct virtio_pci *p, unsigned event)
{
	uint16_t vector;

	if (event > p->dev->n_queues)
		return VIRTIO_MSI_NO_VECTOR;
	pthread_mutex_lock(&p->lock);
	vector = p->vector[event];
	pthread_mutex_unlock(&p->lock);
	return vector;
}

/* 4.1.5.1.2.1: a vector that there is not is refused, and the driver sees that when it reads it back. */
void virtio_pci_set_vector(struct virtio_pci *p, unsigned event, uint32_t vector)
{
	if (event > p->dev->n_queues)
		return;
	pthread_mutex_lock(&p->lock);
	p->vector[event] = vector < msix_vectors(p->msix) ? (uint16_t)vector : VIRTIO_MSI_NO_VECTOR;
	pthread_mutex_unlock(&p->lock);
	virtio_vectors_changed(p->dev);
}

void virtio_pci_update_line(struct virtio_pci *p)
{
	pthread_mutex_lock(&p->lock);
	update_line(p);
	pthread_mutex_unlock(&p->lock);
}
