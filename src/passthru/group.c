// SPDX-License-Identifier: Apache-2.0
/*
 * Groups and the container. A group is what the IOMMU can tell apart: all devices in it have one view of memory, so
 * they are given away together. A container is such a view: here one, of guest RAM, for all groups of the machine.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "passthru/kernel_impl.h"

static int open_container(struct vfio_kernel *k, struct err *e)
{
	int rc;

	if (k->container >= 0)
		return 0;
	k->container = k->call->open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (k->container < 0 && (errno == ENOENT || errno == ENODEV))
		return err_set(e, errno,
			       "/dev/vfio/vfio is not there: 'sudo modprobe vfio-pci' loads VFIO");
	if (k->container < 0)
		return err_sys(e, "/dev/vfio/vfio");
	rc = k->call->ioctl(k->container, VFIO_GET_API_VERSION, NULL);
	if (rc != VFIO_API_VERSION)
		return err_set(e, ENODEV, "/dev/vfio/vfio: VFIO version %d instead of %d", rc,
			       VFIO_API_VERSION);
	if (k->call->ioctl(k->container, VFIO_CHECK_EXTENSION, KERNEL_NUMBER(VFIO_TYPE1v2_IOMMU)) <=
	    0)
		return err_set(e, ENODEV,
			       "this host's VFIO has no type 1 IOMMU driver: 'sudo modprobe "
			       "vfio_iommu_type1' loads it");
	return 0;
}

static int in_use(const struct kernel_place *at, struct err *e)
{
	return err_set(e, EBUSY, "it is in use: another program has IOMMU group %d", at->group);
}

/* Whose drivers keep the group from being given away: those are to be told. */
static int not_viable(const struct vfio_kernel *k, const struct kernel_place *at, struct err *e)
{
	struct host_group g;
	struct host_device d;
	struct err ignored;
	char who[256] = "";

	host_read_group(&g, k->host.root, at->group);
	for (unsigned i = 0; i < g.n; i++) {
		size_t n = strlen(who);
		if (host_read(&d, k->host.root, g.member[i], &ignored) < 0 || d.bridge ||
		    host_driver_is_harmless(d.driver))
			continue;
		snprintf(who + n, sizeof(who) - n, "%s%s (%s)", n ? ", " : "", d.bdf, d.driver);
	}
	if (!who[0])
		return in_use(at, e);
	return err_set(e, EPERM,
		       "it shares IOMMU group %d with devices that the host uses: %s; give those "
		       "up as well, with 'sudo toyvmm vfio bind'",
		       at->group, who);
}

static int open_error(const struct kernel_place *at, struct err *e)
{
	switch (errno) {
	case EACCES:
	case EPERM:
		return err_set(e, EACCES,
			       "/dev/vfio/%d: permission denied: 'sudo chown $USER /dev/vfio/%d' "
			       "gives it to you",
			       at->group, at->group);
	case EBUSY:
		return in_use(at, e);
	case ENOENT:
		return err_set(e, ENOENT,
			       "/dev/vfio/%d is not there: no device of IOMMU group %d is bound to "
			       "vfio-pci",
			       at->group, at->group);
	default:
		return err_sys(e, "/dev/vfio/%d", at->group);
	}
}

static int open_group(struct vfio_kernel *k, const struct kernel_place *at, struct err *e)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[64];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/dev/vfio/%d", at->group);
	fd = k->call->open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return open_error(at, e);
	if (k->call->ioctl(fd, VFIO_GROUP_GET_STATUS, &status) < 0)
		rc = err_sys(e, "%s: VFIO_GROUP_GET_STATUS", path);
	else if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		rc = not_viable(k, at, e);
	else if (status.flags & VFIO_GROUP_FLAGS_CONTAINER_SET)
		rc = in_use(at, e);
	else if (k->call->ioctl(fd, VFIO_GROUP_SET_CONTAINER, &k->container) < 0)
		rc = err_sys(e, "%s: VFIO_GROUP_SET_CONTAINER", path);
	if (rc < 0)
		k->call->close(fd);
	return rc < 0 ? rc : fd;
}

