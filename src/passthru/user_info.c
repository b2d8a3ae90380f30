// SPDX-License-Identifier: Apache-2.0
/* What the device has: regions, the parts of them that can be mapped, interrupts, and who it is. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "mem/layout.h"
#include "passthru/user_impl.h"

#define KINDS_MAX  1024         /* regions, and kinds of interrupts: more make no sense */
#define REGION_MAX (1ULL << 40) /* bytes */
#define CAPS_MAX   16
/* The description of a region with as many areas as descriptors fit into a message, and some capabilities. */
#define INFO_MAX                                           \
	(sizeof(struct vfio_region_info) + CAPS_MAX * 16 + \
	 sizeof(struct vfio_region_info_cap_sparse_mmap) + \
	 USER_AREAS_MAX * sizeof(struct vfio_region_sparse_mmap_area))

/* ---- the device ---- */

static int read_device(struct user_info *info, struct user_conn *c, unsigned *n_irqs, struct err *e)
{
	struct user_device_info d = {.argsz = sizeof(d)};
	struct user_request r = {.command = USER_GET_INFO,
				 .head = &d,
				 .head_len = sizeof(d),
				 .min = sizeof(d),
				 .max = sizeof(d)};
	const void *reply;
	size_t len;
	int rc = user_conn_call(c, &r, &reply, &len);

	if (rc < 0)
		return user_conn_err(c, rc, "device info", e);
	memcpy(&d, reply, sizeof(d));
	user_conn_done(c);
	if (!(d.flags & VFIO_DEVICE_FLAGS_PCI))
		return err_set(e, EPROTO, "it is not a PCI device");
	if (d.num_regions <= VFIO_PCI_CONFIG_REGION_INDEX || d.num_regions > KINDS_MAX)
		return err_set(e, EPROTO, "%u regions: a PCI device has %u", d.num_regions,
			       VFIO_PCI_NUM_REGIONS);
	if (d.num_irqs > KINDS_MAX)
		return err_set(e, EPROTO, "%u kinds of interrupts: a PCI device has %u", d.num_irqs,
			       VFIO_PCI_NUM_IRQS);
	info->flags = d.flags;
	*n_irqs = MIN(d.num_irqs, VFIO_PCI_NUM_IRQS);
	return 0;
}

/* ---- areas ---- */

static bool overlaps(const struct vfio_region *r, uint64_t off, uint64_t len)
{
	for (unsigned i = 0; i < r->n_areas; i++)
		if (off < r->area[i].off + r->area[i].len && r->area[i].off < off + len)
			return true;
	return false;
}

/* A mapping behind the end of its file would be a fault when it is touched. */
static bool in_file(int fd, uint64_t at, uint64_t len)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (!S_ISREG(st.st_mode) || (at <= (uint64_t)st.st_size &&
								len <= (uint64_t)st.st_size - at));
}

/* The area [off, off + len) of the region is at `at` of the file. `old`: it replaces that one, in its place. */
static int map_area(struct vfio_region *r, uint64_t off, uint64_t len, int fd, uint64_t at,
		    const struct vfio_area *old, struct err *e)
{
	int prot = (r->flags & VFIO_REGION_INFO_FLAG_READ ? PROT_READ : 0) |
		   (r->flags & VFIO_REGION_INFO_FLAG_WRITE ? PROT_WRITE : 0);
	void *host;

	if (len == 0 || off % PAGE_SIZE || len % PAGE_SIZE || off > r->size || len > r->size - off)
		return err_set(e, EPROTO, "an area to be mapped is not pages of its region");
	if (overlaps(r, off, len))
		return err_set(e, EPROTO, "areas to be mapped overlap");
	if (__builtin_add_overflow(at, off, &at) || at % PAGE_SIZE || at > INT64_MAX - len ||
	    !in_file(fd, at, len))
		return err_set(e, EPROTO, "an area to be mapped is not in its file");
	host = mmap(old ? old->host : NULL, len, prot, MAP_SHARED | (old ? MAP_FIXED : 0), fd,
		    (off_t)at);
	if (host == MAP_FAILED)
		return err_sys(e, "an area cannot be mapped");
	r->area[r->n_areas++] = (struct vfio_area){off, len, host};
	return 0;
}

