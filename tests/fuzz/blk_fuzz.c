// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a driver of a virtio disk: which features it accepts, and up to 16 chains, well-formed or raw
 * descriptors, with doorbells, resets and turns of the event loop in between, over a disk in memory. Whatever it
 * does: no length is told that was not there to write, the image keeps its size, and after a reset the device
 * works.
 */
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/disk_impl.h"
#include "base/log.h"
#include "dev/virtio/blk_impl.h"
#include "fake/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_LEN   65536
#define CHAINS_MAX 16
#define SEGS_MAX   6
#define ARENA      16384 /* guest memory that buffers lie in */

struct input {
	const uint8_t *at;
	size_t left;
};

struct machine {
	struct fake_driver f;
	struct virtio_dev *dev;
	struct disk *disk;
	int image;
	uint64_t arena;
	uint32_t writable
		[FAKE_QUEUE_SIZE]; /* bytes that a well-formed chain lets us write, by its head */
	unsigned n_desc;           /* of well-formed chains that may be under way */
	bool raw;                  /* a chain was not well-formed: lengths are not known */
};

/*
 * An engine without threads and rings, for thousands of inputs a second: requests lie about until somebody reaps,
 * and come back newest first. It stands in for disk_threads_ops.
 */
static void slow_submit(struct disk *d, struct disk_request *r)
{
	r->next = d->engine;
	d->engine = r;
}

static void slow_commit(struct disk *d)
{
	(void)d;
}

static unsigned slow_reap(struct disk *d)
{
	struct disk_request *r = d->engine;

	if (!r)
		return 0;
	d->engine = r->next;
	disk_do(d, r);
	disk_finish(d, r);
	return 1;
}

