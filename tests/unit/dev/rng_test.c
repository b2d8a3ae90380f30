// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/rng.h"

#include <string.h>

#include "fake/driver.h"

#include "../test.h"

static void setup(struct fake_driver *f, const struct rng_config *config)
{
	struct virtio_dev *dev;
	struct err e;

	fake_init(f);
	CHECK_EQ(0, rng_create(&dev, config, &f->host, &e));
	fake_attach(f, dev, 0);
}

static const struct rng_config unlimited = {.enabled = true};

/* Asks for `len` bytes at `gpa`. */
static void ask(struct fake_driver *f, uint64_t gpa, uint32_t len)
{
	fake_add(f, 0, &(struct fake_seg){gpa, len, true}, 1);
}

/* How many of the bytes are not zero: of random ones, all but one in 256. */
static unsigned nonzero(struct fake_driver *f, uint64_t gpa, uint32_t len)
{
	const uint8_t *at = fake_host(f, gpa);
	unsigned n = 0;

	for (uint32_t i = 0; i < len; i++)
		n += at[i] != 0;
	return n;
}

static uint32_t used(struct fake_driver *f)
{
	uint16_t head;
	uint32_t len;

	CHECK(fake_used(f, 0, &head, &len));
	return len;
}

TEST(a_request_is_filled_and_announced)
{
	struct fake_driver f;
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 4096);
	ask(&f, at, 4000);
	fake_kick(&f, 0);
	CHECK_EQ(4000, used(&f));
	CHECK(nonzero(&f, at, 4000) > 3800);
	CHECK_EQ(0, nonzero(&f, at + 4000, 96));
	CHECK_EQ(1, f.interrupts[0]);
	fake_fini(&f);
}

TEST(two_requests_get_different_bytes)
{
	struct fake_driver f;
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 128);
	ask(&f, at, 64);
	ask(&f, at + 64, 64);
	fake_kick(&f, 0);
	CHECK(memcmp(fake_host(&f, at), fake_host(&f, at + 64), 64) != 0);
	fake_fini(&f);
}

TEST(every_buffer_of_a_chain_is_filled_and_a_readable_one_left_alone)
{
	struct fake_driver f;
	struct fake_seg seg[3];
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 4096);
	for (unsigned i = 0; i < 3; i++)
		seg[i] = (struct fake_seg){at + 1024 * i, 512, i > 0};
	fake_add(&f, 0, seg, 3);
	fake_kick(&f, 0);
	CHECK_EQ(1024, used(&f));
	CHECK_EQ(0, nonzero(&f, at, 1024));
	CHECK(nonzero(&f, at + 1024, 512) > 400);
	CHECK(nonzero(&f, at + 2048, 512) > 400);
	fake_fini(&f);
}

TEST(a_giant_request_gets_64_kib_and_is_told_so)
{
	struct fake_driver f;

	setup(&f, &unlimited);
	ask(&f, 1 * MIB, 2 * MIB);
	fake_kick(&f, 0);
	CHECK_EQ(RNG_REQUEST_MAX, used(&f));
	CHECK(nonzero(&f, 1 * MIB, RNG_REQUEST_MAX) > RNG_REQUEST_MAX / 2);
	CHECK_EQ(0, nonzero(&f, 1 * MIB + RNG_REQUEST_MAX, 4096));
	fake_fini(&f);
}

TEST(a_request_outside_ram_comes_back_empty_and_the_next_is_served)
{
	struct fake_driver f;
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 64);
	ask(&f, FAKE_RAM - 8, 16);
	ask(&f, UINT64_MAX - 8, 16);
	ask(&f, at, 16);
	fake_kick(&f, 0);
	CHECK_EQ(0, used(&f));
	CHECK_EQ(0, used(&f));
	CHECK_EQ(16, used(&f));
	fake_fini(&f);
}

TEST(a_request_without_a_buffer_to_write_comes_back_empty)
{
	struct fake_driver f;
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 64);
	fake_add(&f, 0, &(struct fake_seg){at, 64, false}, 1);
	fake_kick(&f, 0);
	CHECK_EQ(0, used(&f));
	fake_fini(&f);
}

