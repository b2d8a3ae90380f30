/* SPDX-License-Identifier: Apache-2.0 */
/* Devices as vdev_find_all() finds them, and those of QEMU's microvm: 24 places of 512 bytes, holes among them. */
#pragma once

#include "lib_virtio.h"

#define QEMU_MMIO 0xfeb00000ULL

static inline unsigned find_all(struct vdev found[VDEV_MAX])
{
	unsigned n = vdev_find_all(found);

	for (uint64_t at = QEMU_MMIO; n < VDEV_MAX && at < QEMU_MMIO + 24 * 512; at += 512)
		if (mmio_read32(at) == 0x74726976 && mmio_read32(at + 8))
			found[n++] = (struct vdev){.mmio = true,
						   .base = at,
						   .id = (uint16_t)mmio_read32(at + 8)};
	return n;
}
