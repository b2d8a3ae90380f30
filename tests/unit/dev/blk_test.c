// SPDX-License-Identifier: Apache-2.0
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

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at / 512 * 5 + at % 512 + 1);
}

static void make_image(struct rig *g)
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

static void rig_init(struct rig *g)
{
	memset(g, 0, sizeof(*g));
	make_image(g);
	fake_init(&g->f);
	g->header = fake_alloc(&g->f, 16);
	g->data = fake_alloc(&g->f, 65536);
	g->status = fake_alloc(&g->f, 1);
	g->config = (struct disk_config){.id = (char *)"disk0", .path = g->image, .queue_size = 16};
}

static struct blk *blk_of(struct rig *g)
{
	return container_of(g->dev, struct blk, base);
}

static void rig_attach(struct rig *g, uint64_t features)
{
	struct err e;

	CHECK_EQ(0, blk_create(&g->dev, &g->config, &g->f.host, &e));
	features &= g->dev->offered & ~(1ULL << VIRTIO_RING_F_EVENT_IDX);
	fake_attach(&g->f, g->dev, features);
}

static void rig_start(struct rig *g)
{
	rig_init(g);
	rig_attach(g, ALL);
}

static void rig_fini(struct rig *g)
{
	fake_fini(&g->f);
	unlink(g->image);
}

static void put_header(struct rig *g, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};

	memcpy(fake_host(&g->f, g->header), &h, sizeof(h));
	*(uint8_t *)fake_host(&g->f, g->status) = NO_STATUS;
}

static uint8_t status_of(struct rig *g)
{
	return *(uint8_t *)fake_host(&g->f, g->status);
}

/* The used length of the one request that is under way. */
static uint32_t wait_used(struct rig *g)
{
	uint32_t len = 0;
	uint16_t head;

	fake_kick(&g->f, 0);
	CHECK(fake_wait_used(&g->f, 0, &head, &len));
	return len;
}

