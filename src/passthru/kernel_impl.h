/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of kernel VFIO share: kernel.c (devices), group.c (groups, container, DMA), iommufd.c, region.c, reset.c. */
#pragma once

#include <limits.h>
#include <pthread.h>

#include "passthru/host.h"
#include "passthru/kernel.h"

#define KERNEL_MAX_GROUPS 32

/* ioctl arguments that are numbers. */
#define KERNEL_NUMBER(n) ((void *)(uintptr_t)(n))

struct kernel_group {
	int number, fd;
};

struct vfio_kernel {
	struct kernel_host host;
	const struct kernel_calls *call;
	int container;
	bool mapped; /* an IOMMU is set, and RAM is mapped */
	struct kernel_group group[KERNEL_MAX_GROUPS];
	unsigned n_groups;
	/* Instead of container and groups, where the host has it (iommufd.c). */
	int iommu;     /* /dev/iommu; -1: not opened */
	uint32_t ioas; /* the address space; 0: none yet */
	bool iommu_mapped;
};

/* Where a device is: in sysfs, and in which group. */
struct kernel_place {
	char name[NAME_MAX + 1]; /* as VFIO_GROUP_GET_DEVICE_FD wants it: an address, a UUID */
	char dir[PATH_MAX];      /* its directory in sysfs */
	bool pci;                /* an address of a PCI device; else a mediated one */
	int group;
};

struct kernel_device {
	struct vfio_device base;
	struct vfio_kernel *owner;
	pthread_rwlock_t lock; /* for reading: fd is in use; for writing: it is being closed */
	int fd;                /* -1: the device is gone */
	bool by_iommufd;
	uint64_t offset[VFIO_PCI_NUM_REGIONS]; /* of the region, in the file */
	struct loop_source request, error;     /* eventfds; -1: none */
};

/* group.c: the fd of the group, which is in the container, with RAM mapped. -errno with a text. */
int kernel_join_group(struct vfio_kernel *k, const struct kernel_place *at, struct err *e);
/* By errno: why the kernel does not map, that is, pin the guest's memory. Sets `e`, returns -errno. */
int kernel_map_error(const struct vfio_kernel *k, const char *call, struct err *e);

/* iommufd.c: the fd of the device, with RAM mapped for it. -ENOENT: it has to be opened by its group; -errno with a text. */
int iommufd_open_device(struct vfio_kernel *k, const struct kernel_place *at, struct err *e);
void iommufd_close_device(struct vfio_kernel *k, int fd);

/* region.c: fills in base.region, and maps what can be mapped. */
int kernel_read_regions(struct kernel_device *d, struct err *e);
void kernel_unmap_regions(struct kernel_device *d);

/* reset.c: of this device alone, or of all on its bus when all are ours. 0; -ENOTTY: it has no reset; -errno. */
int kernel_reset(struct kernel_device *d);
