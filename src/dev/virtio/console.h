/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The virtio console (virtio 1.2, 5.3): byte streams between the guest and a chardev each. Port 0 is the
 * terminal hvc0; further ports (MULTIPORT) are terminals or named streams. docs/console.md.
 *
 * Flow: output is taken from the driver only while the chardev's reader keeps up; input is taken from the host
 * only while the driver has offered buffers. Nothing waits in memory of ours but for CONSOLE_INPUT bytes a port.
 *
 * Locks: the device's, then a chardev's.
 */
#pragma once

#include "backend/chardev.h"
#include "config/devices.h"
#include "virtio/virtio.h"

#define CONSOLE_PORTS_MAX CONFIG_MAX_CONSOLES
#define CONSOLE_NAME_MAX  64  /* bytes of a port's name */
#define CONSOLE_INPUT     512 /* bytes on their way to the guest */

/* What a port on stdio calls, from the loop thread, for Ctrl-A x (chardev_open_stdio()). */
struct console_quit {
	void (*fn)(void *arg);
	void *arg;
};

/* Opens the ports' host ends, which the device then owns. 1 to CONSOLE_PORTS_MAX ports; the caller destroys it. */
int console_create(struct virtio_dev **out, const struct console_config *ports, unsigned n_ports,
		   struct console_quit quit, const struct virtio_host *host, struct err *e);

/* The same over chardevs that are open already. They are the device's from now on, on failure too. */
int console_create_on(struct virtio_dev **out, const struct console_config *ports,
		      struct chardev *const *chardev, unsigned n_ports,
		      const struct virtio_host *host, struct err *e);

/* Taps what the guest sends to port 0; fn runs with the device's lock held, one byte a call. */
void console_set_tap(struct virtio_dev *dev, void (*fn)(void *arg, uint8_t byte), void *arg);

/* The host's terminal behind port 0 has this size now: the guest is told. Any thread. */
void console_resized(struct virtio_dev *dev, unsigned cols, unsigned rows);
