/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM side of the KVM API (Linux Documentation/virt/kvm/api.rst): thin, typed, one function an ioctl.
 * This room is the only place that calls KVM's ioctl(). All functions may be called from any thread.
 */
#pragma once

#include <linux/kvm.h>

#include "base/base.h"
#include "base/err.h"

struct kvm {
	int fd;          /* /dev/kvm */
	int vm_fd;       /* KVM_CREATE_VM */
	size_t run_size; /* bytes to map of a vCPU's fd: KVM_GET_VCPU_MMAP_SIZE */
};

#define KVM_CLOSED ((struct kvm){.fd = -1, .vm_fd = -1})

/* Opens /dev/kvm and makes a VM. The text of an error says how to get access. */
int kvm_open(struct kvm *k, struct err *e);
void kvm_close(struct kvm *k);

/* KVM_CHECK_EXTENSION: what the host's KVM says of a KVM_CAP_...; 0 when it has not got it. */
int kvm_extension(const struct kvm *k, int capability);

/*
 * In-kernel LAPICs, IOAPIC, two 8259 PICs and an 8254 PIT (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2), and
 * the pages that KVM needs in the guest's address space. Before the first vCPU.
 */
int kvm_create_irqchip(const struct kvm *k, struct err *e);

/* KVM_SET_USER_MEMORY_REGION: guest-physical [gpa, gpa + len) is the host's memory at `host`. */
int kvm_map_memory(const struct kvm *k, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		   struct err *e);

/*
 * The same for run time, where the guest reaches a device's memory without an exit; len 0: takes it away.
 * `readonly`: writes are exits (KVM_MEM_READONLY). 0 or -errno.
 */
int kvm_set_memory(const struct kvm *k, unsigned slot, uint64_t gpa, uint64_t len, void *host,
		   bool readonly);

/* KVM_IRQFD: a write to the eventfd is an edge on global system interrupt `gsi`. */
int kvm_connect_irq(const struct kvm *k, int event_fd, unsigned gsi, struct err *e);

/* The same for run time: connects, or takes the connection away. 0 or -errno. */
int kvm_irqfd(const struct kvm *k, int event_fd, unsigned gsi, bool connect);
/*
 * KVM_IRQFD with a resample eventfd: `event_fd` raises the level-triggered interrupt; at its end (EOI) KVM lowers it
 * and writes `resample_fd`. Levels of several sources of one interrupt are or-ed. 0 or -errno.
 */
int kvm_irqfd_level(const struct kvm *k, int event_fd, int resample_fd, unsigned gsi, bool connect);
/* KVM_IRQ_LINE: the level of a level-triggered interrupt. */
void kvm_irq_line(const struct kvm *k, unsigned gsi, bool level);
/*
 * Tells KVM of an IOMMU group or VFIO device, by its file, that the guest has, or no longer has
 * (Documentation/virt/kvm/devices/vfio.rst; KVM_DEV_VFIO_FILE_ADD, whose older name is that of groups): it has to know of
 * DMA that does not snoop caches. *device: KVM's side of that, -1 at first; the caller closes it. 0 or -errno;
 * -ENODEV: this KVM has no such thing, and does not miss it.
 */
int kvm_vfio_file(const struct kvm *k, int *device, int file, bool add);
/* KVM_SET_GSI_ROUTING: replaces the whole table. 0 or -errno. */
int kvm_set_routing(const struct kvm *k, struct kvm_irq_routing *table);

/*
 * KVM_IOEVENTFD: a write of `len` bytes (0: any) to the guest-physical address signals the eventfd and the
 * guest goes on. `value`: only this one; NULL: any. add false: takes it away. 0 or -errno.
 */
int kvm_ioeventfd(const struct kvm *k, uint64_t gpa, unsigned len, const uint64_t *value,
		  int event_fd, bool add);
