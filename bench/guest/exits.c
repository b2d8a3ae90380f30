/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest pays for each way out of it: ticks of the time stamp counter for one of each, by the thousand. The same
 * program runs under toyvmm (virtio over PCI and over MMIO) and under QEMU (q35, microvm).
 *
 * "T0" and "T1" are CALIBRATION ticks apart: who reads them learns how long a tick is.
 */
#include "qemu.h"

#define CALIBRATION  (1ULL << 28)
#define BATCHES      40u
#define EACH         250u
#define VECTOR_QUEUE 0x40
#define FRAMES       16u
#define FRAME_SIZE   2048u
#define NET_HEADER   12u
#define ARP_SIZE     42u

/* The fastest of BATCHES, each of EACH calls: what other work the host has disturbs that the least. */
static void measure(const char *name, void (*once)(struct vdev *d, unsigned n), struct vdev *d)
{
	uint64_t best = ~0ULL, start, ticks;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		start = rdtsc();
		for (unsigned i = 0; i < EACH; i++)
			once(d, i);
		ticks = rdtsc() - start;
		best = ticks < best ? ticks : best;
	}
	guest_print(name);
	guest_print(" ");
	guest_print_hex(best / EACH);
	guest_print("\n");
}

static void calibrate(void)
{
	uint64_t start;

	guest_print("T0\n");
	start = rdtsc();
	while (rdtsc() - start < CALIBRATION)
		__asm__ volatile("pause");
	guest_print("T1\n");
}

static void port(struct vdev *d, unsigned n)
{
	(void)d, (void)n;
	inb(COM1 + 7);
}

static void device_register(struct vdev *d, unsigned n)
{
	(void)n;
	vdev_status(d);
}

/* Its address is worked out before, as a driver does: there are KVMs that emulate each instruction of such a guest. */
static uint64_t bell;

static void doorbell(struct vdev *d, unsigned n)
{
	(void)n;
	if (d->mmio)
		mmio_write32(bell, 0);
	else
		*(volatile uint16_t *)bell = 0;
}

/* MSI-X: entry 0 goes to VECTOR_QUEUE and is queue 0's. MMIO: any pin of the IOAPIC, for who knows which it is. */
static void route_interrupts(const struct vdev *d)
{
	guest_interrupts_on();
	if (d->mmio) {
		for (unsigned pin = 5; pin < 24; pin++)
			guest_route(pin);
		return;
	}
	mmio_write32(d->msix, 0xfee00000);
	mmio_write32(d->msix + 4, 0);
	mmio_write32(d->msix + 8, VECTOR_QUEUE);
	mmio_write32(d->msix + 12, 0);
	pci_write(d->slot, d->msix_cap + 2, 2, 0x8000);
	vdev_select(d, 0);
	*(volatile uint16_t *)(d->common + 26) = 0;
}

static const struct vdev *interrupting;

static void on_interrupt(unsigned vector)
{
	(void)vector;
	if (interrupting->mmio) /* acknowledged, as a driver has to */
		mmio_write32(interrupting->base + 0x64, mmio_read32(interrupting->base + 0x60));
}

static struct {
	uint32_t type, reserved;
	uint64_t sector;
	volatile uint8_t status;
	uint8_t data[4096] __attribute__((aligned(4096)));
} request;

static void read_and(struct vdev *d, unsigned n, bool sleep)
{
	uint32_t id, len;

	request.sector = n % 64 * 8;
	ring_offer(&d->ring, 0);
	vdev_kick(d, 0);
	while (!ring_poll(&d->ring, &id, &len)) {
		if (sleep)
			sti_hlt();
		else
			__asm__ volatile("pause");
	}
	CHECK(request.status == 0);
}

static void read_polled(struct vdev *d, unsigned n)
{
	read_and(d, n, false);
}

static void read_interrupt(struct vdev *d, unsigned n)
{
	read_and(d, n, true);
}

