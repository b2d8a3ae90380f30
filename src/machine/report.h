/* SPDX-License-Identifier: Apache-2.0 */
/* What to tell the user when a guest crashed: why, where, registers, the bytes of the instruction. */
#pragma once

#include "kvm/vcpu.h"
#include "mem/gmem.h"

/*
 * After KVM_EXIT_SHUTDOWN: did the guest triple-fault to reset itself (Linux's reboot=t)? Signs: an
 * empty IDT, or the reset flag that Linux writes to the BIOS data area before any restart.
 */
bool report_is_deliberate_reset(const struct vcpu *v, const struct gmem *ram);

/* Arms the second sign: writes a value there that no kernel uses. Before the guest runs. */
int report_arm(struct gmem *ram, struct err *e);

/* Text of an exit that toyvmm cannot go on from. Returns buf. */
const char *report_exit_reason(const struct kvm_run *run, char *buf, size_t size);

/* Prints the report on standard error. `kernel`: path of the kernel, for symbols. */
void report_crash(const struct vcpu *v, const char *kernel, const struct gmem *ram,
		  const char *why);
