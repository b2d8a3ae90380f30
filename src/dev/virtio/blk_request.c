// SPDX-License-Identifier: Apache-2.0
/*
 * Requests of virtio-blk (virtio 1.2, 5.2.6). A chain is a readable header, data, and a writable status byte at
 * its very end; how they are spread over descriptors is the driver's business (2.7.4).
 */
#include <errno.h>
#include <string.h>

#include "dev/virtio/blk_impl.h"

#define HEADER_LEN sizeof(struct virtio_blk_outhdr)
#define RANGE_LEN  sizeof(struct virtio_blk_discard_write_zeroes)
#define SUBMIT     (-1) /* instead of a status: the disk has to do it */

enum next { NEXT_EMPTY, NEXT_DONE, NEXT_LIMITED, NEXT_BROKEN };

static struct blk_request *slot_get(struct blk *blk, unsigned queue)
{
	struct blk_queue *q = &blk->queue[queue];
	struct blk_request *r = q->free;

	if (r) {
		q->free = r->next_free;
		return r;
	}
	if (q->n_touched == q->n_slots)
		return NULL;
	r = &q->slot[q->n_touched];
	r->blk = blk;
	r->queue = queue;
	r->chain.iov = q->iov + (size_t)q->n_touched++ * blk->iov_max;
	r->chain.iov_max = blk->iov_max;
	return r;
}

static void slot_put(struct blk_request *r)
{
	struct blk_queue *q = &r->blk->queue[r->queue];

	r->next_free = q->free;
	q->free = r;
}

static void push(struct blk_request *r, uint32_t written)
{
	vq_push(virtio_vq(&r->blk->base, r->queue), &r->chain, written);
	r->blk->completed |= 1ULL << r->queue;
	slot_put(r);
}

static void finish(struct blk_request *r, uint8_t status)
{
	*r->status = status;
	push(r, status == VIRTIO_BLK_S_OK ? r->data + 1 : 1);
}

/* 5.2.6.2: until FLUSH was accepted, and while the driver wants it so, a completed write is a durable one. */
static bool write_through(const struct blk *blk)
{
	if (virtio_has(&blk->base, VIRTIO_BLK_F_CONFIG_WCE))
		return !blk->config.wce;
	return !virtio_has(&blk->base, VIRTIO_BLK_F_FLUSH);
}

static bool inside(const struct blk *blk, uint64_t sector, uint64_t len)
{
	uint64_t size = disk_size(blk->disk);

	return sector <= size / DISK_SECTOR && len <= size - sector * DISK_SECTOR;
}

/* ---- what a request is: SUBMIT, or the status it ends with at once ---- */

static int prepare_transfer(struct blk_request *r, uint64_t sector)
{
	struct disk_request *io = &r->io;

	if (io->len % DISK_SECTOR || !inside(r->blk, sector, io->len))
		return VIRTIO_BLK_S_IOERR;
	io->offset = sector * DISK_SECTOR;
	return io->len > 0 ? SUBMIT : VIRTIO_BLK_S_OK;
}

static int prepare_read(struct blk_request *r, uint64_t sector)
{
	struct vq_chain *c = &r->chain;

	if (c->in_len >= UINT32_MAX) /* what used.len cannot tell */
		return VIRTIO_BLK_S_IOERR;
	r->io.op = DISK_READ;
	r->io.iov = c->iov + c->n_out;
	r->io.n_iov = c->n_in;
	r->io.len = r->data = (uint32_t)c->in_len;
	return prepare_transfer(r, sector);
}

static int prepare_write(struct blk_request *r, uint64_t sector)
{
	struct iovec *iov = r->chain.iov;
	unsigned n = r->chain.n_out;
	size_t header = HEADER_LEN;

	if (disk_readonly(r->blk->disk))
		return VIRTIO_BLK_S_IOERR;
	for (; n > 0 && header >= iov->iov_len; iov++, n--)
		header -= iov->iov_len;
	if (n > 0) {
		iov->iov_base = (uint8_t *)iov->iov_base + header;
		iov->iov_len -= header;
	}
	r->io.op = DISK_WRITE;
	r->io.iov = iov;
	r->io.n_iov = n;
	r->io.len = r->chain.out_len - HEADER_LEN;
	return prepare_transfer(r, sector);
}

