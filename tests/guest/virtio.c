/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A good driver of a disk, and what it is told by interrupts: by MSI-X on the right vector and processor, masked and
 * pending, by INTx with the ISR status, by the line of virtio-mmio; how many there are with and without EVENT_IDX; and
 * that the disk has grown. tests/guest/test_virtio.py lets it grow when this says RESIZE.
 */
#include "lib_virtio.h"

#define QUEUES     4
#define SIZE       16
#define VECTOR     0x60 /* of configuration changes; queue i has VECTOR + 1 + i */
#define PIN_INTX   16
#define NO_VECTOR  0xffff
#define WAIT_NONE  20000 /* turns of a loop in which nothing is to happen */
#define S_READY    (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK)
#define INT_QUEUE  1
#define INT_CONFIG 2

static struct vdev found[VDEV_MAX];
static struct ring ring[QUEUES];
static struct vdev *disk;
static unsigned queues, pin, vector_of_line, acks_after;
static volatile uint32_t told; /* by the ISR status: INT_... */
static volatile uint32_t
	news; /* interrupts that told something: of a shared line not all have to */

/* ---- the disk ---- */

struct request {
	uint32_t type, reserved;
	uint64_t sector;
	uint8_t data[512];
	volatile uint8_t status;
};

static struct request requests[QUEUES] __attribute__((aligned(4096)));

static void start(uint64_t features)
{
	pool_reset();
	CHECK(vdev_negotiate(disk, features));
	for (uint16_t i = 0; i < queues; i++)
		CHECK(vdev_add_ring(disk, &ring[i], i, SIZE));
}

static void go(void)
{
	vdev_go(disk);
	CHECK_EQ(vdev_status(disk), S_READY);
}

static void offer(unsigned queue, uint64_t sector)
{
	struct request *r = &requests[queue];
	struct desc d[] = {
		{(uint64_t)r, 16, 0, 0},
		{(uint64_t)r->data, sizeof(r->data), DESC_WRITE, 0},
		{(uint64_t)&r->status, 1, DESC_WRITE, 0},
	};

	r->type = 0;
	r->sector = sector;
	r->status = 0xee;
	mem_fill(r->data, 0xee, sizeof(r->data));
	ring_add(&ring[queue], d, 3);
	vdev_kick(disk, (uint16_t)queue);
}

/* Reads a sector by a queue, and looks at it: each begins with its number. */
static void read_sector(unsigned queue, uint64_t sector)
{
	uint32_t id, len;

	offer(queue, sector);
	CHECK(ring_take_soon(&ring[queue], &id, &len));
	CHECK_EQ(len, 513);
	CHECK_EQ(requests[queue].status, 0);
	CHECK_EQ(*(volatile uint64_t *)requests[queue].data, sector);
}

/* ---- interrupts ---- */

/* That it becomes `count`, and stays. */
static void wait_for(const volatile uint32_t *counter, uint32_t count)
{
	uint64_t end = deadline();

	while (*counter < count)
		CHECK(!passed(end));
	for (unsigned i = 0; i < WAIT_NONE; i++)
		__asm__ volatile("pause");
	CHECK_EQ(*counter, count);
}

static void wait_count(unsigned vector, uint32_t count)
{
	wait_for(&guest_irq_count[vector], count);
}

static uint8_t take_isr(void)
{
	uint32_t isr;

	if (!disk->mmio)
		return *(volatile uint8_t *)disk->isr;
	isr = mmio_read32(disk->base + 0x60);
	mmio_write32(disk->base + 0x64, isr);
	return (uint8_t)isr;
}

/* Acknowledges, but only after so many interrupts: a line that is level-triggered comes again until then. */
static void on_line(unsigned vector)
{
	uint8_t isr;

	if (vector != vector_of_line || guest_irq_count[vector] < acks_after)
		return;
	isr = take_isr();
	told |= isr;
	news += isr != 0;
}

static void forget_interrupts(void)
{
	for (unsigned i = VECTOR_IRQ; i < 256; i++)
		guest_irq_count[i] = 0;
	told = news = 0;
	acks_after = 0;
}

static void set_entry(unsigned v, uint64_t address, uint32_t vector, bool masked)
{
	uint64_t at = disk->msix + 16u * v;

	mmio_write32(at, (uint32_t)address);
	mmio_write32(at + 4, (uint32_t)(address >> 32));
	mmio_write32(at + 8, vector);
	mmio_write32(at + 12, masked);
}

static void mask_entry(unsigned v, bool masked)
{
	mmio_write32(disk->msix + 16u * v + 12, masked);
}

static void msix_control(bool enable, bool mask_all)
{
	pci_write(disk->slot, disk->msix_cap + 2u, 2,
		  (uint32_t)enable << 15 | (uint32_t)mask_all << 14);
}

static bool is_pending(unsigned v)
{
	uint32_t pba = pci_read(disk->slot, disk->msix_cap + 8u, 4);

	CHECK_EQ(pba & 7, 0); /* in the same BAR */
	return mmio_read32(disk->bar + (pba & ~7u) + v / 32 * 4) >> v % 32 & 1;
}

