// SPDX-License-Identifier: Apache-2.0
/*
 * The control queues (virtio 1.2, 5.3.6.2): which ports there are, what they are called, who has them open.
 *
 *   driver                              device
 *     | DEVICE_READY 1  ------------->    |
 *     |    <-------------  PORT_ADD n     |   for each port
 *     | PORT_READY n 1  ------------->    |
 *     |    <-------------  CONSOLE_PORT n, RESIZE n, PORT_NAME n, PORT_OPEN n 1
 *     | PORT_OPEN n 1   ------------->    |   /dev/vportNpn was opened; a console is open at once
 *
 * What has to be sent is a set of bits a port, not a list: a driver that asks a thousand times gets it once, and
 * nothing grows.
 */
#include <string.h>

#include "dev/virtio/console_impl.h"

#define MESSAGES_A_KICK 32

struct message {
	struct virtio_console_control head;
	union {
		struct {
			uint16_t cols, rows; /* Linux read them in the other order until 2025 */
		} size;
		char name[CONSOLE_NAME_MAX];
	};
};

/* ---- to the driver ---- */

static void compose(const struct console_port *p, unsigned what, struct message *m, size_t *len)
{
	m->head = (struct virtio_console_control){.id = p->id, .value = 1};
	*len = sizeof(m->head);
	switch (what) {
	case TELL_ADD:
		m->head.event = VIRTIO_CONSOLE_PORT_ADD;
		break;
	case TELL_CONSOLE:
		m->head.event = VIRTIO_CONSOLE_CONSOLE_PORT;
		break;
	case TELL_RESIZE:
		m->head.event = VIRTIO_CONSOLE_RESIZE;
		m->size.cols = p->console->config.cols;
		m->size.rows = p->console->config.rows;
		*len += sizeof(m->size);
		break;
	case TELL_NAME:
		m->head.event = VIRTIO_CONSOLE_PORT_NAME;
		memcpy(m->name, p->name, strlen(p->name)); /* without its NUL */
		*len += strlen(p->name);
		break;
	case TELL_OPEN:
		m->head.event = VIRTIO_CONSOLE_PORT_OPEN;
		break;
	}
}

static struct console_port *next_to_tell(struct console *con)
{
	for (unsigned i = 0; i < con->n_ports; i++)
		if (con->port[i].tell)
			return &con->port[i];
	return NULL;
}

/* Into the buffers of one request; how many bytes. Into one that is too small: none, and it is sent later. */
static uint32_t tell(struct console_port *p, const struct vq_chain *c)
{
	unsigned what = p->tell & -p->tell; /* the lowest bit */
	struct message m;
	size_t len;

	compose(p, what, &m, &len);
	if (c->in_len < len)
		return 0;
	vq_copy_in(c, 0, &m, len);
	p->tell &= ~what;
	p->added |= what == TELL_ADD;
	return (uint32_t)len;
}

void console_control_flush(struct console *con)
{
	struct vq_chain c = {.iov = con->iov, .iov_max = CONSOLE_SEGMENTS};
	struct console_port *p = NULL;
	struct vq *q;
	int rc = 0;

	if (!console_multiport(con) || !virtio_queue_ready(&con->base, CONTROL_RECEIVEQ))
		return;
	q = virtio_vq(&con->base, CONTROL_RECEIVEQ);
	for (unsigned n = 0; n < MESSAGES_A_KICK && (p = next_to_tell(con)) != NULL; n++) {
		rc = vq_pop(q, &c);
		if (rc <= 0)
			break;
		vq_push(q, &c, tell(p, &c));
	}
	virtio_finish(&con->base, CONTROL_RECEIVEQ, rc);
	if (rc >= 0 && vq_kicks_on(q) && next_to_tell(con))
		virtio_kick_again(&con->base, CONTROL_RECEIVEQ);
}

/* ---- from the driver ---- */

/* 5.3.6.2: MUST NOT add a port that exists. */
static void device_ready(struct console *con)
{
	for (unsigned i = 0; i < con->n_ports; i++)
		if (!con->port[i].added)
			con->port[i].tell |= TELL_ADD;
}

static void port_ready(struct console_port *p, bool success)
{
	p->ready = success;
	p->tell = 0;
	if (!success)
		return;
	p->tell = TELL_OPEN;
	if (p->is_console)
		p->tell |= TELL_CONSOLE;
	if (p->is_console && p->id == 0)
		p->tell |= TELL_RESIZE;
	if (p->name[0])
		p->tell |= TELL_NAME;
}

static void port_event(struct console_port *p, uint16_t event, bool value)
{
	struct console *con = p->console;

	if (event == VIRTIO_CONSOLE_PORT_READY) {
		port_ready(p, value);
	} else if (event == VIRTIO_CONSOLE_PORT_OPEN) {
		p->open = value;
		console_receive(p);
	} else {
		log_limited(&con->base.log, "console: control message %u is unknown", event);
	}
}

static void on_message(struct console *con, const struct virtio_console_control *m)
{
	if (m->event == VIRTIO_CONSOLE_DEVICE_READY) {
		if (m->value)
			device_ready(con);
	} else if (m->id >= con->n_ports || !con->port[m->id].added) {
		log_limited(&con->base.log,
			    "console: control message %u for port %u, which is not there", m->event,
			    m->id);
	} else {
		port_event(&con->port[m->id], m->event, m->value);
	}
}

void console_control_transmitted(struct console *con)
{
	struct vq *q = virtio_vq(&con->base, CONTROL_TRANSMITQ);
	struct vq_chain c = {.iov = con->iov, .iov_max = CONSOLE_SEGMENTS};
	int rc = 0;

	vq_kicks_off(q);
	for (unsigned n = 0; n < MESSAGES_A_KICK && (rc = vq_pop(q, &c)) > 0; n++) {
		struct virtio_console_control m;

		if (vq_copy_out(&c, 0, &m, sizeof(m)) == sizeof(m))
			on_message(con, &m);
		vq_push(q, &c, 0);
	}
	virtio_finish(&con->base, CONTROL_TRANSMITQ, rc);
	if (rc > 0 || (rc == 0 && vq_kicks_on(q)))
		virtio_kick_again(&con->base, CONTROL_TRANSMITQ);
	console_control_flush(con);
}
