// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a list of what a driver does to a balloon: descriptors, page frames, statistics, configuration
 * writes, resets. At the end a new driver must find a balloon that works.
 */
#include <sys/timerfd.h>

#include "dev/virtio/balloon.h"
#include "driver_ops.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME 900 /* of RAM, clear of the rings */

/* The device's: there is no other. */
static int find_timer(void)
{
	struct itimerspec when;
	int fd = 3;

	while (fd < 1024 && timerfd_gettime(fd, &when) < 0)
		fd++;
	return fd;
}

static void interval_over(struct fake_driver *f, int timer)
{
	struct itimerspec now = {.it_value.tv_nsec = 1};

	must(timerfd_settime(timer, 0, &now, NULL) == 0);
	fake_turn(f, 10);
}

static void configure(struct fake_driver *f, struct input *in)
{
	uint8_t data[8];
	unsigned off = take(in, 1) % 24, len = 1 + take(in, 1) % 8;

	for (unsigned i = 0; i < len; i++)
		data[i] = (uint8_t)take(in, 1);
	virtio_config_write(f->dev, off, data, len);
}

static void check_works(struct fake_driver *f)
{
	uint32_t frame = FRAME, len;
	uint16_t head;

	next_driver(f, f->dev, 0);
	memset(fake_host(f, FRAME << 12), 0xaa, 4096);
	must(gmem_write(&f->mem, AREA, &frame, 4) == 0);
	fake_add(f, 0, &(struct fake_seg){AREA, 4, false}, 1);
	fake_kick(f, 0);
	must(fake_used(f, 0, &head, &len) && len == 0);
	must(*(uint8_t *)fake_host(f, FRAME << 12) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct balloon_config config = {.enabled = true,
					      .deflate_on_oom = true,
					      .free_page_reporting = true,
					      .stats_interval_s = 3600};
	struct input in = {data, MIN(size, 2048)};
	struct balloon_info info;
	struct virtio_dev *dev;
	struct fake_driver f;
	struct err e;
	int timer;

	fake_init(&f);
	must(balloon_create(&dev, &config, &f.host, &e) == 0);
	timer = find_timer();
	next_driver(&f, dev, take(&in, 1));
	while (in.left > 0) {
		unsigned op = take(&in, 1), queue = (op >> 4) % dev->n_queues;

		if (driver_act(&f, &in, op & 15, queue))
			continue;
		if ((op & 15) == 6)
			configure(&f, &in);
		else if ((op & 15) == 7)
			next_driver(&f, dev, take(&in, 1));
		else if ((op & 15) == 8)
			(void)!balloon_set_target(dev, (uint64_t)take(&in, 2) << 12);
		else if ((op & 15) == 9)
			interval_over(&f, timer);
	}
	balloon_info(dev, &info);
	must(info.target_bytes <= FAKE_RAM);
	check_works(&f);
	fake_fini(&f);
	return 0;
}
