// SPDX-License-Identifier: Apache-2.0
/* Sections are those of virtio 1.2. The control queues are in console_control.c. */
#include "dev/virtio/console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/console_impl.h"

#define QUEUE_SIZE     128
#define CHUNK          4096        /* bytes of output at a time */
#define OUTPUT_A_KICK  (256 * KIB) /* bytes of output, then other devices get their turn */
#define REQUEST_COST   64          /* what a request counts for at least */
#define BUFFERS_A_KICK 64

/* 5.3.2 */
static unsigned receiveq(const struct console_port *p)
{
	return p->id == 0 ? 0 : 2 * p->id + 2;
}

static unsigned transmitq(const struct console_port *p)
{
	return receiveq(p) + 1;
}

static struct console_port *port_of(struct console *con, unsigned queue)
{
	return &con->port[queue < 2 ? 0 : queue / 2 - 1];
}

/* ---- output ---- */

static void put(struct console_port *p, const uint8_t *data, size_t n)
{
	struct console *con = p->console;

	chardev_write(p->chardev, data, n);
	for (size_t i = 0; p->id == 0 && con->tap && i < n; i++)
		con->tap(con->tap_arg, data[i]);
}

/*
 * A driver without MULTIPORT looks at the size only when it is told of a change (Linux: config_work_handler()), and
 * Linux must not be told before it has its port. Once it sends, it has.
 */
static void port_is_there(struct console *con)
{
	if (con->has_port || console_multiport(con))
		return;
	con->has_port = true;
	if (con->config.cols)
		virtio_config_changed(&con->base);
}

/* Goes on with p->request. False: not finished, for the budget is spent or the reader is slow. */
static bool send_some(struct console_port *p, size_t *budget)
{
	uint8_t data[CHUNK];

	while (p->sent < p->request.out_len) {
		size_t n;

		if (*budget == 0 || chardev_congested(p->chardev))
			return false;
		n = vq_copy_out(&p->request, p->sent, data, MIN(sizeof(data), *budget));
		put(p, data, n);
		p->sent += n;
		port_is_there(p->console);
		*budget -= n;
	}
	return true;
}

/*
 * While the reader is slow the request stays ours: Linux then waits, or tells its writer to, and nothing is
 * lost. on_drained() goes on.
 */
static void transmit(struct console_port *p)
{
	struct virtio_dev *dev = &p->console->base;
	struct vq *q = virtio_vq(dev, transmitq(p));
	size_t budget = OUTPUT_A_KICK;
	int rc = 0;

	vq_kicks_off(q);
	while (budget > 0) {
		if (!p->sending) {
			p->request = (struct vq_chain){.iov = p->iov, .iov_max = CONSOLE_SEGMENTS};
			if ((rc = vq_pop(q, &p->request)) <= 0)
				break;
			p->sending = true;
			p->sent = 0;
			budget -= MIN(budget, REQUEST_COST);
		}
		if (!send_some(p, &budget))
			break;
		vq_push(q, &p->request, 0);
		p->sending = false;
	}
	virtio_finish(dev, transmitq(p), rc);
	if (budget == 0 || (rc == 0 && !p->sending && vq_kicks_on(q)))
		virtio_kick_again(dev, transmitq(p));
}

