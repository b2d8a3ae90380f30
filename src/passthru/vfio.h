/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PCI device that is somewhere else: regions, interrupts and DMA, in the words of the VFIO uAPI (linux/vfio.h,
 * Linux Documentation/driver-api/vfio.rst). Two kinds of place implement it:
 *
 *   passthru/kernel.h   the host's kernel: a real device (vfio-pci) or a mediated one (mdev)
 *   passthru/user.h     another process, by the vfio-user protocol
 *
 * and one PCI device shows either of them to the guest (passthru/pci.h). A device does DMA by guest-physical
 * addresses: when it is opened, all of guest RAM is mapped for it at these, and nothing else is.
 *
 * What comes from a device is not trusted: who opens it has checked its regions and interrupts (sizes, areas inside
 * their region and page-aligned, counts within the uAPI's bounds) before it returns, and an access gives no more
 * than `len` bytes. A device may die at any time: then reads give -EIO and all ones, and `gone` is called once.
 *
 * Threads: read and write come from vCPU threads, several at once; set_irqs and reset from a vCPU thread with the
 * PCI bus's lock, or from the loop thread. An implementation has a lock of its own, taken last.
 */
#pragma once

#include <linux/vfio.h>

#include "base/base.h"
#include "base/err.h"

/* A part of a region that is mapped into this process, and may be into the guest. */
struct vfio_area {
	uint64_t off, len; /* in the region; multiples of the page size */
	void *host;
};

/* A place in a region whose writes the device wants as an eventfd (vfio-user's REGION_IO_FDS). */
struct vfio_doorbell {
	uint64_t off;
	unsigned len; /* bytes of the write; 0: any */
	bool match;
	uint64_t value;
	int fd;
};

struct vfio_region {
	uint64_t size;  /* bytes; 0: there is none */
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_READ, _WRITE, _MMAP */
	struct vfio_area *area;
	unsigned n_areas;
	struct vfio_doorbell *doorbell;
	unsigned n_doorbells;
};

struct vfio_irq {
	uint32_t flags; /* VFIO_IRQ_INFO_EVENTFD, _MASKABLE, ...; 0: there is none of this kind */
	uint32_t count;
};

struct vfio_device;

struct vfio_ops {
	/* [off, off + len) of region `index` (VFIO_PCI_BAR0_REGION_INDEX, ...); len <= 8. 0 or -errno. */
	int (*read)(struct vfio_device *v, unsigned index, uint64_t off, void *data, unsigned len);
	int (*write)(struct vfio_device *v, unsigned index, uint64_t off, const void *data,
		     unsigned len);
	/*
	 * VFIO_DEVICE_SET_IRQS: `flags` as there, `fd` only with VFIO_IRQ_SET_DATA_EVENTFD (count of them, -1: none,
	 * not owned by the device). 0 or -errno.
	 */
	int (*set_irqs)(struct vfio_device *v, uint32_t flags, unsigned index, unsigned start,
			unsigned count, const int *fd);
	/* 0 or -errno; -ENOTTY: it has none (an mdev), and that is no fault. */
	int (*reset)(struct vfio_device *v);
	/* Resets it, takes DMA away, closes. NULL is not allowed. */
	void (*destroy)(struct vfio_device *v);
};

struct vfio_device {
	const struct vfio_ops *ops;
	char *name;     /* "0000:03:00.0", or as the user wrote it; owned */
	uint32_t flags; /* VFIO_DEVICE_FLAGS_RESET and so on */
	struct vfio_region region[VFIO_PCI_NUM_REGIONS];
	struct vfio_irq irq[VFIO_PCI_NUM_IRQS];
	/* Set by the one who uses it. Loop thread: the device is dead, `why` says how. */
	void (*gone)(void *arg, const char *why);
	void *arg;
};

static inline void vfio_destroy(struct vfio_device *v)
{
	if (v)
		v->ops->destroy(v);
}