TEST(a_looped_chain_stops_the_device_until_reset)
{
	struct fake_driver f;
	uint64_t at;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 64);
	fake_desc(&f, 0, 0, at, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	fake_desc(&f, 0, 1, at, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 0);
	fake_offer(&f, 0, 0);
	fake_kick(&f, 0);
	CHECK(virtio_status(f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	CHECK_EQ(0, nonzero(&f, at, 64));
	fake_attach(&f, f.dev, 0);
	ask(&f, at, 16);
	fake_kick(&f, 0);
	CHECK_EQ(16, used(&f));
	fake_fini(&f);
}

/* All its heads and buffers are fine: nothing but the distance is wrong. None is filled, and no turn is spent. */
TEST(an_index_further_than_the_queue_is_long_stops_the_device)
{
	const uint16_t by[] = {FAKE_QUEUE_SIZE + 1, 300, 40000};

	for (unsigned i = 0; i < ARRAY_SIZE(by); i++) {
		struct fake_driver f;
		uint16_t *avail;
		uint64_t at;

		setup(&f, &unlimited);
		at = fake_alloc(&f, 16 * FAKE_QUEUE_SIZE);
		avail = fake_host(&f, f.queue[0].avail);
		for (uint16_t n = 0; n < FAKE_QUEUE_SIZE; n++)
			ask(&f, at + 16 * n, 16);
		avail[1] = by[i];
		while (fake_turn(&f, 0))
			;
		fake_kick(&f, 0);
		CHECK(virtio_status(f.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
		CHECK_EQ(0, nonzero(&f, at, 16 * FAKE_QUEUE_SIZE));
		CHECK_EQ(1, f.config_interrupts);
		fake_fini(&f);
	}
}

/* The driver reuses its descriptors while the device is at it: the loop goes on in later turns. */
TEST(more_requests_than_one_turn_serves_are_served_in_the_next)
{
	struct fake_driver f;
	uint64_t at;
	uint16_t head;
	uint32_t len;
	unsigned n = 0;

	setup(&f, &unlimited);
	at = fake_alloc(&f, 64);
	for (unsigned round = 0; round < 8; round++) {
		for (unsigned i = 0; i < FAKE_QUEUE_SIZE; i++)
			ask(&f, at, 16);
		while (n < (round + 1) * FAKE_QUEUE_SIZE && fake_wait_used(&f, 0, &head, &len))
			n++;
		CHECK_EQ((round + 1) * FAKE_QUEUE_SIZE, n);
		fake_kick(&f, 0);
	}
	fake_fini(&f);
}

TEST(with_event_idx_the_driver_is_asked_to_ring_again)
{
	struct fake_driver f;
	struct virtio_dev *dev;
	struct err e;
	uint64_t at;
	uint16_t event;

	fake_init(&f);
	CHECK_EQ(0, rng_create(&dev, &unlimited, &f.host, &e));
	fake_attach(&f, dev, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	at = fake_alloc(&f, 64);
	for (unsigned i = 0; i < 5; i++)
		ask(&f, at, 16);
	fake_kick(&f, 0);
	memcpy(&event, fake_host(&f, f.queue[0].used + 4 + 8u * f.queue[0].size), 2);
	CHECK_EQ(5, event);
	fake_fini(&f);
}

/* An hour for the second token: no timer of the test's ever decides anything. */
TEST(beyond_the_limit_a_request_waits_and_is_not_lost)
{
	struct rng_config config = {.enabled = true,
				    .limit.ops = {.size = 1, .refill_ms = 3600 * 1000}};
	struct fake_driver f;
	uint64_t at;
	uint16_t head;
	uint32_t len;

	setup(&f, &config);
	at = fake_alloc(&f, 64);
	ask(&f, at, 16);
	ask(&f, at + 16, 16);
	fake_kick(&f, 0);
	CHECK_EQ(16, used(&f));
	CHECK(!fake_used(&f, 0, &head, &len));
	fake_kick(&f, 0);
	CHECK(!fake_used(&f, 0, &head, &len));
	CHECK_EQ(1, vq_pending(virtio_vq(f.dev, 0)));
	fake_fini(&f);
}

TEST(a_request_that_waited_is_served_when_there_are_tokens)
{
	struct rng_config config = {.enabled = true, .limit.ops = {.size = 1, .refill_ms = 1}};
	struct fake_driver f;
	uint64_t at;
	uint16_t head;
	uint32_t len;

	setup(&f, &config);
	at = fake_alloc(&f, 64);
	for (unsigned i = 0; i < 5; i++)
		ask(&f, at, 16);
	for (unsigned i = 0; i < 5; i++)
		CHECK(fake_wait_used(&f, 0, &head, &len) && len == 16);
	fake_fini(&f);
}
