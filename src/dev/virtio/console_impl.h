/* SPDX-License-Identifier: Apache-2.0 */
/* What console.c (the streams) and console_control.c (the control queues) share. */
#pragma once

#include <linux/virtio_console.h>

#include "dev/virtio/console.h"

#define CONSOLE_SEGMENTS 64 /* buffers that one request may consist of */

/* Control messages that a port still has to get, in the order in which they are sent (5.3.6.2). */
enum {
	TELL_ADD = 1,
	TELL_CONSOLE = 2,
	TELL_RESIZE = 4,
	TELL_NAME = 8,
	TELL_OPEN = 16,
};

struct console;

struct console_port {
	struct console *console;
	unsigned id;
	struct chardev *chardev;
	bool is_console;
	char name[CONSOLE_NAME_MAX + 1];

	/* The driver's view, forgotten at reset. MULTIPORT only. */
	unsigned tell; /* TELL_... */
	bool added;    /* PORT_ADD was sent */
	bool ready;    /* PORT_READY came */
	bool open;     /* somebody in the guest has it open */

	/* Output: the request that is being carried out, if `sending`. */
	struct iovec iov[CONSOLE_SEGMENTS];
	struct vq_chain request;
	bool sending;
	uint64_t sent; /* bytes of it */

	/* Input that no buffer has been found for yet. Survives a reset. */
	uint8_t input[CONSOLE_INPUT];
	size_t input_at, input_len;
};

struct console {
	struct virtio_dev base;
	struct virtio_console_config config;
	bool has_port; /* without MULTIPORT: the driver has sent something, so it has its port */
	unsigned n_ports;
	struct console_port port[CONSOLE_PORTS_MAX];
	void (*tap)(void *arg, uint8_t byte); /* of port 0, or NULL */
	void *tap_arg;
	struct iovec iov[CONSOLE_SEGMENTS]; /* for requests that are done at once */
};

/* 5.3.2: the queues of port 0, the two control queues, the queues of port 1, ... */
enum { CONTROL_RECEIVEQ = 2, CONTROL_TRANSMITQ = 3 };

static inline bool console_multiport(const struct console *con)
{
	return virtio_has(&con->base, VIRTIO_CONSOLE_F_MULTIPORT);
}

/* The device's lock is held for all of these. */

/* The driver has sent control messages. */
void console_control_transmitted(struct console *con);
/* Sends what can be sent of what the ports have to be told. */
void console_control_flush(struct console *con);
/* Hands input on to the driver, and asks the host for more. */
void console_receive(struct console_port *p);
