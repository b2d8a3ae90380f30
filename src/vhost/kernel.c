// SPDX-License-Identifier: Apache-2.0
#include "vhost/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/io.h"

/* ---- Linux ---- */

static int linux_open(void *arg, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)arg;
	return fd < 0 ? -errno : fd;
}

static int linux_ioctl(void *arg, int fd, unsigned long request, void *data)
{
	int rc = ioctl(fd, request, data);

	(void)arg;
	return rc < 0 ? -errno : rc;
}

/* A message is taken as a whole or not at all. */
static int linux_write(void *arg, int fd, const void *data, size_t len)
{
	ssize_t n;

	(void)arg;
	do
		n = write(fd, data, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

const struct vhost_sys vhost_linux = {
	.open = linux_open,
	.ioctl = linux_ioctl,
	.write = linux_write,
};

/* ---- the device ---- */

static int explain_open(const struct vhost_kernel *k, const char *module, int error, struct err *e)
{
	switch (error) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return err_set(e, error, "%s: %s is not there: sudo modprobe %s", k->name, k->path,
			       module);
	case EACCES:
	case EPERM:
		return err_set(e, error, "%s: no permission for %s: sudo chown $USER %s", k->name,
			       k->path, k->path);
	case EBUSY:
		return err_set(e, error, "%s: %s is busy: another program uses it", k->name,
			       k->path);
	default:
		return err_set(e, error, "%s: %s: %s", k->name, k->path, strerror(error));
	}
}

int vhost_kernel_open(struct vhost_kernel *k, const struct vhost_sys *sys, const char *name,
		      const char *path, const char *module, struct err *e)
{
	int rc;

	*k = (struct vhost_kernel){.sys = sys, .name = name, .path = path, .fd = -1};
	rc = sys->open(sys->arg, path);
	if (rc < 0)
		return explain_open(k, module, -rc, e);
	k->fd = rc;
	rc = vhost_kernel_ioctl(k, VHOST_SET_OWNER, NULL);
	if (rc < 0) {
		vhost_kernel_close(k);
		if (rc == -ENOTTY)
			return err_set(e, ENOTTY, "%s: %s is no vhost device", name, path);
		return err_set(e, -rc, "%s: %s: VHOST_SET_OWNER: %s", name, path, strerror(-rc));
	}
	return 0;
}

void vhost_kernel_close(struct vhost_kernel *k)
{
	fd_close(&k->fd);
}

int vhost_kernel_ioctl(const struct vhost_kernel *k, unsigned long request, void *data)
{
	int rc = k->sys->ioctl(k->sys->arg, k->fd, request, data);

	return MIN(rc, 0);
}

int vhost_kernel_do(const struct vhost_kernel *k, unsigned long request, void *data,
		    const char *what, struct err *e)
{
	int rc = vhost_kernel_ioctl(k, request, data);

	if (rc < 0)
		return err_set(e, -rc, "%s: %s: %s: %s", k->name, k->path, what, strerror(-rc));
	return 0;
}

int vhost_kernel_set_memory(const struct vhost_kernel *k, const struct gmem *mem, struct err *e)
{
	union {
		struct vhost_memory table;
		char room[sizeof(struct vhost_memory) +
			  GMEM_MAX_REGIONS * sizeof(struct vhost_memory_region)];
	} u = {.table.nregions = mem->n};

	for (unsigned i = 0; i < mem->n; i++)
		u.table.regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].base,
			.memory_size = mem->region[i].len,
			.userspace_addr = (uintptr_t)mem->region[i].host,
		};
	return vhost_kernel_do(k, VHOST_SET_MEM_TABLE, &u.table, "VHOST_SET_MEM_TABLE", e);
}

/* ---- rings ---- */

/* Both rings' index is 0; those of a packed ring have their wrap counters, which begin at 1 (2.8.1), in bit 15. */
#define BASE_SPLIT  0u
#define BASE_PACKED 0x80008000u

/* The rings were found to lie in RAM when the driver enabled the queue: only the addresses are turned here. */
static int addresses(struct vhost_vring_addr *a, const struct vhost_ring *ring,
		     const struct gmem *mem)
{
	a->desc_user_addr = ring->desc;
	a->avail_user_addr = ring->driver;
	a->used_user_addr = ring->device;
	if (!mem)
		return 0;
	a->desc_user_addr = (uintptr_t)gmem_slice(mem, ring->desc, 1);
	a->avail_user_addr = (uintptr_t)gmem_slice(mem, ring->driver, 1);
	a->used_user_addr = (uintptr_t)gmem_slice(mem, ring->device, 1);
	return a->desc_user_addr && a->avail_user_addr && a->used_user_addr ? 0 : -EFAULT;
}

int vhost_kernel_set_ring(const struct vhost_kernel *k, unsigned index,
			  const struct vhost_ring *ring, const struct gmem *mem, bool packed,
			  struct err *e)
{
	struct vhost_vring_state num = {.index = index, .num = ring->size};
	struct vhost_vring_state base = {.index = index, .num = packed ? BASE_PACKED : BASE_SPLIT};
	struct vhost_vring_file call = {.index = index, .fd = ring->call};
	struct vhost_vring_addr addr = {.index = index};
	int rc;

	if (addresses(&addr, ring, mem) < 0)
		return err_set(e, EFAULT, "%s: a virtqueue is not in RAM", k->name);
	if ((rc = vhost_kernel_do(k, VHOST_SET_VRING_NUM, &num, "VHOST_SET_VRING_NUM", e)) < 0 ||
	    (rc = vhost_kernel_do(k, VHOST_SET_VRING_BASE, &base, "VHOST_SET_VRING_BASE", e)) < 0 ||
	    (rc = vhost_kernel_do(k, VHOST_SET_VRING_ADDR, &addr, "VHOST_SET_VRING_ADDR", e)) < 0)
		return rc;
	return vhost_kernel_do(k, VHOST_SET_VRING_CALL, &call, "VHOST_SET_VRING_CALL", e);
}

int vhost_kernel_set_kick(const struct vhost_kernel *k, unsigned index, int fd)
{
	struct vhost_vring_file file = {.index = index, .fd = fd};

	return vhost_kernel_ioctl(k, VHOST_SET_VRING_KICK, &file);
}

int vhost_kernel_set_call(const struct vhost_kernel *k, unsigned index, int fd)
{
	struct vhost_vring_file file = {.index = index, .fd = fd};

	return vhost_kernel_ioctl(k, VHOST_SET_VRING_CALL, &file);
}
