// SPDX-License-Identifier: Apache-2.0
#include "transport.h"

#include "dev/virtio/vhost.h"

#include <string.h>
#include <unistd.h>

#define S_ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      VIRTIO_CONFIG_S_DRIVER
#define S_FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define S_DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define S_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET

#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)

/* ---- the rig ---- */

static int add_doorbell(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct rig *r = arg;

	assert_true(r->n_doorbells < RIG_DOORBELLS);
	r->doorbell[r->n_doorbells].addr = addr;
	r->doorbell[r->n_doorbells++].bell = *d;
	return 0;
}

static void remove_doorbell(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct rig *r = arg;

	for (unsigned i = 0; i < r->n_doorbells; i++)
		if (r->doorbell[i].addr == addr && r->doorbell[i].bell.fd == d->fd) {
			r->doorbell[i] = r->doorbell[--r->n_doorbells];
			return;
		}
	fail();
}

static void init(struct rig *r, const struct port *port)
{
	*r = (struct rig){.port = port};
	fake_init(&r->f);
	bus_init(&r->mmio, "mmio");
	r->mmio.doorbells = (struct bus_doorbell_ops){add_doorbell, remove_doorbell, r};
}

void rig_start(struct rig *r, const struct port *port)
{
	init(r, port);
	r->echo = echo_create(&r->f.host);
	assert_non_null(r->echo);
	r->f.dev = &r->echo->dev;
	port->start(r);
}

void rig_start_vhost(struct rig *r, const struct port *port)
{
	struct err e;

	init(r, port);
	r->back = fake_vhost_create();
	assert_non_null(r->back);
	CHECK_EQ(0, vhost_dev_create(&r->f.dev, &r->back->v, "elsewhere", &r->f.host, &e));
	port->start(r);
}

void rig_stop(struct rig *r)
{
	r->port->stop(r);
	fake_fini(&r->f);
	bus_fini(&r->mmio);
}

uint32_t rig_read(struct rig *r, enum reg reg)
{
	uint32_t value = 0;

	bus_read(&r->mmio, r->regs + r->port->reg[reg].off, &value, r->port->reg[reg].len);
	return value;
}

void rig_write(struct rig *r, enum reg reg, uint32_t value)
{
	bus_write(&r->mmio, r->regs + r->port->reg[reg].off, &value, r->port->reg[reg].len);
}

static void add_status(struct rig *r, uint8_t bits)
{
	rig_write(r, STATUS, rig_read(r, STATUS) | bits);
}

bool rig_negotiate(struct rig *r, uint64_t features)
{
	rig_write(r, STATUS, 0);
	CHECK_EQ(0, rig_read(r, STATUS));
	add_status(r, S_ACKNOWLEDGE);
	add_status(r, S_DRIVER);
	rig_write(r, DRIVER_FEATURES_SEL, 0);
	rig_write(r, DRIVER_FEATURES, (uint32_t)features);
	rig_write(r, DRIVER_FEATURES_SEL, 1);
	rig_write(r, DRIVER_FEATURES, (uint32_t)(features >> 32));
	add_status(r, S_FEATURES_OK);
	return rig_read(r, STATUS) & S_FEATURES_OK;
}

void rig_set_up_queue(struct rig *r, unsigned queue)
{
	struct fake_queue *q = &r->f.queue[queue];

	*q = (struct fake_queue){.size = FAKE_QUEUE_SIZE};
	q->desc = fake_alloc(&r->f, 16u * q->size);
	q->avail = fake_alloc(&r->f, 6 + 2u * q->size);
	q->used = fake_alloc(&r->f, 6 + 8u * q->size);
	rig_write(r, QUEUE_SEL, queue);
	CHECK_EQ(ECHO_QUEUE_MAX, rig_read(r, QUEUE_MAX));
	CHECK_EQ(0, rig_read(r, QUEUE_ENABLE));
	rig_write(r, QUEUE_SIZE, q->size);
	rig_write(r, DESC_LO, (uint32_t)q->desc);
	rig_write(r, DESC_HI, 0);
	rig_write(r, DRIVER_LO, (uint32_t)q->avail);
	rig_write(r, DRIVER_HI, 0);
	rig_write(r, DEVICE_LO, (uint32_t)q->used);
	rig_write(r, DEVICE_HI, 0);
}

