// SPDX-License-Identifier: Apache-2.0
#include "passthru/kernel_impl.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

#define IRQS_MAX 2048 /* MSI-X has no more; others have fewer */

static int host_open(const char *path, int flags)
{
	return open(path, flags);
}

static int host_ioctl(int fd, unsigned long request, void *arg)
{
	return ioctl(fd, request, arg);
}

static const struct kernel_calls host_calls = {
	.open = host_open,
	.close = close,
	.ioctl = host_ioctl,
	.pread = pread,
	.pwrite = pwrite,
	.mmap = mmap,
	.munmap = munmap,
};

int vfio_kernel_create(struct vfio_kernel **out, const struct kernel_host *host, struct err *e)
{
	struct vfio_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return err_set(e, ENOMEM, "out of memory");
	k->host = *host;
	k->call = host->call ? host->call : &host_calls;
	k->container = k->iommu = -1;
	*out = k;
	return 0;
}

static struct kernel_device *device(struct vfio_device *v)
{
	return container_of(v, struct kernel_device, base);
}

/* Whether [off, off + len) is in the region and the device is still there. Lock held. */
static bool is_there(const struct kernel_device *d, unsigned index, uint64_t off, unsigned len)
{
	return d->fd >= 0 && index < VFIO_PCI_NUM_REGIONS && off < d->base.region[index].size &&
	       len <= d->base.region[index].size - off;
}

static int read_region(struct vfio_device *v, unsigned index, uint64_t off, void *data,
		       unsigned len)
{
	struct kernel_device *d = device(v);
	ssize_t n = -1;

	pthread_rwlock_rdlock(&d->lock);
	if (is_there(d, index, off, len))
		n = d->owner->call->pread(d->fd, data, len, (off_t)(d->offset[index] + off));
	pthread_rwlock_unlock(&d->lock);
	if (n == (ssize_t)len)
		return 0;
	memset(data, 0xff, len);
	return -EIO;
}

static int write_region(struct vfio_device *v, unsigned index, uint64_t off, const void *data,
			unsigned len)
{
	struct kernel_device *d = device(v);
	ssize_t n = -1;

	pthread_rwlock_rdlock(&d->lock);
	if (is_there(d, index, off, len))
		n = d->owner->call->pwrite(d->fd, data, len, (off_t)(d->offset[index] + off));
	pthread_rwlock_unlock(&d->lock);
	return n == (ssize_t)len ? 0 : -EIO;
}

static int set_irqs(struct vfio_device *v, uint32_t flags, unsigned index, unsigned start,
		    unsigned count, const int *fd)
{
	struct kernel_device *d = device(v);
	uint32_t n = flags & VFIO_IRQ_SET_DATA_EVENTFD ? count : 0;
	_Alignas(struct vfio_irq_set) char
		room[sizeof(struct vfio_irq_set) + IRQS_MAX * sizeof(int32_t)];
	struct vfio_irq_set *set = (struct vfio_irq_set *)room;
	int rc = -EIO;

	if (n > IRQS_MAX)
		return -EINVAL;
	*set = (struct vfio_irq_set){
		.argsz = (uint32_t)(sizeof(*set) + n * sizeof(int32_t)),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};
	if (n > 0)
		memcpy(set->data, fd, n * sizeof(int32_t));
	pthread_rwlock_rdlock(&d->lock);
	if (d->fd >= 0)
		rc = d->owner->call->ioctl(d->fd, VFIO_DEVICE_SET_IRQS, set) < 0 ? -errno : 0;
	pthread_rwlock_unlock(&d->lock);
	return rc;
}

static int reset(struct vfio_device *v)
{
	struct kernel_device *d = device(v);
	int rc = -EIO;

	pthread_rwlock_rdlock(&d->lock);
	if (d->fd >= 0)
		rc = kernel_reset(d);
	pthread_rwlock_unlock(&d->lock);
	return rc;
}

/* Mappings hold the device as its file does: both have to go before the host can have it back. */
static void close_device(struct kernel_device *d)
{
	pthread_rwlock_wrlock(&d->lock);
	kernel_unmap_regions(d);
	if (d->fd >= 0 && d->by_iommufd)
		iommufd_close_device(d->owner, d->fd);
	else if (d->fd >= 0)
		d->owner->call->close(d->fd);
	d->fd = -1;
	pthread_rwlock_unlock(&d->lock);
}