/* One request as Linux sends it: header, data, status in three descriptors. Its status. */
static uint8_t request(struct rig *g, uint32_t type, uint64_t sector, uint32_t len, bool in,
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

static uint8_t *data(struct rig *g)
{
	return fake_host(&g->f, g->data);
}

static uint8_t image_byte(struct rig *g, uint64_t at)
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

static ssize_t count(void *arg, enum disk_op op, ssize_t result)
{
	struct counter *c = arg;

	c->n[op]++;
	if (op == DISK_FLUSH && c->fail_flush)
		return c->fail_flush;
	if (op == DISK_DISCARD && c->fail_discard)
		return c->fail_discard;
	return op == DISK_WRITE && c->fail_write ? c->fail_write : result;
}

static void watch_calls(struct rig *g, struct counter *c)
{
	*c = (struct counter){0};
	blk_of(g)->disk->file.fault = count;
	blk_of(g)->disk->file.fault_arg = c;
}

/* ---- what it offers ---- */

TEST(a_disk_tells_its_size_and_limits)
{
	struct virtio_blk_config c;
	struct rig g;

	rig_start(&g);
	virtio_config_read(g.dev, 0, &c, sizeof(c));
	CHECK_EQ(SECTORS, c.capacity);
	CHECK_EQ(14, c.seg_max);
	CHECK_EQ(512, c.blk_size);
	CHECK_EQ(3, c.physical_block_exp);
	CHECK_EQ(1, c.wce);
	CHECK_EQ(VIRTIO_ID_BLOCK, g.dev->ops->id);
	CHECK(g.dev->offered >> VIRTIO_BLK_F_FLUSH & 1);
	CHECK(g.dev->offered >> VIRTIO_BLK_F_DISCARD & 1);
	CHECK(!(g.dev->offered >> VIRTIO_BLK_F_RO & 1));
	CHECK(!(g.dev->offered >> VIRTIO_BLK_F_MQ & 1));
	rig_fini(&g);
}

TEST(a_read_only_disk_offers_no_writes_and_fails_them)
{
	struct counter c;
	struct rig g;

	rig_init(&g);
	g.config.readonly = true;
	rig_attach(&g, ALL);
	CHECK(g.dev->offered >> VIRTIO_BLK_F_RO & 1);
	CHECK(g.dev->offered >> VIRTIO_BLK_F_FLUSH & 1);
	CHECK(!(g.dev->offered >> VIRTIO_BLK_F_DISCARD & 1));
	CHECK(!(g.dev->offered >> VIRTIO_BLK_F_WRITE_ZEROES & 1));
	watch_calls(&g, &c);
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(0, c.n[DISK_WRITE]); /* not even tried */
	CHECK_EQ(VIRTIO_BLK_S_UNSUPP, request(&g, VIRTIO_BLK_T_DISCARD, 0, 16, false, NULL));
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	CHECK_EQ(pattern(0), image_byte(&g, 0));
	rig_fini(&g);
}

TEST(a_bad_image_is_refused_at_creation)
{
	struct virtio_dev *dev;
	struct err e;
	struct rig g;

	rig_init(&g);
	CHECK_EQ(0, truncate(g.image, 0));
	CHECK(blk_create(&dev, &g.config, &g.f.host, &e) < 0);
	CHECK_HAS(e.text, g.image);
	CHECK_EQ(0, truncate(g.image, 512));
	g.config.queue_size = 24;
	CHECK(blk_create(&dev, &g.config, &g.f.host, &e) < 0);
	CHECK_HAS(e.text, "power of two");
	rig_fini(&g);
}

/* ---- requests ---- */

TEST(read_and_write_tell_the_length_written)
{
	static const enum disk_engine engines[] = {DISK_ENGINE_IO_URING, DISK_ENGINE_THREADS};

	for (unsigned i = 0; i < 2; i++) {
		struct rig g;
		uint32_t used;

		rig_init(&g);
		g.config.engine = engines[i];
		rig_attach(&g, ALL);
		CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 3, 4096, true, &used));
		CHECK_EQ(4097, used);
		for (unsigned n = 0; n < 4096; n++)
			CHECK_EQ(pattern(3 * 512 + n), data(&g)[n]);
		memset(data(&g), 0xd1, 1024);
		CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 7, 1024, false, &used));
		CHECK_EQ(1, used);
		CHECK_EQ(pattern(7 * 512 - 1), image_byte(&g, 7 * 512 - 1));
		CHECK_EQ(0xd1, image_byte(&g, 7 * 512));
		CHECK_EQ(0xd1, image_byte(&g, 9 * 512 - 1));
		CHECK_EQ(pattern(9 * 512), image_byte(&g, 9 * 512));
		CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_FLUSH, 0, 0, false, &used));
		CHECK_EQ(1, used);
		CHECK(g.f.interrupts[0] >= 3);
		rig_fini(&g);
	}
}

TEST(the_layout_of_a_chain_is_the_drivers_business)
{
	struct rig g;
	uint64_t gpa;

	rig_start(&g);
	/* Header in two parts, the second with data behind it; write. */
	gpa = fake_alloc(&g.f, 2048);
	put_header(&g, VIRTIO_BLK_T_OUT, 1);
	memcpy(fake_host(&g.f, gpa), (uint8_t *)fake_host(&g.f, g.header) + 5, 11);
	memset((uint8_t *)fake_host(&g.f, gpa) + 11, 0xe2, 700);
	memset(data(&g), 0xe3, 324);
	fake_add(&g.f, 0,
		 (struct fake_seg[]){{g.header, 5, false},
				     {gpa, 711, false},
				     {g.data, 324, false},
				     {g.status, 1, true}},
		 4);
	CHECK_EQ(1, wait_used(&g));
	CHECK_EQ(VIRTIO_BLK_S_OK, status_of(&g));
	CHECK_EQ(0xe2, image_byte(&g, 512));
	CHECK_EQ(0xe2, image_byte(&g, 512 + 699));
	CHECK_EQ(0xe3, image_byte(&g, 512 + 700));
	CHECK_EQ(0xe3, image_byte(&g, 1535));
	CHECK_EQ(pattern(1536), image_byte(&g, 1536));
	/* Status in the same buffer as the data; read. */
	put_header(&g, VIRTIO_BLK_T_IN, 100);
	memset(data(&g), 0x5a, 2048);
	fake_add(&g.f, 0,
		 (struct fake_seg[]){
			 {g.header, 16, false}, {g.data, 100, true}, {g.data + 100, 413, true}},
		 3);
	CHECK_EQ(513, wait_used(&g));
	CHECK_EQ(pattern(100 * 512 + 511), data(&g)[511]);
	CHECK_EQ(VIRTIO_BLK_S_OK, data(&g)[512]);
	CHECK_EQ(0x5a, data(&g)[513]);
	rig_fini(&g);
}