void rig_bring_up(struct rig *r)
{
	CHECK(rig_negotiate(r, VERSION_1));
	if (r->port->choose_interrupts)
		r->port->choose_interrupts(r);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		rig_set_up_queue(r, i);
		rig_write(r, QUEUE_ENABLE, 1);
		CHECK_EQ(1, rig_read(r, QUEUE_ENABLE));
	}
	add_status(r, S_DRIVER_OK);
	CHECK_EQ(S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK, rig_read(r, STATUS));
	rig_turn(r);
}

void rig_kick_by_exit(struct rig *r, unsigned queue)
{
	unsigned len;
	uint64_t at = r->port->doorbell(r, queue, &len);

	bus_write(&r->mmio, at, &queue, len);
}

void rig_kick_by_eventfd(struct rig *r, unsigned queue)
{
	unsigned len, taken = 0;
	uint64_t at = r->port->doorbell(r, queue, &len), one = 1;

	for (unsigned i = 0; i < r->n_doorbells; i++) {
		const struct bus_doorbell *d = &r->doorbell[i].bell;
		if (r->doorbell[i].addr == at && (d->len == 0 || d->len == len) &&
		    (!d->match || d->value == queue)) {
			CHECK_EQ(8, write(d->fd, &one, 8));
			taken++;
		}
	}
	CHECK_EQ(1, taken);
}

void rig_turn(struct rig *r)
{
	for (unsigned i = 0; i < 100; i++)
		if (!fake_turn(&r->f, 0))
			return;
	fail(); /* it spins */
}

void rig_check_echo(struct rig *r, unsigned queue, void (*kick)(struct rig *r, unsigned queue))
{
	uint64_t to = fake_alloc(&r->f, 64), from = fake_alloc(&r->f, 64);
	struct fake_seg seg[] = {{to, 5, false}, {from, 64, true}};
	uint32_t len = 0;
	uint16_t head = 0, sent;

	memcpy(fake_host(&r->f, to), "hello", 5);
	sent = fake_add(&r->f, queue, seg, 2);
	CHECK(!fake_used(&r->f, queue, &head, &len));
	kick(r, queue);
	rig_turn(r);
	CHECK(fake_used(&r->f, queue, &head, &len));
	CHECK_EQ(sent, head);
	CHECK_EQ(5, len);
	assert_memory_equal("hello", fake_host(&r->f, from), 5);
	CHECK_EQ(IRQ_QUEUE, r->port->take_interrupts(r));
	CHECK_EQ(0, r->port->take_interrupts(r));
}

/* ---- the cases ---- */

#define CASE(name) void case_##name(const struct port *port)

CASE(driver_negotiates_features)
{
	uint64_t offered;
	struct rig r;

	rig_start(&r, port);
	CHECK_EQ(0, rig_read(&r, STATUS));
	rig_write(&r, DEVICE_FEATURES_SEL, 0);
	offered = rig_read(&r, DEVICE_FEATURES);
	rig_write(&r, DEVICE_FEATURES_SEL, 1);
	offered |= (uint64_t)rig_read(&r, DEVICE_FEATURES) << 32;
	CHECK_EQ(r.echo->dev.offered, offered);
	CHECK(offered & VERSION_1 && offered & 1u << ECHO_FEATURE);
	for (unsigned shift = 1; shift < 32; shift++) {
		rig_write(&r, DEVICE_FEATURES_SEL, 1u << shift);
		CHECK_EQ(0, rig_read(&r, DEVICE_FEATURES)); /* no such bits */
	}
	CHECK(rig_negotiate(&r, VERSION_1 | 1u << ECHO_FEATURE));
	CHECK_EQ(VERSION_1 | 1u << ECHO_FEATURE, r.echo->dev.features);
	CHECK_EQ(0, r.echo->activations);
	rig_bring_up(&r);
	CHECK_EQ(1, r.echo->activations);
	rig_stop(&r);
}

