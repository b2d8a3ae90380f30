// SPDX-License-Identifier: Apache-2.0
/* Regions of a device of the kernel's: where they are in its file, and which parts of them can be mapped. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "passthru/kernel_impl.h"

#define INFO_MAX \
	(64 * KIB) /* bytes that VFIO_DEVICE_GET_REGION_INFO may want for its capabilities */
#define AREAS_MAX 64
#define CAPS_MAX  32

/* *info is the caller's to free, with its capabilities behind it. */
static int get_info(struct kernel_device *d, unsigned index, struct vfio_region_info **info,
		    struct err *e)
{
	const struct kernel_calls *call = d->owner->call;
	uint32_t argsz = sizeof(**info);

	for (;;) {
		*info = calloc(1, argsz);
		if (!*info)
			return err_set(e, ENOMEM, "out of memory");
		(*info)->argsz = argsz;
		(*info)->index = index;
		if (call->ioctl(d->fd, VFIO_DEVICE_GET_REGION_INFO, *info) < 0) {
			int rc = -errno;
			free(*info);
			*info = NULL;
			/* VGA, for a device that has none, and what a mediated device does not know. */
			return rc == -EINVAL ? 0
					     : err_set(e, -rc, "VFIO_DEVICE_GET_REGION_INFO: %s",
						       strerror(-rc));
		}
		if ((*info)->argsz <= argsz)
			return 0;
		argsz = (*info)->argsz;
		free(*info);
		if (argsz > INFO_MAX)
			return err_set(e, EPROTO, "region %u has %u bytes of description", index,
				       argsz);
	}
}

/* The sparse mmap capability; NULL: there is none. It ends inside the description. */
static const struct vfio_region_info_cap_sparse_mmap *find_sparse(const struct vfio_region_info *i)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	uint32_t at = i->flags & VFIO_REGION_INFO_FLAG_CAPS ? i->cap_offset : 0;

	for (unsigned n = 0; n < CAPS_MAX && at >= sizeof(*i) && at % 4 == 0 &&
			     at <= i->argsz - sizeof(struct vfio_info_cap_header);
	     n++) {
		const struct vfio_info_cap_header *h = (const void *)((const char *)i + at);
		sparse = (const void *)h;
		if (h->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP && i->argsz - at >= sizeof(*sparse) &&
		    sparse->nr_areas <=
			    (i->argsz - at - sizeof(*sparse)) / sizeof(sparse->areas[0]))
			return sparse;
		at = h->next;
	}
	return NULL;
}

/* A mapping that fails costs speed only: the region is read and written through the file. */
static void map_area(struct kernel_device *d, unsigned index, uint64_t off, uint64_t len)
{
	struct vfio_region *r = &d->base.region[index];
	int prot = (r->flags & VFIO_REGION_INFO_FLAG_READ ? PROT_READ : 0) |
		   (r->flags & VFIO_REGION_INFO_FLAG_WRITE ? PROT_WRITE : 0);
	uint64_t at;
	void *host;

	if (len == 0 || off % PAGE_SIZE || len % PAGE_SIZE || off > r->size ||
	    len > r->size - off || __builtin_add_overflow(d->offset[index], off, &at))
		return;
	host = d->owner->call->mmap(NULL, len, prot, MAP_SHARED, d->fd, (off_t)at);
	if (host != MAP_FAILED)
		r->area[r->n_areas++] = (struct vfio_area){off, len, host};
}

static int map_areas(struct kernel_device *d, unsigned index, const struct vfio_region_info *info,
		     struct err *e)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse = find_sparse(info);
	struct vfio_region *r = &d->base.region[index];
	unsigned n = sparse ? MIN(sparse->nr_areas, AREAS_MAX) : 1;

	if (!(r->flags & VFIO_REGION_INFO_FLAG_MMAP) || n == 0)
		return 0;
	r->area = calloc(n, sizeof(*r->area));
	if (!r->area)
		return err_set(e, ENOMEM, "out of memory");
	if (!sparse)
		map_area(d, index, 0, align_down(r->size, PAGE_SIZE));
	for (unsigned i = 0; sparse && i < n; i++)
		map_area(d, index, sparse->areas[i].offset, sparse->areas[i].size);
	return 0;
}

int kernel_read_regions(struct kernel_device *d, struct err *e)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		struct vfio_region_info *info;
		uint64_t last;
		int rc = get_info(d, i, &info, e);
		if (rc < 0)
			return rc;
		if (!info)
			continue;
		/* What does not fit into a file's offsets is no region. */
		if (info->size > 0 &&
		    !__builtin_add_overflow(info->offset, info->size - 1, &last) &&
		    last <= INT64_MAX) {
			d->base.region[i].size = info->size;
			d->base.region[i].flags = info->flags;
			d->offset[i] = info->offset;
			rc = map_areas(d, i, info, e);
		}
		free(info);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void kernel_unmap_regions(struct kernel_device *d)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		struct vfio_region *r = &d->base.region[i];
		for (unsigned k = 0; k < r->n_areas; k++)
			d->owner->call->munmap(r->area[k].host, r->area[k].len);
		r->n_areas = 0;
		free(r->area);
		r->area = NULL;
	}
}