TEST(nothing_beyond_the_end_is_read_or_written)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} cases[] = {
		{SECTORS - 1, 512, VIRTIO_BLK_S_OK},
		{SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR},
		{SECTORS, 512, VIRTIO_BLK_S_IOERR},
		{SECTORS + 1, 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX / 512, 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX / 512 + 1, 512, VIRTIO_BLK_S_IOERR}, /* 2^64 bytes: 0 when it wraps */
		{1ULL << 63, 512, VIRTIO_BLK_S_IOERR},
		{0, 511, VIRTIO_BLK_S_IOERR},
		{0, 513, VIRTIO_BLK_S_IOERR},
		{0, 1, VIRTIO_BLK_S_IOERR},
	};
	struct stat st;
	struct rig g;

	rig_start(&g);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t used;

		CHECK_EQ(cases[i].status,
			 request(&g, VIRTIO_BLK_T_IN, cases[i].sector, cases[i].len, true, &used));
		CHECK_EQ(cases[i].status == VIRTIO_BLK_S_OK ? cases[i].len + 1 : 1, used);
		CHECK_EQ(cases[i].status,
			 request(&g, VIRTIO_BLK_T_OUT, cases[i].sector, cases[i].len, false, NULL));
	}
	CHECK(stat(g.image, &st) == 0 && st.st_size == DISK_LEN);
	rig_fini(&g);
}

TEST(requests_without_data_header_or_status)
{
	struct rig g;

	rig_start(&g);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 0, true, NULL));
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 0, false, NULL));
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	fake_add(&g.f, 0, (struct fake_seg[]){{g.header, 15, false}, {g.status, 1, true}}, 2);
	CHECK_EQ(1, wait_used(&g));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, status_of(&g));
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	fake_add(&g.f, 0, (struct fake_seg[]){{g.status, 1, true}}, 1);
	CHECK_EQ(1, wait_used(&g));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, status_of(&g));
	/* Nowhere to write the status: given back with nothing written. */
	put_header(&g, VIRTIO_BLK_T_OUT, 0);
	memset(data(&g), 0xf0, 512);
	fake_add(&g.f, 0, (struct fake_seg[]){{g.header, 16, false}, {g.data, 512, false}}, 2);
	CHECK_EQ(0, wait_used(&g));
	CHECK_EQ(pattern(0), image_byte(&g, 0));
	/* A buffer that is not RAM. */
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	fake_add(&g.f, 0,
		 (struct fake_seg[]){
			 {g.header, 16, false}, {FAKE_RAM - 256, 512, true}, {g.status, 1, true}},
		 3);
	CHECK_EQ(0, wait_used(&g));
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	CHECK(virtio_queue_ready(g.dev, 0));
	rig_fini(&g);
}

TEST(get_id_gives_20_bytes_at_most)
{
	uint32_t used;
	struct rig g;

	rig_init(&g);
	g.config.serial = (char *)"0123456789abcdefghijklmnop";
	rig_attach(&g, ALL);
	memset(data(&g), 0x5a, 64);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_GET_ID, 0, 20, true, &used));
	CHECK_EQ(21, used);
	CHECK(memcmp(data(&g), "0123456789abcdefghij", 20) == 0);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_GET_ID, 0, 5, true, &used));
	CHECK_EQ(6, used);
	memset(data(&g), 0x5a, 64);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_GET_ID, 0, 40, true, &used));
	CHECK_EQ(21, used);
	CHECK_EQ(0x5a, data(&g)[20]);
	rig_fini(&g);
}