static void select_vector(unsigned event, uint16_t v)
{
	uint64_t at = disk->common + (event ? 26 : 16);

	if (event)
		vdev_select(disk, (uint16_t)(event - 1));
	*(volatile uint16_t *)at = v;
	CHECK_EQ(*(volatile uint16_t *)at, v);
}

/* ---- the tests ---- */

static void test_queues(uint64_t features)
{
	start(features);
	go();
	for (unsigned round = 0; round < 3 * SIZE; round++)
		for (unsigned i = 0; i < queues; i++)
			read_sector(i, 7 * round + i);
}

/* One vector each, and the last entry of the table for all that comes when the disk has changed. */
static void start_msix(uint64_t features)
{
	start(features);
	msix_control(true, true);
	for (unsigned i = 0; i <= queues; i++) {
		set_entry(i, 0xfee00000, VECTOR + i, false);
		select_vector(i, (uint16_t)i);
	}
	msix_control(true, false);
	go();
	forget_interrupts();
}

static void test_vectors(uint64_t features)
{
	start_msix(features);
	for (unsigned i = 0; i < queues; i++) {
		read_sector(i, i);
		wait_count(VECTOR + 1 + i, 1);
	}
	for (unsigned i = 0; i < queues; i++)
		CHECK_EQ(guest_irq_count[VECTOR + 1 + i], 1);
	CHECK_EQ(guest_irq_count[VECTOR], 0);
	CHECK_EQ(*(volatile uint8_t *)disk->isr, 0); /* it belongs to INTx */
	select_vector(1, NO_VECTOR);
	read_sector(0, 1);
	wait_count(VECTOR + 1, 1);
}

/* By its own mask bit, by the function's, and with another message when it is unmasked. */
static void test_masks(uint64_t features)
{
	start_msix(features);
	mask_entry(1, true);
	read_sector(0, 1);
	read_sector(0, 2);
	wait_count(VECTOR + 1, 0);
	CHECK(is_pending(1) && !is_pending(0) && !is_pending(2));
	mask_entry(1, false);
	wait_count(VECTOR + 1, 1);
	CHECK(!is_pending(1));

	msix_control(true, true);
	read_sector(0, 3);
	wait_count(VECTOR + 1, 1);
	CHECK(is_pending(1));
	msix_control(true, false);
	wait_count(VECTOR + 1, 2);
	CHECK(!is_pending(1));

	mask_entry(1, true);
	read_sector(0, 4);
	set_entry(1, 0xfee00000, VECTOR + 0x20, false);
	wait_count(VECTOR + 0x20, 1);
	CHECK_EQ(guest_irq_count[VECTOR + 1], 2);
}

static volatile bool other_is_ready;

static void other_cpu(void)
{
	guest_interrupts_on();
	other_is_ready = true;
	for (;;)
		__asm__ volatile("sti; hlt" : : : "memory");
}

/* The message's destination is processor b, then this one again. */
static void test_processors(uint64_t features)
{
	uint64_t end = deadline();

	guest_start_cpu(1, other_cpu);
	while (!other_is_ready)
		CHECK(!passed(end));
	start_msix(features);
	set_entry(1, 0xfee01000, VECTOR + 1, false);
	read_sector(0, 1);
	wait_count(VECTOR + 1, 1);
	CHECK_EQ(guest_irq_cpu[VECTOR + 1], 1);
	set_entry(1, 0xfee00000, VECTOR + 1, false);
	read_sector(0, 2);
	wait_count(VECTOR + 1, 2);
	CHECK_EQ(guest_irq_cpu[VECTOR + 1], 0);
}

/* INTA#, or the line of virtio-mmio. */
static void start_line(uint64_t features)
{
	if (!disk->mmio)
		msix_control(false, false);
	start(features);
	go();
	forget_interrupts();
	vector_of_line = VECTOR_IRQ + pin;
	guest_irq_handler = on_line;
	if (disk->mmio)
		guest_route(pin);
	else
		guest_route_level(pin);
}

static void end_line(void)
{
	guest_unroute(pin);
	guest_irq_handler = NULL;
}

static void test_line(uint64_t features)
{
	start_line(features);
	read_sector(0, 1);
	wait_for(&news, 1);
	CHECK_EQ(told, INT_QUEUE);
	if (!disk->mmio) {
		acks_after = 4;
		read_sector(0, 2);
		wait_for(&news, 2);
		CHECK(guest_irq_count[vector_of_line] >= 4);
		CHECK_EQ(told, INT_QUEUE);
	}
	/* A reset takes the line back. */
	acks_after = ~0u;
	__asm__ volatile("cli" : : : "memory");
	read_sector(0, 3);
	CHECK(vdev_reset(disk));
	acks_after = 0;
	CHECK_EQ(take_isr(), 0);
	__asm__ volatile("sti" : : : "memory");
	end_line();
}

