/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID: what the host's KVM supports, with the topology of this VM written in. */
#pragma once

#include <linux/kvm.h>

#include "base/base.h"

/*
 * A copy of KVM_GET_SUPPORTED_CPUID with the host's own topology leaves replaced by empty ones of ours,
 * for cpuid_adjust(). The caller frees it; NULL: out of memory.
 */
struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *supported);

/*
 * Adjusts `c` (from cpuid_create()) in place for vCPU `id` of `cpus`: one package, one thread a
 * core, APIC ID = id. `tsc_deadline`: KVM_CAP_TSC_DEADLINE_TIMER is there. May be called again for the
 * next vCPU on the same object.
 */
void cpuid_adjust(struct kvm_cpuid2 *c, unsigned id, unsigned cpus, bool tsc_deadline);

/* Guest-physical address bits (leaf 0x80000008); 36 where the leaf is missing. */
unsigned cpuid_address_bits(const struct kvm_cpuid2 *c);
