// SPDX-License-Identifier: Apache-2.0
/*
 * The overlay's file: header, durable bitmap, pending bitmap, data. What is in it may be anything: it is checked
 * before it is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/overlay_impl.h"
#include "base/io.h"
#include "base/log.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

_Static_assert(sizeof(struct overlay_header) <= OVERLAY_PAGE, "the header is a page");

void overlay_layout(struct overlay *o, unsigned shift)
{
	o->shift = shift ? shift : OVERLAY_SHIFT_MIN;
	while (shift == 0 && (o->size - 1) >> o->shift >= 8 * OVERLAY_BITMAP)
		o->shift++;
	o->n_clusters = ((o->size - 1) >> o->shift) + 1;
	o->bitmap_len = align_up((o->n_clusters + 7) / 8, OVERLAY_PAGE);
	o->durable_at = OVERLAY_PAGE;
	o->pending_at = o->durable_at + o->bitmap_len;
	o->data_at = align_up(o->pending_at + o->bitmap_len, 64 * KIB);
}

/* Empty where the host does not tell: then no pending bitmap is ever trusted. */
static void read_boot_id(char *id, size_t len)
{
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, id, len - 1) : 0;

	id[n > 0 ? n : 0] = '\0';
	id[strcspn(id, "\n")] = '\0';
	fd_close(&fd);
}

/* What tells that the base is the one that it was. A block device has no time of its own. */
static int identify_base(const struct overlay *o, const char *path, struct overlay_header *h,
			 struct err *e)
{
	int64_t bytes = disk_file_size(o->base);
	struct stat st;

	if (bytes < 0 || fstat(o->base->fd, &st) < 0)
		return err_sys(e, "cannot look at '%s'", path);
	*h = (struct overlay_header){
		.magic = OVERLAY_MAGIC,
		.version = OVERLAY_VERSION,
		.shift = o->shift,
		.size = o->size,
		.base_bytes = (uint64_t)bytes,
	};
	if (S_ISREG(st.st_mode)) {
		h->base_mtime_s = st.st_mtim.tv_sec;
		h->base_mtime_ns = (uint32_t)st.st_mtim.tv_nsec;
	}
	snprintf(h->base_path, sizeof(h->base_path), "%s", path);
	read_boot_id(h->boot_id, sizeof(h->boot_id));
	return 0;
}

static int write_header(struct overlay *o, const struct overlay_header *h)
{
	uint8_t page[OVERLAY_PAGE] = {0};

	memcpy(page, h, sizeof(*h));
	return overlay_pwrite(o, page, sizeof(page), 0);
}

static void sync_directory(const char *path)
{
	char copy[PATH_MAX];
	int fd;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		log_debug("overlay '%s': its directory cannot be synced", path);
	fd_close(&fd);
}

/*
 * The header first, for a file of a header alone is one that was not finished. The bitmaps get their space now:
 * a full disk must not come between data and the note that it is there.
 */
static int create(struct overlay *o, const struct overlay_header *h, struct err *e)
{
	int rc = write_header(o, h);

	if (rc < 0) {
		errno = -rc;
		return err_sys(e, "cannot write to overlay '%s'", o->path);
	}
	if (ftruncate(o->file.fd, (off_t)(o->data_at + o->size)) < 0)
		return err_sys(e, "cannot make overlay '%s' as large as its base", o->path);
	rc = posix_fallocate(o->file.fd, 0, (off_t)o->data_at);
	if (rc == 0 && fsync(o->file.fd) < 0)
		rc = errno;
	if (rc != 0) {
		errno = rc;
		return err_sys(e, "no room for overlay '%s'", o->path);
	}
	sync_directory(o->path);
	return 0;
}

static int check_header(const struct overlay *o, const struct overlay_header *h,
			const struct overlay_header *want, struct err *e)
{
	if (memcmp(h->magic, OVERLAY_MAGIC, sizeof(h->magic)) != 0)
		return err_set(e, EINVAL,
			       "'%s' is not an overlay of toyvmm; give the name of a new file",
			       o->path);
	if (h->version != OVERLAY_VERSION)
		return err_set(e, EINVAL, "overlay '%s' has version %u, this toyvmm knows %u",
			       o->path, h->version, OVERLAY_VERSION);
	if (h->size != want->size || h->base_bytes != want->base_bytes ||
	    h->base_mtime_s != want->base_mtime_s || h->base_mtime_ns != want->base_mtime_ns)
		return err_set(
			e, EINVAL,
			"overlay '%s' belongs to '%.*s' as it was when the overlay was made; the "
			"base has changed or is another one. Bring it back, or delete the overlay",
			o->path, (int)strnlen(h->base_path, 200), h->base_path);
	if (h->shift != want->shift)
		return err_set(e, EINVAL, "overlay '%s' is damaged: clusters of 2^%u bytes",
			       o->path, h->shift);
	return 0;
}