CASE(features_not_offered_are_refused)
{
	struct rig r;

	rig_start(&r, port);
	CHECK(!rig_negotiate(&r, VERSION_1 | 1u << (ECHO_FEATURE + 1)));
	CHECK(!rig_negotiate(&r, VERSION_1 | 1ULL << 63));
	CHECK(!rig_negotiate(&r, 1u << ECHO_FEATURE)); /* a driver from before virtio 1.0 */
	rig_write(&r, STATUS, rig_read(&r, STATUS) | S_DRIVER_OK);
	CHECK(!(rig_read(&r, STATUS) & S_DRIVER_OK));
	CHECK_EQ(0, r.echo->activations);
	CHECK(rig_negotiate(&r, VERSION_1));
	rig_stop(&r);
}

CASE(features_are_final_with_features_ok)
{
	struct rig r;

	rig_start(&r, port);
	CHECK(rig_negotiate(&r, VERSION_1));
	for (unsigned sel = 0; sel < 3; sel++) {
		rig_write(&r, DRIVER_FEATURES_SEL, sel);
		rig_write(&r, DRIVER_FEATURES, UINT32_MAX);
	}
	CHECK_EQ(VERSION_1, r.echo->dev.features);
	rig_stop(&r);
}

CASE(queues_read_back_as_set_up)
{
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		const struct vq *q = virtio_vq(&r.echo->dev, i);
		CHECK(q->enabled);
		CHECK_EQ(FAKE_QUEUE_SIZE, q->size);
		CHECK_EQ(r.f.queue[i].desc, q->desc);
		CHECK_EQ(r.f.queue[i].avail, q->driver);
		CHECK_EQ(r.f.queue[i].used, q->device);
	}
	rig_stop(&r);
}

CASE(queue_that_there_is_not_reads_zero)
{
	static const uint32_t queue[] = {ECHO_QUEUES, 0x100, 0x7fff, 0xffff};
	struct rig r;

	rig_start(&r, port);
	CHECK(rig_negotiate(&r, VERSION_1));
	for (unsigned i = 0; i < ARRAY_SIZE(queue); i++) {
		rig_write(&r, QUEUE_SEL, queue[i]);
		CHECK_EQ(0, rig_read(&r, QUEUE_MAX));
		rig_write(&r, QUEUE_SIZE, 16);
		for (enum reg reg = DESC_LO; reg <= DEVICE_HI; reg++)
			rig_write(&r, reg, 0x1000);
		rig_write(&r, QUEUE_ENABLE, 1);
		CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
		CHECK_EQ(0, rig_read(&r, QUEUE_MAX));
	}
	rig_stop(&r);
}

CASE(bad_queue_stays_disabled)
{
	static const struct {
		enum reg reg;
		uint32_t value;
	} bad[] = {
		{QUEUE_SIZE, 0},         {QUEUE_SIZE, 3},
		{QUEUE_SIZE, 0xffff},    {QUEUE_SIZE, ECHO_QUEUE_MAX + 1},
		{DESC_LO, FAKE_RAM},     {DESC_LO, FAKE_RAM - 16},
		{DESC_LO, 0x10008},      {DESC_HI, UINT32_MAX},
		{DRIVER_LO, 0x10001},    {DRIVER_HI, 1},
		{DEVICE_LO, 0x10002},    {DEVICE_LO, FAKE_RAM - 4},
		{DEVICE_HI, 0x80000000},
	};
	struct rig r;

	log_level = LOG_ERROR;
	rig_start(&r, port);
	CHECK(rig_negotiate(&r, VERSION_1));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(rig_negotiate(&r, VERSION_1));
		rig_set_up_queue(&r, 1);
		rig_write(&r, bad[i].reg, bad[i].value);
		rig_write(&r, QUEUE_ENABLE, 1);
		CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
	}
	CHECK(rig_negotiate(&r, VERSION_1));
	rig_set_up_queue(&r, 1);
	rig_write(&r, QUEUE_ENABLE, 1);
	CHECK_EQ(1, rig_read(&r, QUEUE_ENABLE));
	rig_stop(&r);
}

/* Firecracker's CVE-2026-5747: what was validated when the queue was enabled must not change afterwards. */
CASE(registers_of_an_enabled_queue_are_inert)
{
	static const uint32_t value[] = {0, 1, 16, 0x1000, 0x7fffffff, UINT32_MAX};
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	for (unsigned queue = 0; queue < ECHO_QUEUES; queue++) {
		struct vq before = *virtio_vq(&r.echo->dev, queue);
		rig_write(&r, QUEUE_SEL, queue);
		for (unsigned i = 0; i < ARRAY_SIZE(value); i++)
			for (enum reg reg = QUEUE_SIZE; reg <= DEVICE_HI; reg++)
				rig_write(&r, reg, value[i]);
		assert_memory_equal(&before, virtio_vq(&r.echo->dev, queue), sizeof(before));
		CHECK_EQ(1, rig_read(&r, QUEUE_ENABLE));
		rig_check_echo(&r, queue, rig_kick_by_exit);
	}
	rig_stop(&r);
}

