/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzzer's input as the acts of a driver that means no good: shared by the targets of virtio devices. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "fake/driver.h"

#define AREA      (1 * MIB) /* guest memory for buffers, clear of the rings */
#define RING_AREA 0x10000

struct input {
	const uint8_t *at;
	size_t left;
};

static inline uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes && in->left > 0; i++, in->left--)
		value = value << 8 | *in->at++;
	return value;
}

static inline void must(bool cond)
{
	if (!cond)
		abort();
}

/* Most lie in RAM, some across its end, some nowhere. */
static inline uint64_t some_address(struct input *in)
{
	uint32_t value = take(in, 2);

	if (value >= 0xff00)
		return UINT64_MAX << (value & 63);
	return FAKE_RAM / 0x8000 * (value & 0x7fff) + (value >> 15);
}

static inline uint32_t some_length(struct input *in)
{
	uint32_t value = take(in, 1);

	return value < 0xc0 ? value : value < 0xf0 ? value << 8 : UINT32_MAX >> (value & 15);
}

/* One raw descriptor, wherever it leads. */
static inline void raw_descriptor(struct fake_driver *f, struct input *in, unsigned queue)
{
	uint16_t i = (uint16_t)take(in, 1) % f->queue[queue].size;
	uint64_t gpa = some_address(in);
	uint32_t len = some_length(in);
	uint16_t flags = (uint16_t)take(in, 1), next = (uint16_t)take(in, 1);

	fake_desc(f, queue, i, gpa, len, flags & 7, next % (f->queue[queue].size + 1));
}

/* A proper chain of 1 to 4 buffers, of which the last ones may be for the device to write. */
static inline void proper_chain(struct fake_driver *f, struct input *in, unsigned queue)
{
	struct fake_seg seg[4];
	unsigned shape = take(in, 1), n = 1 + shape % 4;

	for (unsigned i = 0; i < n; i++)
		seg[i] = (struct fake_seg){some_address(in), some_length(in),
					   (shape >> 2) % 5 + i >= 4};
	fake_add(f, queue, seg, n);
}

/* A readable buffer with the next bytes of the input in it. */
static inline void bytes_chain(struct fake_driver *f, struct input *in, unsigned queue)
{
	uint32_t len = take(in, 1);

	len = (uint32_t)MIN(len, in->left);
	if (len == 0)
		return;
	must(gmem_write(&f->mem, AREA, in->at, len) == 0);
	in->at += len;
	in->left -= len;
	fake_add(f, queue, &(struct fake_seg){AREA, len, false}, 1);
}

static inline void turns(struct fake_driver *f, unsigned max)
{
	while (max-- > 0 && fake_turn(f, 0))
		;
}

/* A reset, and a driver that accepts `features` of what is offered. The rings take the place of the old. */
static inline void next_driver(struct fake_driver *f, struct virtio_dev *dev, uint64_t features)
{
	f->next = RING_AREA;
	fake_attach(f, dev, features & dev->offered);
}

/* True: `op` was one of these. */
static inline bool driver_act(struct fake_driver *f, struct input *in, unsigned op, unsigned queue)
{
	switch (op) {
	case 0:
		raw_descriptor(f, in, queue);
		return true;
	case 1:
		fake_offer(f, queue, (uint16_t)take(in, 1) % (FAKE_QUEUE_SIZE + 1));
		return true;
	case 2:
		fake_kick(f, queue);
		return true;
	case 3:
		proper_chain(f, in, queue);
		return true;
	case 4:
		bytes_chain(f, in, queue);
		return true;
	case 5:
		turns(f, 16);
		return true;
	}
	return false;
}
