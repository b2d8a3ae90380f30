/* SPDX-License-Identifier: Apache-2.0 */
/* What the files pci*.c share: pci.c identity and capabilities, pci_bar.c registers, pci_irq.c interrupts. */
#pragma once

#include <linux/virtio_pci.h>
#include <stdatomic.h>

#include "pci/msix.h"
#include "virtio/pci.h"

struct virtio_pci {
	struct pci_dev pci;
	struct virtio_dev *dev;
	struct msix *msix;
	struct bus_doorbell *doorbell; /* one a queue */
	unsigned window;               /* VIRTIO_PCI_CAP_PCI_CFG: offset in configuration space */
	bool master;                   /* the bus master bit; PCI bus's lock */

	/* Two vCPUs that select at once get each other's selection; it is checked at each use. */
	_Atomic uint32_t device_feature_select, driver_feature_select;
	_Atomic uint16_t queue_select;

	pthread_mutex_t lock; /* guards what follows */
	uint16_t *vector;     /* [0] of configuration changes, [1 + i] of queue i */
	uint8_t isr;
	bool line; /* level of INTA# */
};

/* For struct virtio_transport: called with the device's lock held. */
void virtio_pci_interrupt(void *arg, int queue);
int virtio_pci_eventfd(void *arg, int queue);
void virtio_pci_reset(void *arg);

/* The ISR status; reading acknowledges: one access instead of two. */
uint8_t virtio_pci_take_isr(struct virtio_pci *p);
/* MSI-X may have been turned on or off: INTA# follows. */
void virtio_pci_update_line(struct virtio_pci *p);
/* `event`: index of vector[]. One that there is not has no vector, and gets none. */
uint16_t virtio_pci_vector(struct virtio_pci *p, unsigned event);
void virtio_pci_set_vector(struct virtio_pci *p, unsigned event, uint32_t vector);

/* BAR 0; the argument is the struct virtio_pci *. Any offset and length is safe. */
extern const struct bus_ops virtio_pci_bar_ops;