CASE(queue_can_be_disabled_before_driver_ok_only)
{
	struct rig r;

	rig_start(&r, port);
	CHECK(rig_negotiate(&r, VERSION_1));
	rig_set_up_queue(&r, 0);
	rig_write(&r, QUEUE_ENABLE, 1);
	CHECK_EQ(1, rig_read(&r, QUEUE_ENABLE));
	rig_write(&r, QUEUE_ENABLE, 0);
	CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
	rig_write(&r, DESC_LO, (uint32_t)FAKE_RAM); /* validated anew */
	rig_write(&r, QUEUE_ENABLE, 1);
	CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
	rig_bring_up(&r);
	rig_write(&r, QUEUE_SEL, 0);
	rig_write(&r, QUEUE_ENABLE, 0);
	CHECK_EQ(1, rig_read(&r, QUEUE_ENABLE));
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_stop(&r);
}

CASE(kick_by_exit_is_served)
{
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < 40; i++)
		rig_check_echo(&r, i % ECHO_QUEUES, rig_kick_by_exit);
	rig_stop(&r);
}

CASE(kick_by_eventfd_is_served)
{
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < 40; i++)
		rig_check_echo(&r, i % ECHO_QUEUES, rig_kick_by_eventfd);
	rig_stop(&r);
}

CASE(kick_before_driver_ok_is_served_afterwards)
{
	uint64_t to, from;
	uint32_t len;
	uint16_t head;
	struct rig r;

	rig_start(&r, port);
	CHECK(rig_negotiate(&r, VERSION_1));
	rig_set_up_queue(&r, 0);
	rig_write(&r, QUEUE_ENABLE, 1);
	to = fake_alloc(&r.f, 8), from = fake_alloc(&r.f, 8);
	fake_add(&r.f, 0, (struct fake_seg[]){{to, 8, false}, {from, 8, true}}, 2);
	rig_kick_by_exit(&r, 0);
	rig_kick_by_eventfd(&r, 0);
	rig_turn(&r);
	CHECK_EQ(0, r.echo->kicks);
	CHECK(!fake_used(&r.f, 0, &head, &len));
	rig_write(&r, STATUS, rig_read(&r, STATUS) | S_DRIVER_OK);
	rig_turn(&r);
	CHECK(fake_used(&r.f, 0, &head, &len));
	rig_stop(&r);
}

CASE(doorbells_come_and_go_with_the_registers)
{
	struct rig r;

	rig_start(&r, port);
	CHECK_EQ(ECHO_QUEUES, r.n_doorbells);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		bool found = false;
		for (unsigned j = 0; j < r.n_doorbells; j++)
			found |= r.doorbell[j].bell.fd == r.echo->dev.queue[i].doorbell.fd;
		CHECK(found);
	}
	rig_stop(&r);
}

CASE(each_interrupt_comes_once)
{
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	CHECK_EQ(0, r.port->take_interrupts(&r));
	for (unsigned i = 0; i < 3; i++) {
		pthread_mutex_lock(&r.echo->dev.lock);
		virtio_config_changed(&r.echo->dev);
		pthread_mutex_unlock(&r.echo->dev.lock);
		CHECK_EQ(IRQ_CONFIG, r.port->take_interrupts(&r));
		CHECK_EQ(0, r.port->take_interrupts(&r));
		rig_check_echo(&r, 0, rig_kick_by_exit);
	}
	rig_kick_by_exit(&r, 0); /* nothing was offered: nothing is to be told */
	rig_turn(&r);
	CHECK_EQ(0, r.port->take_interrupts(&r));
	rig_stop(&r);
}