static void disk(struct vdev *d)
{
	CHECK(vdev_negotiate(d, 0));
	interrupting = d;
	guest_irq_handler = on_interrupt;
	route_interrupts(d);
	CHECK(vdev_add_ring(d, &d->ring, 0, 8));
	vdev_go(d);
	measure("mmio", device_register, d);
	d->ring.avail[0] = 1; /* NO_INTERRUPT */
	bell = d->mmio ? d->base + 0x50 : d->notify;
	measure("doorbell", doorbell, d);
	ring_desc(&d->ring, 0, (uint64_t)&request, 16, DESC_NEXT, 1);
	ring_desc(&d->ring, 1, (uint64_t)request.data, 4096, DESC_NEXT | DESC_WRITE, 2);
	ring_desc(&d->ring, 2, (uint64_t)&request.status, 1, DESC_WRITE, 0);
	measure("read-polled", read_polled, d);
	d->ring.avail[0] = 0;
	measure("read-interrupt", read_interrupt, d);
}

static struct ring rx, tx;
static uint8_t received[FRAMES][FRAME_SIZE];
static uint8_t sent[NET_HEADER + ARP_SIZE] = {
	/* Ethernet: to all, from 02:00:00:00:00:02, ARP; who has 10.98.0.1? tell 10.98.0.2 */
	[NET_HEADER] = 0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	0xff,
	2,
	0,
	0,
	0,
	0,
	2,
	8,
	6,
	0,
	1,
	8,
	0,
	6,
	4,
	0,
	1,
	2,
	0,
	0,
	0,
	0,
	2,
	10,
	98,
	0,
	2,
	0,
	0,
	0,
	0,
	0,
	0,
	10,
	98,
	0,
	1};

/* True when the frame that came, if one did, is an answer. */
static bool take_frame(const struct vdev *d)
{
	uint32_t id, len;
	const uint8_t *frame;
	bool answer;

	if (!ring_poll(&rx, &id, &len))
		return false;
	frame = received[id % FRAMES] + NET_HEADER;
	answer = len >= NET_HEADER + ARP_SIZE && frame[12] == 8 && frame[13] == 6 && frame[21] == 2;
	ring_offer(&rx, (uint16_t)id);
	vdev_kick(d, 0);
	return answer;
}

static void frame(struct vdev *d, unsigned n)
{
	uint64_t end = deadline();
	uint32_t id, len;

	(void)n;
	ring_offer(&tx, 0);
	vdev_kick(d, 1);
	while (!take_frame(d))
		CHECK(!passed(end));
	while (!ring_poll(&tx, &id, &len))
		CHECK(!passed(end));
}

static void network(struct vdev *d)
{
	CHECK(vdev_negotiate(d, 0));
	CHECK(vdev_add_ring(d, &rx, 0, FRAMES) && vdev_add_ring(d, &tx, 1, FRAMES));
	vdev_go(d);
	rx.avail[0] = tx.avail[0] = 1;
	for (unsigned i = 0; i < FRAMES; i++) {
		ring_desc(&rx, i, (uint64_t)received[i], FRAME_SIZE, DESC_WRITE, 0);
		ring_offer(&rx, (uint16_t)i);
	}
	vdev_kick(d, 0);
	ring_desc(&tx, 0, (uint64_t)sent, sizeof(sent), 0, 0);
	measure("frame", frame, d);
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static struct vdev found[VDEV_MAX];
	unsigned n = find_all(found);

	(void)boot_params, (void)pvh_info;
	calibrate();
	measure("port", port, NULL);
	for (unsigned i = 0; i < n; i++) {
		if (found[i].id == VIRTIO_BLK)
			disk(&found[i]);
		else if (found[i].id == VIRTIO_NET)
			network(&found[i]);
	}
	guest_print("DONE\n");
	outb(0xf4, 0); /* QEMU's isa-debug-exit */
}
