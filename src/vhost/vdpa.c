// SPDX-License-Identifier: Apache-2.0
/* Sections are those of virtio 1.2. */
#include "vhost/vdpa.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include "base/io.h"
#include "base/log.h"

#define BIT(n)     (1ULL << (n))
#define CONFIG_MAX 4096

/* IOTLB messages of version 2 are all that there is since Linux 5.7; batches spare an update of the IOMMU each. */
#define IOTLB_V2    BIT(VHOST_BACKEND_F_IOTLB_MSG_V2)
#define IOTLB_BATCH BIT(VHOST_BACKEND_F_IOTLB_BATCH)

/* What is mapped stays so when the device is reset (Linux 6.7); otherwise that depends on the device's driver. */
#ifndef VHOST_BACKEND_F_IOTLB_PERSIST
#define VHOST_BACKEND_F_IOTLB_PERSIST 8
#endif
#define IOTLB_PERSIST BIT(VHOST_BACKEND_F_IOTLB_PERSIST)

struct vdpa {
	struct vhost v;
	struct vhost_kernel kernel;
	const struct gmem *mem;
	struct loop *loop;
	struct loop_source config_call; /* eventfd: the configuration changed */
	uint64_t features;              /* the device's, ACCESS_PLATFORM included */
	uint64_t backend;               /* VHOST_BACKEND_F_... in use */
	bool mapped;
	uint64_t used; /* queues that were given away, a bit each */
	struct log_limit log;
};

static struct vdpa *vdpa_of(struct vhost *v)
{
	return container_of(v, struct vdpa, v);
}

/* ---- guest RAM ---- */

static int send_iotlb(struct vdpa *d, struct vhost_iotlb_msg iotlb)
{
	struct vhost_msg_v2 m = {.type = VHOST_IOTLB_MSG_V2, .iotlb = iotlb};

	return d->kernel.sys->write(d->kernel.sys->arg, d->kernel.fd, &m, sizeof(m));
}

/* Every region, for type UPDATE or INVALIDATE. The device's addresses are guest-physical ones. */
static int each_region(struct vdpa *d, uint8_t type)
{
	int rc = 0, end = 0;

	if (d->backend & IOTLB_BATCH)
		rc = send_iotlb(d, (struct vhost_iotlb_msg){.type = VHOST_IOTLB_BATCH_BEGIN});
	for (unsigned i = 0; i < d->mem->n && rc == 0; i++)
		rc = send_iotlb(d, (struct vhost_iotlb_msg){
					   .iova = d->mem->region[i].base,
					   .size = d->mem->region[i].len,
					   .uaddr = (uintptr_t)d->mem->region[i].host,
					   .perm = VHOST_ACCESS_RW,
					   .type = type,
				   });
	if (d->backend & IOTLB_BATCH)
		end = send_iotlb(d, (struct vhost_iotlb_msg){.type = VHOST_IOTLB_BATCH_END});
	return rc < 0 ? rc : end;
}

/* What was mapped before it failed is taken back with the rest. */
static void unmap(struct vdpa *d)
{
	if (each_region(d, VHOST_IOTLB_INVALIDATE) == 0)
		d->mapped = false;
}

/* A write of a message has one error for whatever went wrong inside (vhost_chr_write_iter() in Linux): EFAULT. */
static int explain_map(struct vdpa *d, int error, struct err *e)
{
	struct rlimit limit = {0};

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if ((error == ENOMEM || error == EFAULT) && limit.rlim_cur < gmem_size(d->mem))
		return err_set(
			e, error,
			"%s: the device needs all of the guest's memory locked, %llu MiB, and %llu "
			"MiB is the limit: ulimit -l %llu (in a root shell, or limits.conf)",
			d->kernel.name, (unsigned long long)(gmem_size(d->mem) / MIB),
			(unsigned long long)(limit.rlim_cur / MIB),
			(unsigned long long)(gmem_size(d->mem) / KIB + 64));
	return err_set(e, error, "%s: %s: the guest's memory cannot be mapped for the device: %s",
		       d->kernel.name, d->kernel.path, strerror(error));
}

static int map(struct vdpa *d, struct err *e)
{
	int rc;

	if (d->mapped)
		return 0;
	rc = each_region(d, VHOST_IOTLB_UPDATE);
	if (rc < 0) {
		unmap(d);
		return explain_map(d, -rc, e);
	}
	d->mapped = true;
	return 0;
}

/* ---- status: 3.1.1 once more, as the driver of the real device ---- */

