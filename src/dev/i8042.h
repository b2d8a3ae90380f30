/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PS/2 keyboard controller (Intel 8042) with a keyboard that answers and no mouse port:
 * self-test, command byte, reset line. See docs/platform.md for the conversation that Linux's
 * driver has with it.
 *
 * Invariant: at most I8042_BUFFERED bytes wait for the guest, whatever it writes without reading;
 * Linux takes a controller that has more for a broken one. All state is guarded by the device's own
 * lock; the lifecycle function is called with it released.
 */
#pragma once

#include "bus/bus.h"
#include "bus/irq.h"
#include "dev/lifecycle.h"

#define I8042_BUFFERED 16

struct i8042;

extern const struct bus_ops
	i8042_bus_ops; /* region: ports 0x60 to 0x64, width 1 (0x61 is KVM's PIT) */

/* The irq is not owned and outlives the device. */
int i8042_create(struct i8042 **out, const struct irq *keyboard_irq, struct lifecycle life,
		 struct err *e);
void i8042_destroy(struct i8042 *k);

/*
 * Presses and releases Ctrl, Alt and Delete: asks the guest to reboot. Any thread. 0, or -EAGAIN
 * with no key sent when the guest has turned the keyboard off or left no room by not reading it.
 */
int i8042_ctrl_alt_del(struct i8042 *k);
