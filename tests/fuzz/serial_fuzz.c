// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a list of two-byte operations on a UART: register reads and writes, bytes from the
 * host, a reader that stops and reads again, a turn of the event loop. What must hold after each of
 * them is seen as a driver sees it: a FIFO of 16, and an edge whenever IIR goes from "none" to a
 * cause.
 */
#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "dev/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct host {
	struct chardev base;
	bool full;
};

static ssize_t host_write(struct chardev *c, const uint8_t *data, size_t len)
{
	(void)data;
	return container_of(c, struct host, base)->full ? -EAGAIN : (ssize_t)len;
}

static void host_close(struct chardev *c)
{
	(void)c;
}

static const struct chardev_ops host_ops = {.write = host_write, .close = host_close};

struct uart {
	struct loop loop;
	struct irq irq;
	struct host *host;
	struct serial *s;
	bool line_was_low; /* the last IIR said "none", and no edge has come since */
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void setup(struct uart *u)
{
	struct err e;

	*u = (struct uart){.line_was_low = true};
	u->host = calloc(1, sizeof(*u->host));
	must(u->host && loop_init(&u->loop, &e) == 0 && irq_init(&u->irq, &e) == 0);
	must(chardev_init(&u->host->base, &host_ops, &u->loop, &e) == 0);
	u->host->base.reader = true;
	must(serial_create(&u->s, &u->irq, &u->host->base, &e) == 0);
}

static void teardown(struct uart *u)
{
	u->host->full = false;
	serial_destroy(u->s);
	chardev_destroy(&u->host->base);
	irq_fini(&u->irq);
	loop_fini(&u->loop);
}

static uint8_t reg_read(struct uart *u, unsigned reg)
{
	uint8_t value;

	serial_bus_ops.read(u->s, reg, &value, 1);
	return value;
}

static void input(struct uart *u, uint8_t n)
{
	static const uint8_t bytes[16] = "input";
	const struct chardev_front *front = &u->host->base.front;
	size_t room = front->room(front->arg);

	must(room <= 16);
	/* Sometimes more than there is room for: the guest may change its mode in between. */
	front->receive(front->arg, bytes, n & 0x80 ? n % 17 : MIN(room, (size_t)n));
}

static void turn(struct uart *u)
{
	struct epoll_event ev;

	for (unsigned i = 0; i < 8 && epoll_wait(u->loop.epoll_fd, &ev, 1, 0) == 1; i++) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
	}
}

static void reader(struct uart *u, bool stops)
{
	struct chardev *c = &u->host->base;

	u->host->full = stops;
	if (stops)
		return;
	pthread_mutex_lock(&c->lock);
	chardev_set_reader(c, true);
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
}

/* Many bytes at once, so that a stopped reader gets congested within one input. */
static void flood(struct uart *u)
{
	uint8_t lcr = reg_read(u, UART_LCR) & ~UART_LCR_DLAB;

	serial_bus_ops.write(u->s, UART_LCR, &lcr, 1);
	for (unsigned i = 0; i < 9000; i++)
		serial_bus_ops.write(u->s, UART_TX, &lcr, 1);
}

static void check_line(struct uart *u)
{
	uint64_t n;
	bool edge = read(u->irq.fd, &n, sizeof(n)) == sizeof(n);
	uint8_t iir = reg_read(u, UART_IIR);

	must((iir & 0x30) == 0 && ((iir >> 6) == 0 || (iir >> 6) == 3));
	must((iir & UART_IIR_NO_INT) || edge || !u->line_was_low);
	u->line_was_low = iir & UART_IIR_NO_INT;
}

static void drain(struct uart *u)
{
	uint8_t lcr = reg_read(u, UART_LCR) & ~UART_LCR_DLAB;
	unsigned n = 0;

	serial_bus_ops.write(u->s, UART_LCR, &lcr, 1);
	while (reg_read(u, UART_LSR) & UART_LSR_DR) {
		reg_read(u, UART_RX);
		must(++n <= 16);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct uart u;
	unsigned floods = 0;

	setup(&u);
	for (size_t i = 0; i + 1 < size && i < 4096; i += 2) {
		uint8_t op = data[i], arg = data[i + 1];

		if (op < 0x60)
			serial_bus_ops.write(u.s, op % SERIAL_PORTS, &arg, 1);
		else if (op < 0xa0)
			reg_read(&u, op % SERIAL_PORTS);
		else if (op < 0xd0)
			input(&u, arg);
		else if (op < 0xe0)
			reader(&u, arg & 1);
		else if (op < 0xe8)
			floods++ < 5 ? flood(&u) : (void)0;
		else if (op < 0xf0)
			turn(&u);
		else
			drain(&u);
		if (!(op & 0x08)) /* else causes gather before the driver looks */
			check_line(&u);
	}
	drain(&u);
	teardown(&u);
	return 0;
}