static int set_status(struct vdpa *d, uint8_t status)
{
	return vhost_kernel_ioctl(&d->kernel, VHOST_VDPA_SET_STATUS, &status);
}

static int get_status(struct vdpa *d)
{
	uint8_t status = 0;
	int rc = vhost_kernel_ioctl(&d->kernel, VHOST_VDPA_GET_STATUS, &status);

	return rc < 0 ? rc : status;
}

/* The device must agree: a bit that it does not take is not set when the status is read. */
static int add_status(struct vdpa *d, uint8_t bit, struct err *e)
{
	int rc = get_status(d);

	if (rc >= 0)
		rc = set_status(d, (uint8_t)rc | bit);
	if (rc >= 0)
		rc = get_status(d);
	if (rc >= 0 && !(rc & bit))
		rc = -EPROTO;
	if (rc >= 0)
		return 0;
	return err_set(e, -rc, "%s: %s: status 0x%x is not taken: %s", d->kernel.name,
		       d->kernel.path, bit, strerror(-rc));
}

static int set_features(struct vdpa *d, uint64_t features, struct err *e)
{
	/* The device reads RAM through an IOMMU or IOTLB, which this feature is about; the guest need not know. */
	features |= d->features & BIT(VIRTIO_F_ACCESS_PLATFORM);
	return vhost_kernel_do(&d->kernel, VHOST_SET_FEATURES, &features, "VHOST_SET_FEATURES", e);
}

/* ---- queues ---- */

static int give_ring(struct vdpa *d, unsigned i, const struct vhost_ring *ring, bool packed,
		     struct err *e)
{
	struct vhost_vring_state enable = {.index = i, .num = 1};
	int rc = vhost_kernel_set_ring(&d->kernel, i, ring, NULL, packed, e);

	if (rc == 0)
		rc = vhost_kernel_do(&d->kernel, VHOST_VDPA_SET_VRING_ENABLE, &enable,
				     "VHOST_VDPA_SET_VRING_ENABLE", e);
	if (rc == 0)
		d->used |= BIT(i);
	return rc;
}

static int give_rings(struct vdpa *d, const struct vhost_ring *ring, bool packed, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < d->v.n_queues && rc == 0; i++)
		if (ring[i].enabled)
			rc = give_ring(d, i, &ring[i], packed, e);
	return rc;
}

/* After DRIVER_OK: a doorbell that rang before is rung at once, and a device must not hear one earlier (3.1.1). */
static int give_doorbells(struct vdpa *d, const struct vhost_ring *ring, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < d->v.n_queues && rc == 0; i++)
		if (ring[i].enabled)
			rc = vhost_kernel_set_kick(&d->kernel, i, ring[i].kick);
	if (rc < 0)
		return err_set(e, -rc, "%s: %s: VHOST_SET_VRING_KICK: %s", d->kernel.name,
			       d->kernel.path, strerror(-rc));
	return 0;
}

/* Doorbells first: a guest may ring at any time. Each step is tried, whatever became of the one before. */
static void vdpa_stop(struct vhost *v)
{
	struct vdpa *d = vdpa_of(v);
	int rc = 0;

	for (unsigned i = 0; i < d->v.n_queues; i++)
		if (d->used >> i & 1)
			rc = vhost_worse(rc, vhost_kernel_set_kick(&d->kernel, i, -1));
	rc = vhost_worse(rc, set_status(d, 0));
	for (unsigned i = 0; i < d->v.n_queues; i++)
		if (d->used >> i & 1)
			rc = vhost_worse(rc, vhost_kernel_set_call(&d->kernel, i, -1));
	d->used = 0;
	if (!(d->backend & IOTLB_PERSIST))
		unmap(d);
	if (rc < 0)
		log_limited(&d->log, "%s: %s: reset: %s", d->kernel.name, d->kernel.path,
			    strerror(-rc));
}

static int bring_up(struct vdpa *d, uint64_t features, const struct vhost_ring *ring, struct err *e)
{
	bool packed = features & BIT(VIRTIO_F_RING_PACKED);
	int rc;

	if ((rc = map(d, e)) < 0 ||
	    (rc = add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER, e)) < 0 ||
	    (rc = set_features(d, features, e)) < 0 ||
	    (rc = add_status(d, VIRTIO_CONFIG_S_FEATURES_OK, e)) < 0 ||
	    (rc = give_rings(d, ring, packed, e)) < 0 ||
	    (rc = add_status(d, VIRTIO_CONFIG_S_DRIVER_OK, e)) < 0)
		return rc;
	return give_doorbells(d, ring, e);
}

