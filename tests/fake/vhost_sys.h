/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vhost devices of a host's kernel, for unit tests: remembers all calls as text, one a line, answers what it was
 * told to answer, and fails the n-th call where it is asked to.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vhost/kernel.h"

struct fake_sys {
	struct vhost_sys sys;
	char log[16384];
	size_t len;
	unsigned calls, fail_at; /* the call with this number, from 1 on, fails; 0: none does */
	int error;               /* with this errno; 0: EIO */
	int open_error;

	/* What the device says. */
	uint64_t features, backend_features;
	uint32_t device_id, config_len, queues;
	uint16_t queue_max;
	uint64_t first, last; /* addresses it reaches */
	uint8_t refused_status, status;
	uint8_t config[64];
	int config_call, kick[64], call[64]; /* descriptors */
};

__attribute__((format(printf, 2, 3))) static inline void fake_sys_note(struct fake_sys *f,
								       const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(f->log + f->len, sizeof(f->log) - f->len, fmt, args);
	va_end(args);
	if (n > 0 && (size_t)n < sizeof(f->log) - f->len)
		f->len += (size_t)n;
}

static inline int fake_sys_open(void *arg, const char *path)
{
	struct fake_sys *f = arg;

	(void)path;
	return f->open_error ? -f->open_error : open("/dev/null", O_RDWR | O_CLOEXEC);
}

static inline int fake_sys_write(void *arg, int fd, const void *data, size_t len)
{
	static const char *const types[] = {"?", "?", "map", "unmap", "?", "begin", "end"};
	const struct vhost_msg_v2 *m = data;
	struct fake_sys *f = arg;

	(void)fd;
	if (len != sizeof(*m) || m->type != VHOST_IOTLB_MSG_V2 || m->iotlb.type > 6)
		return -EINVAL;
	fake_sys_note(f, "%s %llx+%llx\n", types[m->iotlb.type], (unsigned long long)m->iotlb.iova,
		      (unsigned long long)m->iotlb.size);
	if (++f->calls == f->fail_at)
		return f->error ? -f->error : -EIO;
	return 0;
}

static inline void fake_sys_ring(struct fake_sys *f, unsigned long request, const void *data)
{
	const struct vhost_vring_state *s = data;
	const struct vhost_vring_addr *a = data;
	const struct vhost_vring_file *file = data;

	if (request == VHOST_SET_VRING_NUM)
		fake_sys_note(f, "num %u %u\n", s->index, s->num);
	else if (request == VHOST_SET_VRING_BASE)
		fake_sys_note(f, "base %u %x\n", s->index, s->num);
	else if (request == VHOST_SET_VRING_ADDR)
		fake_sys_note(f, "addr %u %llx %llx %llx\n", a->index,
			      (unsigned long long)a->desc_user_addr,
			      (unsigned long long)a->avail_user_addr,
			      (unsigned long long)a->used_user_addr);
	else if (request == VHOST_VDPA_SET_VRING_ENABLE)
		fake_sys_note(f, "enable %u %u\n", s->index, s->num);
	else if (request == VHOST_SET_VRING_KICK)
		fake_sys_note(f, "kick %u %d\n", file->index, f->kick[file->index % 64] = file->fd);
	else if (request == VHOST_SET_VRING_CALL)
		fake_sys_note(f, "call %u %d\n", file->index, f->call[file->index % 64] = file->fd);
	else if (request == VHOST_NET_SET_BACKEND)
		fake_sys_note(f, "backend %u %d\n", file->index, file->fd);
	else
		fake_sys_note(f, "ioctl %lx\n", request);
}

static inline int fake_sys_config(struct fake_sys *f, unsigned long request, void *data)
{
	struct vhost_vdpa_config *c = data;

	if (c->off > f->config_len || c->len > f->config_len - c->off || c->len == 0)
		return -EINVAL;
	if (request == VHOST_VDPA_GET_CONFIG)
		memcpy(c->buf, f->config + c->off, c->len);
	else
		memcpy(f->config + c->off, c->buf, c->len);
	return 0;
}

static inline int fake_sys_ioctl(void *arg, int fd, unsigned long request, void *data)
{
	struct fake_sys *f = arg;
	uint64_t u64 = 0;

	(void)fd;
	if (++f->calls == f->fail_at)
		return f->error ? -f->error : -EIO;
	switch (request) {
	case VHOST_GET_FEATURES:
		memcpy(data, &f->features, 8);
		break;
	case VHOST_GET_BACKEND_FEATURES:
		memcpy(data, &f->backend_features, 8);
		break;
	case VHOST_SET_FEATURES:
	case VHOST_SET_BACKEND_FEATURES:
		memcpy(&u64, data, 8);
		fake_sys_note(f, "%s %llx\n",
			      request == VHOST_SET_FEATURES ? "features" : "backend features",
			      (unsigned long long)u64);
		break;
	case VHOST_VDPA_GET_DEVICE_ID:
		memcpy(data, &f->device_id, 4);
		break;
	case VHOST_VDPA_GET_CONFIG_SIZE:
		memcpy(data, &f->config_len, 4);
		break;
	case VHOST_VDPA_GET_VQS_COUNT:
		memcpy(data, &f->queues, 4);
		break;
	case VHOST_VDPA_GET_VRING_NUM:
		memcpy(data, &f->queue_max, 2);
		break;
	case VHOST_VDPA_GET_IOVA_RANGE:
		*(struct vhost_vdpa_iova_range *)data =
			(struct vhost_vdpa_iova_range){f->first, f->last};
		break;
	case VHOST_VDPA_GET_STATUS:
		*(uint8_t *)data = f->status;
		break;
	case VHOST_VDPA_SET_STATUS:
		f->status = *(uint8_t *)data & (uint8_t)~f->refused_status;
		fake_sys_note(f, "status %x\n", *(uint8_t *)data);
		break;
	case VHOST_VDPA_SET_CONFIG_CALL:
		f->config_call = *(int *)data;
		break;
	case VHOST_VDPA_GET_CONFIG:
	case VHOST_VDPA_SET_CONFIG:
		return fake_sys_config(f, request, data);
	case VHOST_SET_OWNER:
		fake_sys_note(f, "owner\n");
		break;
	case VHOST_SET_MEM_TABLE:
		fake_sys_note(f, "memory %u\n", ((struct vhost_memory *)data)->nregions);
		break;
	default:
		fake_sys_ring(f, request, data);
	}
	return 0;
}

/* A disk of two queues that has all it needs. */
static inline void fake_sys_init(struct fake_sys *f)
{
	memset(f, 0, sizeof(*f));
	f->sys = (struct vhost_sys){fake_sys_open, fake_sys_ioctl, fake_sys_write, f};
	f->features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_F_ACCESS_PLATFORM;
	f->backend_features =
		1ULL << VHOST_BACKEND_F_IOTLB_MSG_V2 | 1ULL << VHOST_BACKEND_F_IOTLB_BATCH | 1 << 7;
	f->device_id = 2;
	f->config_len = 60;
	f->queues = 2;
	f->queue_max = 256;
	f->last = UINT64_MAX;
	f->config_call = -1;
}

static inline void fake_sys_forget(struct fake_sys *f)
{
	f->log[0] = '\0';
	f->len = 0;
}
