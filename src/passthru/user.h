/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices in other processes: a client of the vfio-user protocol (QEMU's docs/interop/vfio-user.rst; libvfio-user's
 * servers and SPDK's speak it). docs/vfio-user.md has a drawing of who says what.
 *
 * The server is trusted with the guest, whose RAM it gets; it is not trusted with toyvmm. Each reply is checked
 * against its request. A server that breaks the protocol, or does not answer within the deadline, is dead for good
 * (`gone`). One that closes its socket is away: reads give all ones and -EIO, writes are lost, and interrupts that are
 * set are kept. When somebody listens at the path again, and it is the same device, it is given RAM and
 * interrupts anew. It has been reset then: the guest's driver has to begin anew, as after a reset on hardware.
 */
#pragma once

#include "event/loop.h"
#include "mem/gmem.h"
#include "passthru/vfio.h"

#define VFIO_USER_DEADLINE_MS 5000 /* a reply's */

/* What it needs; all of it outlives it. */
struct vfio_user_host {
	const struct gmem *ram; /* with a memfd: else each access of the device's is a message */
	struct loop *loop;
	unsigned deadline_ms; /* 0: VFIO_USER_DEADLINE_MS */
};

/*
 * Connects to the server that listens at `path`, and resets the device. `name` is for messages. -errno with a text.
 * Waits for the server, up to the deadline for each of its answers.
 */
int vfio_user_open(struct vfio_device **out, const struct vfio_user_host *host, const char *path,
		   const char *name, struct err *e);
