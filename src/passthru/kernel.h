/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that the host's kernel hands out: VFIO with groups and a type 1 container, or with iommufd where the host has it
 * (linux/vfio.h, Linux Documentation/driver-api/vfio.rst). Real PCI devices, bound to vfio-pci, and mediated ones.
 *
 * One struct vfio_kernel a machine: one container or iommufd, hence one DMA map for all its devices. When the first device is
 * opened, each region of guest RAM is mapped there at its guest-physical address, and nothing else ever is; the kernel
 * pins that memory. It is unmapped when that is closed.
 */
#pragma once

#include <sys/types.h>

#include "event/loop.h"
#include "mem/gmem.h"
#include "passthru/vfio.h"

/* The system calls that this needs; the host's, or a test's. They answer as the originals, errno included. */
struct kernel_calls {
	int (*open)(const char *path, int flags);
	int (*close)(int fd);
	int (*ioctl)(int fd, unsigned long request, void *arg);
	ssize_t (*pread)(int fd, void *data, size_t len, off_t off);
	ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t off);
	void *(*mmap)(void *at, size_t len, int prot, int flags, int fd, off_t off);
	int (*munmap)(void *at, size_t len);
};

struct vfio_kernel;

/* What it needs; all of it outlives it. */
struct kernel_host {
	const struct gmem *ram;
	struct loop *loop;               /* the host's requests and the device's errors come here */
	const struct kernel_calls *call; /* NULL: the host's */
	const char *root;                /* in front of sysfs paths; "" but in tests */
	/* Optional: the file of a group or of a device has come (KVM wants to know of them), or goes. */
	void (*file)(void *arg, int fd, bool comes);
	void *arg;
};

/* Opens nothing yet. -ENOMEM. */
int vfio_kernel_create(struct vfio_kernel **out, const struct kernel_host *host, struct err *e);
/* After the last of its devices. NULL is fine. */
void vfio_kernel_destroy(struct vfio_kernel *k);

/*
 * Opens a device: a PCI address ("0000:03:00.0", "03:00.0"), or the path of a device in sysfs (an mdev). It has been reset
 * if it can be. -errno with a text that says what is to be done.
 */
int vfio_kernel_open(struct vfio_device **out, struct vfio_kernel *k, const char *name,
		     struct err *e);
