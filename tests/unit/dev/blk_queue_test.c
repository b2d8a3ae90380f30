// SPDX-License-Identifier: Apache-2.0
#include "dev/blk_rig.h"

#include <stdatomic.h>
#include <unistd.h>

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

/* Calls for the image do not come back until the pipe has an end. */
struct hang {
	int fd;
	atomic_uint begun;
};

static ssize_t hanging(void *arg, enum disk_op op, ssize_t result)
{
	struct hang *h = arg;
	char c;

	(void)op;
	atomic_fetch_add(&h->begun, 1);
	CHECK_EQ(0, read(h->fd, &c, 1));
	return result;
}

static void *reset(void *arg)
{
	virtio_set_status(arg, 0);
	return NULL;
}

static void offer(struct rig *g, unsigned n)
{
	put_header(g, VIRTIO_BLK_T_OUT, 0);
	for (unsigned i = 0; i < n; i++)
		fake_add(&g->f, 0,
			 (struct fake_seg[]){{g->header, 16, false},
					     {g->data, 512, false},
					     {g->status, 1, true}},
			 3);
}

/* As long as the host's storage hangs, a vCPU hangs in its reset; the loop has other devices to serve. */
TEST(the_loop_does_not_wait_for_a_reset_that_waits_for_the_disk)
{
	pthread_t thread[2];
	struct rig g;
	struct disk *d;
	struct hang hang = {0};
	bool waiting;
	int end[2];

	rig_init(&g);
	g.config.engine = DISK_ENGINE_THREADS;
	rig_attach(&g, ALL);
	d = blk_of(&g)->disk;
	CHECK_EQ(0, pipe(end));
	hang.fd = end[0];
	d->file.fault_arg = &hang;
	d->file.fault = hanging;
	alarm(200);
	offer(&g, 5);
	fake_kick(&g.f, 0);
	CHECK_EQ(5, d->in_flight);
	while (atomic_load(&hang.begun) == 0) /* else all would be cancelled, and nothing waits */
		usleep(1000);
	for (unsigned i = 0; i < 2; i++) /* another vCPU does the same */
		CHECK_EQ(0, pthread_create(&thread[i], NULL, reset, g.dev));
	do {
		pthread_mutex_lock(&g.dev->lock);
		waiting = g.dev->resetting && d->in_flight < 5;
		pthread_mutex_unlock(&g.dev->lock);
		usleep(1000); /* lets the others have the lock */
	} while (!waiting);
	CHECK(virtio_status(g.dev) & VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned i = 0; i < 3; i++) {
		virtio_kick(g.dev, 0);
		while (fake_turn(&g.f, 0))
			;
		d->ready(d->arg);
		blk_of(&g)->limit.resume(blk_of(&g));
		d->changed(d->changed_arg);
	}
	pthread_mutex_lock(&g.dev->lock);
	CHECK(d->in_flight > 0);
	pthread_mutex_unlock(&g.dev->lock);
	close(end[1]);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	alarm(0);
	CHECK_EQ(0, virtio_status(g.dev));
	CHECK_EQ(0, d->in_flight);
	CHECK_EQ(NO_STATUS, status_of(&g));
	d->file.fault = NULL;
	close(end[0]);
	g.f.next = align_up(g.status + 64, 4096);
	fake_attach(&g.f, g.dev, 0);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 0, 512, true, NULL));
	rig_fini(&g);
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

/* truncate(2) by path opens nothing, so nothing is closed: the next flush finds it. */
TEST(a_size_that_nobody_tells_of_is_found_by_the_next_flush)
{
	uint64_t capacity;
	struct rig g;

	rig_start(&g);
	CHECK_EQ(0, truncate(g.image, 2 * DISK_LEN));
	while (fake_turn(&g.f, 0))
		;
	CHECK_EQ(0, g.f.config_interrupts);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL));
	CHECK_EQ(1, g.f.config_interrupts);
	virtio_config_read(g.dev, 0, &capacity, sizeof(capacity));
	CHECK_EQ(2 * SECTORS, capacity);
	CHECK_EQ(VIRTIO_BLK_S_OK, request(&g, VIRTIO_BLK_T_IN, 2 * SECTORS - 1, 512, true, NULL));
	rig_fini(&g);
}

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
