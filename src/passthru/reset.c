// SPDX-License-Identifier: Apache-2.0
/*
 * Resets of a device of the kernel's: its own (a function level reset, or what else concerns it alone), or, where it has none,
 * a hot reset of its bus or slot. That one hits all devices there, so the kernel wants proof that they are ours: the
 * groups of all of them. Of devices that were opened by iommufd it knows that itself.
 */
#include <errno.h>
#include <stdlib.h>

#include "passthru/iommufd_uapi.h"
#include "passthru/kernel_impl.h"

#define DEPENDENT_MAX 256 /* functions of one bus */

static int group_fd(const struct vfio_kernel *k, uint32_t number)
{
	for (unsigned i = 0; i < k->n_groups; i++)
		if (k->group[i].number == (int)number)
			return k->group[i].fd;
	return -1;
}

/* Adds a group's fd to the list, once; false: it is not ours. */
static bool add_group(struct vfio_pci_hot_reset *reset, int fd)
{
	for (unsigned i = 0; i < reset->count; i++)
		if (reset->group_fds[i] == fd)
			return true;
	if (fd >= 0)
		reset->group_fds[reset->count++] = fd;
	return fd >= 0;
}

/* Those of all devices that the reset would hit. -ENOTTY: one is not ours. */
static int add_groups(struct vfio_pci_hot_reset *reset, const struct vfio_kernel *k,
		      const struct vfio_pci_hot_reset_info *info)
{
	for (unsigned i = 0; i < MIN(info->count, DEPENDENT_MAX); i++)
		if (!add_group(reset, group_fd(k, info->devices[i].group_id)))
			return -ENOTTY;
	return 0;
}

static int hot_reset(struct kernel_device *d)
{
	const struct kernel_calls *call = d->owner->call;
	struct vfio_pci_hot_reset_info *info;
	struct vfio_pci_hot_reset *reset;
	size_t size = sizeof(*info) + DEPENDENT_MAX * sizeof(info->devices[0]);
	int rc = 0;

	info = calloc(1, size);
	reset = calloc(1, sizeof(*reset) + KERNEL_MAX_GROUPS * sizeof(reset->group_fds[0]));
	if (!info || !reset) {
		rc = -ENOMEM;
		goto out;
	}
	info->argsz = (uint32_t)size;
	if (call->ioctl(d->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info) < 0) {
		rc = -ENOTTY;
		goto out;
	}
	if (info->flags & IOMMUFD_HOT_RESET_DEV_ID)
		rc = info->flags & IOMMUFD_HOT_RESET_DEV_ID_OWNED ? 0 : -ENOTTY;
	else
		rc = add_groups(reset, d->owner, info);
	reset->argsz = (uint32_t)(sizeof(*reset) + reset->count * sizeof(reset->group_fds[0]));
	if (rc == 0 && call->ioctl(d->fd, VFIO_DEVICE_PCI_HOT_RESET, reset) < 0)
		rc = -errno;
out:
	free(reset);
	free(info);
	return rc;
}

int kernel_reset(struct kernel_device *d)
{
	if (!(d->base.flags & VFIO_DEVICE_FLAGS_RESET))
		return d->base.flags & VFIO_DEVICE_FLAGS_PCI ? hot_reset(d) : -ENOTTY;
	return d->owner->call->ioctl(d->fd, VFIO_DEVICE_RESET, NULL) < 0 ? -errno : 0;
}
