/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine: everything together. The only room that knows all the others.
 *
 * Threads: the caller of machine_run() serves the event loop; each vCPU has a thread of its own.
 * Locks, in the order they are taken: the PCI bus's, a device's own, its back end's, MSI-X and interrupt
 * routes. The buses' table locks are never held while a device runs (bus/bus.h).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "backend/chardev.h"
#include "base/log.h"
#include "boot/hardware.h"
#include "bus/bus.h"
#include "bus/irq.h"
#include "config/config.h"
#include "dev/lifecycle.h"
#include "event/loop.h"
#include "kvm/routes.h"
#include "kvm/vcpu.h"
#include "kvm/vm.h"
#include "machine/doctor.h"
#include "mem/gmem.h"
#include "passthru/kernel.h"
#include "passthru/pci.h"
#include "pci/pci.h"
#include "virtio/virtio.h"

/* How it ended; the first to say so wins. Values are the exit codes of docs/toyvmm.1. */
enum outcome {
	OUTCOME_RUNNING = -1,
	OUTCOME_ENDED = 0,    /* power off, reset, or the user quit */
	OUTCOME_PANICKED = 3, /* the guest's kernel panicked */
	OUTCOME_CRASHED = 4,  /* triple fault, or KVM could not go on */
};

struct machine;

struct machine_vcpu {
	struct vcpu vcpu;
	pthread_t thread;
	bool started;
	struct machine *machine;
	struct log_limit memory_faults; /* this thread's own */
};

/* The devices that every machine has (machine/board.c). */
struct board {
	struct irq irq_keyboard, irq_serial0, irq_rtc, irq_sci;
	struct chardev *console;
	struct serial *serial0;
	struct i8042 *i8042;
	struct rtc *rtc;
	struct acpi_pm *acpi_pm;
	struct pvpanic *pvpanic;
};

/* A virtio device and what connects it (machine/virtio_board.c): one of the two transports. */
struct virtio_slot {
	struct virtio_dev *dev;
	struct virtio_pci *pci;
	struct virtio_mmio *mmio;
	struct irq irq; /* of virtio_mmio */
};

/* Parts of devices that are mapped into the guest: 31 devices with 6 BARs, cut by the pages that are trapped. */
#define MACHINE_MEMORY_SLOTS 256

struct machine {
	const struct vm_config *config;
	struct kvm kvm;
	struct gmem ram;
	struct bus pio, mmio;
	struct loop loop;
	struct board board;
	struct doctor doctor;
	struct machine_vcpu *vcpu;
	unsigned n_vcpus;
	unsigned address_bits; /* of a guest-physical address */
	struct boot_hardware hardware;
	struct routes *routes;
	struct msi_router msi; /* its door for devices */
	struct pci_bus pci;    /* where hardware.pci says so */
	uint64_t memory_at
		[MACHINE_MEMORY_SLOTS]; /* guest-physical; 0: free. MMIO bus's table lock */
	struct virtio_host virtio_host;
	struct virtio_slot *virtio;
	unsigned n_virtio;
	struct vfio_kernel *vfio;   /* NULL: no device of the host's */
	int vfio_in_kvm;            /* kvm_vfio_file()'s */
	struct passthru **passthru; /* n_passthrus of them */
	unsigned n_passthrus;
	struct virtio_dev *console; /* the one whose first port is this terminal, or NULL */
	atomic_int outcome;         /* enum outcome */
	atomic_bool stopping;       /* vCPUs leave their run loop */
	atomic_bool panicked;       /* pvpanic spoke */
	int signal; /* the signal that ended it, or 0; main() ends by the same one */
	struct loop_source signals;
};

/*
 * Builds the machine that `config` (which must outlive it) describes and loads the kernel. Nothing runs.
 * `m` is all zeros, as static memory is: 40 KiB that most machines never touch are not cleared again.
 */
int machine_create(struct machine *m, const struct vm_config *config, struct err *e);

/* Runs it to its end. Returns the outcome; -errno with a text when a thread could not be started. */
int machine_run(struct machine *m, struct err *e);

/* Takes it down in reverse order; accepts a half-made one. */
void machine_destroy(struct machine *m);

/* Ends the run with `outcome`; false when it has ended already. Any thread. */
bool machine_stop(struct machine *m, enum outcome outcome);

/* The guest resets, in whatever way. After a panic (panic=N) the panic is the news, not the reset. */
void machine_guest_reset(struct machine *m);