static void unwatch(struct kernel_device *d, struct loop_source *s)
{
	if (s->fd < 0)
		return;
	loop_remove(d->owner->host.loop, s);
	fd_close(&s->fd);
}

static void destroy(struct vfio_device *v)
{
	struct kernel_device *d = device(v);

	if (d->fd >= 0)
		kernel_reset(d); /* what fails here fails at the next start, where it is told */
	close_device(d);
	unwatch(d, &d->request);
	unwatch(d, &d->error);
	pthread_rwlock_destroy(&d->lock);
	free(d->base.name);
	free(d);
}

static const struct vfio_ops kernel_ops = {
	.read = read_region,
	.write = write_region,
	.set_irqs = set_irqs,
	.reset = reset,
	.destroy = destroy,
};

/* ---- what the device has to tell ---- */

/* The host wants to have the device back (unbind, hot-unplug), and waits. Its user lets go of the mappings first. */
static void on_request(void *arg, uint32_t events)
{
	struct kernel_device *d = arg;

	(void)events;
	unwatch(d, &d->request);
	log_warn("vfio '%s': the host takes the device back", d->base.name);
	if (d->base.gone)
		d->base.gone(d->base.arg, "the host took it back");
	close_device(d);
}

static void on_error(void *arg, uint32_t events)
{
	struct kernel_device *d = arg;
	uint64_t n;

	(void)events;
	if (read(d->error.fd, &n, sizeof(n)) < 0)
		return;
	log_error("vfio '%s': the device reports an error that it cannot correct (PCIe AER)",
		  d->base.name);
}

/* Neither is vital: a kernel or device without it goes on. */
static void watch(struct kernel_device *d, struct loop_source *s, unsigned index,
		  void (*fn)(void *arg, uint32_t events))
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (!(d->base.irq[index].flags & VFIO_IRQ_INFO_EVENTFD) || d->base.irq[index].count == 0 ||
	    fd < 0 ||
	    set_irqs(&d->base, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, 1,
		     &fd) < 0) {
		fd_close(&fd);
		return;
	}
	*s = (struct loop_source){.fd = fd, .fn = fn, .arg = d};
	if (loop_add(d->owner->host.loop, s, EPOLLIN) < 0)
		fd_close(&s->fd);
}

/* ---- open ---- */

static int read_irqs(struct kernel_device *d, struct err *e)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		struct vfio_irq_info info = {.argsz = sizeof(info), .index = i};
		if (d->owner->call->ioctl(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &info) < 0) {
			if (errno != EINVAL) /* one that it does not know */
				return err_sys(e, "VFIO_DEVICE_GET_IRQ_INFO");
			continue;
		}
		d->base.irq[i] = (struct vfio_irq){info.flags, MIN(info.count, IRQS_MAX)};
	}
	return 0;
}

static int read_device(struct kernel_device *d, struct err *e)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int rc;

	if (d->owner->call->ioctl(d->fd, VFIO_DEVICE_GET_INFO, &info) < 0)
		return err_sys(e, "VFIO_DEVICE_GET_INFO");
	if (!(info.flags & VFIO_DEVICE_FLAGS_PCI))
		return err_set(e, ENODEV, "it is not a PCI device");
	d->base.flags = info.flags;
	/* Before the mappings: a reset takes the memory behind them away for a while. */
	rc = kernel_reset(d);
	if (rc < 0 && rc != -ENOTTY)
		log_warn("vfio '%s': it cannot be reset (%s): it may not be as after power-on",
			 d->base.name, strerror(-rc));
	if ((rc = kernel_read_regions(d, e)) < 0 || (rc = read_irqs(d, e)) < 0)
		return rc;
	if (!d->base.region[VFIO_PCI_CONFIG_REGION_INDEX].size)
		return err_set(e, ENODEV, "it has no configuration space");
	watch(d, &d->request, VFIO_PCI_REQ_IRQ_INDEX, on_request);
	watch(d, &d->error, VFIO_PCI_ERR_IRQ_INDEX, on_error);
	return 0;
}