TEST(the_id_is_the_default_serial)
{
	struct rig g;

	rig_start(&g);
	memset(data(&g), 0x5a, 64);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_GET_ID, 0, 20, true, NULL));
	CHECK(memcmp(data(&g), "disk0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20) == 0);
	rig_fini(&g);
}

TEST(unknown_requests_are_unsupported)
{
	static const uint32_t types[] = {2, 3, 5, 9, 10, 14, 0x80000000, 0x80000001, 0xffffffff};
	struct rig g;

	rig_start(&g);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		CHECK_EQ(VIRTIO_BLK_S_UNSUPP, request(&g, types[i], 0, 512, true, NULL));
	rig_fini(&g);
}

/* ---- discard and write zeroes ---- */

static uint8_t ranges(struct rig *g, uint32_t type,
		      const struct virtio_blk_discard_write_zeroes *range, unsigned n)
{
	memcpy(data(g), range, n * sizeof(*range));
	return request(g, type, 0, (uint32_t)(n * sizeof(*range)), false, NULL);
}

TEST(several_ranges_of_zeros_and_discard)
{
	struct virtio_blk_discard_write_zeroes r[] = {{1, 2, 0},
						      {8, 1, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP},
						      {SECTORS - 1, 1, 0}};
	struct rig g;

	rig_start(&g);
	CHECK_EQ(VIRTIO_BLK_S_OK, ranges(&g, VIRTIO_BLK_T_WRITE_ZEROES, r, 3));
	CHECK_EQ(pattern(511), image_byte(&g, 511));
	CHECK_EQ(0, image_byte(&g, 512));
	CHECK_EQ(0, image_byte(&g, 1535));
	CHECK_EQ(pattern(1536), image_byte(&g, 1536));
	CHECK_EQ(0, image_byte(&g, 8 * 512));
	CHECK_EQ(0, image_byte(&g, DISK_LEN - 1));
	r[0] = (struct virtio_blk_discard_write_zeroes){16, 8, 0};
	CHECK_EQ(VIRTIO_BLK_S_OK, ranges(&g, VIRTIO_BLK_T_DISCARD, r, 1));
	CHECK_EQ(0, image_byte(&g, 16 * 512));
	CHECK_EQ(pattern(24 * 512), image_byte(&g, 24 * 512));
	rig_fini(&g);
}

TEST(bad_ranges_are_refused)
{
	static const struct {
		uint32_t type;
		struct virtio_blk_discard_write_zeroes range;
		uint8_t status;
	} cases[] = {
		{VIRTIO_BLK_T_DISCARD, {0, 0, 0}, VIRTIO_BLK_S_OK},
		{VIRTIO_BLK_T_DISCARD, {SECTORS, 1, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {SECTORS - 1, 2, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {UINT64_MAX, 1, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {1ULL << 55, 1, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {0, UINT32_MAX, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_DISCARD, {0, 1, 1}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {0, 1, 2}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {0, 1, 0x80000001}, VIRTIO_BLK_S_UNSUPP},
		{VIRTIO_BLK_T_WRITE_ZEROES, {SECTORS - 1, 2, 0}, VIRTIO_BLK_S_IOERR},
		{VIRTIO_BLK_T_WRITE_ZEROES, {0, BLK_ZEROES_SECTORS + 1, 0}, VIRTIO_BLK_S_IOERR},
	};
	struct rig g;

	rig_start(&g);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_EQ(cases[i].status, ranges(&g, cases[i].type, &cases[i].range, 1));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_DISCARD, 0, 0, false, NULL));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_DISCARD, 0, 15, false, NULL));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_DISCARD, 0, 17 * 16, false, NULL));
	for (unsigned i = 0; i < DISK_LEN; i += 512)
		CHECK_EQ(pattern(i), image_byte(&g, i));
	rig_fini(&g);
}

TEST(discard_that_was_not_accepted_is_unsupported)
{
	struct virtio_blk_discard_write_zeroes r = {0, 1, 0};
	struct rig g;

	rig_init(&g);
	rig_attach(&g, 0);
	CHECK_EQ(VIRTIO_BLK_S_UNSUPP, ranges(&g, VIRTIO_BLK_T_DISCARD, &r, 1));
	CHECK_EQ(VIRTIO_BLK_S_UNSUPP, ranges(&g, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1));
	rig_fini(&g);
}

