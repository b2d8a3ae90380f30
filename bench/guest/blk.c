/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of 4 KiB from the first disk, first one after the other, then with 32 on their way: ticks of the time
 * stamp counter for each. Completions are looked for in memory, without interrupts: what is measured is the
 * doorbell, the device, and the host's I/O.
 */
#include "lib_virtio.h"

#define REQUESTS 20000u
#define DEPTH    32u

struct request {
	uint32_t type, reserved;
	uint64_t sector;
	volatile uint8_t status;
	uint8_t data[4096] __attribute__((aligned(4096)));
};

static struct request request[DEPTH];

static void prepare(struct ring *r, unsigned slot)
{
	struct request *q = &request[slot];

	ring_desc(r, 3 * slot, (uint64_t)q, 16, DESC_NEXT, (uint16_t)(3 * slot + 1));
	ring_desc(r, 3 * slot + 1, (uint64_t)q->data, 4096, DESC_NEXT | DESC_WRITE,
		  (uint16_t)(3 * slot + 2));
	ring_desc(r, 3 * slot + 2, (uint64_t)&q->status, 1, DESC_WRITE, 0);
}

/* Rings only when the device asks for it: avail_event of the used ring (2.7.10). */
static void offer(struct vdev *d, unsigned slot, uint64_t n)
{
	struct ring *r = &d->ring;
	uint16_t old = r->avail[1], event;

	request[slot].sector = n % 64 * 8;
	ring_offer(r, (uint16_t)(3 * slot));
	__asm__ volatile("mfence" : : : "memory");
	event = *((volatile uint16_t *)(r->used + 2) + 4 * r->size);
	if ((uint16_t)(old + 1 - event - 1) < 1)
		vdev_kick(d, 0);
}

static void run(struct vdev *d, unsigned depth)
{
	uint64_t start = rdtsc(), offered = 0, done = 0;
	uint32_t id, len;

	for (; offered < depth; offered++)
		offer(d, (unsigned)offered, offered);
	while (done < REQUESTS) {
		if (!ring_poll(&d->ring, &id, &len)) {
			__asm__ volatile("pause");
			continue;
		}
		CHECK(request[id / 3].status == 0);
		done++;
		if (offered < REQUESTS)
			offer(d, id / 3, offered++);
	}
	guest_print("depth ");
	guest_print_hex(depth);
	guest_print(" ticks ");
	guest_print_hex((rdtsc() - start) / REQUESTS);
	guest_print("\n");
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static struct vdev found[VDEV_MAX];

	(void)boot_params, (void)pvh_info;
	CHECK(vdev_find_all(found) > 0);
	CHECK(vdev_start(&found[0], F_EVENT_IDX, 128));
	found[0].ring.avail[0] = 1; /* no interrupts */
	for (unsigned i = 0; i < DEPTH; i++)
		prepare(&found[0].ring, i);
	run(&found[0], 1);
	run(&found[0], DEPTH);
	guest_print("PASS\n");
}
