/* SPDX-License-Identifier: Apache-2.0 */
/* The board: which devices there are, at which addresses, on which interrupts. */
#pragma once

#include "machine/machine.h"

/* Creates the devices of m->board in one fixed order and connects them. m->kvm and m->loop exist. */
int board_create(struct machine *m, struct err *e);
void board_destroy(struct machine *m);
