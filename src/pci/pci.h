/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI: one root bus with up to 32 devices of one function each (PCI Local Bus Specification 3.0, chapter 6;
 * PCI Express Base Specification for the enhanced configuration mechanism, ECAM).
 *
 * A device fills in its identity, capabilities and BARs before pci_add(); from then on the guest owns the
 * writable bits. Configuration accesses come from vCPU threads and are served one at a time under the bus's
 * lock; BAR accesses go through the MMIO or I/O port bus straight to the device, without that lock. The
 * guest may move a BAR at any time: it is taken off the bus and put at its new place, doorbells included.
 * Where it may not be (over RAM, another BAR, outside the windows) it is nowhere until moved again.
 *
 * Locks: the PCI bus's is taken first, then a device's own, or the table lock of a struct bus.
 */
#pragma once

#include <linux/pci_regs.h>
#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/bus.h"

#define PCI_SLOTS      32
#define PCI_BARS       6
#define PCI_CONFIG_LEN 256
#define PCI_ECAM_LEN   (1 * MIB) /* one bus: 32 devices x 8 functions x 4 KiB */
#define PCI_INTX_LINES 4

/* What a BAR is, filled in by the device; `at` and `mapped` are pci's. */
struct pci_bar {
	const char *name;
	uint64_t size; /* bytes, a power of two, at least 16; 0: there is none */
	bool is_64;    /* takes the next BAR's register too */
	bool prefetchable;
	const struct bus_ops *ops;
	void *dev;
	const struct bus_doorbell *doorbell;
	unsigned n_doorbells;

	uint64_t at; /* guest-physical address it is mapped at */
	bool mapped;
};

struct pci_dev;

/* Optional functions; each is called with the PCI bus's lock held. */
struct pci_ops {
	/* Instead of reading config[]: a device that passes accesses on. off + len <= 4096. */
	void (*config_read)(struct pci_dev *d, unsigned off, void *data, unsigned len);
	/* After config[off, off + len) took the bits that are writable. `off` below PCI_CONFIG_LEN. */
	void (*config_written)(struct pci_dev *d, unsigned off, unsigned len);
};

struct pci_dev {
	const char *name;
	const struct pci_ops *ops; /* NULL: none of them */
	struct pci_bar bar[PCI_BARS];

	uint8_t config[PCI_CONFIG_LEN];
	uint8_t writable[PCI_CONFIG_LEN]; /* a bit that is 1 may be written by the guest */
	unsigned cap_end;                 /* where the next capability goes */

	struct pci_bus *bus; /* from pci_add() on */
	unsigned slot;
};

/* Identity of a device: the fields of the type 0 header (6.2.1). */
struct pci_id {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
	uint8_t revision;
	bool intx; /* has an INTA# pin */
};

struct pci_bus {
	pthread_mutex_t lock;
	struct bus *mmio, *pio;
	struct pci_dev *slot[PCI_SLOTS];
	uint32_t address; /* port 0xcf8 */
	/* The windows for BARs; the same that ACPI tells the guest. */
	uint64_t window32, window32_last, window64, window64_last;
	uint64_t next32, next64;       /* where pci_add() puts the next BAR */
	uint32_t intx[PCI_INTX_LINES]; /* a bit a slot: who asserts the line */
	/* Drives INTx line 0 to 3 of the bus (not of a device). Any thread. */
	void (*set_intx)(void *arg, unsigned line, bool level);
	void *intx_arg;
	pthread_mutex_t intx_lock; /* guards intx[]; taken last */
};

/* The windows are set by the caller before the first pci_add(). Slot 0 is the host bridge. */
int pci_bus_init(struct pci_bus *b, struct bus *mmio, struct bus *pio, struct err *e);
void pci_bus_fini(struct pci_bus *b);

/* Ports 0xcf8 to 0xcff (configuration mechanism #1) and the ECAM region; dev argument: struct pci_bus *. */
extern const struct bus_ops pci_port_ops, pci_ecam_ops;

/* Fills in the header. Everything else of *d is zero. */
void pci_dev_init(struct pci_dev *d, const char *name, struct pci_id id);

/*
 * Appends a capability of `len` bytes (its id in the first byte; the link is filled in). The offset in
 * configuration space, or -ENOSPC. Bits that the guest may write are set in d->writable by the caller.
 */
MUST_CHECK int pci_add_cap(struct pci_dev *d, const void *cap, unsigned len);

/*
 * Puts the device into the first free slot, gives its BARs addresses (decoding is off until the guest turns
 * it on) and its INTx pin a line. The device is not owned and stays in place. -ENOSPC: the bus is full, or a
 * window is.
 */
int pci_add(struct pci_bus *b, struct pci_dev *d, struct err *e);

/* INTA# of the device. Any thread; the lines are level-triggered and shared. */
void pci_set_intx(struct pci_dev *d, bool level);

/* The line (0 to 3) that pin INTA# of a slot is connected to; boot/ tells the guest the same. */
static inline unsigned pci_intx_line(unsigned slot)
{
	return slot % PCI_INTX_LINES;
}
