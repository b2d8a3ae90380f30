// SPDX-License-Identifier: Apache-2.0
/* Sections are those of virtio 1.2. docs/balloon.md has the pictures. */
#include "dev/virtio/balloon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

#define PFN_SHIFT  VIRTIO_BALLOON_PFN_SHIFT
#define QUEUE_SIZE 128 /* Linux reports free pages 32 at a time and wants that many entries */
#define SEGMENTS   128
#define PFNS_A_CHAIN \
	4096 /* of one request; the rest of a longer one stays where it is. Linux sends 256 */
#define CHAINS_A_KICK  8 /* then other devices get their turn: 32768 pages, some 25 ms at worst */
#define PFNS_A_COPY    256
#define INTERVAL_MAX_S (7 * 86400u)
#define STATS_BYTES    1024 /* of the statistics that are looked at: a hundred of the ten there are */

/* 5.5.2. What the numbers from 2 on mean depends on the features; see kick(). */
enum { INFLATEQ, DEFLATEQ, STATSQ, FREE_PAGEQ, REPORTINGQ, N_QUEUES };

struct balloon {
	struct virtio_dev base;
	struct virtio_balloon_config config;
	struct iovec iov[SEGMENTS];

	/* 5.5.6.3: the statistics buffer is ours between two requests, and giving it back is the request. */
	struct vq_chain stats_chain;
	bool stats_held, stats_asked;
	unsigned stats_interval_s;
	struct loop_source timer; /* fd -1: no statistics */
	uint64_t stat[VIRTIO_BALLOON_S_NR];
};

/* ---- inflate: 5.5.6 ---- */

/* A run of neighbouring page frames: one call to the host instead of many. */
struct run {
	uint64_t first, n;
};

static void discard_run(struct balloon *b, struct run *run)
{
	const struct gmem *mem = b->base.host->mem;
	uint64_t len = run->n << PFN_SHIFT;
	void *host;
	int rc;

	if (run->n == 0)
		return;
	host = gmem_slice(mem, run->first << PFN_SHIFT, len);
	rc = host ? gmem_discard(mem, host, len) : -EFAULT;
	if (rc < 0)
		log_limited(&b->base.log, "balloon: the host keeps %llu pages: %s",
			    (unsigned long long)run->n, strerror(-rc));
	run->n = 0;
}

/* Linux hands out pages in rising or in falling order. A frame that is not RAM must not spoil its neighbours. */
static void add_frame(struct balloon *b, struct run *run, uint32_t pfn)
{
	bool is_ram = gmem_slice(b->base.host->mem, (uint64_t)pfn << PFN_SHIFT, PAGE_SIZE) != NULL;

	if (!is_ram) {
		log_limited(&b->base.log, "balloon: page frame %#x is not RAM", pfn);
	} else if (run->n > 0 && pfn == run->first + run->n) {
		run->n++;
	} else if (run->n > 0 && pfn + 1ULL == run->first) {
		run->first = pfn;
		run->n++;
	} else {
		discard_run(b, run);
		*run = (struct run){.first = pfn, .n = 1};
	}
}

static void inflate(struct balloon *b, const struct vq_chain *c)
{
	size_t end = MIN(c->out_len, PFNS_A_CHAIN * sizeof(uint32_t));
	uint32_t pfn[PFNS_A_COPY];
	struct run run = {0};

	for (size_t off = 0; off < end; off += sizeof(pfn)) {
		size_t got = vq_copy_out(c, off, pfn, MIN(sizeof(pfn), end - off));

		for (size_t i = 0; i < got / sizeof(pfn[0]); i++)
			add_frame(b, &run, pfn[i]);
	}
	discard_run(b, &run);
}

/* ---- free page reporting: 5.5.6.7 ---- */

/* The pages themselves are the buffers. Linux reports them 2 MiB at a time, so huge pages go as a whole. */
static void report(struct balloon *b, const struct vq_chain *c)
{
	const struct iovec *iov = c->iov + c->n_out;

	for (unsigned i = 0; i < c->n_in; i++) {
		int rc = gmem_discard(b->base.host->mem, iov[i].iov_base, iov[i].iov_len);

		if (rc < 0)
			log_limited(&b->base.log, "balloon: free pages stay: %s", strerror(-rc));
	}
}

/* ---- statistics: 5.5.6.3 ---- */