/* The sparse mmap capability; NULL: there is none. It ends inside the description. -EPROTO: nonsense. */
static int find_sparse(const struct vfio_region_info *i, size_t len,
		       const struct vfio_region_info_cap_sparse_mmap **out)
{
	uint32_t at = i->flags & VFIO_REGION_INFO_FLAG_CAPS ? i->cap_offset : 0;

	*out = NULL;
	for (unsigned n = 0; at != 0; n++) {
		const struct vfio_info_cap_header *h = (const void *)((const char *)i + at);
		const struct vfio_region_info_cap_sparse_mmap *s = (const void *)h;
		if (n == CAPS_MAX || at < sizeof(*i) || at % 8 || at > len - sizeof(*h))
			return -EPROTO;
		if (h->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP) {
			if (len - at < sizeof(*s) ||
			    s->nr_areas > (len - at - sizeof(*s)) / sizeof(s->areas[0]))
				return -EPROTO;
			*out = s;
			return 0;
		}
		at = h->next;
	}
	return 0;
}

/* One descriptor for all areas, or one for each. */
static int area_fd(const struct user_socket *s, unsigned i, unsigned n)
{
	return s->rx_fd[s->n_rx_fds == n ? i : 0];
}

static int map_areas(struct vfio_region *r, const struct user_socket *s,
		     const struct vfio_region_info *info, size_t len, const struct vfio_region *old,
		     struct err *e)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse;
	unsigned n;
	int rc = 0;

	if (find_sparse(info, len, &sparse) < 0)
		return err_set(e, EPROTO, "its capabilities make no sense");
	n = sparse ? sparse->nr_areas : 1;
	if (n == 0)
		return 0;
	if (n > USER_AREAS_MAX)
		return err_set(e, EPROTO, "%u areas to be mapped", n);
	if (s->n_rx_fds == 0)
		return err_set(e, EPROTO, "it can be mapped, but no file came with it");
	if (old && old->n_areas != n)
		return err_set(e, EPROTO, "its areas have changed");
	r->area = calloc(n, sizeof(*r->area));
	if (!r->area)
		return err_set(e, ENOMEM, "out of memory");
	for (unsigned i = 0; i < n && rc == 0; i++) {
		uint64_t off = sparse ? sparse->areas[i].offset : 0;
		uint64_t size = sparse ? sparse->areas[i].size : r->size;
		if (old && (old->area[i].off != off || old->area[i].len != size))
			return err_set(e, EPROTO, "its areas have changed");
		rc = map_area(r, off, size, area_fd(s, i, n), info->offset,
			      old ? &old->area[i] : NULL, e);
	}
	return rc;
}

/* ---- regions ---- */

static int check_region(const struct vfio_region_info *i, unsigned index, struct err *e)
{
	bool config = index == VFIO_PCI_CONFIG_REGION_INDEX;
	uint32_t rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

	if (i->index != index)
		return err_set(e, EPROTO, "the answer is about region %u", i->index);
	if (i->size > REGION_MAX)
		return err_set(e, EPROTO, "%llu bytes", i->size);
	if (config && i->size != 256 && i->size != 4096)
		return err_set(e, EPROTO, "a configuration space of %llu bytes", i->size);
	if (config && (i->flags & rw) != rw)
		return err_set(e, EPROTO, "the configuration space cannot be read and written");
	return 0;
}

static int take_region(struct user_info *info, struct user_conn *c, unsigned index,
		       const void *reply, size_t len, const struct vfio_region *old, struct err *e)
{
	struct vfio_region *r = &info->region[index];
	const struct vfio_region_info *i = reply;
	int rc = check_region(i, index, e);

	if (rc < 0)
		return rc;
	r->size = i->size;
	r->flags = i->flags & (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
			       VFIO_REGION_INFO_FLAG_MMAP);
	if (old && (old->size != r->size || old->flags != r->flags))
		return err_set(e, EPROTO, "it has changed");
	if (r->size == 0 || index == VFIO_PCI_CONFIG_REGION_INDEX ||
	    !(r->flags & VFIO_REGION_INFO_FLAG_MMAP))
		return 0;
	return map_areas(r, &c->main, i, len, old, e);
}

static int read_region(struct user_info *info, struct user_conn *c, unsigned index,
		       const struct vfio_region *old, struct err *e)
{
	struct vfio_region_info i = {.argsz = INFO_MAX, .index = index};
	struct user_request r = {.command = USER_GET_REGION_INFO,
				 .head = &i,
				 .head_len = sizeof(i),
				 .min = sizeof(i),
				 .max = INFO_MAX,
				 .max_fds = USER_FDS_MAX};
	const void *reply;
	size_t len;
	int rc = user_conn_call(c, &r, &reply, &len);

	if (rc < 0) /* the VGA region is not known to all servers */
		return !c->broken && index > VFIO_PCI_CONFIG_REGION_INDEX
			       ? 0
			       : user_conn_err(c, rc, "description", e);
	rc = take_region(info, c, index, reply, len, old, e);
	user_conn_done(c);
	if (rc == 0 && index <= VFIO_PCI_BAR5_REGION_INDEX && info->region[index].size)
		rc = user_io_fds_read(&info->region[index], &info->more[index], c, index, e);
	return rc;
}

