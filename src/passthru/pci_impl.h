/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the PCI front share: pci.c (the whole), config.c and caps.c, bar.c, irq.c, msi.c, intx.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "bus/irq.h"
#include "bus/msi.h"
#include "passthru/pci.h"
#include "pci/msix.h"

#define CONFIG_LEN 4096 /* with the extended part, which only ECAM reaches */
#define EXT_START  PCI_CONFIG_LEN
#define MSI_MAX    32

/* A BAR: its part of the bus. */
struct passthru_bar {
	struct passthru *front;
	unsigned index;
	struct bus_memory *memory;
	struct bus_doorbell *doorbell;
};

/* Bytes of a BAR that are not the device's to answer. */
struct passthru_span {
	unsigned bar;
	uint64_t off, len; /* len 0: none */
};

/* MSI (PCI 3.0, 6.8.1). */
struct passthru_msi {
	unsigned cap, len; /* where the capability is; 0: there is none */
	unsigned count;    /* vectors that are armed; 0: MSI is off */
	struct msi_source vector[MSI_MAX];
};

struct passthru_intx {
	struct irq trigger, resample;
	struct loop_source
		source; /* of resample, where the device cannot take it itself; fd -1: unused */
	bool armed;
};

enum passthru_mode { MODE_NONE, MODE_INTX, MODE_MSI, MODE_MSIX };

struct passthru {
	struct pci_dev dev;
	struct vfio_device *v;
	struct passthru_host host;
	bool on_bus;
	struct log_limit limit;

	/* Configuration space; PCI bus's lock. */
	unsigned config_len;                 /* that the device has */
	bool through[CONFIG_LEN];            /* this byte is the device's */
	uint8_t ext[CONFIG_LEN - EXT_START]; /* those of the extended part that are not */

	struct passthru_bar bar[PCI_REGIONS];

	/* Interrupts. */
	pthread_mutex_t lock;
	enum passthru_mode mode;
	bool dead;         /* the device is gone */
	struct msix *msix; /* NULL: none */
	struct passthru_span table, pba;
	unsigned msix_armed; /* vectors 0 to this, exclusive, are armed */
	bool msix_used[MSIX_MAX];
	struct passthru_msi msi;
	struct passthru_intx intx;
};

/* config.c: takes over what the device says; then the accesses of the guest. PCI bus's lock held. */
int passthru_config_init(struct passthru *p, struct err *e);
void passthru_config_read(struct pci_dev *d, unsigned off, void *data, unsigned len);
void passthru_config_write(struct pci_dev *d, unsigned off, const void *data, unsigned len);

/* caps.c: which capabilities the guest sees. *msix: offset of MSI-X, 0: none. */
void passthru_caps_init(struct passthru *p, unsigned *msix);
void passthru_ext_caps_init(struct passthru *p);

/* bar.c: dev.bar[], from the regions. After the capabilities: the table's place is known. */
int passthru_bars_init(struct passthru *p, struct err *e);
void passthru_bars_fini(struct passthru *p);

/* irq.c: arms what the guest's configuration says. */
void passthru_update_irqs(struct passthru *p);
/* The MSI-X vector may have been unmasked. */
void passthru_update_vector(struct passthru *p, unsigned v);
/* Takes all interrupts away; for good. */
void passthru_end_irqs(struct passthru *p);

/* VFIO_DEVICE_SET_IRQS with eventfds; count 0 switches the kind off. 0 or -errno. */
int passthru_trigger(struct passthru *p, unsigned index, unsigned start, unsigned count,
		     const int *fd);

/* msi.c. Lock held, but in init and fini. */
void msi_init(struct passthru_msi *m, unsigned cap, unsigned len);
bool msi_enabled(const struct passthru *p);
int msi_arm(struct passthru *p);
void msi_disarm(struct passthru *p);
void msi_update(struct passthru *p); /* address, data or masks may have changed */
void msi_read_pending(struct passthru *p);
void msi_fini(struct passthru *p);

/* intx.c. Lock held, but in fini. */
int intx_arm(struct passthru *p);
void intx_disarm(struct passthru *p);
void intx_fini(struct passthru *p);
