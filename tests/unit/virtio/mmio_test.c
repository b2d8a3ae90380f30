// SPDX-License-Identifier: Apache-2.0
/* The driver's side as in Linux's virtio_mmio.c. */
#include "transport.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <unistd.h>

#include "virtio/mmio.h"

#define BASE 0xd0000000

struct mmio_end {
	struct virtio_mmio *mmio;
	struct irq irq;
};

static struct err e;

static uint32_t readl(struct rig *r, unsigned off)
{
	uint32_t value = 0;

	bus_read(&r->mmio, BASE + off, &value, 4);
	return value;
}

static void writel(struct rig *r, unsigned off, uint32_t value)
{
	bus_write(&r->mmio, BASE + off, &value, 4);
}

static void start(struct rig *r)
{
	struct mmio_end *end = calloc(1, sizeof(*end));

	assert_non_null(end);
	CHECK_EQ(0, irq_init(&end->irq, &e));
	CHECK_EQ(0, virtio_mmio_create(&end->mmio, r->f.dev, &r->mmio, BASE, &end->irq, &e));
	r->transport = end;
	r->base = r->regs = BASE;
	r->len = VIRTIO_MMIO_LEN;
	r->config = BASE + VIRTIO_MMIO_CONFIG;
}

static void stop(struct rig *r)
{
	struct mmio_end *end = r->transport;

	virtio_mmio_destroy(end->mmio);
	CHECK_EQ(0, r->n_doorbells);
	CHECK_EQ(0, r->mmio.n);
	irq_fini(&end->irq);
	free(end);
}

/* vm_interrupt() */
static unsigned take_interrupts(struct rig *r)
{
	struct mmio_end *end = r->transport;
	uint64_t edges;
	uint32_t status;

	if (read(end->irq.fd, &edges, sizeof(edges)) < 0)
		return 0;
	status = readl(r, VIRTIO_MMIO_INTERRUPT_STATUS);
	writel(r, VIRTIO_MMIO_INTERRUPT_ACK, status);
	CHECK_EQ(0, readl(r, VIRTIO_MMIO_INTERRUPT_STATUS));
	return status;
}

static uint64_t doorbell(struct rig *r, unsigned queue, unsigned *len)
{
	(void)r;
	(void)queue;
	*len = 4;
	return BASE + VIRTIO_MMIO_QUEUE_NOTIFY;
}

static const struct port mmio_port = {
	.reg =
		{
			[DEVICE_FEATURES_SEL] = {VIRTIO_MMIO_DEVICE_FEATURES_SEL, 4},
			[DEVICE_FEATURES] = {VIRTIO_MMIO_DEVICE_FEATURES, 4},
			[DRIVER_FEATURES_SEL] = {VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4},
			[DRIVER_FEATURES] = {VIRTIO_MMIO_DRIVER_FEATURES, 4},
			[STATUS] = {VIRTIO_MMIO_STATUS, 4},
			[GENERATION] = {VIRTIO_MMIO_CONFIG_GENERATION, 4},
			[QUEUE_SEL] = {VIRTIO_MMIO_QUEUE_SEL, 4},
			[QUEUE_MAX] = {VIRTIO_MMIO_QUEUE_NUM_MAX, 4},
			[QUEUE_SIZE] = {VIRTIO_MMIO_QUEUE_NUM, 4},
			[QUEUE_ENABLE] = {VIRTIO_MMIO_QUEUE_READY, 4},
			[DESC_LO] = {VIRTIO_MMIO_QUEUE_DESC_LOW, 4},
			[DESC_HI] = {VIRTIO_MMIO_QUEUE_DESC_HIGH, 4},
			[DRIVER_LO] = {VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4},
			[DRIVER_HI] = {VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 4},
			[DEVICE_LO] = {VIRTIO_MMIO_QUEUE_USED_LOW, 4},
			[DEVICE_HI] = {VIRTIO_MMIO_QUEUE_USED_HIGH, 4},
		},
	.start = start,
	.stop = stop,
	.take_interrupts = take_interrupts,
	.doorbell = doorbell,
};

#define ON_MMIO(name)                    \
	TEST(name)                       \
	{                                \
		case_##name(&mmio_port); \
	}
TRANSPORT_CASES(ON_MMIO)

TEST(driver_finds_magic_version_and_device)
{
	struct rig r;

	rig_start(&r, &mmio_port);
	CHECK_EQ('v' | 'i' << 8 | 'r' << 16 | 't' << 24, readl(&r, VIRTIO_MMIO_MAGIC_VALUE));
	CHECK_EQ(2, readl(&r, VIRTIO_MMIO_VERSION));
	CHECK_EQ(VIRTIO_ID_BLOCK, readl(&r, VIRTIO_MMIO_DEVICE_ID));
	CHECK_EQ(0x1af4, readl(&r, VIRTIO_MMIO_VENDOR_ID));
	rig_stop(&r);
}

TEST(registers_take_aligned_words_only)
{
	struct rig r;

	rig_start(&r, &mmio_port);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned off = 0; off < VIRTIO_MMIO_CONFIG; off++) {
			uint64_t value = UINT64_MAX;
			if (len == 4 && off % 4 == 0)
				continue;
			bus_read(&r.mmio, BASE + off, &value, len);
			CHECK_EQ(0, value & (len == 8 ? UINT64_MAX : (1ULL << 8 * len) - 1));
			value = 1;
			bus_write(&r.mmio, BASE + off, &value, len);
		}
	CHECK_EQ(0, readl(&r, VIRTIO_MMIO_STATUS));
	rig_stop(&r);
}

