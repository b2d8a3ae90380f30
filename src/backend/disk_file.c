// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/disk_impl.h"
#include "base/io.h"

#define DIRECT_ALIGN_DEFAULT \
	4096 /* where the kernel does not tell (before 6.1): enough everywhere */

int64_t disk_file_size(const struct disk_file *f)
{
	struct stat st;
	uint64_t size;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return st.st_size;
	if (ioctl(f->fd, BLKGETSIZE64, &size) < 0)
		return -errno;
	return (int64_t)MIN(size, (uint64_t)INT64_MAX);
}

/* What kind of file it is, before a byte of it is read. */
static int check_kind(const struct disk_file *f, const char *path, struct stat *st, struct err *e)
{
	if (fstat(f->fd, st) < 0)
		return err_sys(e, "cannot look at '%s'", path);
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	return err_set(e, EINVAL, "'%s' is %s; give a raw disk image or a block device", path,
		       S_ISDIR(st->st_mode)    ? "a directory"
		       : S_ISFIFO(st->st_mode) ? "a FIFO"
		       : S_ISCHR(st->st_mode)  ? "a character device"
					       : "not a file");
}

/*
 * A lock of the open file (OFD), not of the process: it goes with the last descriptor, so a killed owner leaves
 * none behind. The whole range, so that a size change matters to nobody.
 */
static int lock(const struct disk_file *f, const char *path, bool write, struct err *e)
{
	struct flock l = {.l_type = write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

	while (fcntl(f->fd, F_OFD_SETLK, &l) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EACCES)
			return err_sys(e, "cannot lock '%s'; its file system has no locks", path);
		if (write)
			return err_set(
				e, EBUSY,
				"'%s' is in use: another process has a lock on it. End that, "
				"or let both open it read-only, or give each an overlay",
				path);
		return err_set(
			e, EBUSY,
			"'%s' is in use: another process has it open for writing and locked. "
			"End that, or let it use an overlay as well",
			path);
	}
	return 0;
}

/* O_NONBLOCK keeps open() from waiting for a FIFO's other end; later it would make io_uring say EAGAIN. */
static int open_checked(struct disk_file *f, const char *path, unsigned flags, struct stat *st,
			struct err *e)
{
	bool write = flags & DISK_FILE_WRITE;
	int mode = (write ? O_RDWR : O_RDONLY) | (flags & DISK_FILE_CREATE ? O_CREAT : 0);
	int rc;

	f->fd = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	if (f->fd < 0 && errno == EISDIR)
		return err_set(e, EISDIR,
			       "'%s' is a directory; give a raw disk image or a block device",
			       path);
	if (f->fd < 0 && write && (errno == EACCES || errno == EROFS || errno == EPERM))
		return err_sys(e, "cannot write to '%s' (readonly or an overlay would do without)",
			       path);
	if (f->fd < 0)
		return err_sys(e, "cannot open '%s'", path);
	rc = check_kind(f, path, st, e);
	if (rc < 0)
		return rc;
	if (fcntl(f->fd, F_SETFL, 0) < 0)
		return err_sys(e, "fcntl of '%s'", path);
	return flags & DISK_FILE_NO_LOCK ? 0 : lock(f, path, write, e);
}

/*
 * A second descriptor for requests that are aligned as O_DIRECT wants it; the others go through the page cache.
 * The kernel keeps the two coherent, and a sync of one is a sync of the file.
 */
static int open_direct(struct disk_file *f, const char *path, bool write, struct err *e)
{
	struct statx x;
	struct stat a, b;

	f->direct_fd = open(path, (write ? O_RDWR : O_RDONLY) | O_DIRECT | O_NOCTTY | O_CLOEXEC);
	if (f->direct_fd < 0)
		return err_sys(e, "cannot open '%s' with O_DIRECT; leave out direct", path);
	if (fstat(f->fd, &a) < 0 || fstat(f->direct_fd, &b) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
		return err_set(e, ESTALE, "'%s' was replaced while it was opened", path);
	f->mem_align = f->offset_align = DIRECT_ALIGN_DEFAULT;
	if (statx(f->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) == 0 &&
	    x.stx_mask & STATX_DIOALIGN) {
		if (x.stx_dio_offset_align == 0)
			return err_set(e, EINVAL,
				       "'%s' cannot be used with O_DIRECT; leave out direct", path);
		f->mem_align = x.stx_dio_mem_align;
		f->offset_align = x.stx_dio_offset_align;
	}
	return 0;
}

static unsigned block_size(const struct disk_file *f, const struct stat *st)
{
	int logical = 0;

	if (S_ISBLK(st->st_mode) && ioctl(f->fd, BLKSSZGET, &logical) == 0 && logical > DISK_SECTOR)
		return (unsigned)logical;
	return f->direct_fd >= 0 ? MAX(f->offset_align, (unsigned)DISK_SECTOR) : DISK_SECTOR;
}

int disk_file_open(struct disk_file *f, const char *path, unsigned flags, uint64_t *size,
		   unsigned *block, struct err *e)
{
	struct stat st;
	int64_t bytes;
	int rc;

	*f = DISK_FILE_EMPTY;
	rc = open_checked(f, path, flags, &st, e);
	if (rc == 0 && flags & DISK_FILE_DIRECT)
		rc = open_direct(f, path, flags & DISK_FILE_WRITE, e);
	if (rc < 0)
		goto fail;
	bytes = disk_file_size(f);
	if (bytes < 0) {
		errno = (int)-bytes;
		rc = err_sys(e, "cannot find out the size of '%s'", path);
		goto fail;
	}
	if (bytes < DISK_SECTOR && !(flags & DISK_FILE_MAY_EMPTY)) {
		rc = err_set(
			e, EINVAL,
			"'%s' is %s; a disk has at least one sector of 512 bytes: truncate -s SIZE "
			"makes one",
			path, bytes == 0 ? "empty" : "too short");
		goto fail;
	}
	*size = (uint64_t)bytes;
	*block = block_size(f, &st);
	return 0;
fail:
	disk_file_close(f);
	return rc;
}

void disk_file_close(struct disk_file *f)
{
	fd_close(&f->direct_fd);
	fd_close(&f->fd);
}
