/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What toyvmm needs of linux/iommufd.h (Linux 6.2) and of the newer half of linux/vfio.h (Linux 6.6): the headers that
 * Debian 12 builds with are older than both. Numbers and layouts are the kernel's ABI; the names here are ours where
 * the kernel's would collide with a newer header.
 */
#pragma once

#include <linux/ioctl.h>
#include <linux/vfio.h>

#include "base/base.h"

/* ioctls of /dev/iommu. `size` is that of the whole structure, as the caller knows it. */
struct iommufd_ioas_alloc {
	uint32_t size, flags, out_ioas_id;
};
#define IOMMUFD_IOAS_ALLOC _IO(';', 0x81)

struct iommufd_ioas_map {
	uint32_t size, flags, ioas_id, reserved;
	uint64_t user_va, length, iova;
};
#define IOMMUFD_IOAS_MAP       _IO(';', 0x85)
#define IOMMUFD_MAP_FIXED_IOVA (1 << 0)
#define IOMMUFD_MAP_WRITEABLE  (1 << 1)
#define IOMMUFD_MAP_READABLE   (1 << 2)

/* ioctls of /dev/vfio/devices/vfioN. */
struct iommufd_bind {
	uint32_t argsz, flags;
	int32_t iommufd;
	uint32_t out_devid;
};
#define IOMMUFD_DEVICE_BIND _IO(VFIO_TYPE, VFIO_BASE + 18) /* VFIO_DEVICE_BIND_IOMMUFD */

struct iommufd_attach {
	uint32_t argsz, flags, pt_id;
};
#define IOMMUFD_DEVICE_ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19) /* VFIO_DEVICE_ATTACH_IOMMUFD_PT */

/* In vfio_pci_hot_reset_info.flags: ids of devices instead of groups; all of them are of this iommufd. */
#define IOMMUFD_HOT_RESET_DEV_ID       (1 << 0)
#define IOMMUFD_HOT_RESET_DEV_ID_OWNED (1 << 1)
