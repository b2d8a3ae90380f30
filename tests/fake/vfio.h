/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A passed-through device that is not there: configuration space and regions are arrays, interrupts are remembered;
 * and a router that remembers messages. For units of the PCI front and for fuzzing it.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bus/msi.h"
#include "passthru/vfio.h"

#define FAKE_PAGE    4096u
#define FAKE_VECTORS 2048

struct fake_vfio {
	struct vfio_device base;
	uint8_t config[4096];
	uint8_t *bar[7]; /* and the ROM */
	unsigned reads, writes, resets, destroyed;
	uint64_t last_off; /* of the last write of configuration space */
	uint32_t last_value;
	unsigned last_len;
	/* Interrupts that are armed now: the index; -1: none. Two kinds at once are refused, as the host does. */
	int armed;
	unsigned n_armed, unmasks, arms;
	int fd[FAKE_VECTORS];
	int unmask_fd;
	bool no_unmask_fd; /* a mediated device */
	int fail_irqs;     /* -errno */
	bool dead;
};

static inline struct fake_vfio *fake_of(struct vfio_device *v)
{
	return container_of(v, struct fake_vfio, base);
}

static inline uint8_t *fake_place(struct fake_vfio *f, unsigned index, uint64_t off, unsigned len)
{
	const struct vfio_region *r = &f->base.region[index];

	if (f->dead || off >= r->size || len > r->size - off)
		return NULL;
	return index == VFIO_PCI_CONFIG_REGION_INDEX ? f->config + off : f->bar[index] + off;
}

static inline int fake_region_read(struct vfio_device *v, unsigned index, uint64_t off, void *data,
				   unsigned len)
{
	const uint8_t *at = fake_place(fake_of(v), index, off, len);

	fake_of(v)->reads++;
	memset(data, 0xff, len);
	if (!at)
		return -EIO;
	memcpy(data, at, len);
	return 0;
}

static inline int fake_region_write(struct vfio_device *v, unsigned index, uint64_t off,
				    const void *data, unsigned len)
{
	struct fake_vfio *f = fake_of(v);
	uint8_t *at = fake_place(f, index, off, len);

	f->writes++;
	if (!at)
		return -EIO;
	if (index == VFIO_PCI_CONFIG_REGION_INDEX) {
		f->last_off = off;
		f->last_len = len;
		f->last_value = 0;
		memcpy(&f->last_value, data, len);
	}
	memcpy(at, data, len);
	return 0;
}

static inline int fake_trigger(struct fake_vfio *f, int index, unsigned start, unsigned count,
			       const int *fd)
{
	if (count == 0) {
		if (f->armed == index)
			f->armed = -1, f->n_armed = 0;
		return 0;
	}
	if (f->fail_irqs)
		return f->fail_irqs;
	if ((f->armed >= 0 && f->armed != index) || start + count > f->base.irq[index].count)
		return -EINVAL;
	/* linux/vfio.h: a fixed number while they are on */
	if (f->armed == index && f->base.irq[index].flags & VFIO_IRQ_INFO_NORESIZE &&
	    start + count > f->n_armed)
		return -EINVAL;
	if (f->armed != index)
		memset(f->fd, 0xff, sizeof(f->fd));
	f->armed = index;
	f->arms++;
	f->n_armed = MAX(f->n_armed, start + count);
	memcpy(f->fd + start, fd, count * sizeof(*fd));
	return 0;
}

static inline int fake_set_irqs(struct vfio_device *v, uint32_t flags, unsigned index,
				unsigned start, unsigned count, const int *fd)
{
	struct fake_vfio *f = fake_of(v);

	if (f->dead)
		return -EIO;
	if (flags & VFIO_IRQ_SET_ACTION_TRIGGER)
		return fake_trigger(f, (int)index, start, count, fd);
	if (flags & VFIO_IRQ_SET_DATA_NONE) {
		f->unmasks++;
		return 0;
	}
	if (f->no_unmask_fd)
		return -ENOTTY;
	f->unmask_fd = *fd;
	return 0;
}

