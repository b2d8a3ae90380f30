// SPDX-License-Identifier: Apache-2.0
#include "backend/overlay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/overlay_impl.h"
#include "base/log.h"

#define PIECE_CLUSTERS 256 /* a request is carried out in pieces of this many clusters at most */
#define PIECE_IOV      64
#define COPY_LEN       (32 * KIB)

struct disk_file *overlay_file(struct overlay *o)
{
	return &o->file;
}

/* ---- opening and closing ---- */

int overlay_open(struct overlay **out, const struct disk_config *config, struct disk_file *base,
		 uint64_t size, struct err *e)
{
	struct overlay *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return err_set(e, ENOMEM, "out of memory");
	*o = (struct overlay){
		.base = base,
		.file = DISK_FILE_EMPTY,
		.temporary = config->overlay == OVERLAY_TEMPORARY,
		.path = config->overlay_path,
		.size = size,
	};
	pthread_mutex_init(&o->lock, NULL);
	pthread_mutex_init(&o->flush_lock, NULL);
	pthread_cond_init(&o->unbusy, NULL);
	overlay_layout(o, 0);
	o->bits = calloc(1, o->bitmap_len);
	o->snapshot = calloc(1, o->bitmap_len);
	o->dirty = calloc(o->bitmap_len / OVERLAY_PAGE, sizeof(*o->dirty));
	o->flushing = calloc(o->bitmap_len / OVERLAY_PAGE, sizeof(*o->flushing));
	if (!o->bits || !o->snapshot || !o->dirty || !o->flushing)
		rc = err_set(e, ENOMEM, "out of memory");
	else
		rc = overlay_file_open(o, config, e);
	if (rc < 0) {
		disk_file_close(&o->file); /* nothing to flush */
		overlay_close(o);
		return rc;
	}
	*out = o;
	return 0;
}

static int flush(struct overlay *o);

void overlay_close(struct overlay *o)
{
	if (!o)
		return;
	o->file.no_flush = false; /* what is not durable would be gone with the host's next start */
	if (o->file.fd >= 0 && flush(o) < 0)
		log_warn("overlay '%s': the last writes may not be on the disk", o->path);
	disk_file_close(&o->file);
	pthread_cond_destroy(&o->unbusy);
	pthread_mutex_destroy(&o->flush_lock);
	pthread_mutex_destroy(&o->lock);
	free(o->flushing);
	free(o->dirty);
	free(o->snapshot);
	free(o->bits);
	free(o);
}

/* ---- transfers ---- */

static int transfer(struct disk_file *f, enum disk_op op, const void *data, size_t len, uint64_t at)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct disk_request r = {.op = op, .offset = at, .len = len, .iov = &iov, .n_iov = 1};

	return disk_file_do(f, &r);
}

int overlay_pwrite(struct overlay *o, const void *data, size_t len, uint64_t at)
{
	return transfer(&o->file, DISK_WRITE, data, len, at);
}

/* The next `len` bytes of r's buffers, or fewer, as a list of its own. How many bytes that are. */
static uint64_t slice(const struct disk_request *r, uint64_t len, struct iovec *iov, unsigned *n)
{
	uint64_t got = 0;

	for (*n = 0; *n < r->n_iov && *n < PIECE_IOV && got < len; (*n)++) {
		iov[*n] = r->iov[*n];
		iov[*n].iov_len = MIN(iov[*n].iov_len, len - got);
		got += iov[*n].iov_len;
	}
	return got;
}

/*
 * The request's next `len` bytes, or fewer, at `at` of a file. Bytes or -errno; they are not yet taken off the
 * request.
 */
static int64_t do_part(struct disk_file *f, const struct disk_request *r, uint64_t at, uint64_t len)
{
	struct iovec iov[PIECE_IOV];
	struct disk_request part = {
		.op = r->op, .offset = at, .len = len, .may_unmap = r->may_unmap, .iov = iov};
	int rc;

	if (r->op == DISK_READ || r->op == DISK_WRITE)
		part.len = slice(r, len, iov, &part.n_iov);
	len = part.len;
	if (len == 0)
		return -EIO; /* fewer buffers than it said */
	rc = disk_file_do(f, &part);
	return rc < 0 ? rc : (int64_t)len;
}

static int copy_up(struct overlay *o, uint64_t from, uint64_t to)
{
	uint8_t buf[COPY_LEN];
	int rc = 0;

	while (from < to && rc == 0) {
		size_t n = MIN(to - from, COPY_LEN);

		rc = transfer(o->base, DISK_READ, buf, n, from);
		if (rc == 0)
			rc = overlay_pwrite(o, buf, n, o->data_at + from);
		from += n;
	}
	return rc;
}

