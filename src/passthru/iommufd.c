// SPDX-License-Identifier: Apache-2.0
/*
 * Devices without groups and containers (Linux 6.6 and newer, Documentation/driver-api/vfio.rst "VFIO Device cdev" and
 * Documentation/userspace-api/iommufd.rst). Each device is a file of its own, /dev/vfio/devices/vfioN; an address space
 * is an object of /dev/iommu that devices are attached to. The kernel still keeps those of a group together: it
 * refuses a device while another of its group is in other hands.
 */
#include "passthru/iommufd_uapi.h"

#include <errno.h>
#include <fcntl.h>

#include "passthru/kernel_impl.h"

/* All of guest RAM at its guest-physical addresses, for what is attached and what will be. */
static int map_ram(struct vfio_kernel *k, struct err *e)
{
	const struct gmem *ram = k->host.ram;

	for (unsigned i = 0; i < ram->n && !k->iommu_mapped; i++) {
		struct iommufd_ioas_map map = {
			.size = sizeof(map),
			.flags = IOMMUFD_MAP_FIXED_IOVA | IOMMUFD_MAP_WRITEABLE |
				 IOMMUFD_MAP_READABLE,
			.ioas_id = k->ioas,
			.user_va = (uint64_t)(uintptr_t)ram->region[i].host,
			.length = ram->region[i].len,
			.iova = ram->region[i].base,
		};
		if (k->call->ioctl(k->iommu, IOMMUFD_IOAS_MAP, &map) < 0)
			return kernel_map_error(k, "IOMMU_IOAS_MAP", e);
	}
	k->iommu_mapped = true;
	return 0;
}

/* RAM is mapped with a device in the address space: only then the kernel pins it, and says if it cannot. */
static int attach(struct vfio_kernel *k, int fd, struct err *e)
{
	struct iommufd_ioas_alloc alloc = {.size = sizeof(alloc)};
	struct iommufd_attach attach = {.argsz = sizeof(attach)};

	if (!k->ioas) {
		if (k->call->ioctl(k->iommu, IOMMUFD_IOAS_ALLOC, &alloc) < 0)
			return err_sys(e, "/dev/iommu: IOMMU_IOAS_ALLOC");
		k->ioas = alloc.out_ioas_id;
	}
	attach.pt_id = k->ioas;
	if (k->call->ioctl(fd, IOMMUFD_DEVICE_ATTACH, &attach) < 0)
		return err_sys(e, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return map_ram(k, e);
}

int iommufd_open_device(struct vfio_kernel *k, const struct kernel_place *at, struct err *e)
{
	struct iommufd_bind bind = {.argsz = sizeof(bind)};
	char path[HOST_CDEV_LEN];
	int fd, rc;

	/* Two address spaces would pin the guest's memory twice: who has begun with one kind goes on with it. */
	if (k->container >= 0 || !host_cdev(path, at->dir))
		return -ENOENT;
	if (k->iommu < 0)
		k->iommu = k->call->open("/dev/iommu", O_RDWR | O_CLOEXEC);
	fd = k->iommu < 0 ? -1 : k->call->open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return k->ioas ? err_sys(e, "%s", path) : -ENOENT;
	/* KVM first: the device remembers at its binding which guest it is for. */
	if (k->host.file)
		k->host.file(k->host.arg, fd, true);
	bind.iommufd = k->iommu;
	/* What keeps the first one from being bound the group's way meets as well, and there it has a name. */
	if (k->call->ioctl(fd, IOMMUFD_DEVICE_BIND, &bind) == 0)
		rc = attach(k, fd, e);
	else
		rc = k->ioas ? err_sys(e, "VFIO_DEVICE_BIND_IOMMUFD") : -ENOENT;
	if (rc < 0)
		iommufd_close_device(k, fd);
	return rc < 0 ? rc : fd;
}

void iommufd_close_device(struct vfio_kernel *k, int fd)
{
	if (k->host.file)
		k->host.file(k->host.arg, fd, false);
	k->call->close(fd);
}
