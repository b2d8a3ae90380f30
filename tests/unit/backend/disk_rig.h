/* SPDX-License-Identifier: Apache-2.0 */
/* A disk over a file in a directory of its own, and requests that are waited for. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#include "backend/disk.h"
#include "backend/disk_impl.h"

#define RIG_SIZE (1 * MIB)

struct rig {
	char dir[64], image[128], other[128];
	struct loop loop;
	struct disk_config config;
	struct disk *d;
	struct err e;
	unsigned readies;
};

struct pending {
	struct disk_request r;
	struct iovec iov[4];
	unsigned done;
	int error;
};

static inline void rig_ready(void *arg)
{
	struct rig *g = arg;

	g->readies++;
	disk_reap(g->d);
	disk_commit(g->d);
}

/* The pattern of the image: no two sectors are alike. */
static inline uint8_t rig_byte(uint64_t at)
{
	return (uint8_t)(at / 512 * 7 + at % 512 + 1);
}

static inline void rig_write_file(const char *path, uint64_t size)
{
	uint8_t *data = malloc(size);
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	CHECK(data != NULL && fd >= 0);
	for (uint64_t i = 0; i < size; i++)
		data[i] = rig_byte(i);
	CHECK_EQ(size, write(fd, data, size));
	close(fd);
	free(data);
}

static inline void rig_init(struct rig *g, enum disk_engine engine)
{
	memset(g, 0, sizeof(*g));
	strcpy(g->dir, "/tmp/toyvmm-disk-XXXXXX");
	CHECK(mkdtemp(g->dir) != NULL);
	snprintf(g->image, sizeof(g->image), "%s/image", g->dir);
	snprintf(g->other, sizeof(g->other), "%s/other", g->dir);
	rig_write_file(g->image, RIG_SIZE);
	CHECK_EQ(0, loop_init(&g->loop, &g->e));
	g->config = (struct disk_config){.path = g->image, .engine = engine};
}

static inline int rig_try_open(struct rig *g)
{
	return disk_open(&g->d, &g->config, &g->loop, rig_ready, g, &g->e);
}

static inline void rig_open(struct rig *g)
{
	int rc = rig_try_open(g);

	if (rc < 0)
		print_error("%s\n", g->e.text);
	CHECK_EQ(0, rc);
}

static inline void rig_close(struct rig *g)
{
	disk_close(g->d);
	g->d = NULL;
}

static inline void rig_fini(struct rig *g)
{
	rig_close(g);
	loop_fini(&g->loop);
	unlink(g->image);
	unlink(g->other);
	rmdir(g->dir);
}

static inline bool rig_turn(struct rig *g, int ms)
{
	struct epoll_event ev;
	struct loop_source *s;
	int n;

	do /* EINTR: the kernel takes down the ring of an earlier test */
		n = epoll_wait(g->loop.epoll_fd, &ev, 1, ms);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return false;
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
	return true;
}

static inline void pending_done(struct disk_request *r, int error)
{
	struct pending *p = container_of(r, struct pending, r);

	p->done++;
	p->error = error;
}

static inline void rig_submit(struct rig *g, struct pending *p, enum disk_op op, uint64_t at,
			      void *data, uint64_t len)
{
	*p = (struct pending){.r = {.op = op, .offset = at, .len = len, .done = pending_done}};
	p->iov[0] = (struct iovec){data, len};
	p->r.iov = p->iov;
	p->r.n_iov = data ? 1 : 0;
	disk_submit(g->d, &p->r);
}

/* Waits for it as the machine does: by the loop. Its error. */
static inline int rig_wait(struct rig *g, struct pending *p)
{
	disk_commit(g->d);
	while (disk_reap(g->d) > 0)
		disk_commit(g->d);
	for (unsigned tries = 0; !p->done && tries < 5000; tries++)
		rig_turn(g, 20);
	CHECK_EQ(1, p->done);
	return p->error;
}

static inline int rig_do(struct rig *g, enum disk_op op, uint64_t at, void *data, uint64_t len)
{
	struct pending p;

	rig_submit(g, &p, op, at, data, len);
	return rig_wait(g, &p);
}

/* Does [at, at + len) of the disk hold the image's pattern, or one byte all over? */
static inline bool rig_holds(struct rig *g, uint64_t at, uint64_t len, int byte)
{
	uint8_t *data = malloc(len);
	bool same = true;

	CHECK(data != NULL);
	memset(data, 0x5a, len);
	CHECK_EQ(0, rig_do(g, DISK_READ, at, data, len));
	for (uint64_t i = 0; i < len && same; i++)
		same = data[i] == (byte < 0 ? rig_byte(at + i) : byte);
	free(data);
	return same;
}

#define RIG_PATTERN (-1)

static inline void rig_fill(struct rig *g, uint64_t at, uint64_t len, int byte)
{
	uint8_t *data = malloc(len);

	CHECK(data != NULL);
	memset(data, byte, len);
	CHECK_EQ(0, rig_do(g, DISK_WRITE, at, data, len));
	free(data);
}

static const enum disk_engine engines[] = {DISK_ENGINE_IO_URING, DISK_ENGINE_THREADS};

#define EACH_ENGINE(i) (unsigned i = 0; i < ARRAY_SIZE(engines); i++)
