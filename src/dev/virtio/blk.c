// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/blk_impl.h"

#define QUEUE_SIZE_DEFAULT 256
#define PHYSICAL_BLOCK     4096 /* what the host's file systems and most disks work in */

static void blk_kick(struct virtio_dev *dev, unsigned queue)
{
	blk_serve(container_of(dev, struct blk, base), queue);
}

/* 5.2.5.2: without FLUSH the cache begins as write-through. */
static void blk_activate(struct virtio_dev *dev)
{
	struct blk *blk = container_of(dev, struct blk, base);

	blk->config.wce = virtio_has(dev, VIRTIO_BLK_F_FLUSH);
}

static void blk_reset(struct virtio_dev *dev)
{
	struct blk *blk = container_of(dev, struct blk, base);

	blk->dropping = true;
	disk_cancel(blk->disk, &dev->lock);
	blk->dropping = false;
	blk->completed = 0;
	blk->config.wce = 1;
}

static void blk_config_write(struct virtio_dev *dev, unsigned off, const void *data, unsigned len)
{
	struct blk *blk = container_of(dev, struct blk, base);

	if (off == offsetof(struct virtio_blk_config, wce) && len == 1 &&
	    virtio_has(dev, VIRTIO_BLK_F_CONFIG_WCE))
		blk->config.wce = *(const uint8_t *)data != 0;
}

static void free_all(struct blk *blk)
{
	blk->dropping = true;
	disk_close(blk->disk);
	ratelimit_fini(&blk->limit);
	for (unsigned i = 0; blk->queue && i < blk->n_queues; i++) {
		free(blk->queue[i].slot);
		free(blk->queue[i].iov);
	}
	free(blk->queue);
	free(blk);
}

static void blk_destroy(struct virtio_dev *dev)
{
	virtio_fini(dev);
	free_all(container_of(dev, struct blk, base));
}

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.kick = blk_kick,
	.activate = blk_activate,
	.reset = blk_reset,
	.config_write = blk_config_write,
	.destroy = blk_destroy,
};

/* ---- the loop's events ---- */

static void on_ready(void *arg)
{
	struct blk *blk = arg;

	pthread_mutex_lock(&blk->base.lock);
	if (!blk->dropping) /* then the vCPU that resets us reaps */
		blk_reap(blk);
	pthread_mutex_unlock(&blk->base.lock);
}

static void on_resume(void *arg)
{
	struct blk *blk = arg;

	pthread_mutex_lock(&blk->base.lock);
	for (unsigned i = 0; i < blk->n_queues; i++)
		if (virtio_queue_ready(&blk->base, i))
			blk_serve(blk, i);
	pthread_mutex_unlock(&blk->base.lock);
}

void blk_rescan(struct blk *blk)
{
	if (!disk_rescan(blk->disk))
		return;
	blk->config.capacity = disk_size(blk->disk) / DISK_SECTOR;
	virtio_config_changed(&blk->base);
}

static void on_changed(void *arg)
{
	struct blk *blk = arg;

	pthread_mutex_lock(&blk->base.lock);
	blk_rescan(blk);
	pthread_mutex_unlock(&blk->base.lock);
}

/* ---- creation ---- */

static void fill_config(struct blk *blk, unsigned seg_max)
{
	unsigned block = disk_block_size(blk->disk);
	unsigned physical = MAX(block, (unsigned)PHYSICAL_BLOCK);

	blk->config = (struct virtio_blk_config){
		.capacity = disk_size(blk->disk) / DISK_SECTOR,
		.seg_max = seg_max,
		.blk_size = block,
		.physical_block_exp = (uint8_t)__builtin_ctz(physical / block),
		.min_io_size = (uint16_t)(physical / block),
		.wce = 1,
		.num_queues = (uint16_t)blk->n_queues,
		.max_discard_sectors = BLK_DISCARD_SECTORS,
		.max_discard_seg = BLK_RANGES_MAX,
		.discard_sector_alignment = physical / DISK_SECTOR,
		.max_write_zeroes_sectors = BLK_ZEROES_SECTORS,
		.max_write_zeroes_seg = BLK_RANGES_MAX,
		.write_zeroes_may_unmap = disk_can_discard(blk->disk),
	};
}