/* ---- the bitmap; o->lock is held ---- */

static bool is_set(const struct overlay *o, uint64_t cluster)
{
	return o->bits[cluster / 8] >> (cluster % 8) & 1;
}

static bool all_set(const struct overlay *o, uint64_t first, uint64_t last)
{
	while (first <= last && is_set(o, first))
		first++;
	return first > last;
}

/* On the file first: what is in memory only would be lost with us, though later writes rely on it. */
static int set_bits(struct overlay *o, uint64_t first, uint64_t last)
{
	uint8_t bytes[PIECE_CLUSTERS / 8 + 2];
	uint64_t at = first / 8;
	size_t len = last / 8 - at + 1;
	int rc = 0;

	memcpy(bytes, o->bits + at, len);
	for (uint64_t i = first; i <= last; i++)
		bytes[i / 8 - at] |= (uint8_t)(1 << i % 8);
	if (!o->temporary)
		rc = overlay_pwrite(o, bytes, len, o->pending_at + at);
	if (rc < 0)
		return rc;
	memcpy(o->bits + at, bytes, len);
	o->dirty[at / OVERLAY_PAGE] = true;
	o->dirty[(at + len - 1) / OVERLAY_PAGE] = true;
	return 0;
}

/* A slot of busy[]; -1: wait, another thread is allocating some of these clusters, or all slots are taken. */
static int claim(struct overlay *o, uint64_t first, uint64_t last)
{
	int slot = -1;

	for (int i = 0; i < OVERLAY_BUSY_MAX; i++) {
		if (!o->busy[i].used)
			slot = i;
		else if (first <= o->busy[i].last && o->busy[i].first <= last)
			return -1;
	}
	if (slot >= 0) {
		o->busy[slot].used = true;
		o->busy[slot].first = first;
		o->busy[slot].last = last;
	}
	return slot;
}

/* ---- requests ---- */

/* What is left of a cluster beside the data that was written to it, unless all of it is in the overlay anyway. */
static int copy_edge(struct overlay *o, uint64_t from, uint64_t to)
{
	bool set;

	if (from >= to)
		return 0;
	pthread_mutex_lock(&o->lock);
	set = is_set(o, from >> o->shift);
	pthread_mutex_unlock(&o->lock);
	return set ? 0 : copy_up(o, from, to);
}

/* The clusters are this thread's until it gives up its claim. They come into being with their bits, not before. */
static int64_t allocate(struct overlay *o, const struct disk_request *r, uint64_t at, uint64_t len)
{
	uint64_t cluster = 1ULL << o->shift;
	int64_t n = do_part(&o->file, r, o->data_at + at, len);
	uint64_t end = at + (uint64_t)n;
	int rc;

	if (n < 0)
		return n;
	rc = copy_edge(o, align_down(at, cluster), at);
	if (rc == 0)
		rc = copy_edge(o, end, MIN(align_up(end, cluster), o->size));
	return rc < 0 ? rc : n;
}

/* Bytes written of the piece [at, at + len), which is in PIECE_CLUSTERS clusters at most; or -errno. */
static int64_t write_piece(struct overlay *o, const struct disk_request *r, uint64_t at,
			   uint64_t len)
{
	uint64_t first = at >> o->shift, last = (at + len - 1) >> o->shift;
	int slot = -1, rc;
	int64_t n;

	pthread_mutex_lock(&o->lock);
	while (!all_set(o, first, last) && (slot = claim(o, first, last)) < 0)
		pthread_cond_wait(&o->unbusy, &o->lock);
	pthread_mutex_unlock(&o->lock);
	if (slot < 0)
		return do_part(&o->file, r, o->data_at + at, len);

	n = allocate(o, r, at, len);
	pthread_mutex_lock(&o->lock);
	if (n > 0) {
		rc = set_bits(o, first, (at + (uint64_t)n - 1) >> o->shift);
		n = rc < 0 ? rc : n;
	}
	o->busy[slot].used = false;
	pthread_cond_broadcast(&o->unbusy);
	pthread_mutex_unlock(&o->lock);
	return n;
}

/* How much of [at, at + len) is in the same file; *in_overlay: in which. o->lock is held. */
static uint64_t run_locked(const struct overlay *o, uint64_t at, uint64_t len, bool *in_overlay)
{
	uint64_t i = at >> o->shift, last = (at + len - 1) >> o->shift;

	*in_overlay = is_set(o, i);
	while (i <= last && is_set(o, i) == *in_overlay)
		i++;
	return MIN(len, (i << o->shift) - at);
}

