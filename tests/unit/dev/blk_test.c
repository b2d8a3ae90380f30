// SPDX-License-Identifier: Apache-2.0
#include "dev/blk_rig.h"

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