/* 5.2.6.2: flags that are not known, or unmap with a discard, are not supported. */
static int prepare_range(struct blk_request *r)
{
	bool zeroes = r->type == VIRTIO_BLK_T_WRITE_ZEROES;
	struct virtio_blk_discard_write_zeroes range = {0};
	uint64_t len;

	vq_copy_out(&r->chain, HEADER_LEN + r->range * RANGE_LEN, &range, RANGE_LEN);
	if (range.flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > (zeroes ? BLK_ZEROES_SECTORS : BLK_DISCARD_SECTORS))
		return VIRTIO_BLK_S_IOERR;
	len = (uint64_t)range.num_sectors * DISK_SECTOR;
	if (!inside(r->blk, range.sector, len))
		return VIRTIO_BLK_S_IOERR;
	r->io.op = zeroes ? DISK_WRITE_ZEROES : DISK_DISCARD;
	r->io.offset = range.sector * DISK_SECTOR;
	r->io.len = len;
	r->io.n_iov = 0;
	r->io.may_unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	return SUBMIT;
}

static unsigned n_ranges(const struct blk_request *r)
{
	return (unsigned)((r->chain.out_len - HEADER_LEN) / RANGE_LEN);
}

static int prepare_ranges(struct blk_request *r, unsigned feature)
{
	uint64_t len = r->chain.out_len - HEADER_LEN;

	if (!virtio_has(&r->blk->base, feature))
		return VIRTIO_BLK_S_UNSUPP;
	if (disk_readonly(r->blk->disk) || len == 0 || len % RANGE_LEN ||
	    len / RANGE_LEN > BLK_RANGES_MAX)
		return VIRTIO_BLK_S_IOERR;
	return prepare_range(r);
}

static int get_id(struct blk_request *r)
{
	r->data = (uint32_t)vq_copy_in(&r->chain, 0, r->blk->id,
				       MIN(r->chain.in_len, sizeof(r->blk->id)));
	return VIRTIO_BLK_S_OK;
}

