/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM that idles: says READY, and whether it found a disk, and sleeps until a byte comes over the serial port, for which
 * it does 1,000 reads of 4 KiB from its disk, if it has one, and says DONE. What the VMM has in memory meanwhile is for
 * others to look at.
 */
#include "qemu.h"

#define REQUESTS 1000u

static volatile bool asked;

static void on_serial(unsigned vector)
{
	(void)vector;
	inb(COM1 + 2);
	while (inb(COM1 + 5) & 1) {
		inb(COM1);
		asked = true;
	}
}

static struct vdev *find_disk(void)
{
	static struct vdev found[VDEV_MAX];
	unsigned n = find_all(found);

	for (unsigned i = 0; i < n; i++)
		if (found[i].id == VIRTIO_BLK && vdev_start(&found[i], 0, 8))
			return &found[i];
	return NULL;
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static uint8_t data[4096] __attribute__((aligned(4096)));
	struct vdev *disk = find_disk();

	(void)boot_params, (void)pvh_info;
	guest_irq_handler = on_serial;
	guest_interrupts_on();
	guest_route(4);
	outb(COM1 + 4, 0x0b);
	outb(COM1 + 1, 0x01);
	guest_print(disk ? "READY, disk\n" : "READY\n");
	for (;;) {
		while (!asked)
			sti_hlt();
		asked = false;
		for (unsigned i = 0; disk && i < REQUESTS; i++)
			CHECK(blk_request(disk, 0, i % 64 * 8, data, sizeof(data)) == 0);
		guest_print("DONE\n");
	}
}
