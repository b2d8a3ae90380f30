/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU run loop: enter the guest, serve what it left for, again. */
#pragma once

#include "machine/machine.h"

/* A thread a vCPU; all signals blocked in it but the one that kicks it. 0, or -errno with a text. */
int run_start(struct machine *m, struct err *e);

/* Makes every vCPU leave its loop and waits for its thread. */
void run_join(struct machine *m);
