/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of a new machine: kernel, command line, tables and first registers. */
#pragma once

#include "machine/machine.h"

/* What the tables will say of the hardware: m->hardware. The vCPUs and RAM are there. */
void guest_describe(struct machine *m);
/* Loads the kernel and writes the tables. Nothing runs. */
int guest_load(struct machine *m, struct err *e);
/* The command line that the user gave, or the default. */
const char *guest_cmdline(const struct machine *m);
