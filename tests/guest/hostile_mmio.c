/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of virtio-mmio, in every wrong way. */
#include "hostile.h"

static uint8_t data[512];

static bool works(struct hostile *h)
{
	return mmio_read32(h->disk->base) == 0x74726976 && vdev_start(h->disk, 0, HOSTILE_SIZE) &&
	       blk_request(h->disk, 0, 1, data, 512) == 0 && data[0] == 1;
}

/* Value a in accesses of b bytes to every offset up to the end of the page. */
static enum verdict sweep(struct hostile *h, uint64_t a, uint64_t b)
{
	if (!h->disk->mmio)
		return SKIP;
	for (uint64_t at = h->disk->base; at + b <= h->disk->base + 0x1000;
	     at += at < h->disk->base + 0x140 ? 1 : 61) {
		if (b == 1) {
			*(volatile uint8_t *)at = (uint8_t)a;
			(void)*(volatile uint8_t *)at;
		} else if (b == 2) {
			*(volatile uint16_t *)at = (uint16_t)a;
			(void)*(volatile uint16_t *)at;
		} else if (b == 4) {
			*(volatile uint32_t *)at = (uint32_t)a;
			(void)*(volatile uint32_t *)at;
		} else {
			*(volatile uint64_t *)at = a;
			(void)*(volatile uint64_t *)at;
		}
	}
	return works(h) && hostile_witness(h) ? PASS : FAIL;
}

/* Register a gets value b, with the device running. */
static enum verdict reg(struct hostile *h, uint64_t a, uint64_t b)
{
	if (!h->disk->mmio)
		return SKIP;
	if (!vdev_start(h->disk, 0, HOSTILE_SIZE))
		return WEDGED;
	mmio_write32(h->disk->base + a, (uint32_t)b);
	return works(h) && hostile_witness(h) ? PASS : FAIL;
}

const struct hostile_case hostile_mmio[] = {
	{"mmio: all registers by bytes", sweep, 0xff, 1},
	{"mmio: all registers by words", sweep, 0xffff, 2},
	{"mmio: all registers by double words", sweep, 0xffffffff, 4},
	{"mmio: all registers by quad words", sweep, 0xffffffffffffffff, 8},
	{"mmio: all registers, small numbers", sweep, 1, 4},
	{"mmio: all registers, zeroes", sweep, 0, 4},
	{"mmio: magic is read-only", reg, 0x00, 0},
	{"mmio: version is read-only", reg, 0x04, 1},
	{"mmio: QueueSel all ones", reg, 0x30, 0xffffffff},
	{"mmio: QueueNotify all ones", reg, 0x50, 0xffffffff},
	{"mmio: QueueNotify 65536", reg, 0x50, 0x10000},
	{"mmio: InterruptACK all ones", reg, 0x64, 0xffffffff},
	{"mmio: Status with bits beyond 8", reg, 0x70, 0x100},
	{"mmio: shared memory select", reg, 0xac, 0xffffffff},
	{"mmio: queue reset", reg, 0xc0, 1},
	{"mmio: configuration generation is read-only", reg, 0xfc, 0xffffffff},
	{0},
};