/* A device of the host's that is not vfio's to give. */
static int check_driver(const struct host_device *h, struct err *e)
{
	bool used = h->used_as[0];

	if (h->group < 0)
		return err_set(
			e, ENODEV,
			"it is in no IOMMU group: this host has no IOMMU, or it is switched off: "
			"enable VT-d or AMD-Vi in the firmware, on Intel also intel_iommu=on on "
			"the host kernel's command line");
	if (strstr(h->driver, "vfio"))
		return 0;
	return err_set(e, EBUSY,
		       "it is bound to %s%s%s%s, not to vfio-pci: 'sudo toyvmm vfio bind %s' "
		       "changes that",
		       h->driver[0] ? h->driver : "no driver", used ? " (" : "", h->used_as,
		       used ? ")" : "", h->bdf);
}

/* "/sys/bus/mdev/devices/UUID": the name is the last component, the group is a link. */
static int find_in_sysfs(struct kernel_place *at, const char *path, struct err *e)
{
	char real[PATH_MAX], group[PATH_MAX + 16], target[PATH_MAX];
	const char *number;
	ssize_t n;

	if (!realpath(path, real))
		return err_sys(e, "%.200s", path);
	snprintf(at->name, sizeof(at->name), "%.255s", strrchr(real, '/') + 1);
	snprintf(at->dir, sizeof(at->dir), "%s", real);
	snprintf(group, sizeof(group), "%s/iommu_group", real);
	n = readlink(group, target, sizeof(target) - 1);
	target[MAX(n, 0)] = '\0';
	number = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (!isdigit((unsigned char)*number))
		return err_set(e, ENODEV,
			       "it is in no IOMMU group: is this a device's directory in sysfs, as "
			       "/sys/bus/mdev/devices/UUID, and is vfio_mdev there?");
	at->group = atoi(number);
	return 0;
}

static int find_device(const struct vfio_kernel *k, struct kernel_place *at, const char *name,
		       struct err *e)
{
	struct host_device h;
	char bdf[HOST_BDF_LEN];
	int rc;

	if (name[0] == '/') {
		struct err not_pci;
		if ((rc = find_in_sysfs(at, name, e)) < 0)
			return rc;
		name = at->name;
		at->pci = host_bdf(bdf, name, &not_pci) == 0;
		if (!at->pci)
			return 0;
	}
	if ((rc = host_bdf(bdf, name, e)) < 0 || (rc = host_read(&h, k->host.root, bdf, e)) < 0 ||
	    (rc = check_driver(&h, e)) < 0)
		return rc;
	snprintf(at->name, sizeof(at->name), "%s", bdf);
	snprintf(at->dir, sizeof(at->dir), "%s/sys/bus/pci/devices/%s", k->host.root, bdf);
	at->group = h.group;
	at->pci = true;
	return 0;
}

/* The fd of the device, which does DMA to guest RAM from now on if it is told to. */
static int open_device(struct kernel_device *d, const struct kernel_place *at, struct err *e)
{
	struct vfio_kernel *k = d->owner;
	int group, rc = iommufd_open_device(k, at, e);

	if (rc >= 0) {
		d->fd = rc;
		d->by_iommufd = true;
		return 0;
	}
	if (rc != -ENOENT)
		return rc;
	group = kernel_join_group(k, at, e);
	if (group < 0)
		return group;
	d->fd = k->call->ioctl(group, VFIO_GROUP_GET_DEVICE_FD, (void *)at->name);
	return d->fd < 0 ? err_sys(e, "VFIO_GROUP_GET_DEVICE_FD") : 0;
}

int vfio_kernel_open(struct vfio_device **out, struct vfio_kernel *k, const char *name,
		     struct err *e)
{
	struct kernel_place at = {0};
	struct kernel_device *d;
	int rc;

	if ((rc = find_device(k, &at, name, e)) < 0)
		return rc;
	d = calloc(1, sizeof(*d));
	if (!d)
		return err_set(e, ENOMEM, "out of memory");
	d->base.ops = &kernel_ops;
	d->owner = k;
	d->fd = d->request.fd = d->error.fd = -1;
	pthread_rwlock_init(&d->lock, NULL);
	d->base.name = strdup(at.name);
	if (!d->base.name)
		rc = err_set(e, ENOMEM, "out of memory");
	else if ((rc = open_device(d, &at, e)) == 0)
		rc = read_device(d, e);
	if (rc < 0) {
		destroy(&d->base);
		return rc;
	}
	*out = &d->base;
	return 0;
}
