// SPDX-License-Identifier: Apache-2.0
#include "virtio/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "test.h"
#include "virtio/rig.h"

#define ACK         VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER      VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define FAILED      VIRTIO_CONFIG_S_FAILED

/* A device that no driver has touched yet. */
static struct rig *fresh(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	fake_init(&r->f);
	r->d = rig_device(&r->f.host, RIG_MAX);
	r->dev = r->f.dev = &r->d->dev;
	r->q = virtio_vq(r->dev, 0);
	return r;
}

static struct rig *running(uint64_t features)
{
	struct rig *r = calloc(1, sizeof(*r));

	CHECK(r != NULL);
	rig_init(r, features, 0);
	return r;
}

static void stop(struct rig *r)
{
	rig_fini(r);
	free(r);
}

static void turn(struct rig *r)
{
	while (fake_turn(&r->f, 0))
		;
}

static void accept(struct rig *r, uint64_t features)
{
	virtio_accept(r->dev, 0, (uint32_t)features);
	virtio_accept(r->dev, 1, (uint32_t)(features >> 32));
}

static uint64_t accepted(struct rig *r)
{
	return virtio_accepted(r->dev, 0) | (uint64_t)virtio_accepted(r->dev, 1) << 32;
}

#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)

/* ---- features ---- */

TEST(features_are_offered_in_two_halves)
{
	struct rig *r = fresh();

	CHECK_EQ(1u << VIRTIO_RING_F_INDIRECT_DESC | 1u << VIRTIO_RING_F_EVENT_IDX,
		 virtio_offered(r->dev, 0));
	CHECK_EQ(1u << (VIRTIO_F_VERSION_1 - 32) | 1u << (VIRTIO_F_RING_PACKED - 32),
		 virtio_offered(r->dev, 1));
	CHECK_EQ(0, virtio_offered(r->dev, 2));
	CHECK_EQ(0, virtio_offered(r->dev, UINT32_MAX));
	stop(r);
}

TEST(features_are_accepted_in_two_halves_until_features_ok)
{
	struct rig *r = fresh();

	accept(r, VERSION_1 | RIG_EVENT_IDX);
	virtio_accept(r->dev, 2, 0xffffffff);
	virtio_accept(r->dev, UINT32_MAX, 0xffffffff);
	CHECK_EQ(VERSION_1 | RIG_EVENT_IDX, accepted(r));
	CHECK_EQ(0, virtio_accepted(r->dev, 2));
	accept(r, VERSION_1);
	CHECK_EQ(VERSION_1, accepted(r));
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
	accept(r, VERSION_1 | RIG_INDIRECT);
	CHECK_EQ(VERSION_1, accepted(r));
	stop(r);
}

TEST(features_ok_is_refused_to_a_feature_that_was_not_offered)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		struct rig *r = fresh();
		bool offered = r->dev->offered >> bit & 1;

		accept(r, VERSION_1 | 1ULL << bit);
		virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
		CHECK_EQ(ACK | DRIVER | (offered ? FEATURES_OK : 0), virtio_status(r->dev));
		stop(r);
	}
}

TEST(features_ok_is_refused_without_version_1_and_may_be_tried_again)
{
	struct rig *r = fresh();

	accept(r, RIG_EVENT_IDX);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
	CHECK_EQ(ACK | DRIVER, virtio_status(r->dev));
	accept(r, RIG_EVENT_IDX | VERSION_1);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
	CHECK_EQ(ACK | DRIVER | FEATURES_OK, virtio_status(r->dev));
	stop(r);
}

/* ---- status ---- */

TEST(driver_ok_needs_features_ok)
{
	struct rig *r = fresh();

	virtio_set_status(r->dev, ACK | DRIVER | DRIVER_OK);
	CHECK_EQ(ACK | DRIVER, virtio_status(r->dev));
	CHECK_EQ(0, r->d->activations);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK | DRIVER_OK); /* which is refused */
	CHECK_EQ(ACK | DRIVER, virtio_status(r->dev));
	CHECK_EQ(0, r->d->activations);
	stop(r);
}

TEST(status_bits_are_added_never_taken_away)
{
	struct rig *r = running(0);

	virtio_set_status(r->dev, ACK);
	CHECK_EQ(ACK | DRIVER | FEATURES_OK | DRIVER_OK, virtio_status(r->dev));
	virtio_set_status(r->dev, 0x30); /* bits that do not exist */
	CHECK_EQ(ACK | DRIVER | FEATURES_OK | DRIVER_OK, virtio_status(r->dev));
	virtio_set_status(r->dev, NEEDS_RESET); /* ours, not the driver's */
	CHECK_EQ(ACK | DRIVER | FEATURES_OK | DRIVER_OK, virtio_status(r->dev));
	CHECK_EQ(1, r->d->activations);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK | DRIVER_OK); /* again: nothing */
	CHECK_EQ(1, r->d->activations);
	stop(r);
}

