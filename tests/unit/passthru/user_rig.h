/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vfio-user device and its server, which is a thread of the test's: RAM of 64 KiB, and a device with a bit of
 * everything. The loop turns only when the test says so.
 */
#pragma once

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "fake/vfio_user.h"
#include "passthru/user.h"
#include "test.h"

#define RIG_RAM   (64 * KIB)
#define RIG_MSIX  40 /* vectors: more than a message has descriptors */
#define REG_BAR   0  /* 256 bytes of registers, by message */
#define MEM_BAR   1  /* two pages, the first can be mapped */
#define BELL_BAR  2  /* a doorbell at 0, one with a shadow at 8 */
#define SHADOW_AT 64 /* in its file */
#define CONFIG    VFIO_PCI_CONFIG_REGION_INDEX

struct user_rig {
	unsigned fds; /* open before it was made */
	char dir[64], path[96];
	struct gmem ram;
	struct loop loop;
	struct vfio_user_host host;
	struct vfio_device *v;
	unsigned gone; /* calls */
	char why[160];
	/* The server. */
	int listener;
	pthread_t thread;
	atomic_bool running;
	struct vfuser_device dev;
	struct vfuser_server server;
	uint8_t config[256];
	uint64_t reg[32];
	atomic_uint resets, clients;
	int mem_file, bell, shadow_bell, shadow_file;
	/* Server's thread: after a write to a register. */
	void (*on_write)(struct user_rig *r, uint64_t off);
	int result; /* of what it did */
};

static inline void rig_read(void *arg, unsigned region, uint64_t off, void *data, unsigned len)
{
	struct user_rig *r = arg;

	memset(data, 0, len);
	if (region == CONFIG)
		memcpy(data, r->config + off, len);
	else if (region == REG_BAR)
		memcpy(data, (uint8_t *)r->reg + off, len);
}

static inline void rig_write(void *arg, unsigned region, uint64_t off, const void *data,
			     unsigned len)
{
	struct user_rig *r = arg;

	if (region == CONFIG)
		memcpy(r->config + off, data, len);
	else if (region == REG_BAR)
		memcpy((uint8_t *)r->reg + off, data, len);
	if (region == REG_BAR && r->on_write)
		r->on_write(r, off);
}

static inline void rig_reset(void *arg)
{
	struct user_rig *r = arg;

	memset(r->reg, 0, sizeof(r->reg));
	r->config[PCI_COMMAND] = 0;
	r->resets++;
}

static inline void *rig_server(void *arg)
{
	struct user_rig *r = arg;

	while (r->running) {
		int fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			break;
		r->clients++;
		vfuser_serve(&r->server, fd);
	}
	return NULL;
}

static inline void rig_serve(struct user_rig *r)
{
	r->listener = vfuser_listen(r->path);
	assert_true(r->listener >= 0);
	r->running = true;
	assert_int_equal(0, pthread_create(&r->thread, NULL, rig_server, r));
}

/* The server's process ends: nobody listens any more, the connection is closed. */
static inline void rig_kill(struct user_rig *r)
{
	if (!r->running)
		return;
	r->running = false;
	shutdown(r->listener, SHUT_RDWR);
	shutdown(r->server.fd, SHUT_RDWR);
	pthread_join(r->thread, NULL);
	close(r->listener);
	unlink(r->path);
}