static uint64_t stat_mib(const struct balloon *b, unsigned tag)
{
	return b->stat[tag] == UINT64_MAX ? 0 : b->stat[tag] / MIB;
}

static void print_stats(const struct balloon *b)
{
	log_info("balloon: %llu MiB; guest: %llu of %llu MiB free, %llu available, %llu caches",
		 (unsigned long long)((uint64_t)b->config.actual << PFN_SHIFT) / MIB,
		 (unsigned long long)stat_mib(b, VIRTIO_BALLOON_S_MEMFREE),
		 (unsigned long long)stat_mib(b, VIRTIO_BALLOON_S_MEMTOT),
		 (unsigned long long)stat_mib(b, VIRTIO_BALLOON_S_AVAIL),
		 (unsigned long long)stat_mib(b, VIRTIO_BALLOON_S_CACHES));
}

static void parse_stats(struct balloon *b, const struct vq_chain *c)
{
	size_t end = MIN(c->out_len, STATS_BYTES);
	struct virtio_balloon_stat s;

	memset(b->stat, 0xff, sizeof(b->stat));
	for (size_t off = 0; off + sizeof(s) <= end; off += sizeof(s)) {
		if (vq_copy_out(c, off, &s, sizeof(s)) != sizeof(s))
			break;
		if (s.tag < VIRTIO_BALLOON_S_NR) /* others MUST be ignored */
			b->stat[s.tag] = s.val;
	}
}

/* A new buffer: what it says, and it is kept. One that a driver offers too many frees the one before. */
static void take_stats(struct balloon *b, const struct vq_chain *c)
{
	if (b->stats_held)
		vq_push(virtio_vq(&b->base, STATSQ), &b->stats_chain, 0);
	parse_stats(b, c);
	b->stats_chain = *c;
	b->stats_held = true;
	if (b->stats_asked)
		print_stats(b);
	b->stats_asked = false;
	timer_arm(b->timer.fd, b->stats_interval_s * 1000);
}

/* Loop thread: giving the buffer back asks for the next one. */
static void stats_due(void *arg, uint32_t events)
{
	struct balloon *b = arg;
	uint64_t times;

	(void)events;
	pthread_mutex_lock(&b->base.lock);
	if (read(b->timer.fd, &times, sizeof(times)) == sizeof(times) && b->stats_held &&
	    virtio_queue_ready(&b->base, STATSQ)) {
		vq_push(virtio_vq(&b->base, STATSQ), &b->stats_chain, 0);
		b->stats_held = false;
		b->stats_asked = true;
		virtio_notify(&b->base, STATSQ);
	}
	pthread_mutex_unlock(&b->base.lock);
}

/* ---- the device ---- */

/*
 * Reports come by queue 4, says the specification, whatever the features. Linux counts only the queues that it
 * uses: 3, and without statistics 2. None of these numbers means anything else here.
 */
static void serve(struct balloon *b, unsigned queue, const struct vq_chain *c)
{
	bool is_stats = queue == STATSQ && virtio_has(&b->base, VIRTIO_BALLOON_F_STATS_VQ);

	if (is_stats && !c->bad) {
		take_stats(b, c);
		return;
	}
	if (queue == INFLATEQ)
		inflate(b, c);
	else if (queue != DEFLATEQ && virtio_has(&b->base, VIRTIO_BALLOON_F_REPORTING))
		report(b, c);
	/* Deflate: a page is there again when the guest touches it. */
	vq_push(virtio_vq(&b->base, queue), c, 0);
}

static void balloon_kick(struct virtio_dev *dev, unsigned queue)
{
	struct balloon *b = container_of(dev, struct balloon, base);
	struct vq *q = virtio_vq(dev, queue);
	struct vq_chain c = {.iov = b->iov, .iov_max = SEGMENTS};
	int rc = 0;

	vq_kicks_off(q);
	for (unsigned n = 0; n < CHAINS_A_KICK && (rc = vq_pop(q, &c)) > 0; n++)
		serve(b, queue, &c);
	virtio_finish(dev, queue, rc);
	if (rc > 0 || (rc == 0 && vq_kicks_on(q)))
		virtio_kick_again(dev, queue);
}

