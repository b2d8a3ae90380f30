/* SPDX-License-Identifier: Apache-2.0 */
/* How a device tells the machine that the guest wants to end. The machine decides what follows. */
#pragma once

enum guest_event {
	GUEST_POWEROFF, /* ACPI S5 */
	GUEST_RESET,    /* ACPI reset register, i8042 pulse, triple fault on purpose */
	GUEST_PANIC,    /* pvpanic: the kernel panicked (it may go on to kdump or a reset) */
};

/* Called from a vCPU thread inside a device's write; must not block. */
struct lifecycle {
	void (*event)(void *arg, enum guest_event what);
	void *arg;
};