TEST(failed_stops_the_device)
{
	struct rig *r = running(0);

	turn(r);
	virtio_set_status(r->dev, FAILED);
	CHECK(virtio_status(r->dev) & FAILED);
	CHECK(!virtio_queue_ready(r->dev, 0));
	virtio_kick(r->dev, 0);
	turn(r);
	CHECK_EQ(1, r->d->kicks[0]); /* that of DRIVER_OK */
	stop(r);
}

TEST(every_status_byte_in_every_order_is_survived)
{
	struct rig *r = fresh();

	for (unsigned i = 0; i < 65536; i++) {
		virtio_set_status(r->dev, (uint8_t)(i >> 8));
		virtio_set_status(r->dev, (uint8_t)i);
		CHECK(!(virtio_status(r->dev) & DRIVER_OK) || accepted(r) & VERSION_1);
		if (i % 7 == 0)
			accept(r, VERSION_1);
	}
	stop(r);
}

/* ---- doorbells ---- */

TEST(a_doorbell_before_driver_ok_is_not_heard_but_what_was_offered_is_served_then)
{
	struct rig *r = fresh();

	virtio_kick(r->dev, 0);
	turn(r);
	CHECK_EQ(0, r->d->kicks[0]);
	fake_attach(&r->f, r->dev, 0);
	CHECK_EQ(0, r->d->kicks[0]);
	turn(r);
	CHECK_EQ(1, r->d->kicks[0]);
	CHECK_EQ(1, r->d->kicks[1]);
	stop(r);
}

TEST(each_doorbell_is_a_kick_of_its_queue)
{
	struct rig *r = running(0);

	turn(r);
	for (unsigned i = 0; i < 5; i++) {
		virtio_kick(r->dev, 1);
		turn(r);
	}
	CHECK_EQ(1, r->d->kicks[0]);
	CHECK_EQ(6, r->d->kicks[1]);
	virtio_kick(r->dev, RIG_QUEUES); /* no such queue */
	virtio_kick(r->dev, UINT32_MAX);
	turn(r);
	CHECK_EQ(7, r->d->kicks[0] + r->d->kicks[1]);
	stop(r);
}

TEST(a_device_may_ask_for_another_kick_and_others_have_their_turn)
{
	struct rig *r = running(0);

	turn(r);
	r->d->again = true;
	virtio_kick(r->dev, 0);
	virtio_kick(r->dev, 1);
	for (unsigned i = 0; i < 10; i++)
		CHECK(fake_turn(&r->f, 0));
	CHECK_EQ(6, r->d->kicks[0]);
	CHECK_EQ(6, r->d->kicks[1]);
	r->d->again = false;
	turn(r);
	stop(r);
}

TEST(a_queue_that_is_not_enabled_is_not_kicked)
{
	struct rig *r = fresh();

	accept(r, VERSION_1);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK | DRIVER_OK);
	virtio_kick(r->dev, 0);
	turn(r);
	CHECK_EQ(0, r->d->kicks[0]);
	CHECK_EQ(1, r->d->activations);
	stop(r);
}

/* ---- queue registers ---- */

static const enum virtio_queue_field fields[] = {VQ_FIELD_SIZE,      VQ_FIELD_DESC_LO,
						 VQ_FIELD_DESC_HI,   VQ_FIELD_DRIVER_LO,
						 VQ_FIELD_DRIVER_HI, VQ_FIELD_DEVICE_LO,
						 VQ_FIELD_DEVICE_HI};

TEST(queue_registers_keep_what_is_written_before_they_are_enabled)
{
	struct rig *r = fresh();

	CHECK_EQ(RIG_MAX, virtio_queue_get(r->dev, 0, VQ_FIELD_MAX));
	CHECK_EQ(RIG_MAX, virtio_queue_get(r->dev, 0, VQ_FIELD_SIZE)); /* 4.1.4.3: at reset */
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		virtio_queue_set(r->dev, 1, fields[i], 0x1230 + i);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		CHECK_EQ(0x1230 + i, virtio_queue_get(r->dev, 1, fields[i]));
	CHECK_EQ(0x123200001231, virtio_vq(r->dev, 1)->desc);
	virtio_queue_set(r->dev, 1, VQ_FIELD_MAX, 7);
	CHECK_EQ(RIG_MAX, virtio_queue_get(r->dev, 1, VQ_FIELD_MAX));
	virtio_queue_set(r->dev, 1, VQ_FIELD_SIZE, 0x10000 + 16); /* not 16 */
	CHECK(virtio_queue_get(r->dev, 1, VQ_FIELD_SIZE) != 16);
	stop(r);
}