static const struct disk_engine_ops slow_ops = {
	.name = "slow",
	.close = slow_commit,
	.submit = slow_submit,
	.commit = slow_commit,
	.reap = slow_reap,
	.wait = slow_commit,
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static uint8_t next(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static uint32_t next16(struct input *in)
{
	uint32_t low = next(in);

	return low | (uint32_t)next(in) << 8;
}

static void make(struct machine *m, uint8_t bits)
{
	char path[32];
	struct disk_config config = {
		.id = (char *)"fuzz",
		.path = path,
		.queue_size = FAKE_QUEUE_SIZE,
		.readonly = bits & 1,
		.no_discard = bits & 2,
		.queues = bits & 4 ? 2 : 1,
		.engine = bits & 8 ? DISK_ENGINE_IO_URING : DISK_ENGINE_THREADS,
	};
	struct err e;

	m->image = memfd_create("image", MFD_CLOEXEC);
	must(m->image >= 0 && ftruncate(m->image, DISK_LEN) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->image);
	fake_init(&m->f);
	m->arena = fake_alloc(&m->f, ARENA);
	must(blk_create(&m->dev, &config, &m->f.host, &e) == 0);
	m->disk = container_of(m->dev, struct blk, base)->disk;
	if (m->disk->ops == &disk_threads_ops) {
		disk_threads_ops.close(m->disk);
		m->disk->ops = &slow_ops;
	}
}

/* To the same state for each input: RAM, image, device. */
static void reset(struct machine *m, uint64_t features)
{
	virtio_set_status(m->dev, 0);
	m->f.next = align_up(m->arena + ARENA, 4096);
	fake_attach(&m->f, m->dev, features & m->dev->offered);
	memset(m->writable, 0, sizeof(m->writable));
	m->n_desc = 0;
	m->raw = false;
}

static struct machine *start(struct input *in)
{
	/* Kept: to close an inotify descriptor takes the kernel milliseconds. */
	static struct machine machines[16];
	uint8_t bits = next(in) % 16;
	struct machine *m = &machines[bits];

	if (!m->dev)
		make(m, bits);
	memset(fake_host(&m->f, m->arena), 0, 256 * KIB);
	must(ftruncate(m->image, 0) == 0 && ftruncate(m->image, DISK_LEN) == 0);
	reset(m, next(in) & 1 ? 0 : ~(1ULL << VIRTIO_F_RING_PACKED));
	return m;
}

static void put_header(struct machine *m, struct input *in, uint64_t gpa)
{
	static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 0, 1};
	uint8_t what = next(in);
	struct virtio_blk_outhdr h = {.type = types[what & 7], .sector = next(in)};

	if (what & 8)
		h.sector = ~0ULL >> (next(in) & 63);
	if (what & 16)
		h.type = next16(in) << 16 | next16(in);
	memcpy(fake_host(&m->f, gpa), &h, sizeof(h));
}

/* The readable segments, then the writable ones; where they lie and overlap is the input's choice. */
static void add_chain(struct machine *m, struct input *in, unsigned queue)
{
	unsigned shape = next(in), n = shape % SEGS_MAX + 1, n_out = (shape >> 4) % (n + 1);
	struct fake_seg seg[SEGS_MAX];
	uint32_t writable = 0;
	uint16_t head;

	for (unsigned i = 0; i < n; i++) {
		uint32_t at = next16(in) % (ARENA - 4096), len = next16(in) % 4096 + 1;

		if (i == 0)
			put_header(m, in, m->arena + at);
		if (i == 0 && len & 1)
			len = 16;
		if (i + 1 == n && len & 1)
			len = 1;
		seg[i] = (struct fake_seg){m->arena + at, len, i >= n_out};
		writable += i >= n_out ? len : 0;
	}
	head = fake_add(&m->f, queue, seg, n);
	m->writable[head] = MAX(m->writable[head], writable);
	m->n_desc += n;
	if (m->n_desc > FAKE_QUEUE_SIZE)
		m->raw = true; /* chains have overwritten each other's descriptors */
}

static void add_raw(struct machine *m, struct input *in, unsigned queue)
{
	unsigned n = next(in) % 8;

	m->raw = true;
	for (unsigned i = 0; i < n; i++) {
		uint16_t at = next(in) % FAKE_QUEUE_SIZE;
		uint64_t gpa = m->arena + next16(in);
		uint32_t len = next16(in);
		uint16_t flags = next(in) % 8;

		if (len & 0x8000)
			gpa = ~0ULL >> (next(in) & 63);
		if (len & 0x4000)
			len = ~0U >> (len & 31);
		fake_desc(&m->f, queue, at, gpa, len, flags, next(in) % (FAKE_QUEUE_SIZE + 1));
	}
	fake_offer(&m->f, queue, next(in) % (FAKE_QUEUE_SIZE + 1));
}

static void take_used(struct machine *m)
{
	uint16_t head;
	uint32_t len;

	for (unsigned q = 0; q < m->dev->n_queues; q++)
		for (unsigned n = 0; n < CHAINS_MAX && fake_used(&m->f, q, &head, &len); n++) {
			must(head < FAKE_QUEUE_SIZE);
			must(m->raw || len <= m->writable[head]);
		}
}

static void turn(struct machine *m)
{
	m->disk->ready(m->disk->arg);
	for (unsigned n = 0; n < 8 && fake_turn(&m->f, 0); n++)
		;
	take_used(m);
	if (m->disk->in_flight == 0 && vq_pending(virtio_vq(m->dev, 0)) == 0 &&
	    m->dev->n_queues == 1)
		m->n_desc = 0;
}

/* After all that, a plain read of the first sector. */
static void check_alive(struct machine *m)
{
	struct virtio_blk_outhdr h = {.type = VIRTIO_BLK_T_IN};
	struct fake_seg seg[] = {{m->arena, 16, false},
				 {m->arena + 64, 512, true},
				 {m->arena + 1024, 1, true}};
	struct stat st;
	uint16_t head;
	uint32_t len;

	reset(m, 0);
	memcpy(fake_host(&m->f, m->arena), &h, sizeof(h));
	*(uint8_t *)fake_host(&m->f, m->arena + 1024) = 0xff;
	fake_add(&m->f, 0, seg, 3);
	fake_kick(&m->f, 0);
	must(fake_wait_used(&m->f, 0, &head, &len) && len == 513);
	must(*(uint8_t *)fake_host(&m->f, m->arena + 1024) == VIRTIO_BLK_S_OK);
	must(fstat(m->image, &st) == 0 && st.st_size == DISK_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct machine *m;

	log_level = LOG_ERROR;
	m = start(&in);
	for (unsigned i = 0; i < CHAINS_MAX && in.left > 0; i++) {
		uint8_t op = next(&in);
		unsigned queue = (op >> 6 & 1) % m->dev->n_queues;

		if (op & 1)
			add_raw(m, &in, queue);
		else
			add_chain(m, &in, queue);
		if (op & 2)
			fake_kick(&m->f, queue);
		if (op & 4)
			turn(m);
		if ((op & 0x38) == 0x38)
			reset(m, 0);
	}
	for (unsigned q = 0; q < m->dev->n_queues; q++)
		fake_kick(&m->f, q);
	for (unsigned n = 0; n < CHAINS_MAX && m->disk->in_flight > 0; n++)
		turn(m);
	check_alive(m);
	return 0;
}