/* ---- durability ---- */

TEST(with_flush_a_write_is_not_synced_by_itself)
{
	struct counter c;
	struct rig g;

	rig_start(&g);
	watch_calls(&g, &c);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(0, c.n[DISK_FLUSH]);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL));
	CHECK_EQ(1, c.n[DISK_FLUSH]);
	rig_fini(&g);
}

TEST(without_flush_each_write_is_synced_before_it_completes)
{
	struct virtio_blk_discard_write_zeroes r[] = {{0, 1, 0}, {4, 1, 0}};
	struct counter c;
	struct rig g;

	rig_init(&g);
	rig_attach(&g, 1ULL << VIRTIO_BLK_F_WRITE_ZEROES);
	watch_calls(&g, &c);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(1, c.n[DISK_FLUSH]);
	CHECK_EQ(VIRTIO_BLK_S_OK, ranges(&g, VIRTIO_BLK_T_WRITE_ZEROES, r, 2));
	CHECK_EQ(2, c.n[DISK_FLUSH]);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	CHECK_EQ(2, c.n[DISK_FLUSH]);
	c.fail_flush = -EIO;
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	rig_fini(&g);
}

TEST(the_driver_may_switch_the_cache_to_write_through)
{
	uint8_t wce = 0;
	struct counter c;
	struct rig g;

	rig_start(&g);
	watch_calls(&g, &c);
	virtio_config_write(g.dev, offsetof(struct virtio_blk_config, wce), &wce, 1);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(1, c.n[DISK_FLUSH]);
	wce = 7;
	virtio_config_write(g.dev, offsetof(struct virtio_blk_config, wce), &wce, 1);
	virtio_config_read(g.dev, offsetof(struct virtio_blk_config, wce), &wce, 1);
	CHECK_EQ(1, wce);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(1, c.n[DISK_FLUSH]);
	rig_fini(&g);
}

TEST(config_wce_without_flush_begins_as_write_through)
{
	struct counter c;
	uint8_t wce;
	struct rig g;

	rig_init(&g);
	rig_attach(&g, 1ULL << VIRTIO_BLK_F_CONFIG_WCE);
	watch_calls(&g, &c);
	virtio_config_read(g.dev, offsetof(struct virtio_blk_config, wce), &wce, 1);
	CHECK_EQ(0, wce);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(1, c.n[DISK_FLUSH]);
	rig_fini(&g);
}

TEST(other_configuration_fields_cannot_be_written)
{
	struct virtio_blk_config before, after;
	uint8_t ones[8];
	struct rig g;

	rig_start(&g);
	memset(ones, 0xff, sizeof(ones));
	virtio_config_read(g.dev, 0, &before, sizeof(before));
	for (unsigned off = 0; off < sizeof(before); off++)
		for (unsigned len = 1; len <= 8; len++)
			virtio_config_write(g.dev, off, ones, len);
	virtio_config_read(g.dev, 0, &after, sizeof(after));
	CHECK(memcmp(&before, &after, sizeof(before)) == 0);
	rig_fini(&g);
}

TEST(errors_of_the_disk_are_io_errors_of_the_request)
{
	struct virtio_blk_discard_write_zeroes range = {0, 8, 0};
	struct counter c;
	struct rig g;

	rig_start(&g);
	watch_calls(&g, &c);
	c.fail_write = -ENOSPC;
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	c.fail_write = -EOPNOTSUPP;
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	c.fail_discard = -EOPNOTSUPP;
	CHECK_EQ(VIRTIO_BLK_S_UNSUPP, ranges(&g, VIRTIO_BLK_T_DISCARD, &range, 1));
	c.fail_write = 0;
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_OUT, 0, 512, false, NULL));
	CHECK_EQ(0, truncate(g.image, 4096));
	CHECK_EQ(VIRTIO_BLK_S_IOERR, request(&g, VIRTIO_BLK_T_IN, 100, 512, true, NULL));
	rig_fini(&g);
}

/* ---- queues, batches, reset ---- */