int kernel_map_error(const struct vfio_kernel *k, const char *call, struct err *e)
{
	uint64_t need = gmem_size(k->host.ram) / MIB;
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (errno != ENOMEM)
		return err_sys(e, "%s of the guest's memory", call);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		return err_set(e, ENOMEM,
			       "the host has no %llu MiB that it can pin: passthrough needs all of "
			       "the guest's memory at once; try less --memory",
			       (unsigned long long)need);
	if (limit.rlim_cur / MIB >= need) /* iommufd counts by user, not by process */
		return err_set(e, ENOMEM,
			       "the guest's %llu MiB have to be locked in memory; with what this "
			       "user's other guests have locked that is more than the limit of "
			       "%llu KiB (ulimit -l)",
			       (unsigned long long)need, (unsigned long long)limit.rlim_cur / KIB);
	return err_set(e, ENOMEM,
		       "the guest's %llu MiB have to be locked in memory, and the limit is %llu "
		       "KiB: 'ulimit -l %llu' (root, or /etc/security/limits.conf, raises it)",
		       (unsigned long long)need, (unsigned long long)limit.rlim_cur / KIB,
		       (unsigned long long)(need + 64) * KIB);
}

/* With the first group in it the container has an IOMMU. */
static int map_ram(struct vfio_kernel *k, struct err *e)
{
	const struct gmem *ram = k->host.ram;

	if (k->mapped)
		return 0;
	if (k->call->ioctl(k->container, VFIO_SET_IOMMU, KERNEL_NUMBER(VFIO_TYPE1v2_IOMMU)) < 0) {
		if (errno == EPERM)
			return err_set(
				e, EPERM,
				"this host's IOMMU cannot remap interrupts, so that a device could "
				"forge them; the option allow_unsafe_interrupts=1 of "
				"vfio_iommu_type1 accepts that");
		return err_sys(e, "VFIO_SET_IOMMU");
	}
	for (unsigned i = 0; i < ram->n; i++) {
		struct vfio_iommu_type1_dma_map map = {
			.argsz = sizeof(map),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = (uint64_t)(uintptr_t)ram->region[i].host,
			.iova = ram->region[i].base,
			.size = ram->region[i].len,
		};
		if (k->call->ioctl(k->container, VFIO_IOMMU_MAP_DMA, &map) < 0)
			return kernel_map_error(k, "VFIO_IOMMU_MAP_DMA", e);
	}
	k->mapped = true;
	return 0;
}

static void leave(struct vfio_kernel *k, int fd)
{
	if (k->host.file)
		k->host.file(k->host.arg, fd, false);
	k->call->ioctl(fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
	k->call->close(fd);
}

int kernel_join_group(struct vfio_kernel *k, const struct kernel_place *at, struct err *e)
{
	int rc, fd;

	for (unsigned i = 0; i < k->n_groups; i++)
		if (k->group[i].number == at->group)
			return k->group[i].fd;
	if (k->n_groups == KERNEL_MAX_GROUPS)
		return err_set(e, ENOSPC, "at most %d IOMMU groups are possible",
			       KERNEL_MAX_GROUPS);
	if ((rc = open_container(k, e)) < 0)
		return rc;
	fd = open_group(k, at, e);
	if (fd < 0)
		return fd;
	if (k->host.file)
		k->host.file(k->host.arg, fd, true);
	if ((rc = map_ram(k, e)) < 0) {
		leave(k, fd);
		return rc;
	}
	k->group[k->n_groups++] = (struct kernel_group){at->group, fd};
	return fd;
}

/* The kernel unmaps, and unpins, when the last group leaves, or the iommufd is closed. */
void vfio_kernel_destroy(struct vfio_kernel *k)
{
	if (!k)
		return;
	while (k->n_groups > 0)
		leave(k, k->group[--k->n_groups].fd);
	if (k->container >= 0)
		k->call->close(k->container);
	if (k->iommu >= 0)
		k->call->close(k->iommu);
	free(k);
}
