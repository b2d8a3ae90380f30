/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio devices that the user asked for, on the transport of his choice (machine/virtio_board.c). */
#pragma once

#include "machine/machine.h"

/* Where device `i` is with --transport mmio. */
struct boot_mmio virtio_board_place(unsigned i);

/* Creates them in the order in which the guest will find them. */
int virtio_board_create(struct machine *m, struct err *e);
void virtio_board_destroy(struct machine *m);
/* The terminal has another size: whose console is on it is told. Loop thread. */
void virtio_board_resized(struct machine *m);