TEST(registers_of_a_queue_that_there_is_not_read_as_zero)
{
	struct rig *r = fresh();
	const uint32_t no[] = {RIG_QUEUES, RIG_QUEUES + 1, 0xffff, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(no); i++) {
		virtio_queue_set(r->dev, no[i], VQ_FIELD_SIZE, 4);
		virtio_queue_set(r->dev, no[i], VQ_FIELD_ENABLE, 1);
		CHECK_EQ(0, virtio_queue_get(r->dev, no[i], VQ_FIELD_MAX));
		CHECK_EQ(0, virtio_queue_get(r->dev, no[i], VQ_FIELD_SIZE));
	}
	stop(r);
}

static void live(struct rig *r)
{
	struct vq_chain c;
	uint32_t before[ARRAY_SIZE(fields)];
	uint16_t head = rig_add(r, 1);
	struct vq copy = *r->q;

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		before[i] = virtio_queue_get(r->dev, 0, fields[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		for (unsigned k = 0; k < 40; k++)
			virtio_queue_set(r->dev, 0, fields[i], 0x40000000u >> k % 32 | k);
	virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 1);
	virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 0);
	CHECK_EQ(1, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		CHECK_EQ(before[i], virtio_queue_get(r->dev, 0, fields[i]));
	CHECK_EQ(0, memcmp(&copy, r->q, sizeof(copy)));
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	rig_used(r, head, 0);
}

TEST(a_live_queue_does_not_change)
{
	rig_both(live, 0);
}

TEST(a_queue_is_enabled_by_1_after_features_ok_with_good_addresses)
{
	struct rig *r = fresh();
	enum log_level before = log_level;

	log_level = LOG_ERROR;
	virtio_queue_set(r->dev, 0, VQ_FIELD_SIZE, 16);
	virtio_queue_set(r->dev, 0, VQ_FIELD_DRIVER_LO, 0x1000);
	virtio_queue_set(r->dev, 0, VQ_FIELD_DEVICE_LO, 0x2000);
	virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 1);
	CHECK_EQ(0, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	accept(r, VERSION_1);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
	for (uint32_t value = 2; value; value *= 2)
		virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, value);
	CHECK_EQ(0, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	virtio_queue_set(r->dev, 0, VQ_FIELD_DESC_HI, 0x80);
	virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 1);
	CHECK_EQ(0, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE)); /* nothing at 2^39 */
	virtio_queue_set(r->dev, 0, VQ_FIELD_DESC_HI, 0);
	virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 1);
	CHECK_EQ(1, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	log_level = before;
	stop(r);
}

TEST(sizes_out_of_range_do_not_enable)
{
	const uint32_t bad[] = {0,      3,      RIG_MAX + 1,  2 * RIG_MAX,
				0x8000, 0xffff, 0x10000 + 16, UINT32_MAX};
	struct rig *r = fresh();
	enum log_level before = log_level;

	log_level = LOG_ERROR;
	accept(r, VERSION_1);
	virtio_set_status(r->dev, ACK | DRIVER | FEATURES_OK);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		virtio_queue_set(r->dev, 0, VQ_FIELD_SIZE, bad[i]);
		virtio_queue_set(r->dev, 0, VQ_FIELD_ENABLE, 1);
		CHECK_EQ(0, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	}
	log_level = before;
	stop(r);
}

/* ---- reset ---- */

static void reset_with_requests(struct rig *r)
{
	struct vq_chain c[3];
	uint64_t features = r->dev->features;
	uint8_t *before = malloc(FAKE_RAM);

	for (unsigned i = 0; i < 3; i++)
		rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c[0]));
	CHECK_EQ(1, rig_pop(r, &c[1]));
	vq_stage(r->q, &c[0], 0);
	memcpy(before, r->f.mem.region[0].host, FAKE_RAM);
	virtio_set_status(r->dev, 0);
	CHECK_EQ(0, virtio_status(r->dev));
	CHECK_EQ(0, accepted(r));
	CHECK_EQ(1, r->d->in_flight_at_reset); /* the device could still see what it had to drop */
	CHECK_EQ(0, memcmp(before, r->f.mem.region[0].host, FAKE_RAM));
	free(before);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		CHECK_EQ(fields[i] == VQ_FIELD_SIZE ? RIG_MAX : 0,
			 virtio_queue_get(r->dev, 0, fields[i]));
	CHECK_EQ(0, virtio_queue_get(r->dev, 0, VQ_FIELD_ENABLE));
	turn(r); /* doorbells of before */
	CHECK_EQ(0, r->d->kicks[0]);
	fake_attach(&r->f, r->dev, features);
	CHECK_EQ(0, rig_pop(r, &c[0])); /* a new ring, from the start */
	vq_publish(r->q);               /* and nothing staged */
	rig_nothing_used(r);
	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c[0]));
}

