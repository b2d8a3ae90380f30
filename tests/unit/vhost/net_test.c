// SPDX-License-Identifier: Apache-2.0
#include "vhost/net.h"

#include <linux/virtio_net.h>
#include <stdlib.h>

#include "../test.h"
#include "fake/vhost_sys.h"

#define BIT(n) (1ULL << (n))

struct rig {
	struct fake_sys sys;
	struct gmem mem;
	struct vhost *v;
	struct err e;
	struct vhost_ring ring[2];
};

static int create(struct rig *r)
{
	struct vhost_net_place place = {.name = "n", .tap = 99, .mem = &r->mem, .sys = &r->sys.sys};

	return vhost_net_create(&r->v, &place, &r->e);
}

static struct rig *set_up(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	r->mem = GMEM_EMPTY;
	fake_sys_init(&r->sys);
	r->sys.features |= BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VHOST_F_LOG_ALL) |
			   BIT(VHOST_NET_F_VIRTIO_NET_HDR);
	CHECK_EQ(0, gmem_create(&r->mem, MIB, false, &r->e));
	CHECK_EQ(0, create(r));
	for (unsigned i = 0; i < 2; i++)
		r->ring[i] = (struct vhost_ring){.enabled = true,
						 .size = 256,
						 .desc = 0x1000 * (i + 1),
						 .driver = 0x4000 * (i + 1),
						 .device = 0x10000 * (i + 1),
						 .kick = 41 + (int)i,
						 .call = 51 + (int)i};
	return r;
}

static void finish(struct rig *r)
{
	vhost_destroy(r->v);
	gmem_destroy(&r->mem);
	free(r);
}

TEST(vhost_net_offers_what_rings_can_do_and_nothing_of_its_own)
{
	struct rig *r = set_up();

	CHECK_STR("owner\nmemory 1\n", r->sys.log);
	CHECK_EQ(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF), r->v->features);
	finish(r);
}

static void expect_ring(struct rig *r, unsigned i)
{
	const struct vhost_ring *ring = &r->ring[i];
	uint8_t *ram = r->mem.region[0].host;
	char line[200];

	snprintf(line, sizeof(line), "num %u 256\nbase %u 0\naddr %u %llx %llx %llx\n", i, i, i,
		 (unsigned long long)(uintptr_t)(ram + ring->desc),
		 (unsigned long long)(uintptr_t)(ram + ring->driver),
		 (unsigned long long)(uintptr_t)(ram + ring->device));
	CHECK_HAS(r->sys.log, line);
}

TEST(vhost_net_is_given_rings_at_addresses_of_this_process_and_then_the_tap)
{
	struct rig *r = set_up();

	fake_sys_forget(&r->sys);
	CHECK_EQ(0, r->v->ops->start(r->v,
				     BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) |
					     BIT(VIRTIO_NET_F_GUEST_TSO4),
				     r->ring, &r->e));
	CHECK_HAS(r->sys.log, "features 100008000\n"); /* segments are the tap's business */
	expect_ring(r, 0);
	expect_ring(r, 1);
	CHECK_HAS(r->sys.log, "call 0 51\nkick 0 41\n");
	CHECK_HAS(r->sys.log, "call 1 52\nkick 1 42\nbackend 0 99\nbackend 1 99\n");
	fake_sys_forget(&r->sys);
	r->v->ops->stop(r->v);
	CHECK_STR("backend 0 -1\nbackend 1 -1\nkick 0 -1\ncall 0 -1\nkick 1 -1\ncall 1 -1\n",
		  r->sys.log);
	finish(r);
}

TEST(vhost_net_start_that_fails_leaves_no_tap_behind)
{
	struct rig *r = set_up();
	unsigned before = r->sys.calls, all;

	CHECK_EQ(0, r->v->ops->start(r->v, BIT(VIRTIO_F_VERSION_1), r->ring, &r->e));
	all = r->sys.calls - before;
	for (unsigned i = 1; i <= all; i++) {
		r->sys.fail_at = r->sys.calls + i;
		fake_sys_forget(&r->sys);
		CHECK_EQ(-EIO, r->v->ops->start(r->v, BIT(VIRTIO_F_VERSION_1), r->ring, &r->e));
		CHECK_HAS(r->e.text, "n: ");
		CHECK_HAS(r->sys.log, "backend 0 -1\nbackend 1 -1\n");
		r->sys.fail_at = 0;
	}
	finish(r);
}

TEST(vhost_net_ring_outside_of_ram_is_refused)
{
	struct rig *r = set_up();

	r->ring[1].device = 16 * MIB;
	CHECK_EQ(-EFAULT, r->v->ops->start(r->v, BIT(VIRTIO_F_VERSION_1), r->ring, &r->e));
	CHECK_HAS(r->e.text, "n: a virtqueue is not in RAM");
	finish(r);
}

static void refused(int error, const char *why)
{
	struct rig *r = set_up();

	vhost_destroy(r->v);
	r->v = NULL;
	r->sys.open_error = error;
	CHECK_EQ(-error, create(r));
	CHECK_HAS(r->e.text, why);
	finish(r);
}

TEST(vhost_net_errors_say_what_would_mend_them)
{
	refused(ENOENT, "n: /dev/vhost-net is not there: sudo modprobe vhost_net");
	refused(ENODEV, "n: /dev/vhost-net is not there: sudo modprobe vhost_net");
	refused(EACCES, "n: no permission for /dev/vhost-net");
	refused(ENFILE, "n: /dev/vhost-net: Too many open files in system");
}