TEST(a_batch_is_one_interrupt)
{
	uint32_t len;
	uint16_t head;
	struct rig g;

	rig_start(&g);
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < 5; i++)
		fake_add(&g.f, 0,
			 (struct fake_seg[]){{g.header, 16, false},
					     {g.data + 512 * i, 512, true},
					     {g.status, 1, true}},
			 3);
	pthread_mutex_lock(&g.dev->lock);
	g.dev->ops->kick(g.dev, 0);
	disk_drain(blk_of(&g)->disk);
	blk_reap(blk_of(&g));
	pthread_mutex_unlock(&g.dev->lock);
	for (unsigned i = 0; i < 5; i++)
		CHECK(fake_used(&g.f, 0, &head, &len) && len == 513);
	CHECK(g.f.interrupts[0] >= 1 && g.f.interrupts[0] <= 2);
	rig_fini(&g);
}

TEST(the_same_head_twice_is_two_requests)
{
	uint32_t len;
	uint16_t head;
	struct rig g;

	rig_start(&g);
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	head = fake_add(&g.f, 0,
			(struct fake_seg[]){
				{g.header, 16, false}, {g.data, 512, true}, {g.status, 1, true}},
			3);
	for (unsigned i = 1; i < FAKE_QUEUE_SIZE; i++)
		fake_offer(&g.f, 0, head);
	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++) {
		fake_kick(&g.f, 0);
		CHECK(fake_wait_used(&g.f, 0, &head, &len));
		CHECK_EQ(513, len);
	}
	CHECK(virtio_queue_ready(g.dev, 0));
	rig_fini(&g);
}

TEST(a_broken_ring_stops_the_device_until_reset)
{
	struct rig g;

	rig_start(&g);
	fake_offer(&g.f, 0, FAKE_QUEUE_SIZE);
	fake_kick(&g.f, 0);
	CHECK(g.dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK_EQ(1, g.f.config_interrupts);
	fake_attach(&g.f, g.dev, 0);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	rig_fini(&g);
}

TEST(several_queues_share_the_disk)
{
	uint32_t len;
	uint16_t head;
	struct rig g;

	rig_init(&g);
	g.config.queues = 4;
	rig_attach(&g, ALL);
	CHECK_EQ(4, g.dev->n_queues);
	CHECK(g.dev->offered >> VIRTIO_BLK_F_MQ & 1);
	put_header(&g, VIRTIO_BLK_T_IN, 9);
	for (unsigned q = 0; q < 4; q++) {
		fake_add(&g.f, q,
			 (struct fake_seg[]){
				 {g.header, 16, false}, {g.data, 512, true}, {g.status, 1, true}},
			 3);
		fake_kick(&g.f, q);
		CHECK(fake_wait_used(&g.f, q, &head, &len));
		CHECK_EQ(513, len);
		CHECK_EQ(1, g.f.interrupts[q]);
	}
	rig_fini(&g);
}

/* Requests are in flight when the driver resets, from another thread than the loop's, which does nothing. */
TEST(after_reset_no_memory_of_the_guest_is_written)
{
	static const enum disk_engine engines[] = {DISK_ENGINE_IO_URING, DISK_ENGINE_THREADS};

	for (unsigned e = 0; e < 2; e++) {
		struct rig g;
		uint8_t *ring;

		rig_init(&g);
		g.config.engine = engines[e];
		rig_attach(&g, 0); /* write-through: requests have two steps */
		for (unsigned round = 0; round < 50; round++) {
			put_header(&g, round % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0);
			for (unsigned i = 0; i < 5; i++)
				fake_add(&g.f, 0,
					 (struct fake_seg[]){{g.header, 16, false},
							     {g.data, 4096, round % 2 == 0},
							     {g.status, 1, true}},
					 3);
			fake_kick(&g.f, 0);
			virtio_set_status(g.dev, 0);
			memset(data(&g), 0x5a, 4096);
			*(uint8_t *)fake_host(&g.f, g.status) = 0x5a;
			ring = fake_host(&g.f, g.f.queue[0].used);
			memset(ring, 0x5a, 64);
			while (fake_turn(&g.f, 0))
				;
			CHECK_EQ(0x5a, status_of(&g));
			for (unsigned i = 0; i < 4096; i++)
				CHECK_EQ(0x5a, data(&g)[i]);
			for (unsigned i = 0; i < 64; i++)
				CHECK_EQ(0x5a, ring[i]);
			g.f.next = align_up(g.status + 64, 4096);
			fake_attach(&g.f, g.dev, 0);
		}
		CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
		rig_fini(&g);
	}
}

TEST(a_device_may_go_with_requests_in_flight)
{
	static const enum disk_engine engines[] = {DISK_ENGINE_IO_URING, DISK_ENGINE_THREADS};

	for (unsigned e = 0; e < 2; e++) {
		struct blk *blk;
		struct rig g;

		rig_init(&g);
		g.config.engine = engines[e];
		rig_attach(&g, 0);
		blk = blk_of(&g);
		put_header(&g, VIRTIO_BLK_T_OUT, 0);
		for (unsigned i = 0; i < 5; i++)
			fake_add(&g.f, 0,
				 (struct fake_seg[]){{g.header, 16, false},
						     {g.data, 4096, false},
						     {g.status, 1, true}},
				 3);
		fake_kick(&g.f, 0);
		CHECK(blk->disk->in_flight > 0 || vq_pending(virtio_vq(g.dev, 0)) == 0);
		rig_fini(&g); /* the sanitizer watches */
	}
}

/* ---- rate limits ---- */

TEST(a_limited_queue_goes_on_by_itself)
{
	uint32_t len;
	uint16_t head;
	struct rig g;

	rig_init(&g);
	g.config.limit.ops = (struct bucket_config){2, 0, 40};
	rig_attach(&g, ALL);
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < 5; i++)
		fake_add(&g.f, 0,
			 (struct fake_seg[]){
				 {g.header, 16, false}, {g.data, 512, true}, {g.status, 1, true}},
			 3);
	fake_kick(&g.f, 0); /* once: the rest is the timer's work */
	CHECK(vq_pending(virtio_vq(g.dev, 0)) > 0);
	for (unsigned i = 0; i < 5; i++)
		CHECK(fake_wait_used(&g.f, 0, &head, &len) && len == 513);
	rig_fini(&g);
}

