/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI: one root bus with up to 32 devices of one function each (PCI Local Bus Specification 3.0, chapter 6;
 * PCI Express Base Specification for the enhanced configuration mechanism, ECAM).
 *
 * A device fills in its identity, capabilities and BARs before pci_add(); from then on the guest owns the
 * writable bits. Configuration accesses come from vCPU threads and are served one at a time under the bus's
 * lock; BAR accesses go through the MMIO or I/O port bus straight to the device, without that lock. The
 * guest may move a BAR at any time: it is taken off the bus and put at its new place, doorbells included.
 * Where it may not be (outside the windows, hence also over RAM; over another region) it is nowhere until
 * it is moved again or what is in its way has gone.
 *
 * Locks: the PCI bus's is taken first, then a device's own, or the table lock of a struct bus, or intx_lock.
 */
#pragma once

#include <linux/pci_regs.h>
#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/bus.h"

#define PCI_SLOTS      32
#define PCI_BARS       6
#define PCI_ROM_BAR    6 /* bar[] has the expansion ROM behind the six */
#define PCI_REGIONS    7
#define PCI_CONFIG_LEN 256
#define PCI_ECAM_LEN   (1 * MIB) /* one bus: 32 devices x 8 functions x 4 KiB */
#define PCI_INTX_LINES 4

/* What a BAR is, filled in by the device; `at` and `mapped` are pci's. */
struct pci_bar {
	const char *name;
	uint64_t size; /* bytes, a power of two, 16 or more (I/O: 4 to 256, ROM: 2 KiB); 0: none */
	bool is_64;    /* takes the next BAR's register too */
	bool prefetchable;
	bool io; /* in the space of the I/O ports; then neither of the two above */
	const struct bus_ops *ops;
	void *dev;
	const struct bus_doorbell *doorbell;
	unsigned n_doorbells;
	const struct bus_memory *memory; /* parts that the guest reaches without an exit */
	unsigned n_memories;

	uint64_t at; /* where it is mapped: a guest-physical address, or a port */
	bool mapped;
};

struct pci_dev;

/* Optional functions; each is called with the PCI bus's lock held. */
struct pci_ops {
	/*
	 * Instead of reading config[]: a device that passes accesses on. len is 1, 2, 4 or 8,
	 * off + len <= 4096. For what it does not pass on it calls pci_config_read().
	 */
	void (*config_read)(struct pci_dev *d, unsigned off, void *data, unsigned len);
	/*
	 * Instead of writing config[]: the same device, the same bounds. What it does not pass on it gives to
	 * pci_config_write().
	 */
	void (*config_write)(struct pci_dev *d, unsigned off, const void *data, unsigned len);
	/* After config[off, off + len) took the bits that are writable. `off` below PCI_CONFIG_LEN. */
	void (*config_written)(struct pci_dev *d, unsigned off, unsigned len);
};

struct pci_dev {
	const char *name;
	const struct pci_ops *ops; /* NULL: none of them */
	struct pci_bar bar[PCI_REGIONS];

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
	struct pci_dev bridge; /* slot 0 */
	uint32_t address;      /* port 0xcf8 */
	/* The windows for BARs; the same that ACPI tells the guest. Both ends 0: there is none. */
	uint64_t window32, window32_last, window64, window64_last;
	uint64_t window_io, window_io_last;
	uint64_t next32, next64, next_io; /* where pci_add() puts the next BAR */
	/* What pci_add() leaves in the Interrupt Line register of a device on line 0 to 3 (6.2.4). */
	uint8_t interrupt_line[PCI_INTX_LINES];
	/* A bit a slot: whose device asserts INTA#; whose command register disables it. */
	uint32_t intx_asserted, intx_disabled;
	/*
	 * Drives INTx line 0 to 3 of the bus (not of a device) when its level changes. Any thread, with
	 * intx_lock held, so that two changes arrive in their order; it must not call back.
	 */
	void (*set_intx)(void *arg, unsigned line, bool level);
	/*
	 * Connects a device's own source of INTx to the line, or takes it off: a write to the eventfd `trigger` raises the
	 * line; when the guest has ended its interrupt the line falls, and `resample` is written. Both are eventfds. Other
	 * sources of the line are not touched. 0 or -errno. NULL: it cannot be done.
	 */
	int (*connect_intx)(void *arg, unsigned line, int trigger, int resample, bool connect);
	void *intx_arg;
	pthread_mutex_t intx_lock; /* guards the two masks of slots; taken last */
};

/*
 * Windows, set_intx and interrupt_line are set by the caller afterwards, before the next pci_add(). Slot 0 is the host
 * bridge. *b stays in place.
 */
int pci_bus_init(struct pci_bus *b, struct bus *mmio, struct bus *pio, struct err *e);
/* Touches neither the devices nor the two buses: they may be gone. */
void pci_bus_fini(struct pci_bus *b);

/* Ports 0xcf8 to 0xcff (configuration mechanism #1) and the ECAM region; dev argument: struct pci_bus *. */
extern const struct bus_ops pci_port_ops, pci_ecam_ops;
#define PCI_PORT_ADDRESS 0xcf8
#define PCI_PORTS        8

/* Fills in the header. Everything else of *d is zero. */
void pci_dev_init(struct pci_dev *d, const char *name, struct pci_id id);

/*
 * Appends a capability of `len` bytes (its id in the first byte; the link is filled in). The offset in
 * configuration space, or -ENOSPC. Bits that the guest may write are set in d->writable by the caller.
 */
MUST_CHECK int pci_add_cap(struct pci_dev *d, const void *cap, unsigned len);

/*
 * Puts the device into the first free slot, and gives its BARs addresses (decoding is off until the guest
 * turns it on). The device is not owned and stays in place. -ENOSPC: the bus is full, or a window is;
 * -EINVAL: a BAR that cannot be described. After an error nothing has changed.
 */
int pci_add(struct pci_bus *b, struct pci_dev *d, struct err *e);

/*
 * Surprise removal: its BARs leave the buses, its INTx falls, its slot answers no more. The device stays in place:
 * a vCPU may still be inside one of its functions. Any thread but one that holds the PCI bus's lock.
 */
void pci_remove(struct pci_dev *d);

uint16_t pci_get16(const struct pci_dev *d, unsigned off);
uint32_t pci_get32(const struct pci_dev *d, unsigned off);
void pci_put16(struct pci_dev *d, unsigned off, uint16_t value);
void pci_put32(struct pci_dev *d, unsigned off, uint32_t value);

/*
 * A guest's write of any width: writable bits change, and what depends on them follows; what is beyond config[] is
 * lost. PCI bus's lock held.
 */
void pci_config_write(struct pci_dev *d, unsigned off, const void *data, unsigned len);
/* What config[] says, the Interrupt Status bit included; beyond it zeros. PCI bus's lock held. */
void pci_config_read(struct pci_dev *d, unsigned off, void *data, unsigned len);

/*
 * INTA# of the device. Any thread, with any lock but intx_lock; the lines are level-triggered and shared.
 * Does nothing for a device without the pin.
 */
void pci_set_intx(struct pci_dev *d, bool level);

/* The line (0 to 3) that pin INTA# of a slot is connected to; boot/ tells the guest the same. */
static inline unsigned pci_intx_line(unsigned slot)
{
	return slot % PCI_INTX_LINES;
}
