/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are not made here: the user's choice of the host's, on the PCI bus (machine/passthru_board.c). */
#pragma once

#include "machine/machine.h"

/* After the virtio devices: the bus is theirs. */
int passthru_board_create(struct machine *m, struct err *e);
void passthru_board_destroy(struct machine *m);
