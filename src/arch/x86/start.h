/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state a kernel expects at its first instruction, which on real hardware the firmware and boot
 * loader would have made: GDT and page tables in guest RAM, and the registers of the boot processor.
 */
#pragma once

#include "base/err.h"
#include "kvm/vcpu.h"
#include "mem/gmem.h"

enum start_mode {
	START_LONG,      /* 64-bit, the first 4 GiB mapped one to one */
	START_PROTECTED, /* 32-bit, flat segments, no paging */
};

struct start_state {
	enum start_mode mode;
	uint64_t rip;
	uint64_t rbx, rsi; /* where each boot protocol looks for its parameters */
};

/* Writes the GDT and, for START_LONG, the identity page tables (BOOT_GDT, BOOT_PML4 ...). */
int start_write_tables(struct gmem *m, enum start_mode mode, struct err *e);

/* Registers and system registers of the boot processor. The others wait for its INIT and SIPI. */
int start_set_registers(const struct vcpu *v, const struct start_state *s, struct err *e);

/* MSRs that firmware sets on every processor. */
int start_set_msrs(const struct vcpu *v, struct err *e);
