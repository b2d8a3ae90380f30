/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM side of the KVM API (Linux Documentation/virt/kvm/api.rst): thin, typed, one function an ioctl.
 * This room is the only place that calls KVM's ioctl(). All functions may be called from any thread.
 */
#pragma once

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

/* KVM_IRQFD: a write to the eventfd is an edge on global system interrupt `gsi`. */
int kvm_connect_irq(const struct kvm *k, int event_fd, unsigned gsi, struct err *e);