CASE(config_reads_in_every_width)
{
	struct rig r;

	rig_start(&r, port);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned off = 0; off < ECHO_CONFIG_LEN + 8; off++) {
			uint8_t got[9];
			memset(got, 0x55, sizeof(got));
			bus_read(&r.mmio, r.config + off, got, len);
			for (unsigned i = 0; i < len; i++)
				CHECK_EQ(off + i < ECHO_CONFIG_LEN ? 0xa0 + off + i : 0, got[i]);
			CHECK_EQ(0x55, got[len]);
		}
	rig_stop(&r);
}

CASE(config_is_written_inside_only)
{
	static const uint8_t value[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	struct rig r;

	rig_start(&r, port);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned off = 0; off < ECHO_CONFIG_LEN + 8; off++) {
			uint8_t want[ECHO_CONFIG_LEN];
			memset(r.echo->config, 0xee, ECHO_CONFIG_LEN);
			memset(want, 0xee, sizeof(want));
			if (off + len <= ECHO_CONFIG_LEN)
				memcpy(want + off, value, len);
			bus_write(&r.mmio, r.config + off, value, len);
			assert_memory_equal(want, r.echo->config, ECHO_CONFIG_LEN);
		}
	rig_stop(&r);
}

CASE(config_change_interrupts_with_a_new_generation)
{
	uint32_t generation;
	uint8_t value;
	struct rig r;

	rig_start(&r, port);
	pthread_mutex_lock(&r.echo->dev.lock);
	virtio_config_changed(&r.echo->dev); /* nobody listens yet */
	pthread_mutex_unlock(&r.echo->dev.lock);
	CHECK_EQ(0, r.port->take_interrupts(&r));
	rig_bring_up(&r);
	generation = rig_read(&r, GENERATION);
	CHECK_EQ(generation, rig_read(&r, GENERATION));
	pthread_mutex_lock(&r.echo->dev.lock);
	r.echo->config[0] = 0x77;
	virtio_config_changed(&r.echo->dev);
	pthread_mutex_unlock(&r.echo->dev.lock);
	CHECK_EQ(IRQ_CONFIG, r.port->take_interrupts(&r));
	CHECK(generation != rig_read(&r, GENERATION));
	bus_read(&r.mmio, r.config, &value, 1);
	CHECK_EQ(0x77, value);
	rig_stop(&r);
}

CASE(reset_takes_everything_back)
{
	struct rig r;

	rig_start(&r, port);
	for (unsigned round = 0; round < 3; round++) {
		unsigned resets;
		rig_bring_up(&r);
		rig_check_echo(&r, 1, rig_kick_by_eventfd);
		pthread_mutex_lock(&r.echo->dev.lock);
		virtio_config_changed(&r.echo->dev);
		pthread_mutex_unlock(&r.echo->dev.lock);
		resets = r.echo->resets;
		rig_write(&r, STATUS, 0);
		CHECK_EQ(resets + 1, r.echo->resets);
		CHECK_EQ(0, rig_read(&r, STATUS));
		CHECK_EQ(0, r.echo->dev.features);
		for (unsigned i = 0; i < ECHO_QUEUES; i++) {
			const struct vq *q = virtio_vq(&r.echo->dev, i);
			rig_write(&r, QUEUE_SEL, i);
			CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
			CHECK_EQ(ECHO_QUEUE_MAX, rig_read(&r, QUEUE_MAX));
			CHECK(q->desc == 0 && q->driver == 0 && q->device == 0);
			rig_kick_by_exit(&r, i);
		}
		rig_turn(&r);
		r.port->take_interrupts(&r); /* a message that is out cannot be taken back */
		CHECK_EQ(0, r.port->take_interrupts(&r));
		r.f.next = 0x10000;
	}
	rig_stop(&r);
}

CASE(broken_ring_needs_reset)
{
	unsigned kicks;
	struct rig r;

	log_level = LOG_ERROR;
	rig_start(&r, port);
	rig_bring_up(&r);
	r.f.queue[0].avail_idx = 1000; /* more than the queue has */
	fake_offer(&r.f, 0, 0);
	rig_kick_by_exit(&r, 0);
	rig_turn(&r);
	CHECK(rig_read(&r, STATUS) & S_NEEDS_RESET);
	CHECK_EQ(IRQ_CONFIG, r.port->take_interrupts(&r));
	kicks = r.echo->kicks;
	rig_kick_by_exit(&r, 0);
	rig_kick_by_eventfd(&r, 1);
	rig_turn(&r);
	CHECK_EQ(kicks, r.echo->kicks);
	CHECK_EQ(0, r.port->take_interrupts(&r));
	rig_bring_up(&r);
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_stop(&r);
}

