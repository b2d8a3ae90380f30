/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the vhost devices of the host's kernel have in common (linux/vhost.h): a descriptor, and ioctls on it that say
 * what the driver accepted, where guest RAM is, and where each ring is. vhost/net.h and vhost/vdpa.h are built on it.
 *
 * All functions return 0 or -errno, with a text where they take a struct err. No lock: the caller's.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mem/gmem.h"
#include "vhost/vhost.h"

/* The host's kernel; unit tests play it. Each returns -errno on failure. */
struct vhost_sys {
	int (*open)(void *arg, const char *path); /* a descriptor */
	int (*ioctl)(void *arg, int fd, unsigned long request, void *data);
	int (*write)(void *arg, int fd, const void *data, size_t len); /* all of it: 0 */
	void *arg;
};

extern const struct vhost_sys vhost_linux;

struct vhost_kernel {
	const struct vhost_sys *sys;
	const char *name; /* for messages */
	const char *path;
	int fd;
};

/*
 * Opens it and makes this process its owner. `module`: what to load where the file is not there. `name` and `path`
 * outlive it. On failure there is nothing to close.
 */
int vhost_kernel_open(struct vhost_kernel *k, const struct vhost_sys *sys, const char *name,
		      const char *path, const char *module, struct err *e);
void vhost_kernel_close(struct vhost_kernel *k);

MUST_CHECK int vhost_kernel_ioctl(const struct vhost_kernel *k, unsigned long request, void *data);
/* The same; `what` and the reason become a text. */
int vhost_kernel_do(const struct vhost_kernel *k, unsigned long request, void *data,
		    const char *what, struct err *e);

/* Tells where each region of guest RAM is in this process. Not for vDPA, which maps it (IOTLB). */
int vhost_kernel_set_memory(const struct vhost_kernel *k, const struct gmem *mem, struct err *e);

/*
 * Everything about a ring but its doorbell. With `mem`, addresses are told as those of this process; without, as they
 * are. `packed`: where a ring begins is said in another way.
 */
int vhost_kernel_set_ring(const struct vhost_kernel *k, unsigned index,
			  const struct vhost_ring *ring, const struct gmem *mem, bool packed,
			  struct err *e);
/* The doorbell, the interrupt; -1: none. */
MUST_CHECK int vhost_kernel_set_kick(const struct vhost_kernel *k, unsigned index, int fd);
MUST_CHECK int vhost_kernel_set_call(const struct vhost_kernel *k, unsigned index, int fd);

/* For a way down that goes on whatever fails: the first error of two results. */
static inline int vhost_worse(int first, int second)
{
	return first < 0 ? first : second;
}