static inline void rig_device(struct user_rig *r)
{
	const uint32_t rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	struct vfuser_region *reg = r->dev.region;

	r->dev = (struct vfuser_device){.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
					.read = rig_read,
					.write = rig_write,
					.reset = rig_reset,
					.arg = r};
	reg[CONFIG] = (struct vfuser_region){.size = sizeof(r->config), .flags = rw};
	reg[REG_BAR] = (struct vfuser_region){.size = sizeof(r->reg), .flags = rw};
	reg[MEM_BAR] = (struct vfuser_region){.size = 2 * 4096,
					      .flags = rw | VFIO_REGION_INFO_FLAG_MMAP,
					      .fd = r->mem_file,
					      .area = {{0, 4096}},
					      .n_areas = 1};
	reg[BELL_BAR] = (struct vfuser_region){
		.size = 4096,
		.flags = rw,
		.doorbell = {{.off = 0, .len = 4, .fd = r->bell, .shadow_fd = -1},
			     {.off = 8,
			      .len = 4,
			      .fd = r->shadow_bell,
			      .shadow_fd = r->shadow_file,
			      .shadow_off = SHADOW_AT}},
		.n_doorbells = 2};
	r->dev.irq[VFIO_PCI_INTX_IRQ_INDEX].flags = VFIO_IRQ_INFO_EVENTFD;
	r->dev.irq[VFIO_PCI_INTX_IRQ_INDEX].count = 1;
	r->dev.irq[VFIO_PCI_MSIX_IRQ_INDEX].flags = VFIO_IRQ_INFO_EVENTFD;
	r->dev.irq[VFIO_PCI_MSIX_IRQ_INDEX].count = RIG_MSIX;
	r->config[PCI_VENDOR_ID] = 0x34;
	r->config[PCI_VENDOR_ID + 1] = 0x12;
	r->config[PCI_CLASS_DEVICE + 1] = 0xff;
}

static inline int rig_file(uint64_t size)
{
	int fd = memfd_create("rig", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	return fd;
}

/* No device yet, but a server. */
static inline void rig_init(struct user_rig *r)
{
	struct err e;

	memset(r, 0, sizeof(*r));
	r->fds = test_open_fds();
	snprintf(r->dir, sizeof(r->dir), "/tmp/vfio-user-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/socket", r->dir);
	assert_int_equal(0, gmem_create(&r->ram, RIG_RAM, true, &e));
	assert_int_equal(0, loop_init(&r->loop, &e));
	r->host = (struct vfio_user_host){.ram = &r->ram, .loop = &r->loop, .deadline_ms = 60000};
	r->mem_file = rig_file(4096);
	r->shadow_file = rig_file(4096);
	r->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->shadow_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig_device(r);
	r->server = (struct vfuser_server){.dev = &r->dev, .fd = -1, .command_fd = -1};
	rig_serve(r);
}

static inline void rig_on_gone(void *arg, const char *why)
{
	struct user_rig *r = arg;

	r->gone++;
	snprintf(r->why, sizeof(r->why), "%s", why);
}

static inline void rig_open(struct user_rig *r)
{
	struct err e = {""};
	int rc = vfio_user_open(&r->v, &r->host, r->path, "dev0", &e);

	if (rc < 0)
		fail_msg("open: %s", e.text);
	r->v->gone = rig_on_gone;
	r->v->arg = r;
}

/* One look at what there is; events are waited for, if it says so. */
static inline void rig_turn(struct user_rig *r, bool wait)
{
	struct epoll_event ev;

	if (epoll_wait(r->loop.epoll_fd, &ev, 1, wait ? 60000 : 0) == 1) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
	}
}

static inline void rig_fini(struct user_rig *r)
{
	vfio_destroy(r->v);
	rig_kill(r);
	loop_fini(&r->loop);
	gmem_destroy(&r->ram);
	fd_close(&r->mem_file);
	fd_close(&r->shadow_file);
	fd_close(&r->bell);
	fd_close(&r->shadow_bell);
	rmdir(r->dir);
	assert_int_equal(r->fds, test_open_fds());
}

static inline uint32_t rig_get(struct user_rig *r, uint64_t off, int expected)
{
	uint32_t value = 0;

	assert_int_equal(expected, r->v->ops->read(r->v, REG_BAR, off, &value, sizeof(value)));
	return value;
}

static inline void rig_put(struct user_rig *r, uint64_t off, uint32_t value, int expected)
{
	assert_int_equal(expected, r->v->ops->write(r->v, REG_BAR, off, &value, sizeof(value)));
}

static inline uint64_t rig_count(int fd)
{
	eventfd_t n = 0;

	return eventfd_read(fd, &n) == 0 ? n : 0;
}