TEST(write_only_registers_read_as_zero)
{
	static const uint16_t off[] = {
		VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES,
		VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM,           VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_INTERRUPT_ACK,       VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,     VIRTIO_MMIO_SHM_SEL,
	};
	struct rig r;

	rig_start(&r, &mmio_port);
	CHECK(rig_negotiate(&r, 1ULL << VIRTIO_F_VERSION_1));
	for (unsigned i = 0; i < ARRAY_SIZE(off); i++) {
		writel(&r, off[i], 1);
		CHECK_EQ(0, readl(&r, off[i]));
	}
	rig_stop(&r);
}

TEST(there_is_no_shared_memory)
{
	struct rig r;

	rig_start(&r, &mmio_port);
	for (unsigned id = 0; id < 3; id++) {
		writel(&r, VIRTIO_MMIO_SHM_SEL, id);
		CHECK_EQ(UINT32_MAX, readl(&r, VIRTIO_MMIO_SHM_LEN_LOW));
		CHECK_EQ(UINT32_MAX, readl(&r, VIRTIO_MMIO_SHM_LEN_HIGH));
		CHECK_EQ(UINT32_MAX, readl(&r, VIRTIO_MMIO_SHM_BASE_LOW));
		CHECK_EQ(UINT32_MAX, readl(&r, VIRTIO_MMIO_SHM_BASE_HIGH));
	}
	rig_stop(&r);
}

TEST(interrupt_status_stays_until_acknowledged)
{
	struct rig r;

	rig_start(&r, &mmio_port);
	rig_bring_up(&r);
	pthread_mutex_lock(&r.echo->dev.lock);
	virtio_config_changed(&r.echo->dev);
	r.echo->dev.transport.interrupt(r.echo->dev.transport.arg, 0);
	pthread_mutex_unlock(&r.echo->dev.lock);
	CHECK_EQ(3, readl(&r, VIRTIO_MMIO_INTERRUPT_STATUS));
	CHECK_EQ(3, readl(&r, VIRTIO_MMIO_INTERRUPT_STATUS));
	writel(&r, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING | 0xfffffffc);
	CHECK_EQ(VIRTIO_MMIO_INT_CONFIG, readl(&r, VIRTIO_MMIO_INTERRUPT_STATUS));
	writel(&r, VIRTIO_MMIO_STATUS, 0);
	CHECK_EQ(0, readl(&r, VIRTIO_MMIO_INTERRUPT_STATUS));
	rig_stop(&r);
}

TEST(every_event_is_an_edge)
{
	uint64_t edges = 0;
	struct rig r;

	rig_start(&r, &mmio_port);
	rig_bring_up(&r);
	pthread_mutex_lock(&r.echo->dev.lock);
	for (unsigned i = 0; i < 3; i++) /* the bit is set from the first on */
		r.echo->dev.transport.interrupt(r.echo->dev.transport.arg, 1);
	pthread_mutex_unlock(&r.echo->dev.lock);
	CHECK_EQ(8, read(((struct mmio_end *)r.transport)->irq.fd, &edges, 8));
	CHECK_EQ(3, edges);
	rig_stop(&r);
}

TEST(only_zero_resets)
{
	struct rig r;

	rig_start(&r, &mmio_port);
	rig_bring_up(&r);
	writel(&r, VIRTIO_MMIO_STATUS, 0x100);
	writel(&r, VIRTIO_MMIO_STATUS, 0xffffff00);
	CHECK_EQ(0xf, readl(&r, VIRTIO_MMIO_STATUS));
	rig_stop(&r);
}

TEST(doorbells_match_the_queue_in_four_bytes)
{
	unsigned kicks;
	struct rig r;

	rig_start(&r, &mmio_port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < r.n_doorbells; i++) {
		CHECK_EQ(BASE + 0x50, r.doorbell[i].addr);
		CHECK_EQ(4, r.doorbell[i].bell.len);
		CHECK(r.doorbell[i].bell.match);
		CHECK_EQ(i, r.doorbell[i].bell.value);
	}
	kicks = r.echo->kicks;
	writel(&r, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffff);
	writel(&r, VIRTIO_MMIO_QUEUE_NOTIFY, 0x10000); /* not queue 0 */
	writel(&r, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
	rig_turn(&r);
	CHECK_EQ(kicks, r.echo->kicks);
	writel(&r, VIRTIO_MMIO_QUEUE_SEL, 0x10000);
	CHECK_EQ(0, readl(&r, VIRTIO_MMIO_QUEUE_NUM_MAX));
	rig_stop(&r);
}

TEST(place_that_is_taken_is_an_error)
{
	struct fake_driver f;
	struct irq irq = {.fd = -1};
	struct virtio_mmio *mmio = NULL;
	struct rig r;

	rig_start(&r, &mmio_port);
	fake_init(&f);
	f.dev = &echo_create(&f.host)->dev;
	CHECK_EQ(-EEXIST, virtio_mmio_create(&mmio, f.dev, &r.mmio, BASE + 0x800, &irq, &e));
	CHECK(mmio == NULL && f.dev->transport.interrupt == NULL);
	CHECK_HAS(e.text, "overlaps");
	virtio_mmio_destroy(NULL);
	fake_fini(&f);
	rig_stop(&r);
}
