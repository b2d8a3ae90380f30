/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vDPA device, /dev/vhost-vdpa-N (linux/vhost.h): a virtio device whose rings are read by hardware, or by something
 * that acts so, and whose registers the host's kernel has. What the driver writes to registers here is done there once
 * the driver is ready. All of guest RAM is mapped for it, guest-physical address for address; RAM that the
 * device reads through an IOMMU is locked for that. docs/vdpa.md tells more.
 *
 * Guest RAM has to be shared (gmem_create()): the kernel maps nothing else for devices that are software.
 */
#pragma once

#include "event/loop.h"
#include "mem/gmem.h"
#include "vhost/kernel.h"
#include "vhost/vhost.h"

/* For tests: the system that is asked. NULL: Linux. */
struct vdpa_place {
	const char *name, *path;
	const struct gmem *mem;
	struct loop *loop;
	const struct vhost_sys *sys;
};

/* Opens it and maps RAM; strings, RAM and loop outlive it. -errno with a text that says what would mend it. */
int vdpa_create(struct vhost **out, const struct vdpa_place *place, struct err *e);