/* No interrupt is wanted; or none before the fourth request. */
static void test_suppression(uint64_t features)
{
	volatile uint16_t *used_event, *avail_event;
	uint64_t end = deadline();

	start_line(features);
	ring[0].avail[0] = 1; /* NO_INTERRUPT */
	for (unsigned i = 0; i < 5; i++)
		read_sector(0, i);
	wait_for(&news, 0);
	ring[0].avail[0] = 0;
	read_sector(0, 5);
	wait_for(&news, 1);
	end_line();

	start_line(features | F_EVENT_IDX);
	used_event = ring[0].avail + 2 + SIZE;
	avail_event = ring[0].used + 2 + 4 * SIZE;
	*used_event = 3;
	for (unsigned i = 0; i < 3; i++)
		read_sector(0, i);
	wait_for(&news, 0);
	read_sector(0, 3);
	wait_for(&news, 1);
	for (unsigned i = 0; i < 40; i++) /* used_event stays behind: never again */
		read_sector(0, i);
	wait_for(&news, 1);
	while (*avail_event != ring[0].avail[1]) /* the doorbell is wanted for what comes next */
		CHECK(!passed(end));
	end_line();
}

/* Packed: the driver's event structure is where the available ring would be: descriptor, flags. */
static void test_packed_suppression(uint64_t features)
{
	start_line(features | F_EVENT_IDX);
	ring[0].avail[1] = 1; /* DISABLE */
	for (unsigned i = 0; i < 2; i++)
		read_sector(0, i);
	wait_for(&news, 0);
	ring[0].avail[0] = 9 | 1u << 15; /* the slot of the fourth request, in the first lap */
	ring[0].avail[1] = 2;            /* DESC */
	read_sector(0, 2);
	wait_for(&news, 0);
	read_sector(0, 3);
	wait_for(&news, 1);
	read_sector(0, 4);
	wait_for(&news, 1);
	end_line();
}

static uint8_t generation(void)
{
	return disk->mmio ? (uint8_t)mmio_read32(disk->base + 0xfc)
			  : *(volatile uint8_t *)(disk->common + 21);
}

static void test_growth(uint64_t features)
{
	uint64_t before = vdev_config64(disk, 0), end = deadline();
	uint8_t generation_before = generation();
	unsigned vector = VECTOR;

	if (disk->mmio) {
		start_line(features);
		vector = vector_of_line;
	} else {
		start_msix(features);
	}
	guest_print("RESIZE\n");
	while (guest_irq_count[vector] == 0)
		CHECK(!passed(end));
	CHECK_EQ(vdev_config64(disk, 0), before + 8);
	CHECK(generation() != generation_before);
	if (disk->mmio)
		CHECK_EQ(told, INT_CONFIG);
	read_sector(0, before - 1);
	offer(0, before + 7); /* a new one: zeros */
}

/* "virtio_mmio.device=4K@0x...:5": the first is the disk's. */
static unsigned gsi_of_first(const uint8_t *boot_params)
{
	const char *c = (const char *)(uint64_t) * (const uint32_t *)(boot_params + 0x228);
	unsigned gsi = 0;

	while (*c && *c != ':')
		c++;
	CHECK(*c == ':');
	for (c++; *c >= '0' && *c <= '9'; c++)
		gsi = 10 * gsi + (unsigned)(*c - '0');
	return gsi;
}

static const struct {
	const char *name;
	void (*run)(uint64_t features);
	uint64_t features;
	bool pci; /* not over MMIO */
} tests[] = {
	{"queues", test_queues, 0, false},
	{"queues, EVENT_IDX", test_queues, F_EVENT_IDX | F_INDIRECT, false},
	{"queues, packed", test_queues, F_PACKED | F_EVENT_IDX, false},
	{"vectors", test_vectors, 0, true},
	{"vectors, packed", test_vectors, F_PACKED | F_EVENT_IDX, true},
	{"masks", test_masks, 0, true},
	{"masks, packed", test_masks, F_PACKED, true},
	{"processors", test_processors, 0, true},
	{"line", test_line, 0, false},
	{"line, packed", test_line, F_PACKED, false},
	{"suppression", test_suppression, 0, false},
	{"suppression, packed", test_packed_suppression, F_PACKED, false},
	{"growth", test_growth, 0, false},
};

static void test_all(void)
{
	uint64_t offered = vdev_offered(disk);

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if ((tests[i].pci && disk->mmio) || tests[i].features & ~offered)
			continue;
		guest_print(tests[i].name);
		guest_print("\n");
		tests[i].run(tests[i].features);
	}
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	unsigned n = vdev_find_all(found);

	(void)pvh_info;
	for (unsigned i = 0; i < n && !disk; i++)
		if (found[i].id == VIRTIO_BLK)
			disk = &found[i];
	CHECK(disk);
	queues = vdev_queues(disk);
	CHECK_EQ(queues, QUEUES);
	pin = disk->mmio ? gsi_of_first(boot_params) : PIN_INTX + disk->slot % 4;
	guest_interrupts_on();
	__asm__ volatile("sti" : : : "memory");
	test_all();
	guest_print("PASS\n");
}
