// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/balloon.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>

#include "fake/driver.h"

#include "../test.h"

#define STATS   (1ULL << VIRTIO_BALLOON_F_STATS_VQ)
#define OOM     (1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define REPORTS (1ULL << VIRTIO_BALLOON_F_REPORTING)

enum { INFLATE, DEFLATE, STATSQ };

static const struct balloon_config plain = {.enabled = true, .target = 1 * MIB};

static void setup(struct fake_driver *f, const struct balloon_config *config, uint64_t features)
{
	struct virtio_dev *dev;
	struct err e;

	fake_init(f);
	/* Small pages, so that it shows which are there. */
	CHECK_EQ(0, madvise(fake_host(f, 0), FAKE_RAM, MADV_NOHUGEPAGE));
	CHECK_EQ(0, balloon_create(&dev, config, &f->host, &e));
	fake_attach(f, dev, features);
}

/* Some pages in the middle of RAM, written to. */
#define FIRST 512
static void fill(struct fake_driver *f, unsigned pages)
{
	memset(fake_host(f, FIRST << 12), 0xaa, pages << 12);
}

static bool discarded(struct fake_driver *f, unsigned pfn)
{
	return *(uint8_t *)fake_host(f, (uint64_t)pfn << 12) == 0;
}

static void send(struct fake_driver *f, unsigned queue, const void *data, uint32_t len)
{
	uint64_t at = fake_alloc(f, len);

	memcpy(fake_host(f, at), data, len);
	fake_add(f, queue, &(struct fake_seg){at, len, false}, 1);
	fake_kick(f, queue);
}

static void check_used(struct fake_driver *f, unsigned queue)
{
	uint16_t head;
	uint32_t len;

	CHECK(fake_used(f, queue, &head, &len));
	CHECK_EQ(0, len); /* the device writes nothing */
}

static uint32_t config_read(struct fake_driver *f, unsigned off)
{
	uint32_t value;

	virtio_config_read(f->dev, off, &value, 4);
	return value;
}

/* ---- inflate and deflate ---- */

TEST(inflated_pages_go_back_to_the_host_in_any_order)
{
	const uint32_t pfn[] = {FIRST + 1, FIRST + 2, FIRST + 7, FIRST + 6, FIRST + 5, FIRST + 9};
	struct fake_driver f;

	setup(&f, &plain, 0);
	fill(&f, 12);
	send(&f, INFLATE, pfn, sizeof(pfn));
	check_used(&f, INFLATE);
	CHECK_EQ(1, f.interrupts[INFLATE]);
	for (unsigned i = 0; i < 12; i++)
		CHECK_EQ(i == 1 || i == 2 || i == 5 || i == 6 || i == 7 || i == 9,
			 discarded(&f, FIRST + i));
	fake_fini(&f);
}

TEST(inflated_pages_cost_no_memory)
{
	unsigned char vec[4];
	const uint32_t pfn[] = {FIRST, FIRST + 1, FIRST + 3};
	struct fake_driver f;

	setup(&f, &plain, 0);
	fill(&f, 4);
	send(&f, INFLATE, pfn, sizeof(pfn));
	CHECK_EQ(0, mincore(fake_host(&f, FIRST << 12), 4 << 12, vec));
	CHECK_EQ(0, vec[0] & 1);
	CHECK_EQ(0, vec[1] & 1);
	CHECK_EQ(1, vec[2] & 1);
	CHECK_EQ(0, vec[3] & 1);
	fake_fini(&f);
}