static uint64_t features(const struct blk *blk, const struct disk_config *config)
{
	uint64_t bits = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE |
			1ULL << VIRTIO_BLK_F_TOPOLOGY | 1ULL << VIRTIO_BLK_F_FLUSH |
			1ULL << VIRTIO_BLK_F_CONFIG_WCE;

	if (blk->n_queues > 1)
		bits |= 1ULL << VIRTIO_BLK_F_MQ;
	if (disk_readonly(blk->disk))
		bits |= 1ULL << VIRTIO_BLK_F_RO;
	else
		bits |= 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	if (disk_can_discard(blk->disk))
		bits |= 1ULL << VIRTIO_BLK_F_DISCARD;
	if (config->packed)
		bits |= 1ULL << VIRTIO_F_RING_PACKED;
	return bits;
}

static int alloc_queues(struct blk *blk, unsigned size, struct err *e)
{
	blk->queue = calloc(blk->n_queues, sizeof(*blk->queue));
	for (unsigned i = 0; blk->queue && i < blk->n_queues; i++) {
		struct blk_queue *q = &blk->queue[i];

		q->n_slots = size;
		q->slot = calloc(size, sizeof(*q->slot));
		q->iov = calloc((size_t)size * blk->iov_max, sizeof(*q->iov));
		if (!q->slot || !q->iov)
			return err_set(e, ENOMEM, "disk: out of memory");
	}
	return blk->queue ? 0 : err_set(e, ENOMEM, "disk: out of memory");
}

/* GET_ID's answer: not terminated when all 20 bytes are used (5.2.6). */
static void set_id(struct blk *blk, const struct disk_config *config)
{
	const char *id = config->serial ? config->serial : config->id;

	if (id)
		memcpy(blk->id, id, strnlen(id, sizeof(blk->id)));
}

static int set_up(struct blk *blk, const struct disk_config *config, const struct virtio_host *host,
		  struct err *e)
{
	unsigned size = config->queue_size ? config->queue_size : QUEUE_SIZE_DEFAULT;
	unsigned seg_max = size > 3 ? MIN(size - 2, (unsigned)BLK_SEG_MAX) : 1;
	int rc;

	if (size > VQ_MAX_SIZE || size & (size - 1))
		return err_set(e, EINVAL, "disk '%s': a queue has 1 to %u entries, a power of two",
			       config->path, VQ_MAX_SIZE);
	blk->name = config->path;
	blk->n_queues = MIN(MAX(config->queues, 1U), (unsigned)BLK_QUEUES_MAX);
	blk->iov_max = seg_max + 2;
	set_id(blk, config);
	rc = disk_open(&blk->disk, config, host->loop, on_ready, blk, e);
	if (rc == 0)
		rc = ratelimit_init(&blk->limit, &config->limit, host->loop, on_resume, blk, e);
	if (rc == 0)
		rc = alloc_queues(blk, size, e);
	if (rc < 0)
		return rc;
	fill_config(blk, seg_max);
	return virtio_init(&blk->base, &blk_ops, host, blk->n_queues, (uint16_t)size, &blk->config,
			   sizeof(blk->config), e);
}

int blk_create(struct virtio_dev **out, const struct disk_config *config,
	       const struct virtio_host *host, struct err *e)
{
	struct blk *blk = calloc(1, sizeof(*blk));
	int rc;

	if (!blk)
		return err_set(e, ENOMEM, "disk: out of memory");
	rc = set_up(blk, config, host, e);
	if (rc < 0) {
		free_all(blk);
		return rc;
	}
	blk->base.offered |= features(blk, config);
	disk_watch(blk->disk, on_changed, blk);
	*out = &blk->base;
	return 0;
}