static int fail_read(const struct overlay *o, int rc, struct err *e)
{
	errno = -rc;
	return err_sys(e, "cannot read overlay '%s'", o->path);
}

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, OVERLAY_PAGE - 1) == 0;
}

/* One page of both bitmaps. Pages without a bit are not touched: memory is used as the overlay grows. */
static int load_page(struct overlay *o, uint64_t i, bool trusted)
{
	uint8_t durable[OVERLAY_PAGE], pending[OVERLAY_PAGE];
	uint64_t at = i * OVERLAY_PAGE;
	int rc = pread_full(o->file.fd, durable, OVERLAY_PAGE, o->durable_at + at);

	if (rc == 0)
		rc = pread_full(o->file.fd, pending, OVERLAY_PAGE, o->pending_at + at);
	if (rc < 0)
		return rc;
	if (!trusted && memcmp(durable, pending, OVERLAY_PAGE) != 0) {
		memcpy(pending, durable, OVERLAY_PAGE);
		rc = overlay_pwrite(o, pending, OVERLAY_PAGE, o->pending_at + at);
	}
	for (unsigned n = 0; n < OVERLAY_PAGE; n++)
		pending[n] |= durable[n];
	if (!is_zero(pending))
		memcpy(o->bits + at, pending, OVERLAY_PAGE);
	if (memcmp(durable, pending, OVERLAY_PAGE) != 0)
		o->dirty[i] = true;
	return rc;
}

/*
 * If the host's kernel is the one that pending was written under, its page cache is too, and all that was
 * written is there. Otherwise pending may speak of data that never reached the disk. The new boot id is written
 * last, when pending is right.
 */
static int load(struct overlay *o, const struct overlay_header *want, uint64_t bytes, struct err *e)
{
	struct overlay_header h;
	bool trusted;
	int rc;

	if (bytes < OVERLAY_PAGE)
		memset(&h, 0, sizeof(h));
	else if ((rc = pread_full(o->file.fd, &h, sizeof(h), 0)) < 0)
		return fail_read(o, rc, e);
	rc = check_header(o, &h, want, e);
	if (rc < 0)
		return rc;
	if (bytes == OVERLAY_PAGE)
		return create(o, want, e);
	if (bytes < o->data_at + o->size)
		return err_set(e, EINVAL, "overlay '%s' is damaged: it was cut short", o->path);
	trusted = want->boot_id[0] && memcmp(h.boot_id, want->boot_id, sizeof(h.boot_id)) == 0;
	for (uint64_t i = 0; i < o->bitmap_len / OVERLAY_PAGE; i++)
		if ((rc = load_page(o, i, trusted)) < 0)
			return fail_read(o, rc, e);
	if (!trusted && (rc = write_header(o, want)) < 0)
		return fail_read(o, rc, e);
	return 0;
}

/* Locks are of no help against this one: it is our own process. */
static int check_not_base(const struct overlay *o, struct err *e)
{
	struct stat a, b;

	if (stat(o->path, &a) == 0 && fstat(o->base->fd, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		return err_set(e, EINVAL, "overlay '%s' is its own base", o->path);
	return 0;
}

static int open_temporary(struct overlay *o, struct err *e)
{
	const char *dir = getenv("TMPDIR");
	char name[PATH_MAX];

	if (!dir || !*dir)
		dir = "/var/tmp";
	o->data_at = 0;
	o->file.fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (o->file.fd < 0 && snprintf(name, sizeof(name), "%s/toyvmm-XXXXXX", dir) < PATH_MAX) {
		o->file.fd = mkostemp(name, O_CLOEXEC);
		if (o->file.fd >= 0)
			unlink(name);
	}
	if (o->file.fd < 0)
		return err_sys(
			e, "cannot make a temporary overlay in '%s' (TMPDIR names another place)",
			dir);
	if (ftruncate(o->file.fd, (off_t)o->size) < 0)
		return err_sys(e, "cannot make a temporary overlay as large as its base in '%s'",
			       dir);
	return 0;
}

int overlay_file_open(struct overlay *o, const struct disk_config *config, struct err *e)
{
	unsigned flags = DISK_FILE_WRITE | DISK_FILE_CREATE | DISK_FILE_MAY_EMPTY |
			 (config->no_lock ? DISK_FILE_NO_LOCK : 0);
	struct overlay_header h;
	uint64_t bytes;
	unsigned block;
	int rc;

	if (o->temporary)
		return open_temporary(o, e);
	rc = check_not_base(o, e);
	if (rc == 0)
		rc = disk_file_open(&o->file, o->path, flags, &bytes, &block, e);
	if (rc == 0)
		rc = identify_base(o, config->path, &h, e);
	if (rc < 0)
		return rc;
	rc = bytes == 0 ? create(o, &h, e) : load(o, &h, bytes, e);
	o->file.no_flush = config->no_flush;
	return rc;
}