static uint64_t run(struct overlay *o, uint64_t at, uint64_t len, bool *in_overlay)
{
	pthread_mutex_lock(&o->lock);
	len = run_locked(o, at, len, in_overlay);
	pthread_mutex_unlock(&o->lock);
	return len;
}

/* The lock may be held by a thread that waits for the disk: then this read waits as well, elsewhere. */
bool overlay_read_now(struct overlay *o, const struct disk_request *r)
{
	bool in_overlay;
	uint64_t len;

	if (r->len == 0 || r->len > (uint64_t)PIECE_CLUSTERS << o->shift ||
	    pthread_mutex_trylock(&o->lock) != 0)
		return false;
	len = run_locked(o, r->offset, r->len, &in_overlay);
	pthread_mutex_unlock(&o->lock);
	if (len < r->len)
		return false;
	return in_overlay ? disk_file_read_now(&o->file, r, o->data_at + r->offset)
			  : disk_file_read_now(o->base, r, r->offset);
}

static int64_t read_piece(struct overlay *o, const struct disk_request *r, uint64_t at,
			  uint64_t len)
{
	bool in_overlay;

	len = run(o, at, len, &in_overlay);
	return do_part(in_overlay ? &o->file : o->base, r, in_overlay ? o->data_at + at : at, len);
}

/* What is in the overlay becomes a hole; what is not stays as it is in the base. Both are allowed. */
static int64_t discard_piece(struct overlay *o, const struct disk_request *r, uint64_t at,
			     uint64_t len)
{
	bool in_overlay;

	len = run(o, at, len, &in_overlay);
	return in_overlay ? do_part(&o->file, r, o->data_at + at, len) : (int64_t)len;
}

static int in_pieces(struct overlay *o, struct disk_request *r,
		     int64_t (*piece)(struct overlay *, const struct disk_request *, uint64_t,
				      uint64_t))
{
	while (r->progress < r->len) {
		uint64_t at = r->offset + r->progress;
		uint64_t window = ((at >> o->shift) + PIECE_CLUSTERS) << o->shift;
		int64_t n = piece(o, r, at, MIN(r->len - r->progress, window - at));

		if (n < 0)
			return (int)n;
		disk_request_advance(r, (uint64_t)n);
	}
	return 0;
}

static int sync_file(struct overlay *o)
{
	struct disk_request r = {.op = DISK_FLUSH};

	return disk_file_do(&o->file, &r);
}

/* The pages with bits that are not durable yet; data of all of them has been written. */
static bool take_snapshot(struct overlay *o)
{
	bool any = false;

	pthread_mutex_lock(&o->lock);
	for (uint64_t i = 0; i < o->bitmap_len / OVERLAY_PAGE; i++) {
		if (o->dirty[i])
			memcpy(o->snapshot + i * OVERLAY_PAGE, o->bits + i * OVERLAY_PAGE,
			       OVERLAY_PAGE);
		o->flushing[i] |= o->dirty[i];
		o->dirty[i] = false;
		any |= o->flushing[i];
	}
	pthread_mutex_unlock(&o->lock);
	return any;
}

/* Data first, then the note that it is there, so that the note is never wrong. */
static int flush_locked(struct overlay *o)
{
	uint64_t pages = o->bitmap_len / OVERLAY_PAGE;
	bool any = take_snapshot(o);
	int rc = sync_file(o);

	for (uint64_t i = 0; i < pages && rc == 0 && any; i++)
		if (o->flushing[i])
			rc = overlay_pwrite(o, o->snapshot + i * OVERLAY_PAGE, OVERLAY_PAGE,
					    o->durable_at + i * OVERLAY_PAGE);
	if (rc == 0 && any)
		rc = sync_file(o);
	if (rc == 0)
		memset(o->flushing, 0, pages * sizeof(*o->flushing));
	return rc;
}

static int flush(struct overlay *o)
{
	int rc;

	if (o->temporary || o->file.no_flush)
		return 0;
	pthread_mutex_lock(&o->flush_lock);
	rc = flush_locked(o);
	pthread_mutex_unlock(&o->flush_lock);
	return rc;
}

int overlay_do(struct overlay *o, struct disk_request *r)
{
	switch (r->op) {
	case DISK_READ:
		r->error = in_pieces(o, r, read_piece);
		break;
	case DISK_WRITE:
	case DISK_WRITE_ZEROES:
		r->error = in_pieces(o, r, write_piece);
		break;
	case DISK_DISCARD:
		r->error = in_pieces(o, r, discard_piece);
		break;
	case DISK_FLUSH:
		r->error = flush(o);
		break;
	}
	return r->error;
}
