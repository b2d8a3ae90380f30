/* SPDX-License-Identifier: Apache-2.0 */
/* A UART on a bus, with a host that a test makes fast or slow, and its interrupt as a count of
 * edges. */
#pragma once

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "dev/serial.h"

#include "../test.h"

/* A chardev whose output lands in an array and whose slowness is ours to say. */
struct host {
	struct chardev base;
	uint8_t out[4096];
	size_t n_out;
	bool full; /* it takes nothing */
};

struct rig {
	struct loop loop;
	struct irq irq;
	struct bus bus;
	struct host *host;
	struct serial *s;
	struct err e;
};

#define BASE 0x3f8

static inline ssize_t host_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct host *h = container_of(c, struct host, base);

	if (h->full)
		return -EAGAIN;
	for (size_t i = 0; i < len; i++)
		h->out[h->n_out++ % sizeof(h->out)] = data[i];
	return (ssize_t)len;
}

static inline void host_close(struct chardev *c)
{
	(void)c;
}

static const struct chardev_ops host_ops = {.write = host_write, .close = host_close};

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	CHECK_EQ(0, loop_init(&r->loop, &r->e));
	CHECK_EQ(0, irq_init(&r->irq, &r->e));
	r->host = calloc(1, sizeof(*r->host));
	CHECK_EQ(0, chardev_init(&r->host->base, &host_ops, &r->loop, &r->e));
	r->host->base.reader = true;
	CHECK_EQ(0, serial_create(&r->s, &r->irq, &r->host->base, &r->e));
	bus_init(&r->bus, "ports");
	CHECK_EQ(0, bus_add(&r->bus,
			    (struct bus_region){.base = BASE,
						.last = BASE + SERIAL_PORTS - 1,
						.name = "serial",
						.ops = &serial_bus_ops,
						.dev = r->s,
						.width = 1},
			    &r->e));
}

static inline void rig_fini(struct rig *r)
{
	r->host->full = false;
	serial_destroy(r->s);
	chardev_destroy(&r->host->base);
	bus_fini(&r->bus);
	irq_fini(&r->irq);
	loop_fini(&r->loop);
}

static inline uint8_t in(struct rig *r, unsigned reg)
{
	uint8_t value;

	bus_read(&r->bus, BASE + reg, &value, 1);
	return value;
}

static inline void out(struct rig *r, unsigned reg, uint8_t value)
{
	bus_write(&r->bus, BASE + reg, &value, 1);
}

/* A driver that waits for input without interrupts. */
static inline void poll_for_input(struct rig *r)
{
	in(r, UART_LSR);
	in(r, UART_LSR);
}

/* Edges since the last call. */
static inline unsigned edges(struct rig *r)
{
	uint64_t n;

	return read(r->irq.fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

static inline size_t room(struct rig *r)
{
	return r->host->base.front.room(r->s);
}

static inline void receive(struct rig *r, const char *text)
{
	size_t len = strlen(text);

	CHECK(len <= room(r));
	r->host->base.front.receive(r->s, (const uint8_t *)text, len);
}

/* Serves the loop for a while; how many sources it had to serve. */
static inline unsigned run(struct rig *r, int ms)
{
	struct epoll_event ev;
	unsigned n = 0;

	while (epoll_wait(r->loop.epoll_fd, &ev, 1, ms) == 1) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
		CHECK(++n < 1000);
	}
	return n;
}

static inline void fifo(struct rig *r, uint8_t trigger)
{
	out(r, UART_FCR,
	    UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT | trigger);
}