TEST(reset_forgets_everything_with_requests_in_flight)
{
	rig_both(reset_with_requests, 0);
}

TEST(reset_tells_device_and_transport_each_time)
{
	struct rig *r = running(0);
	unsigned device = r->d->resets, transport = r->f.resets;

	for (unsigned i = 1; i <= 3; i++) {
		virtio_set_status(r->dev, 0);
		CHECK_EQ(device + i, r->d->resets);
		CHECK_EQ(transport + i, r->f.resets);
	}
	stop(r);
}

/* ---- a broken device ---- */

static void breaks(struct rig *r)
{
	struct vq_chain c;
	uint64_t features = r->dev->features;

	turn(r);
	virtio_finish(r->dev, 0, -EINVAL);
	CHECK(virtio_status(r->dev) & NEEDS_RESET);
	CHECK_EQ(1, r->f.config_interrupts);
	CHECK(!virtio_queue_ready(r->dev, 0));
	CHECK(!virtio_queue_ready(r->dev, 1));
	virtio_finish(r->dev, 0, -EINVAL); /* said once */
	CHECK_EQ(1, r->f.config_interrupts);
	virtio_kick(r->dev, 0);
	turn(r);
	CHECK_EQ(1, r->d->kicks[0]);
	fake_attach(&r->f, r->dev, features); /* which resets */
	CHECK(!(virtio_status(r->dev) & NEEDS_RESET));
	CHECK(virtio_queue_ready(r->dev, 0));
	turn(r);
	CHECK_EQ(2, r->d->kicks[0]);
	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c));
}

TEST(a_broken_ring_stops_the_device_until_reset_and_it_is_told_once)
{
	enum log_level before = log_level;

	log_level = LOG_ERROR; /* it warns, on purpose */
	rig_both(breaks, 0);
	log_level = before;
}

/* ---- interrupts ---- */

static void notifies(struct rig *r)
{
	struct vq_chain c;

	virtio_notify(r->dev, 0);
	CHECK_EQ(0, r->f.interrupts[0]); /* nothing was used */
	rig_add(r, 1);
	CHECK_EQ(1, rig_pop(r, &c));
	vq_push(r->q, &c, 0);
	virtio_finish(r->dev, 0, 0);
	CHECK_EQ(1, r->f.interrupts[0]);
	virtio_finish(r->dev, 0, 0);
	CHECK_EQ(1, r->f.interrupts[0]);
	CHECK_EQ(0, r->f.interrupts[1]);
	CHECK_EQ(0, r->f.config_interrupts);
}

TEST(used_chains_interrupt_once)
{
	rig_both(notifies, 0);
}

TEST(a_configuration_change_interrupts_a_running_driver_and_counts_up)
{
	struct rig *r = running(0);
	uint8_t before = virtio_generation(r->dev);

	virtio_config_changed(r->dev);
	CHECK_EQ((uint8_t)(before + 1), virtio_generation(r->dev));
	CHECK_EQ(1, r->f.config_interrupts);
	virtio_set_status(r->dev, 0);
	virtio_config_changed(r->dev);
	CHECK_EQ((uint8_t)(before + 2), virtio_generation(r->dev));
	CHECK_EQ(1, r->f.config_interrupts);
	stop(r);
}

/* ---- configuration space ---- */

TEST(the_configuration_space_ends_where_it_ends)
{
	struct rig *r = fresh();
	uint8_t data[16];

	for (unsigned i = 0; i < 8; i++)
		r->d->config[i] = (uint8_t)(0x10 + i);
	for (unsigned off = 0; off < 20; off++) {
		for (unsigned len = 0; len <= 16; len++) {
			memset(data, 0xee, sizeof(data));
			virtio_config_read(r->dev, off, data, len);
			for (unsigned i = 0; i < 16; i++) {
				unsigned there = off + i < 8 ? 0x10 + off + i : 0;
				CHECK_EQ(i < len ? there : 0xee, data[i]);
			}
		}
	}
	virtio_config_read(r->dev, UINT64_MAX, data, 4);
	CHECK_EQ(0, data[0]);
	stop(r);
}

TEST(configuration_writes_lie_inside_or_are_lost)
{
	struct rig *r = fresh();
	const uint8_t data[4] = {1, 2, 3, 4};
	const uint64_t off[] = {5, 6, 7, 8, 9, 1ULL << 32, UINT64_MAX, UINT64_MAX - 3};

	for (unsigned i = 0; i < ARRAY_SIZE(off); i++)
		virtio_config_write(r->dev, off[i], data, 4);
	CHECK_EQ(0, r->d->config[7]);
	virtio_config_write(r->dev, 4, data, 4);
	CHECK_EQ(4, r->d->config[7]);
	stop(r);
}