static int vdpa_start(struct vhost *v, uint64_t features, const struct vhost_ring *ring,
		      struct err *e)
{
	struct vdpa *d = vdpa_of(v);
	int rc = bring_up(d, features, ring, e);

	if (rc < 0)
		vdpa_stop(v);
	return rc;
}

static int vdpa_set_call(struct vhost *v, unsigned queue, int fd)
{
	return vhost_kernel_set_call(&vdpa_of(v)->kernel, queue, fd);
}

/* ---- configuration ---- */

union config {
	struct vhost_vdpa_config head;
	char room[sizeof(struct vhost_vdpa_config) + CONFIG_MAX];
};

static int vdpa_config_read(struct vhost *v, unsigned off, void *data, unsigned len)
{
	union config c = {.head = {.off = off, .len = len}};
	int rc = vhost_kernel_ioctl(&vdpa_of(v)->kernel, VHOST_VDPA_GET_CONFIG, &c.head);

	if (rc == 0)
		memcpy(data, c.head.buf, len);
	return rc;
}

static int vdpa_config_write(struct vhost *v, unsigned off, const void *data, unsigned len)
{
	union config c = {.head = {.off = off, .len = len}};

	memcpy(c.head.buf, data, len);
	return vhost_kernel_ioctl(&vdpa_of(v)->kernel, VHOST_VDPA_SET_CONFIG, &c.head);
}

/* Edge-triggered: nobody reads the eventfd. The same interrupt tells of a device that gave up (2.1.1). */
static void on_config_call(void *arg, uint32_t events)
{
	struct vdpa *d = arg;
	int status = get_status(d);

	(void)events;
	if (status >= 0 && status & VIRTIO_CONFIG_S_NEEDS_RESET && d->v.gone)
		d->v.gone(d->v.arg, "the vDPA device needs a reset");
	else if (d->v.config_changed)
		d->v.config_changed(d->v.arg);
}

/* ---- opening ---- */

static int negotiate_backend(struct vdpa *d, struct err *e)
{
	int rc = vhost_kernel_do(&d->kernel, VHOST_GET_BACKEND_FEATURES, &d->backend,
				 "VHOST_GET_BACKEND_FEATURES", e);

	if (rc < 0)
		return rc;
	d->backend &= IOTLB_V2 | IOTLB_BATCH | IOTLB_PERSIST;
	if (!(d->backend & IOTLB_V2))
		return err_set(e, ENOTSUP, "%s: %s: the host's kernel is older than Linux 5.18",
			       d->kernel.name, d->kernel.path);
	return vhost_kernel_do(&d->kernel, VHOST_SET_BACKEND_FEATURES, &d->backend,
			       "VHOST_SET_BACKEND_FEATURES", e);
}

static uint16_t power_of_two_below(unsigned n)
{
	unsigned size = 1;

	while (2 * size <= n)
		size *= 2;
	return (uint16_t)size;
}

/*
 * A network device of several pairs has its control queue after all of them (5.1.2). With fewer queues than that,
 * here or there, it is one pair to the driver, which then looks for the control queue behind the first.
 */
static void bound_queues(struct vdpa *d, unsigned count)
{
	uint16_t pairs = 0;

	d->v.n_queues = MIN(count, (unsigned)VHOST_MAX_QUEUES);
	if (d->v.device_id != VIRTIO_ID_NET || !(d->v.features & BIT(VIRTIO_NET_F_MQ)))
		return;
	if (vdpa_config_read(&d->v, offsetof(struct virtio_net_config, max_virtqueue_pairs), &pairs,
			     sizeof(pairs)) == 0 &&
	    2u * pairs + 1 <= d->v.n_queues)
		return;
	d->v.features &= ~BIT(VIRTIO_NET_F_MQ);
	d->v.n_queues = MIN(d->v.n_queues, 3u);
}