static inline int fake_reset(struct vfio_device *v)
{
	fake_of(v)->resets++;
	return 0;
}

static inline void fake_destroy(struct vfio_device *v)
{
	struct fake_vfio *f = fake_of(v);

	f->destroyed++;
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		free(v->region[i].area);
	for (unsigned i = 0; i < ARRAY_SIZE(f->bar); i++)
		free(f->bar[i]);
}

/* A region that is mapped as a whole, where it has a page. */
static inline void fake_bar(struct fake_vfio *f, unsigned i, uint64_t size)
{
	struct vfio_region *r = &f->base.region[i];

	r->size = size;
	r->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	f->bar[i] = aligned_alloc(FAKE_PAGE, (size + FAKE_PAGE - 1) / FAKE_PAGE * FAKE_PAGE);
	memset(f->bar[i], 0, size);
	if (size % FAKE_PAGE)
		return;
	r->area = malloc(sizeof(*r->area));
	r->area[0] = (struct vfio_area){0, size, f->bar[i]};
	r->n_areas = 1;
}

static inline void fake_vfio_init(struct fake_vfio *f)
{
	static const struct vfio_ops ops = {fake_region_read, fake_region_write, fake_set_irqs,
					    fake_reset, fake_destroy};
	static char name[] = "0000:03:00.0";

	memset(f, 0, sizeof(*f));
	f->base.ops = &ops;
	f->base.name = name;
	f->armed = f->unmask_fd = -1;
	f->base.region[VFIO_PCI_CONFIG_REGION_INDEX].size = sizeof(f->config);
	f->base.irq[VFIO_PCI_INTX_IRQ_INDEX] = (struct vfio_irq){VFIO_IRQ_INFO_EVENTFD, 1};
	f->base.irq[VFIO_PCI_MSI_IRQ_INDEX] =
		(struct vfio_irq){VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 32};
	f->base.irq[VFIO_PCI_MSIX_IRQ_INDEX] =
		(struct vfio_irq){VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, FAKE_VECTORS};
}

static inline void fake_put(struct fake_vfio *f, unsigned off, uint32_t value, unsigned len)
{
	memcpy(f->config + off, &value, len);
}

/* ---- messages ---- */

#define FAKE_ROUTES 4096

struct fake_msi {
	struct msi_router router;
	unsigned n;
	struct {
		int fd;
		bool open, connected;
		uint64_t address;
		uint32_t data;
	} route[FAKE_ROUTES];
};

static inline int fake_msi_open(void *arg, int fd)
{
	struct fake_msi *m = arg;

	if (m->n == FAKE_ROUTES)
		return -ENOSPC;
	m->route[m->n].fd = fd;
	m->route[m->n].open = true;
	return (int)m->n++;
}

static inline int fake_msi_connect(void *arg, int route, uint64_t address, uint32_t data)
{
	struct fake_msi *m = arg;

	m->route[route].connected = true;
	m->route[route].address = address;
	m->route[route].data = data;
	return 0;
}

static inline void fake_msi_disconnect(void *arg, int route)
{
	((struct fake_msi *)arg)->route[route].connected = false;
}

static inline void fake_msi_close(void *arg, int route)
{
	struct fake_msi *m = arg;

	m->route[route].open = m->route[route].connected = false;
}

static inline void fake_msi_init(struct fake_msi *m)
{
	memset(m, 0, sizeof(*m));
	m->router = (struct msi_router){fake_msi_open, fake_msi_connect, fake_msi_disconnect,
					fake_msi_close, m};
}

/* The route of an eventfd that is open, or -1. */
static inline int fake_msi_find(const struct fake_msi *m, int fd)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->route[i].open && m->route[i].fd == fd)
			return (int)i;
	return -1;
}
