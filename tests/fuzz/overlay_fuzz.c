// SPDX-License-Identifier: Apache-2.0
/*
 * The input is an overlay's file: either as it is, or as changes to a good one. It is refused with a line of text,
 * or it works as a disk: what is written is read back, at once and after opening it again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/overlay.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DISK_LEN 65536

struct files {
	int base, overlay;
	char base_path[32], overlay_path[32];
	struct disk_config config;
	struct disk_file file; /* the base, opened */
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static int new_file(char *path, size_t len, const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	must(fd >= 0);
	snprintf(path, len, "/proc/self/fd/%d", fd);
	return fd;
}

static void start(struct files *f)
{
	uint64_t size;
	unsigned block;
	struct err e;

	memset(f, 0, sizeof(*f));
	f->base = new_file(f->base_path, sizeof(f->base_path), "base");
	f->overlay = new_file(f->overlay_path, sizeof(f->overlay_path), "overlay");
	must(ftruncate(f->base, DISK_LEN) == 0);
	/* The same time in each run, so that a corpus stays good. */
	must(futimens(f->base, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}) == 0);
	f->config = (struct disk_config){
		.path = f->base_path,
		.overlay = OVERLAY_FILE,
		.overlay_path = f->overlay_path,
	};
	must(disk_file_open(&f->file, f->base_path, 0, &size, &block, &e) == 0);
	must(size == DISK_LEN);
}

static struct overlay *try_open(struct files *f)
{
	struct overlay *o = NULL;
	struct err e = {0};

	if (overlay_open(&o, &f->config, &f->file, DISK_LEN, &e) == 0)
		return o;
	must(e.text[0] && !strchr(e.text, '\n'));
	return NULL;
}

static int transfer(struct overlay *o, enum disk_op op, uint64_t at, void *data, uint64_t len)
{
	struct iovec iov = {data, len};
	struct disk_request r = {.op = op, .offset = at, .len = len, .iov = &iov, .n_iov = 1};

	return overlay_do(o, &r);
}

static void patch(struct files *f, const uint8_t *data, size_t size)
{
	struct overlay *o = try_open(f);

	must(o != NULL);
	overlay_close(o);
	for (; size >= 3; data += 3, size -= 3) {
		off_t at = data[0] | (data[1] & 0x3f) << 8; /* header and both bitmaps */

		must(pwrite(f->overlay, data + 2, 1, at) == 1);
		if (data[1] >> 6 == 3)
			must(ftruncate(f->overlay, (off_t)data[2] << 8) == 0);
	}
}

static void use(struct overlay *o, const uint8_t *pattern)
{
	static uint8_t all[DISK_LEN];
	uint8_t back[1536];

	must(transfer(o, DISK_READ, 0, all, DISK_LEN) == 0);
	must(transfer(o, DISK_WRITE, 3584, (void *)(uintptr_t)pattern, 1536) == 0);
	must(transfer(o, DISK_WRITE_ZEROES, DISK_LEN - 512, NULL, 512) == 0);
	must(transfer(o, DISK_READ, 3584, back, 1536) == 0);
	must(memcmp(back, pattern, 1536) == 0);
	must(transfer(o, DISK_FLUSH, 0, NULL, 0) == 0);
	must(transfer(o, DISK_DISCARD, 8192, NULL, 8192) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t pattern[1536], back[1536];
	struct overlay *o;
	struct files f;

	log_level = LOG_ERROR;
	memset(pattern, 0x5a, sizeof(pattern));
	start(&f);
	if (size > 0 && data[0] & 1)
		patch(&f, data + 1, size - 1);
	else if (size > 0)
		must(write(f.overlay, data + 1, size - 1) == (ssize_t)size - 1);
	o = try_open(&f);
	if (o) {
		use(o, pattern);
		overlay_close(o);
		o = try_open(&f);
		must(o && transfer(o, DISK_READ, 3584, back, 1536) == 0);
		must(memcmp(back, pattern, 1536) == 0);
		overlay_close(o);
	}
	disk_file_close(&f.file);
	close(f.overlay);
	close(f.base);
	return 0;
}
