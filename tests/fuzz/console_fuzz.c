// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a list of what a driver and the host do to a console of three ports: descriptors, control
 * messages, output, keys, a reader that stops and goes on, a terminal that changes its size. At the end a new
 * driver must find a console that works.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <unistd.h>

#include "backend/chardev_impl.h"
#include "dev/virtio/console.h"
#include "driver_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PORTS 3

struct end {
	struct chardev base;
	int keys;
	bool full;
	size_t taken;
};

struct fuzz {
	struct fake_driver f;
	struct end *end[PORTS];
};

static ssize_t end_read(struct chardev *c, uint8_t *buf, size_t len)
{
	ssize_t n = read(c->in.source.fd, buf, len);

	return n < 0 ? -errno : n;
}

static ssize_t end_write(struct chardev *c, const uint8_t *data, size_t len)
{
	struct end *end = container_of(c, struct end, base);

	(void)data;
	if (end->full)
		return -EAGAIN;
	end->taken += len;
	return (ssize_t)len;
}

static void end_close(struct chardev *c)
{
	close(c->in.source.fd);
	close(container_of(c, struct end, base)->keys);
}

static const struct chardev_ops end_ops = {
	.read = end_read,
	.write = end_write,
	.close = end_close,
};

static struct end *end_open(struct loop *loop)
{
	struct end *end = calloc(1, sizeof(*end));
	struct err e;
	int p[2];

	must(end && chardev_init(&end->base, &end_ops, loop, &e) == 0);
	must(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	chardev_set_fds(&end->base, p[0], -1);
	end->keys = p[1];
	end->base.reader = true;
	return end;
}

static void setup(struct fuzz *z)
{
	static char name[] = "a.stream";
	const struct console_config ports[PORTS] = {{.kind = CONSOLE_NONE},
						    {.name = name},
						    {.is_console = true}};
	struct chardev *chardev[PORTS];
	struct virtio_dev *dev;
	struct err e;

	fake_init(&z->f);
	for (unsigned i = 0; i < PORTS; i++) {
		z->end[i] = end_open(&z->f.loop);
		chardev[i] = &z->end[i]->base;
	}
	must(console_create_on(&dev, ports, chardev, PORTS, &z->f.host, &e) == 0);
	z->f.dev = dev;
}

static void reader(struct end *end, bool stops)
{
	struct chardev *c = &end->base;

	end->full = stops;
	if (stops)
		return;
	pthread_mutex_lock(&c->lock);
	chardev_set_reader(c, true);
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
}

static void control(struct fuzz *z, struct input *in)
{
	struct virtio_console_control m;

	m.id = take(in, 1) % 5;
	if (m.id == 4)
		m.id = take(in, 4);
	m.event = (uint16_t)(take(in, 1) % 10);
	m.value = (uint16_t)(take(in, 1) & 3);
	must(gmem_write(&z->f.mem, AREA, &m, sizeof(m)) == 0);
	fake_add(&z->f, 3, &(struct fake_seg){AREA, sizeof(m), false}, 1);
	fake_kick(&z->f, 3);
}

static void keys(struct end *end, unsigned n)
{
	static const uint8_t some[256];

	if (write(end->keys, some, n) < 0)
		return; /* the guest does not read them: as it should be */
}

static void host_act(struct fuzz *z, struct input *in, unsigned op, unsigned port)
{
	uint32_t value = take(in, 2);

	if (op == 6)
		keys(z->end[port], value & 0xff);
	else if (op == 7)
		reader(z->end[port], value & 1);
	else if (op == 8)
		console_resized(z->f.dev, value, value >> 8);
	else if (op == 9)
		virtio_config_write(z->f.dev, value % 16, &value, 1 + value % 4);
	else if (op == 10)
		next_driver(&z->f, z->f.dev, value);
	else if (op == 11)
		control(z, in);
}

static void check_works(struct fuzz *z)
{
	size_t before;
	uint16_t head;
	uint32_t len;

	for (unsigned i = 0; i < PORTS; i++)
		reader(z->end[i], false);
	next_driver(&z->f, z->f.dev, 0); /* port 0 alone */
	turns(&z->f, 256);
	before = z->end[0]->taken;
	fake_add(&z->f, 1, &(struct fake_seg){AREA, 5, false}, 1);
	fake_kick(&z->f, 1);
	must(fake_used(&z->f, 1, &head, &len) && len == 0 && z->end[0]->taken == before + 5);
	keys(z->end[0], 1);
	fake_add(&z->f, 0, &(struct fake_seg){AREA, 64, true}, 1);
	fake_kick(&z->f, 0);
	turns(&z->f, 256);
	must(fake_used(&z->f, 0, &head, &len) && len > 0 && len <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, MIN(size, 2048)};
	struct fuzz z;

	setup(&z);
	next_driver(&z.f, z.f.dev, take(&in, 1));
	while (in.left > 0) {
		unsigned op = take(&in, 1) % 12, queue = take(&in, 1);

		if (!driver_act(&z.f, &in, op, queue % z.f.dev->n_queues))
			host_act(&z, &in, op, queue % PORTS);
	}
	check_works(&z);
	fake_fini(&z.f);
	return 0;
}
