/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues served by another process: the front end of the vhost-user protocol (QEMU's
 * docs/interop/vhost-user.rst). docs/vhost-user.md has the picture.
 *
 * toyvmm connects to the back end's Unix socket, agrees on features, and hands over the guest's memory (its memfd),
 * the places of the rings, and the eventfds of doorbells and interrupts. From then on the socket is silent until the
 * driver resets the device, or the back end dies.
 *
 * The back end is trusted with the guest: it has its memory. It is not trusted with toyvmm: each reply is checked and
 * has a deadline, and descriptors that nobody asked for are closed.
 *
 * A back end that dies while it has the rings is waited for, if what it had not finished can be found out: from the
 * in-flight area where it keeps one, else from an account kept here (vhost/user_track.h; disks), or if losing some
 * does not matter (network). Then the rings go to the next process that listens at the same path, and the driver sees
 * a pause. Else `gone` tells, and the device works again once its driver has reset it.
 *
 * Threads: each device has one, which waits for the end of the connection and for what the back end asks. It is
 * "the loop thread" of vhost.h: `gone` and `config_changed` come from it.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mem/gmem.h"
#include "vhost/vhost.h"

#define VHOST_USER_CONFIG_MAX 256 /* bytes of a configuration space, the protocol's limit */
#define VHOST_USER_DEADLINE \
	10000 /* milliseconds for a reply; a busy host is slow, a dead back end hangs up */

/* Copied, but for `mem`. */
struct vhost_user_setup {
	const char *name; /* in messages */
	const char *path; /* the back end's socket */
	uint32_t device_id;
	/*
	 * Queues that carry requests: pairs of a network card, request queues of a file system or SCSI host; what such
	 * a device has besides is added. 0: `queues_default`, or as many as the back end has if that is less.
	 */
	unsigned queues, queues_default;
	uint16_t queue_size; /* entries, a power of two, at most 1024 */
	/* Configuration space of a kind that is not known here (vhost/user_kind.c): bytes. */
	unsigned config_len;
	/* The one of a kind whose configuration space is the front end's: its first bytes. NULL: zeroes. */
	const void *config;
	unsigned own_len;
	uint64_t
		own_features; /* offered besides the back end's: they concern that configuration space only */
	const struct gmem *mem; /* shared: gmem_create(..., true) */
	unsigned deadline_ms;   /* 0: VHOST_USER_DEADLINE */
};

/* Connects and negotiates. -ECONNREFUSED, -ENOENT: nobody listens; -EPROTO, -ETIMEDOUT, ... with a text. */
int vhost_user_create(struct vhost **out, const struct vhost_user_setup *config, struct err *e);