/* The driver owns `actual` alone; a transport may write it byte by byte (4.2.2.2). */
static void balloon_config_write(struct virtio_dev *dev, unsigned off, const void *data,
				 unsigned len)
{
	struct balloon *b = container_of(dev, struct balloon, base);
	const unsigned start = offsetof(struct virtio_balloon_config, actual);

	for (unsigned i = 0; i < len; i++)
		if (off + i >= start && off + i < start + sizeof(b->config.actual))
			((uint8_t *)&b->config)[off + i] = ((const uint8_t *)data)[i];
}

/* The driver that comes next knows nothing of a balloon, and has all pages. */
static void balloon_reset(struct virtio_dev *dev)
{
	struct balloon *b = container_of(dev, struct balloon, base);

	b->stats_held = b->stats_asked = false;
	if (b->timer.fd >= 0)
		timer_arm(b->timer.fd, 0);
	b->config.actual = 0;
}

static void balloon_destroy(struct virtio_dev *dev)
{
	struct balloon *b = container_of(dev, struct balloon, base);

	if (b->timer.fd >= 0)
		loop_remove(dev->host->loop, &b->timer);
	fd_close(&b->timer.fd);
	virtio_fini(dev);
	free(b);
}

static const struct virtio_ops balloon_ops = {
	.name = "balloon",
	.id = VIRTIO_ID_BALLOON,
	.kick = balloon_kick,
	.reset = balloon_reset,
	.config_write = balloon_config_write,
	.destroy = balloon_destroy,
};

static int open_timer(struct balloon *b, struct err *e)
{
	b->timer = (struct loop_source){.fd = timer_open(), .fn = stats_due, .arg = b};
	if (b->timer.fd < 0)
		return err_sys(e, "balloon: timerfd");
	if (loop_add(b->base.host->loop, &b->timer, EPOLLIN) < 0)
		return err_set(e, ENOSPC, "balloon: epoll_ctl");
	return 0;
}

int balloon_create(struct virtio_dev **out, const struct balloon_config *config,
		   const struct virtio_host *host, struct err *e)
{
	struct balloon *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_set(e, ENOMEM, "balloon: out of memory");
	b->timer.fd = -1;
	b->stats_interval_s = MIN(config->stats_interval_s, INTERVAL_MAX_S);
	memset(b->stat, 0xff, sizeof(b->stat));
	rc = virtio_init(&b->base, &balloon_ops, host, N_QUEUES, QUEUE_SIZE, &b->config,
			 sizeof(b->config), e);
	if (rc < 0) {
		free(b);
		return rc;
	}
	if (config->deflate_on_oom)
		b->base.offered |= 1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM;
	if (config->free_page_reporting)
		b->base.offered |= 1ULL << VIRTIO_BALLOON_F_REPORTING;
	if (config->stats_interval_s > 0) {
		b->base.offered |= 1ULL << VIRTIO_BALLOON_F_STATS_VQ;
		rc = open_timer(b, e);
	}
	if (rc == 0 && balloon_set_target(&b->base, config->target) < 0)
		rc = err_set(e, EINVAL, "balloon: %llu MiB is more than the guest's memory (%llu)",
			     (unsigned long long)(config->target / MIB),
			     (unsigned long long)(gmem_size(host->mem) / MIB));
	if (rc < 0)
		balloon_destroy(&b->base);
	else
		*out = &b->base;
	return rc;
}

int balloon_set_target(struct virtio_dev *dev, uint64_t bytes)
{
	struct balloon *b = container_of(dev, struct balloon, base);

	if (bytes > gmem_size(dev->host->mem))
		return -EINVAL;
	pthread_mutex_lock(&dev->lock);
	b->config.num_pages = (uint32_t)(bytes >> PFN_SHIFT); /* RAM has fewer than 2^32 pages */
	virtio_config_changed(dev);
	pthread_mutex_unlock(&dev->lock);
	return 0;
}

void balloon_info(struct virtio_dev *dev, struct balloon_info *out)
{
	struct balloon *b = container_of(dev, struct balloon, base);

	pthread_mutex_lock(&dev->lock);
	out->target_bytes = (uint64_t)b->config.num_pages << PFN_SHIFT;
	out->actual_bytes = (uint64_t)b->config.actual << PFN_SHIFT;
	memcpy(out->stat, b->stat, sizeof(out->stat));
	pthread_mutex_unlock(&dev->lock);
}