static int prepare(struct blk_request *r)
{
	struct virtio_blk_outhdr header;

	if (vq_copy_out(&r->chain, 0, &header, HEADER_LEN) != HEADER_LEN)
		return VIRTIO_BLK_S_IOERR;
	r->type = header.type;
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		return prepare_read(r, header.sector);
	case VIRTIO_BLK_T_OUT:
		return prepare_write(r, header.sector);
	case VIRTIO_BLK_T_FLUSH:
		blk_rescan(
			r->blk); /* cheap beside a sync, and what inotify does not tell is found here */
		r->io.op = DISK_FLUSH;
		r->io.len = 0;
		return SUBMIT;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(r);
	case VIRTIO_BLK_T_DISCARD:
		return prepare_ranges(r, VIRTIO_BLK_F_DISCARD);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return prepare_ranges(r, VIRTIO_BLK_F_WRITE_ZEROES);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* The status byte is the last one that we may write; the rest before it is data. */
static void take_status(struct blk_request *r)
{
	struct vq_chain *c = &r->chain;
	struct iovec *last = &c->iov[c->n_out + c->n_in - 1];

	last->iov_len--;
	r->status = (uint8_t *)last->iov_base + last->iov_len;
	c->in_len--;
	if (last->iov_len == 0)
		c->n_in--;
}

/* ---- completion ---- */

static bool is_write(const struct disk_request *io)
{
	return io->op == DISK_WRITE || io->op == DISK_WRITE_ZEROES;
}

/* The next step of a request whose last one went well. SUBMIT, or its final status. */
static int next_step(struct blk_request *r)
{
	bool ranges = r->io.op == DISK_DISCARD || r->io.op == DISK_WRITE_ZEROES;

	if (ranges && ++r->range < n_ranges(r))
		return prepare_range(r);
	if (is_write(&r->io) && write_through(r->blk)) {
		r->io.op = DISK_FLUSH;
		r->io.len = 0;
		return SUBMIT;
	}
	return VIRTIO_BLK_S_OK;
}

static void on_done(struct disk_request *io, int error)
{
	struct blk_request *r = container_of(io, struct blk_request, io);
	struct blk *blk = r->blk;
	bool optional = io->op == DISK_DISCARD || io->op == DISK_WRITE_ZEROES;
	int status;

	if (blk->dropping) {
		slot_put(r);
	} else if (error == -EOPNOTSUPP && optional) {
		finish(r, VIRTIO_BLK_S_UNSUPP);
	} else if (error < 0) {
		log_limited(&blk->log, "disk '%s': the guest gets an I/O error: %s", blk->name,
			    strerror(-error));
		finish(r, VIRTIO_BLK_S_IOERR);
	} else {
		status = next_step(r);
		if (status == SUBMIT)
			disk_submit(blk->disk, io);
		else
			finish(r, (uint8_t)status);
	}
}

static void notify(struct blk *blk)
{
	while (blk->completed) {
		unsigned queue = (unsigned)__builtin_ctzll(blk->completed);

		blk->completed &= blk->completed - 1;
		virtio_notify(&blk->base, queue);
	}
}

void blk_reap(struct blk *blk)
{
	while (disk_reap(blk->disk) >
	       0) /* bounded: a request has a few steps, and new ones are not popped here */
		disk_commit(blk->disk);
	notify(blk);
}

/* ---- the queue ---- */

static uint64_t limited_bytes(const struct blk_request *r)
{
	return r->io.op == DISK_READ || r->io.op == DISK_WRITE ? r->io.len : 0;
}

static enum next serve_chain(struct blk *blk, struct blk_request *r)
{
	int status;

	r->data = 0;
	r->range = 0;
	r->io.done = on_done;
	if (r->chain.bad || r->chain.in_len == 0) {
		push(r, 0); /* nowhere to put a status */
		return NEXT_DONE;
	}
	take_status(r);
	status = prepare(r);
	if (status != SUBMIT) {
		finish(r, (uint8_t)status);
		return NEXT_DONE;
	}
	if (!ratelimit_take(&blk->limit, limited_bytes(r))) {
		vq_unpop(virtio_vq(&blk->base, r->queue), &r->chain);
		slot_put(r);
		return NEXT_LIMITED;
	}
	disk_submit(blk->disk, &r->io);
	return NEXT_DONE;
}

static enum next serve_next(struct blk *blk, unsigned queue)
{
	struct blk_request *r = slot_get(blk, queue);
	int rc;

	if (!r)
		return NEXT_BROKEN; /* more in flight than the queue has entries */
	rc = vq_pop(virtio_vq(&blk->base, queue), &r->chain);
	if (rc > 0)
		return serve_chain(blk, r);
	slot_put(r);
	return rc < 0 ? NEXT_BROKEN : NEXT_EMPTY;
}

/*
 * As many chains as the queue has entries, then the loop gets its turn. A limited queue stays unwatched: the rate
 * limit's timer comes back to it, not the driver's doorbell.
 */
void blk_serve(struct blk *blk, unsigned queue)
{
	struct vq *vq = virtio_vq(&blk->base, queue);
	unsigned budget = vq->size;
	enum next next = NEXT_EMPTY;

	vq_kicks_off(vq);
	do {
		while (budget > 0 && (next = serve_next(blk, queue)) == NEXT_DONE)
			budget--;
		disk_commit(blk->disk);
	} while (next == NEXT_EMPTY && vq_kicks_on(vq));
	if (next == NEXT_DONE)
		virtio_kick_again(&blk->base, queue);
	if (next == NEXT_BROKEN)
		virtio_finish(&blk->base, queue, -EINVAL);
	blk_reap(blk);
}
