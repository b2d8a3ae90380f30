/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vCPU side of the KVM API (api.rst): registers, CPUID, MSRs, KVM_RUN. A vCPU belongs to the thread
 * that runs it; only vcpu_kick() may be called from another one while it runs.
 */
#pragma once

#include <linux/kvm.h>

#include "base/base.h"
#include "base/err.h"
#include "kvm/vm.h"

struct vcpu {
	int fd;
	unsigned id;         /* = APIC ID; 0 is the boot processor */
	struct kvm_run *run; /* shared with KVM: why it left the guest */
	size_t run_size;
};

#define VCPU_CLOSED ((struct vcpu){.fd = -1})

int vcpu_open(struct vcpu *v, const struct kvm *k, unsigned id, struct err *e);
void vcpu_close(struct vcpu *v);

/* KVM_RUN. 0: see v->run->exit_reason; -EINTR: kicked or a signal came; other -errno: KVM refused. */
int vcpu_run(struct vcpu *v);

/*
 * Makes vcpu_run() return -EINTR as soon as it can, and every later one at once (immediate_exit). A
 * signal to its thread must follow if it may be inside the guest.
 */
void vcpu_kick(struct vcpu *v);

int vcpu_get_regs(const struct vcpu *v, struct kvm_regs *regs);
int vcpu_set_regs(const struct vcpu *v, const struct kvm_regs *regs, struct err *e);
int vcpu_get_sregs(const struct vcpu *v, struct kvm_sregs *sregs);
int vcpu_set_sregs(const struct vcpu *v, const struct kvm_sregs *sregs, struct err *e);
int vcpu_set_cpuid(const struct vcpu *v, const struct kvm_cpuid2 *cpuid, struct err *e);
/* Sets one model-specific register; -EINVAL when this host's KVM refuses it. */
int vcpu_set_msr(const struct vcpu *v, uint32_t index, uint64_t value, struct err *e);
/* KVM_TRANSLATE: guest-virtual to guest-physical by the vCPU's page tables; false if unmapped. */
bool vcpu_translate(const struct vcpu *v, uint64_t virtual_address, uint64_t *gpa);

/* KVM_GET_SUPPORTED_CPUID: the caller frees *out. */
int kvm_supported_cpuid(const struct kvm *k, struct kvm_cpuid2 **out, struct err *e);