TEST(a_reset_forgets_what_the_limit_held_back)
{
	struct rig g;

	rig_init(&g);
	g.config.limit.bandwidth = (struct bucket_config){512, 0, 20};
	rig_attach(&g, ALL);
	put_header(&g, VIRTIO_BLK_T_IN, 0);
	for (unsigned i = 0; i < 5; i++)
		fake_add(&g.f, 0,
			 (struct fake_seg[]){
				 {g.header, 16, false}, {g.data, 512, true}, {g.status, 1, true}},
			 3);
	fake_kick(&g.f, 0);
	virtio_set_status(g.dev, 0);
	fake_attach(&g.f, g.dev, 0);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	rig_fini(&g);
}

/* ---- size changes ---- */

TEST(a_larger_image_is_told_to_the_driver)
{
	uint64_t capacity;
	uint8_t generation;
	struct rig g;
	int fd;

	rig_start(&g);
	generation = virtio_generation(g.dev);
	fd = open(g.image, O_WRONLY);
	CHECK_EQ(0, ftruncate(fd, 2 * DISK_LEN));
	close(fd);
	for (unsigned tries = 0; g.f.config_interrupts == 0 && tries < 500; tries++)
		fake_turn(&g.f, 20);
	CHECK_EQ(1, g.f.config_interrupts);
	CHECK(generation != virtio_generation(g.dev));
	virtio_config_read(g.dev, 0, &capacity, 8);
	CHECK_EQ(2 * SECTORS, capacity);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, SECTORS, 512, true, NULL));
	CHECK_EQ(0, data(&g)[0]);
	rig_fini(&g);
}

TEST(few_pages_are_touched_by_a_guest_that_sends_little)
{
	struct rig g;

	rig_init(&g);
	g.config.queue_size = 256;
	rig_attach(&g, ALL);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	CHECK(blk_of(&g)->queue[0].n_touched <= 2);
	rig_fini(&g);
}