static void sweep(struct rig *r, uint8_t fill)
{
	for (uint64_t off = 0; off < r->len; off++)
		for (unsigned len = 1; len <= 8; len *= 2) {
			uint8_t got[9], value[8];
			memset(value, fill, sizeof(value));
			memset(got, 0x55, sizeof(got));
			bus_read(&r->mmio, r->base + off, got, len);
			CHECK_EQ(0x55, got[len]);
			bus_write(&r->mmio, r->base + off, value, len);
		}
}

CASE(every_offset_and_width_is_safe)
{
	static const uint8_t fill[] = {0xff, 0, 1, 0x80};
	uint8_t *ram;
	struct rig r;

	log_level = LOG_ERROR;
	rig_start(&r, port);
	ram = fake_host(&r.f, 0);
	memset(ram, 0x5a, FAKE_RAM);
	for (unsigned i = 0; i < ARRAY_SIZE(fill); i++) {
		sweep(&r, fill[i]);
		rig_turn(&r);
	}
	for (uint64_t at = 0; at < FAKE_RAM; at++)
		if (ram[at] != 0x5a)
			fail_msg("guest memory was written at 0x%llx", (unsigned long long)at);
	rig_write(&r, STATUS, 0);
	r.port->take_interrupts(&r);
	memset(ram, 0, FAKE_RAM);
	rig_bring_up(&r);
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_stop(&r);
}

CASE(indexes_out_of_range_do_nothing)
{
	static const uint32_t queue[] = {ECHO_QUEUES, ECHO_QUEUES + 1, 0x3ff};
	unsigned kicks, len;
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	kicks = r.echo->kicks;
	for (unsigned i = 0; i < ARRAY_SIZE(queue); i++) {
		uint64_t at = r.port->doorbell(&r, queue[i], &len);
		bus_write(&r.mmio, at, &queue[i], len);
	}
	rig_turn(&r);
	CHECK_EQ(kicks, r.echo->kicks);
	rig_check_echo(&r, 1, rig_kick_by_exit);
	rig_stop(&r);
}

CASE(status_bits_cannot_be_taken_back)
{
	struct rig r;

	rig_start(&r, port);
	rig_bring_up(&r);
	rig_write(&r, STATUS, S_ACKNOWLEDGE);
	CHECK_EQ(S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK, rig_read(&r, STATUS));
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_write(&r, STATUS, VIRTIO_CONFIG_S_FAILED);
	CHECK(rig_read(&r, STATUS) & VIRTIO_CONFIG_S_FAILED);
	CHECK_EQ(1, r.echo->activations);
	rig_stop(&r);
}

static void ring(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(8, write(fd, &one, 8));
}

static bool rang(int fd)
{
	uint64_t n;

	return read(fd, &n, 8) == 8;
}

/* Whoever has the other ends of the eventfds hears the driver, and the driver hears him; and both again after reset. */
CASE(queues_served_elsewhere_ring_and_interrupt)
{
	struct rig r;

	rig_start_vhost(&r, port);
	for (unsigned times = 0; times < 2; times++) {
		rig_bring_up(&r);
		CHECK(r.back->running);
		for (unsigned q = 0; q < ECHO_QUEUES; q++) {
			CHECK_EQ(r.f.queue[q].used, r.back->ring[q].device);
			rang(r.back->ring[q].kick);
			rig_kick_by_exit(&r, q);
			CHECK(rang(r.back->ring[q].kick));
			rig_kick_by_eventfd(&r, q);
			CHECK(rang(r.back->ring[q].kick));
			CHECK_EQ(0, r.port->take_interrupts(&r));
			ring(r.back->ring[q].call);
			rig_turn(&r);
			CHECK_EQ(IRQ_QUEUE, r.port->take_interrupts(&r));
			CHECK_EQ(0, r.port->take_interrupts(&r));
		}
		r.back->v.config_changed(r.back->v.arg);
		CHECK_EQ(IRQ_CONFIG, r.port->take_interrupts(&r));
		rig_write(&r, STATUS, 0);
		CHECK(!r.back->running);
	}
	rig_stop(&r);
}