static int read_facts(struct vdpa *d, struct err *e)
{
	const struct vhost_kernel *k = &d->kernel;
	uint32_t config_len = 0, count = 0;
	uint16_t size = 0;
	int rc;

	if ((rc = vhost_kernel_do(k, VHOST_VDPA_GET_DEVICE_ID, &d->v.device_id,
				  "this is no vDPA device", e)) < 0 ||
	    (rc = vhost_kernel_do(k, VHOST_GET_FEATURES, &d->features, "VHOST_GET_FEATURES", e)) <
		    0 ||
	    (rc = vhost_kernel_do(k, VHOST_VDPA_GET_CONFIG_SIZE, &config_len,
				  "VHOST_VDPA_GET_CONFIG_SIZE (Linux 5.17)", e)) < 0 ||
	    (rc = vhost_kernel_do(k, VHOST_VDPA_GET_VQS_COUNT, &count,
				  "VHOST_VDPA_GET_VQS_COUNT (Linux 5.18)", e)) < 0 ||
	    (rc = vhost_kernel_do(k, VHOST_VDPA_GET_VRING_NUM, &size, "VHOST_VDPA_GET_VRING_NUM",
				  e)) < 0)
		return rc;
	if (size == 0)
		return err_set(e, EPROTO, "%s: %s: the device has queues of no entries", k->name,
			       k->path);
	d->v.features = d->features & ~BIT(VIRTIO_F_ACCESS_PLATFORM);
	d->v.config_len = MIN(config_len, (uint32_t)CONFIG_MAX);
	d->v.queue_max = power_of_two_below(MIN(size, VHOST_QUEUE_MAX));
	bound_queues(d, count);
	return 0;
}

static int check_range(struct vdpa *d, struct err *e)
{
	struct vhost_vdpa_iova_range range = {0};
	int rc = vhost_kernel_do(&d->kernel, VHOST_VDPA_GET_IOVA_RANGE, &range,
				 "VHOST_VDPA_GET_IOVA_RANGE", e);

	if (rc < 0)
		return rc;
	if (range.first > d->mem->region[0].base || range.last < gmem_end(d->mem) - 1)
		return err_set(
			e, ERANGE,
			"%s: %s: the device reaches addresses from 0x%llx to 0x%llx, and the "
			"guest's memory ends at 0x%llx: --memory must be smaller",
			d->kernel.name, d->kernel.path, (unsigned long long)range.first,
			(unsigned long long)range.last, (unsigned long long)gmem_end(d->mem));
	return 0;
}

static int watch_config(struct vdpa *d, struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	d->config_call = (struct loop_source){.fd = fd, .fn = on_config_call, .arg = d};
	if (fd < 0)
		return err_sys(e, "%s: eventfd", d->kernel.name);
	if (loop_add(d->loop, &d->config_call, EPOLLIN | EPOLLET) < 0)
		return err_sys(e, "%s: epoll_ctl", d->kernel.name);
	return vhost_kernel_do(&d->kernel, VHOST_VDPA_SET_CONFIG_CALL, &fd,
			       "VHOST_VDPA_SET_CONFIG_CALL", e);
}

/* Closing the descriptor resets the device and takes every mapping back. */
static void vdpa_destroy(struct vhost *v)
{
	struct vdpa *d = vdpa_of(v);

	vhost_kernel_close(&d->kernel);
	if (d->config_call.fd >= 0)
		loop_remove(d->loop, &d->config_call);
	fd_close(&d->config_call.fd);
	free(d);
}

static const struct vhost_ops vdpa_ops = {
	.start = vdpa_start,
	.set_call = vdpa_set_call,
	.stop = vdpa_stop,
	.config_read = vdpa_config_read,
	.config_write = vdpa_config_write,
	.destroy = vdpa_destroy,
};

/* The memory is mapped now, so that a limit is the user's error and not the driver's surprise. */
static int set_up(struct vdpa *d, struct err *e)
{
	int rc;

	if ((rc = read_facts(d, e)) < 0 || (rc = negotiate_backend(d, e)) < 0 ||
	    (rc = check_range(d, e)) < 0)
		return rc;
	if ((rc = set_status(d, 0)) < 0)
		return err_set(e, -rc, "%s: %s: reset: %s", d->kernel.name, d->kernel.path,
			       strerror(-rc));
	rc = watch_config(d, e);
	return rc < 0 ? rc : map(d, e);
}

int vdpa_create(struct vhost **out, const struct vdpa_place *place, struct err *e)
{
	const struct vhost_sys *sys = place->sys ? place->sys : &vhost_linux;
	struct vdpa *d = calloc(1, sizeof(*d));
	int rc;

	if (!d)
		return err_set(e, ENOMEM, "%s: out of memory", place->name);
	d->v.ops = &vdpa_ops;
	d->mem = place->mem;
	d->loop = place->loop;
	d->config_call.fd = -1;
	rc = vhost_kernel_open(&d->kernel, sys, place->name, place->path,
			       "vhost_vdpa; vdpa dev show (the device's own module)", e);
	if (rc == 0)
		rc = set_up(d, e);
	if (rc < 0)
		vdpa_destroy(&d->v);
	else
		*out = &d->v;
	return rc;
}
