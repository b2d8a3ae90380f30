/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user asked for: pure data, filled by the command line (config/cli.c) or a JSON file
 * (config/json.c), validated before anything is opened. Opens nothing but the JSON file itself.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "config/devices.h"

enum transport_kind { TRANSPORT_PCI, TRANSPORT_MMIO };
enum serial_kind { SERIAL_STDIO, SERIAL_PTY, SERIAL_FILE, SERIAL_SOCKET, SERIAL_NONE };

struct vm_config {
	char *kernel;  /* path */
	char *initrd;  /* path or NULL */
	char *cmdline; /* NULL: CONFIG_DEFAULT_CMDLINE */
	unsigned cpus;
	uint64_t memory; /* bytes, whole MiB */
	struct {
		enum serial_kind kind;
		char *path; /* SERIAL_FILE, SERIAL_SOCKET */
		bool given; /* the user chose it */
	} serial;

	/* Virtio devices. The lists are owned; the order is that of the options, or of the file. */
	enum transport_kind transport;
	bool transport_given; /* the user chose it */
	bool older_toyvmm; /* the file is one of ToyVMM's (the Rust one), which had virtio-mmio only */
	struct disk_config *disk;
	unsigned n_disks;
	struct net_config *net;
	unsigned n_nets;
	struct elsewhere_config *vdpa;
	unsigned n_vdpas;
	struct console_config *console;
	unsigned n_consoles;
	struct rng_config rng;
	struct vsock_config vsock;
	struct balloon_config balloon;
	struct vhost_user_config *vhost_user;
	unsigned n_vhost_users;

	/* Devices that are elsewhere; they need the PCI bus. */
	struct elsewhere_config *vfio;
	unsigned n_vfios;
	struct elsewhere_config *vfio_user;
	unsigned n_vfio_users;
};

#define CONFIG_DEFAULT_CMDLINE "console=ttyS0"
#define CONFIG_HVC_CMDLINE     "console=hvc0" /* where the virtio console has the terminal */
#define CONFIG_DEFAULT_MEMORY  (256 * MIB)
#define CONFIG_MIN_MEMORY      (32 * MIB)
#define CONFIG_MAX_MEMORY      (8 * 1024 * GIB) /* KVM: a slot has fewer than 2^31 pages of 4 KiB */
#define CONFIG_MAX_CPUS        255              /* xAPIC IDs; the host's KVM may allow fewer */

void config_init(struct vm_config *c); /* the defaults */
void config_fini(struct vm_config *c);

/* Merges a JSON file into *c. -EINVAL with a text that names file, line and key. */
int config_read_json(struct vm_config *c, const char *path, struct err *e);

/*
 * Once all was read: what was left open and follows from the rest. The transport; the serial port and the
 * command line where the virtio console has the terminal; ids. -ENOMEM. Twice does no harm.
 */
int config_complete(struct vm_config *c, struct err *e);

/*
 * Checks what can be checked without opening anything: sizes, counts, names used twice, a kernel is named.
 * The whole, once, for every source; what a single device says is also judged where it is read.
 */
int config_validate(const struct vm_config *c, struct err *e);

/* How many virtio devices there will be, whoever serves them. */
unsigned config_virtio_devices(const struct vm_config *c);

/* A device whose other side is a process of its own has to reach the guest's memory: RAM as a shared memfd. */
bool config_needs_shared_memory(const struct vm_config *c);

/* The kernel's command line switches PCI off. */
bool config_pci_off(const struct vm_config *c);

/*
 * Words for the kernel's command line: "root=/dev/vda rw" or "root=PARTUUID=... ro" of the root disk, to be
 * put in front of the user's words. Empty: there is none, or the user's words set root= themselves.
 */
#define CONFIG_ROOT_WORDS_MAX 128
void config_root_words(const struct vm_config *c, char words[CONFIG_ROOT_WORDS_MAX]);