/* ---- interrupts ---- */

static int read_irq(struct vfio_irq *irq, struct user_conn *c, unsigned index, struct err *e)
{
	static const uint32_t most[VFIO_PCI_NUM_IRQS] = {1, 32, 2048, 1, 1};
	struct vfio_irq_info i = {.argsz = sizeof(i), .index = index};
	struct user_request r = {.command = USER_GET_IRQ_INFO,
				 .head = &i,
				 .head_len = sizeof(i),
				 .min = sizeof(i),
				 .max = sizeof(i)};
	const void *reply;
	size_t len;
	int rc = user_conn_call(c, &r, &reply, &len);

	if (rc < 0) /* the kinds for errors and requests are not known to all servers */
		return !c->broken && index > VFIO_PCI_MSIX_IRQ_INDEX
			       ? 0
			       : user_conn_err(c, rc, "description", e);
	memcpy(&i, reply, sizeof(i));
	user_conn_done(c);
	if (i.index != index)
		return err_set(e, EPROTO, "the answer is about kind %u", i.index);
	if (i.count > most[index])
		return err_set(e, EPROTO, "%u of them: there are at most %u", i.count, most[index]);
	if (i.count > 0 && i.flags & VFIO_IRQ_INFO_EVENTFD)
		*irq = (struct vfio_irq){i.flags, i.count};
	return 0;
}

/* ---- who it is ---- */

static int read_identity(struct user_info *info, struct user_conn *c, struct err *e)
{
	for (unsigned off = 0; off < sizeof(info->identity); off += 4) {
		int rc = user_conn_read(c, VFIO_PCI_CONFIG_REGION_INDEX, off, info->identity + off,
					4);
		if (rc < 0)
			return user_conn_err(c, rc, "configuration space", e);
	}
	if (info->identity[PCI_VENDOR_ID] == 0xff && info->identity[PCI_VENDOR_ID + 1] == 0xff)
		return err_set(e, EPROTO, "no device answers in the configuration space");
	memset(info->identity + PCI_COMMAND, 0, 4); /* and the status */
	memset(info->identity + PCI_CACHE_LINE_SIZE, 0, 2);
	memset(info->identity + PCI_BASE_ADDRESS_0, 0, 4ul * 6);
	memset(info->identity + PCI_ROM_ADDRESS, 0, 4);
	info->identity[PCI_INTERRUPT_LINE] = 0;
	return 0;
}

int user_info_read(struct user_info *info, struct user_conn *c, const struct vfio_region *old,
		   struct err *e)
{
	unsigned n_irqs = 0;
	int rc;

	*info = (struct user_info){0};
	rc = read_device(info, c, &n_irqs, e);
	for (unsigned i = 0; i <= VFIO_PCI_CONFIG_REGION_INDEX && rc == 0; i++) {
		rc = read_region(info, c, i, old ? &old[i] : NULL, e);
		if (rc < 0)
			err_wrap(e, rc, "region %u: ", i);
	}
	for (unsigned i = 0; i < n_irqs && rc == 0; i++) {
		rc = read_irq(&info->irq[i], c, i, e);
		if (rc < 0)
			err_wrap(e, rc, "interrupts of kind %u: ", i);
	}
	return rc < 0 ? rc : read_identity(info, c, e);
}

void user_regions_fini(struct vfio_region *region, struct user_region *more, bool unmap)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		struct vfio_region *r = &region[i];
		for (unsigned k = 0; k < r->n_areas && unmap; k++)
			munmap(r->area[k].host, r->area[k].len);
		for (unsigned k = 0; k < r->n_doorbells; k++)
			fd_close(&r->doorbell[k].fd);
		for (unsigned k = 0; k < more[i].n_shadows; k++) {
			fd_close(&more[i].shadow[k].kick);
			fd_close(&more[i].shadow[k].file);
		}
		free(r->area);
		free(r->doorbell);
		free(more[i].shadow);
		*r = (struct vfio_region){0};
		more[i] = (struct user_region){0};
	}
}

void user_info_fini(struct user_info *info, bool unmap)
{
	user_regions_fini(info->region, info->more, unmap);
}