/* Loop thread: the reader has caught up. */
static void on_drained(void *arg)
{
	struct console_port *p = arg;
	struct virtio_dev *dev = &p->console->base;

	pthread_mutex_lock(&dev->lock);
	if (virtio_queue_ready(dev, transmitq(p)))
		transmit(p);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- input ---- */

/* Linux throws away what arrives on a stream that nobody has open, so it is kept back until then. */
static bool wants_input(const struct console_port *p)
{
	const struct console *con = p->console;

	if (!virtio_queue_ready(&con->base, receiveq(p)))
		return false;
	return console_multiport(con) ? p->open : p->id == 0;
}

static void deliver(struct console_port *p, struct vq *q)
{
	struct virtio_dev *dev = &p->console->base;
	struct vq_chain c = {.iov = p->console->iov, .iov_max = CONSOLE_SEGMENTS};
	int rc = 0;

	for (unsigned n = 0; n < BUFFERS_A_KICK && p->input_len > 0; n++) {
		size_t done;

		if ((rc = vq_pop(q, &c)) <= 0)
			break;
		done = vq_copy_in(&c, 0, p->input + p->input_at, p->input_len);
		p->input_at += done;
		p->input_len -= done;
		vq_push(q, &c, (uint32_t)done);
	}
	virtio_finish(dev, receiveq(p), rc);
}

void console_receive(struct console_port *p)
{
	struct virtio_dev *dev = &p->console->base;
	struct vq *q = virtio_vq(dev, receiveq(p));

	if (!wants_input(p))
		return;
	deliver(p, q);
	if (!virtio_queue_ready(dev, receiveq(p)))
		return;      /* broken */
	if (!vq_kicks_on(q)) /* before anybody is told that there is no buffer */
		return;
	if (p->input_len > 0)
		virtio_kick_again(dev, receiveq(p));
	else
		chardev_resume_input(p->chardev);
}

static size_t on_room(void *arg)
{
	struct console_port *p = arg;
	struct virtio_dev *dev = &p->console->base;
	size_t room = 0;

	pthread_mutex_lock(&dev->lock);
	if (p->input_len == 0 && wants_input(p) && vq_pending(virtio_vq(dev, receiveq(p))) > 0)
		room = sizeof(p->input);
	pthread_mutex_unlock(&dev->lock);
	return room;
}

/* The driver may have been reset since on_room(): then it waits in p->input for the next one. */
static void on_input(void *arg, const uint8_t *data, size_t len)
{
	struct console_port *p = arg;
	struct virtio_dev *dev = &p->console->base;

	pthread_mutex_lock(&dev->lock);
	memcpy(p->input, data, len);
	p->input_at = 0;
	p->input_len = len;
	console_receive(p);
	pthread_mutex_unlock(&dev->lock);
}

/* ---- the device ---- */

static void console_kick(struct virtio_dev *dev, unsigned queue)
{
	struct console *con = container_of(dev, struct console, base);

	if (queue > 1 && !console_multiport(con))
		return;
	if (queue == CONTROL_RECEIVEQ) {
		console_control_flush(con);
	} else if (queue == CONTROL_TRANSMITQ) {
		console_control_transmitted(con);
	} else if (queue & 1) {
		transmit(port_of(con, queue));
	} else {
		console_receive(port_of(con, queue));
	}
}

/* 5.3.5: a byte written to emerg_wr goes out at any time, with no driver at all. */
static void console_config_write(struct virtio_dev *dev, unsigned off, const void *data,
				 unsigned len)
{
	struct console *con = container_of(dev, struct console, base);
	const unsigned at = offsetof(struct virtio_console_config, emerg_wr);

	if (off <= at && at < off + len)
		put(&con->port[0], (const uint8_t *)data + (at - off), 1);
}

static void console_reset(struct virtio_dev *dev)
{
	struct console *con = container_of(dev, struct console, base);

	for (unsigned i = 0; i < con->n_ports; i++) {
		struct console_port *p = &con->port[i];

		p->sending = p->added = p->ready = p->open = false;
		p->tell = 0;
	}
	con->has_port = false;
}

static void report_losses(const struct console_port *p)
{
	uint64_t n = chardev_dropped(p->chardev);

	if (n > 0)
		log_warn("console port %u: %llu bytes of output were lost: nobody read them", p->id,
			 (unsigned long long)n);
}

static void console_destroy(struct virtio_dev *dev)
{
	struct console *con = container_of(dev, struct console, base);

	for (unsigned i = 0; i < con->n_ports; i++) {
		chardev_detach(con->port[i].chardev);
		report_losses(&con->port[i]);
		chardev_destroy(con->port[i].chardev);
	}
	virtio_fini(dev);
	free(con);
}

static const struct virtio_ops console_ops = {
	.name = "console",
	.id = VIRTIO_ID_CONSOLE,
	.kick = console_kick,
	.reset = console_reset,
	.config_write = console_config_write,
	.destroy = console_destroy,
};

void console_set_tap(struct virtio_dev *dev, void (*fn)(void *arg, uint8_t byte), void *arg)
{
	struct console *con = container_of(dev, struct console, base);

	pthread_mutex_lock(&dev->lock);
	con->tap = fn;
	con->tap_arg = arg;
	pthread_mutex_unlock(&dev->lock);
}

void console_resized(struct virtio_dev *dev, unsigned cols, unsigned rows)
{
	struct console *con = container_of(dev, struct console, base);
	struct console_port *p = &con->port[0];
	uint16_t c = (uint16_t)MIN(cols, UINT16_MAX), r = (uint16_t)MIN(rows, UINT16_MAX);

	pthread_mutex_lock(&dev->lock);
	if (c != con->config.cols || r != con->config.rows) {
		con->config.cols = c;
		con->config.rows = r;
		if (con->has_port || console_multiport(con))
			virtio_config_changed(
				dev); /* all that a driver without MULTIPORT looks at */
		if (p->ready && p->is_console)
			p->tell |= TELL_RESIZE;
		console_control_flush(con);
	}
	pthread_mutex_unlock(&dev->lock);
}

/* ---- creation ---- */

static int check_ports(const struct console_config *ports, unsigned n, struct err *e)
{
	if (n == 0 || n > CONSOLE_PORTS_MAX)
		return err_set(e, EINVAL, "console: %u ports are asked for; at most %u can be", n,
			       CONSOLE_PORTS_MAX);
	for (unsigned i = 0; i < n; i++)
		if (ports[i].name && strlen(ports[i].name) > CONSOLE_NAME_MAX)
			return err_set(e, ENAMETOOLONG,
				       "console: '%s': a name has at most %u bytes", ports[i].name,
				       CONSOLE_NAME_MAX);
	return 0;
}

/* From here on destroying the device closes the chardev. */
static void add_port(struct console *con, const struct console_config *config, struct chardev *c)
{
	struct console_port *p = &con->port[con->n_ports];

	p->console = con;
	p->id = con->n_ports++;
	p->chardev = c;
	p->is_console = p->id == 0 || config->is_console;
	if (config->name)
		snprintf(p->name, sizeof(p->name), "%s", config->name);
}

static int start_port(struct console_port *p, struct err *e)
{
	struct chardev_front front = {on_room, on_input, on_drained, p};
	int rc = chardev_start(p->chardev, front, e);

	return rc < 0 ? err_wrap(e, rc, "console port %u: ", p->id) : 0;
}

static int create(struct console **out, unsigned n_ports, const struct virtio_host *host,
		  struct err *e)
{
	struct console *con = calloc(1, sizeof(*con));
	unsigned n_queues = n_ports == 1 ? 2 : 2 * n_ports + 2;
	int rc;

	if (!con)
		return err_set(e, ENOMEM, "console: out of memory");
	rc = virtio_init(&con->base, &console_ops, host, n_queues, QUEUE_SIZE, &con->config,
			 sizeof(con->config), e);
	if (rc < 0) {
		free(con);
		return rc;
	}
	con->config.max_nr_ports = n_ports;
	con->base.offered |= 1ULL << VIRTIO_CONSOLE_F_SIZE | 1ULL << VIRTIO_CONSOLE_F_EMERG_WRITE;
	/* With one port there is nothing to control, and the size goes by the simpler way. */
	if (n_ports > 1)
		con->base.offered |= 1ULL << VIRTIO_CONSOLE_F_MULTIPORT;
	*out = con;
	return 0;
}

static void close_all(struct chardev *const *chardev, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		chardev_destroy(chardev[i]);
}

int console_create_on(struct virtio_dev **out, const struct console_config *ports,
		      struct chardev *const *chardev, unsigned n_ports,
		      const struct virtio_host *host, struct err *e)
{
	struct console *con = NULL;
	int rc = check_ports(ports, n_ports, e);

	if (rc == 0)
		rc = create(&con, n_ports, host, e);
	if (rc < 0) {
		close_all(chardev, n_ports);
		return rc;
	}
	for (unsigned i = 0; i < n_ports; i++)
		add_port(con, &ports[i], chardev[i]);
	for (unsigned i = 0; i < n_ports && rc == 0; i++)
		rc = start_port(&con->port[i], e);
	if (rc < 0)
		console_destroy(&con->base);
	else
		*out = &con->base;
	return rc;
}

static int open_end(struct chardev **out, const struct console_config *port, unsigned id,
		    struct console_quit quit, struct loop *loop, struct err *e)
{
	char label[32];

	switch (port->kind) {
	case CONSOLE_STDIO:
		return chardev_open_stdio(out, loop, quit.fn, quit.arg, e);
	case CONSOLE_PTY:
		snprintf(label, sizeof(label), "console port %u", id);
		return chardev_open_pty(out, loop, label, e);
	case CONSOLE_FILE:
		return chardev_open_file(out, loop, port->path, e);
	case CONSOLE_SOCKET:
		return chardev_open_socket(out, loop, port->path, e);
	case CONSOLE_NONE:
		return chardev_open_none(out, loop, e);
	}
	return err_set(e, EINVAL, "kind %d", port->kind);
}

int console_create(struct virtio_dev **out, const struct console_config *ports, unsigned n_ports,
		   struct console_quit quit, const struct virtio_host *host, struct err *e)
{
	struct chardev *end[CONSOLE_PORTS_MAX];
	int rc = check_ports(ports, n_ports, e);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n_ports; i++) {
		rc = open_end(&end[i], &ports[i], i, quit, host->loop, e);
		if (rc < 0) {
			close_all(end, i);
			return err_wrap(e, rc, "console port %u: ", i);
		}
	}
	return console_create_on(out, ports, end, n_ports, host, e);
}
