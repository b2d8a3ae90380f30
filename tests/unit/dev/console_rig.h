/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio console whose ports end in pipes and arrays, and the driver's side of its control queues. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "dev/virtio/console.h"
#include "fake/driver.h"

#include "../test.h"

#define MULTIPORT (1ULL << VIRTIO_CONSOLE_F_MULTIPORT)
#define SIZE      (1ULL << VIRTIO_CONSOLE_F_SIZE)

/* Queues: of port 0, control, of port 1. */
enum { RX0, TX0, CONTROL_RX, CONTROL_TX, RX1, TX1 };

/* The host's end: output lands in an array; what is written to `keys` is input. */
struct end {
	struct chardev base;
	int keys;
	bool full; /* it takes nothing */
	uint8_t out[512 * 1024];
	size_t n_out;
};

struct rig {
	struct fake_driver f;
	struct end *end[CONSOLE_PORTS_MAX];
	unsigned n;
};

static inline ssize_t end_read(struct chardev *c, uint8_t *buf, size_t len)
{
	ssize_t n = read(c->in.source.fd, buf, len);

	return n < 0 ? -errno : n;
}

static inline ssize_t end_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct end *end = container_of(c, struct end, base);
	size_t n = MIN(len, sizeof(end->out) - end->n_out);

	if (end->full)
		return -EAGAIN;
	memcpy(end->out + end->n_out, data, n);
	end->n_out += n;
	return (ssize_t)len;
}

static inline void end_close(struct chardev *c)
{
	close(c->in.source.fd);
	close(container_of(c, struct end, base)->keys);
}

static const struct chardev_ops end_ops = {
	.read = end_read,
	.write = end_write,
	.close = end_close,
};

static inline struct end *end_open(struct loop *loop)
{
	struct end *end = calloc(1, sizeof(*end));
	struct err e;
	int p[2];

	CHECK(end != NULL);
	CHECK_EQ(0, chardev_init(&end->base, &end_ops, loop, &e));
	CHECK_EQ(0, pipe2(p, O_CLOEXEC | O_NONBLOCK));
	chardev_set_fds(&end->base, p[0], -1);
	end->keys = p[1];
	end->base.reader = true;
	return end;
}

static inline void settle(struct rig *r)
{
	for (unsigned i = 0; fake_turn(&r->f, 0); i++)
		CHECK(i < 10000);
}

/* Driver's part: a new one takes the device to DRIVER_OK. */
static inline void attach(struct rig *r, uint64_t features)
{
	fake_attach(&r->f, r->f.dev, features);
	settle(r);
}

static inline void rig_init(struct rig *r, const struct console_config *ports, unsigned n,
			    uint64_t features)
{
	struct chardev *chardev[CONSOLE_PORTS_MAX];
	struct err e;

	memset(r, 0, sizeof(*r));
	fake_init(&r->f);
	r->n = n;
	for (unsigned i = 0; i < n; i++) {
		r->end[i] = end_open(&r->f.loop);
		chardev[i] = &r->end[i]->base;
	}
	CHECK_EQ(0, console_create_on(&r->f.dev, ports, chardev, n, &r->f.host, &e));
	attach(r, features);
}

static inline void rig_fini(struct rig *r)
{
	fake_fini(&r->f);
}

/* Output of the guest's: offered, not rung. */
static inline void offer(struct rig *r, unsigned queue, const void *data, uint32_t len)
{
	uint64_t at = fake_alloc(&r->f, len);

	memcpy(fake_host(&r->f, at), data, len);
	fake_add(&r->f, queue, &(struct fake_seg){at, len, false}, 1);
}

static inline void send(struct rig *r, unsigned queue, const void *data, uint32_t len)
{
	offer(r, queue, data, len);
	fake_kick(&r->f, queue);
}

/* A buffer for input or for control messages. */
static inline uint64_t give(struct rig *r, unsigned queue, uint32_t len)
{
	uint64_t at = fake_alloc(&r->f, len);

	fake_add(&r->f, queue, &(struct fake_seg){at, len, true}, 1);
	fake_kick(&r->f, queue);
	settle(r);
	return at;
}

static inline void type(struct rig *r, unsigned port, const void *data, size_t len)
{
	CHECK_EQ(len, write(r->end[port]->keys, data, len));
	settle(r);
}

static inline bool used(struct rig *r, unsigned queue, uint32_t *len)
{
	uint16_t head;

	return fake_used(&r->f, queue, &head, len);
}

static inline void tell(struct rig *r, uint32_t id, uint16_t event, uint16_t value)
{
	struct virtio_console_control m = {.id = id, .event = event, .value = value};
	uint32_t len;

	send(r, CONTROL_TX, &m, sizeof(m));
	settle(r);
	while (used(r, CONTROL_TX, &len))
		CHECK_EQ(0, len);
}

/* Gives a buffer for one control message: its length, 0 if none came. */
static inline uint32_t told(struct rig *r, void *message, uint32_t size)
{
	uint64_t at = give(r, CONTROL_RX, size);
	uint32_t len;

	if (!used(r, CONTROL_RX, &len))
		return 0;
	memcpy(message, fake_host(&r->f, at), size);
	return len;
}

static inline void check_told(struct rig *r, uint32_t id, uint16_t event)
{
	uint8_t buf[128];
	struct virtio_console_control m;

	CHECK_EQ(sizeof(m), told(r, buf, sizeof(buf)));
	memcpy(&m, buf, sizeof(m));
	CHECK_EQ(id, m.id);
	CHECK_EQ(event, m.event);
	CHECK_EQ(1, m.value);
}

/* The host's reader takes things again. */
static inline void resume(struct rig *r, unsigned port)
{
	struct chardev *c = &r->end[port]->base;

	r->end[port]->full = false;
	pthread_mutex_lock(&c->lock);
	chardev_set_reader(c, true);
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
	settle(r);
}