TEST(a_page_frame_outside_ram_is_ignored_and_its_neighbours_are_not)
{
	const uint32_t end = FAKE_RAM >> 12;
	const uint32_t pfn[] = {end - 1, end, end + 1, UINT32_MAX, 0x80000000, FIRST};
	struct fake_driver f;

	setup(&f, &plain, 0);
	fill(&f, 1);
	memset(fake_host(&f, FAKE_RAM - 4096), 0xaa, 4096);
	send(&f, INFLATE, pfn, sizeof(pfn));
	check_used(&f, INFLATE);
	CHECK(discarded(&f, FIRST));
	CHECK(discarded(&f, end - 1));
	CHECK(!(virtio_status(f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET));
	fake_fini(&f);
}

TEST(an_array_of_frames_may_be_cut_anywhere)
{
	const uint32_t pfn[] = {FIRST, FIRST + 2, FIRST + 4};
	struct fake_driver f;
	uint64_t at;
	struct fake_seg seg[3];

	setup(&f, &plain, 0);
	fill(&f, 5);
	at = fake_alloc(&f, 64);
	memcpy(fake_host(&f, at), pfn, 12);
	seg[0] = (struct fake_seg){at, 3, false};
	seg[1] = (struct fake_seg){at + 3, 6, false};
	seg[2] = (struct fake_seg){at + 9, 2, false}; /* the last number is one byte short */
	fake_add(&f, INFLATE, seg, 3);
	fake_kick(&f, INFLATE);
	check_used(&f, INFLATE);
	CHECK(discarded(&f, FIRST) && discarded(&f, FIRST + 2));
	CHECK(!discarded(&f, FIRST + 4));
	fake_fini(&f);
}

/* RAM is full of the same number: 4 MiB of it, 16 times in one request. */
TEST(a_giant_request_is_cut_short)
{
	struct fake_seg seg[FAKE_QUEUE_SIZE];
	struct fake_driver f;
	uint32_t pfn[4096 + 1];

	setup(&f, &plain, 0);
	for (unsigned i = 0; i < 4096; i++)
		pfn[i] = FIRST;
	pfn[4096] = FIRST + 1; /* beyond what is looked at */
	fill(&f, 2);
	send(&f, INFLATE, pfn, sizeof(pfn));
	CHECK(discarded(&f, FIRST));
	CHECK(!discarded(&f, FIRST + 1));
	check_used(&f, INFLATE);
	for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
		seg[i] = (struct fake_seg){FAKE_RAM / 2, FAKE_RAM / 2, false};
	fake_add(&f, INFLATE, seg, FAKE_QUEUE_SIZE);
	fake_kick(&f, INFLATE);
	check_used(&f, INFLATE);
	fake_fini(&f);
}

TEST(deflate_is_acknowledged_and_touches_nothing)
{
	const uint32_t pfn[] = {FIRST, FIRST + 1, UINT32_MAX};
	struct fake_driver f;

	setup(&f, &plain, 0);
	fill(&f, 2);
	send(&f, DEFLATE, pfn, sizeof(pfn));
	check_used(&f, DEFLATE);
	CHECK(!discarded(&f, FIRST) && !discarded(&f, FIRST + 1));
	fake_fini(&f);
}

TEST(a_request_with_a_bad_buffer_is_acknowledged_and_does_nothing)
{
	struct fake_driver f;

	setup(&f, &plain, 0);
	fake_add(&f, INFLATE, &(struct fake_seg){FAKE_RAM - 4, 64, false}, 1);
	fake_add(&f, DEFLATE, &(struct fake_seg){UINT64_MAX - 4, 64, false}, 1);
	fake_kick(&f, INFLATE);
	fake_kick(&f, DEFLATE);
	check_used(&f, INFLATE);
	check_used(&f, DEFLATE);
	fake_fini(&f);
}

/* ---- size ---- */

TEST(the_target_is_in_pages_and_a_change_interrupts)
{
	struct fake_driver f;

	setup(&f, &plain, 0);
	CHECK_EQ(256, config_read(&f, 0));
	CHECK_EQ(0, f.config_interrupts);
	CHECK_EQ(0, balloon_set_target(f.dev, 3 * MIB + 4095));
	CHECK_EQ(768, config_read(&f, 0));
	CHECK_EQ(1, f.config_interrupts);
	CHECK_EQ(-EINVAL, balloon_set_target(f.dev, FAKE_RAM + 1));
	CHECK_EQ(768, config_read(&f, 0));
	CHECK_EQ(1, f.config_interrupts);
	fake_fini(&f);
}

TEST(a_target_of_more_than_all_memory_is_an_error_with_a_text)
{
	struct balloon_config config = {.enabled = true, .target = FAKE_RAM + 1};
	struct virtio_dev *dev;
	struct fake_driver f;
	struct err e;

	fake_init(&f);
	CHECK_EQ(-EINVAL, balloon_create(&dev, &config, &f.host, &e));
	CHECK_HAS(e.text, "more than the guest's memory");
	fake_fini(&f);
}

TEST(the_driver_writes_actual_and_nothing_else)
{
	const uint32_t junk[5] = {0xffffffff, 77, 0xffffffff, 0xffffffff, 0xffffffff};
	struct balloon_info now;
	struct fake_driver f;

	setup(&f, &plain, 0);
	virtio_config_write(f.dev, 0, junk, 16);
	virtio_config_write(f.dev, 0, junk, 20); /* over the end: dropped */
	CHECK_EQ(256, config_read(&f, 0));
	CHECK_EQ(77, config_read(&f, 4));
	CHECK_EQ(0, config_read(&f, 8));
	CHECK_EQ(0, config_read(&f, 12));
	for (unsigned i = 0; i < 4; i++) /* byte by byte */
		virtio_config_write(f.dev, 4 + i, &(uint8_t){(uint8_t)(i + 1)}, 1);
	CHECK_EQ(0x04030201, config_read(&f, 4));
	balloon_info(f.dev, &now);
	CHECK_EQ(1 * MIB, now.target_bytes);
	CHECK_EQ(0x04030201ULL << 12, now.actual_bytes);
	virtio_set_status(f.dev, 0);
	CHECK_EQ(0, config_read(&f, 4));
	CHECK_EQ(256, config_read(&f, 0));
	fake_fini(&f);
}

TEST(only_what_was_asked_for_is_offered)
{
	struct balloon_config all = {.enabled = true,
				     .deflate_on_oom = true,
				     .free_page_reporting = true,
				     .stats_interval_s = 1};
	struct fake_driver f;

	setup(&f, &plain, 0);
	CHECK_EQ(0, virtio_offered(f.dev, 0) & 0xff);
	fake_fini(&f);
	setup(&f, &all, 0);
	CHECK_EQ(STATS | OOM | REPORTS, virtio_offered(f.dev, 0) & 0xff);
	fake_fini(&f);
}

/* ---- statistics ---- */

static const struct balloon_config statistics = {.enabled = true, .stats_interval_s = 3600};

/* Lets the interval pass. */
static void interval_over(struct fake_driver *f)
{
	/* The device's timer is the process's only one: set it to now. */
	for (int fd = 3; fd < 256; fd++) {
		struct itimerspec when;
		if (timerfd_gettime(fd, &when) == 0)
			timer_arm(fd, 1);
	}
	CHECK(fake_turn(f, 5000));
	while (fake_turn(f, 0))
		;
}

static void send_stat(struct fake_driver *f, uint16_t tag, uint64_t value)
{
	struct virtio_balloon_stat s = {.tag = tag, .val = value};

	send(f, STATSQ, &s, sizeof(s));
}

TEST(the_statistics_buffer_is_kept_until_the_interval_is_over)
{
	struct balloon_info now;
	struct fake_driver f;
	uint16_t head;
	uint32_t len;

	setup(&f, &statistics, STATS);
	while (fake_turn(&f, 0))
		;
	send_stat(&f, VIRTIO_BALLOON_S_MEMFREE, 12345);
	CHECK(!fake_used(&f, STATSQ, &head, &len));
	balloon_info(f.dev, &now);
	CHECK_EQ(12345, now.stat[VIRTIO_BALLOON_S_MEMFREE]);
	CHECK(now.stat[VIRTIO_BALLOON_S_MEMTOT] == UINT64_MAX);
	interval_over(&f);
	check_used(&f, STATSQ); /* this is the request */
	CHECK_EQ(1, f.interrupts[STATSQ]);
	interval_over(&f);
	CHECK(!fake_used(&f, STATSQ, &head, &len)); /* one at a time */
	send_stat(&f, VIRTIO_BALLOON_S_MEMTOT, 777);
	balloon_info(f.dev, &now);
	CHECK_EQ(777, now.stat[VIRTIO_BALLOON_S_MEMTOT]);
	CHECK(now.stat[VIRTIO_BALLOON_S_MEMFREE] == UINT64_MAX);
	interval_over(&f);
	check_used(&f, STATSQ);
	fake_fini(&f);
}

TEST(statistics_may_come_in_any_order_and_unknown_ones_are_ignored)
{
	const struct virtio_balloon_stat s[] = {
		{.tag = VIRTIO_BALLOON_S_CACHES, .val = 7},
		{.tag = VIRTIO_BALLOON_S_NR, .val = 1},
		{.tag = 0xffff, .val = 2},
		{.tag = VIRTIO_BALLOON_S_SWAP_IN, .val = 8},
		{.tag = VIRTIO_BALLOON_S_MAJFLT, .val = 9}, /* cut off below */
	};
	struct balloon_info now;
	struct fake_driver f;

	setup(&f, &statistics, STATS);
	send(&f, STATSQ, s, sizeof(s) - 1);
	balloon_info(f.dev, &now);
	CHECK_EQ(7, now.stat[VIRTIO_BALLOON_S_CACHES]);
	CHECK_EQ(8, now.stat[VIRTIO_BALLOON_S_SWAP_IN]);
	CHECK(now.stat[VIRTIO_BALLOON_S_MAJFLT] == UINT64_MAX);
	fake_fini(&f);
}

TEST(a_second_statistics_buffer_sets_the_first_free)
{
	struct fake_driver f;
	uint16_t head;
	uint32_t len;

	setup(&f, &statistics, STATS);
	send_stat(&f, VIRTIO_BALLOON_S_MEMFREE, 1);
	for (unsigned i = 0; i < 3 * FAKE_QUEUE_SIZE; i++) {
		send_stat(&f, VIRTIO_BALLOON_S_MEMFREE, i);
		check_used(&f, STATSQ);
	}
	CHECK(!fake_used(&f, STATSQ, &head, &len));
	fake_fini(&f);
}

TEST(a_reset_forgets_the_statistics_buffer)
{
	struct fake_driver f;
	uint16_t head;
	uint32_t len;

	setup(&f, &statistics, STATS);
	send_stat(&f, VIRTIO_BALLOON_S_MEMFREE, 1);
	fake_attach(&f, f.dev, STATS);
	interval_over(&f);
	CHECK(!fake_used(&f, STATSQ, &head, &len));
	send_stat(&f, VIRTIO_BALLOON_S_MEMFREE, 2);
	CHECK(!fake_used(&f, STATSQ, &head, &len));
	interval_over(&f);
	check_used(&f, STATSQ);
	fake_fini(&f);
}

TEST(an_idle_balloon_never_wakes_up)
{
	struct fake_driver f;

	setup(&f, &plain, 0);
	while (fake_turn(&f, 0))
		;
	CHECK(!fake_turn(&f, 20));
	fake_fini(&f);
}

/* ---- free page reporting ---- */

static void report_on(struct fake_driver *f, unsigned queue)
{
	struct fake_seg seg[3] = {
		{FIRST << 12, 2 << 12, true},
		{(FIRST + 4) << 12, 1 << 12, true},
		{((FIRST + 6) << 12) + 100, 1 << 12, true}, /* no whole page */
	};

	fill(f, 9);
	fake_add(f, queue, seg, 3);
	fake_kick(f, queue);
	check_used(f, queue);
}

static void check_reported(struct fake_driver *f, bool yes)
{
	for (unsigned i = 0; i < 9; i++)
		CHECK_EQ(yes && (i < 2 || i == 4), discarded(f, FIRST + i));
}

TEST(reported_pages_go_back_to_the_host_whatever_number_the_queue_has)
{
	struct balloon_config config = {.enabled = true,
					.free_page_reporting = true,
					.stats_interval_s = 3600};
	const struct {
		unsigned queue;
		uint64_t features;
		bool works;
	} row[] = {
		{4, REPORTS, true},         /* the specification */
		{4, REPORTS | STATS, true}, /* the same */
		{3, REPORTS | STATS, true}, /* Linux: there is no queue for hints */
		{2, REPORTS, true},         /* Linux, without statistics */
		{4, 0, false},
		{3, STATS, false}, /* not accepted */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct fake_driver f;

		setup(&f, &config, row[i].features);
		report_on(&f, row[i].queue);
		check_reported(&f, row[i].works);
		fake_fini(&f);
	}
}

TEST(a_report_of_what_is_not_ram_does_nothing)
{
	struct balloon_config config = {.enabled = true, .free_page_reporting = true};
	struct fake_seg seg[2] = {{FIRST << 12, 1 << 12, true}, {FAKE_RAM, 1 << 12, true}};
	struct fake_driver f;

	setup(&f, &config, REPORTS);
	fill(&f, 1);
	fake_add(&f, 4, seg, 2);
	fake_kick(&f, 4);
	check_used(&f, 4);
	CHECK(!discarded(&f, FIRST));
	fake_fini(&f);
}

/* ---- a broken driver ---- */

TEST(the_rings_of_a_balloon_may_be_given_away_and_reset_mends_it)
{
	struct fake_driver f;
	uint32_t pfn[3];

	setup(&f, &plain, 0);
	for (unsigned i = 0; i < 3; i++)
		pfn[i] = (uint32_t)(f.queue[INFLATE].desc >> 12) + i;
	send(&f, INFLATE, pfn, sizeof(pfn)); /* descriptors, available and used ring are zero now */
	fake_kick(&f, INFLATE);
	fake_attach(&f, f.dev, 0);
	fill(&f, 1);
	send(&f, INFLATE, &(uint32_t){FIRST}, 4);
	CHECK(discarded(&f, FIRST));
	fake_fini(&f);
}

TEST(more_offered_than_there_are_descriptors_needs_a_reset)
{
	struct fake_driver f;
	uint16_t idx = 1000;

	setup(&f, &plain, 0);
	CHECK_EQ(0, gmem_write(&f.mem, f.queue[INFLATE].avail + 2, &idx, 2));
	fake_kick(&f, INFLATE);
	CHECK(virtio_status(f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK_EQ(1, f.config_interrupts);
	fake_fini(&f);
}
