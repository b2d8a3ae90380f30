/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio disk over a small image, and its driver. */
#pragma once

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/disk_impl.h"
#include "dev/virtio/blk_impl.h"
#include "fake/driver.h"

#define DISK_LEN  (256 * KIB)
#define SECTORS   (DISK_LEN / 512)
#define ALL       (~0ULL)
#define NO_STATUS 0xff

struct rig {
	struct fake_driver f;
	char image[64];
	struct disk_config config;
	struct virtio_dev *dev;
	uint64_t header, data, status; /* guest-physical */
};

static inline uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at / 512 * 5 + at % 512 + 1);
}

static inline void make_image(struct rig *g)
{
	uint8_t data[512];
	int fd;

	strcpy(g->image, "/tmp/toyvmm-blk-XXXXXX");
	fd = mkstemp(g->image);
	CHECK(fd >= 0);
	for (uint64_t s = 0; s < SECTORS; s++) {
		for (unsigned i = 0; i < 512; i++)
			data[i] = pattern(s * 512 + i);
		CHECK_EQ(512, write(fd, data, 512));
	}
	close(fd);
}

static inline void rig_init(struct rig *g)
{
	memset(g, 0, sizeof(*g));
	make_image(g);
	fake_init(&g->f);
	g->header = fake_alloc(&g->f, 16);
	g->data = fake_alloc(&g->f, 65536);
	g->status = fake_alloc(&g->f, 1);
	g->config = (struct disk_config){.id = (char *)"disk0", .path = g->image, .queue_size = 16};
}

static inline struct blk *blk_of(struct rig *g)
{
	return container_of(g->dev, struct blk, base);
}

static inline void rig_attach(struct rig *g, uint64_t features)
{
	struct err e;

	CHECK_EQ(0, blk_create(&g->dev, &g->config, &g->f.host, &e));
	features &= g->dev->offered & ~(1ULL << VIRTIO_RING_F_EVENT_IDX);
	fake_attach(&g->f, g->dev, features);
}

static inline void rig_start(struct rig *g)
{
	rig_init(g);
	rig_attach(g, ALL);
}

static inline void rig_fini(struct rig *g)
{
	fake_fini(&g->f);
	unlink(g->image);
}

static inline void put_header(struct rig *g, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};

	memcpy(fake_host(&g->f, g->header), &h, sizeof(h));
	*(uint8_t *)fake_host(&g->f, g->status) = NO_STATUS;
}

static inline uint8_t status_of(struct rig *g)
{
	return *(uint8_t *)fake_host(&g->f, g->status);
}

/* The used length of the one request that is under way. */
static inline uint32_t wait_used(struct rig *g)
{
	uint32_t len = 0;
	uint16_t head;

	fake_kick(&g->f, 0);
	CHECK(fake_wait_used(&g->f, 0, &head, &len));
	return len;
}

/* One request as Linux sends it: header, data, status in three descriptors. Its status. */
static inline uint8_t request(struct rig *g, uint32_t type, uint64_t sector, uint32_t len, bool in,
			      uint32_t *used)
{
	struct fake_seg seg[] = {
		{g->header, 16, false},
		{g->data, len, in},
		{g->status, 1, true},
	};
	uint32_t n;

	if (len == 0)
		seg[1] = seg[2];
	put_header(g, type, sector);
	fake_add(&g->f, 0, seg, len ? 3 : 2);
	n = wait_used(g);
	if (used)
		*used = n;
	return status_of(g);
}

static inline uint8_t *data(struct rig *g)
{
	return fake_host(&g->f, g->data);
}

static inline uint8_t image_byte(struct rig *g, uint64_t at)
{
	uint8_t byte = 0;
	int fd = open(g->image, O_RDONLY);

	CHECK_EQ(1, pread(fd, &byte, 1, (off_t)at));
	close(fd);
	return byte;
}

/* ---- the calls that the disk makes ---- */

struct counter {
	unsigned n[DISK_WRITE_ZEROES + 1];
	int fail_flush, fail_write, fail_discard;
};

static inline ssize_t count(void *arg, enum disk_op op, ssize_t result)
{
	struct counter *c = arg;

	c->n[op]++;
	if (op == DISK_FLUSH && c->fail_flush)
		return c->fail_flush;
	if (op == DISK_DISCARD && c->fail_discard)
		return c->fail_discard;
	return op == DISK_WRITE && c->fail_write ? c->fail_write : result;
}

static inline void watch_calls(struct rig *g, struct counter *c)
{
	*c = (struct counter){0};
	blk_of(g)->disk->file.fault = count;
	blk_of(g)->disk->file.fault_arg = c;
}

static inline uint8_t ranges(struct rig *g, uint32_t type,
			     const struct virtio_blk_discard_write_zeroes *range, unsigned n)
{
	memcpy(data(g), range, n * sizeof(*range));
	return request(g, type, 0, (uint32_t)(n * sizeof(*range)), false, NULL);
}
