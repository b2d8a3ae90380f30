// SPDX-License-Identifier: Apache-2.0
#include "vhost/vdpa.h"

#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"
#include "fake/vhost_sys.h"

#define BIT(n)   (1ULL << (n))
#define FEATURES (BIT(VIRTIO_F_VERSION_1) | BIT(5))

struct rig {
	struct fake_sys sys;
	struct gmem mem;
	struct loop loop;
	struct vhost *v;
	struct err e;
	unsigned changed, gone;
};

static void begin(struct rig *r, uint64_t memory)
{
	*r = (struct rig){.mem = GMEM_EMPTY, .loop = LOOP_EMPTY};
	fake_sys_init(&r->sys);
	CHECK_EQ(0, gmem_create(&r->mem, memory, true, &r->e));
	CHECK_EQ(0, loop_init(&r->loop, &r->e));
}

static int create(struct rig *r)
{
	struct vdpa_place place = {.name = "v",
				   .path = "/dev/x",
				   .mem = &r->mem,
				   .loop = &r->loop,
				   .sys = &r->sys.sys};

	return vdpa_create(&r->v, &place, &r->e);
}

static void finish(struct rig *r)
{
	vhost_destroy(r->v);
	loop_fini(&r->loop);
	gmem_destroy(&r->mem);
	free(r);
}

static struct rig *set_up(void)
{
	struct rig *r = malloc(sizeof(*r));

	begin(r, MIB);
	CHECK_EQ(0, create(r));
	return r;
}

static const struct vhost_ring rings[2] = {
	{.enabled = true,
	 .size = 128,
	 .desc = 0x1000,
	 .driver = 0x2000,
	 .device = 0x3000,
	 .kick = 41,
	 .call = 42},
	{0},
};

TEST(vdpa_asks_what_the_device_is_and_maps_all_ram)
{
	struct rig *r = set_up();

	CHECK_EQ(2, r->v->device_id);
	CHECK_EQ(2, r->v->n_queues);
	CHECK_EQ(256, r->v->queue_max);
	CHECK_EQ(60, r->v->config_len);
	CHECK_EQ(BIT(VIRTIO_F_VERSION_1), r->v->features);
	CHECK_STR("owner\nbackend features 6\nstatus 0\nbegin 0+0\nmap 0+100000\nend 0+0\n",
		  r->sys.log);
	CHECK(r->sys.config_call >= 0);
	finish(r);
}

TEST(vdpa_maps_both_regions)
{
	struct rig *r = malloc(sizeof(*r));

	begin(r, 4 * GIB);
	r->sys.backend_features = BIT(VHOST_BACKEND_F_IOTLB_MSG_V2);
	CHECK_EQ(0, create(r));
	CHECK_HAS(r->sys.log, "status 0\nmap 0+c0000000\nmap 100000000+40000000\n");
	finish(r);
}

TEST(vdpa_queues_are_a_power_of_two)
{
	struct rig *r = malloc(sizeof(*r));

	begin(r, MIB);
	r->sys.queue_max = 300;
	CHECK_EQ(0, create(r));
	CHECK_EQ(256, r->v->queue_max);
	vhost_destroy(r->v);
	r->sys.queue_max = 32768;
	CHECK_EQ(0, create(r));
	CHECK_EQ(1024, r->v->queue_max);
	finish(r);
}

TEST(vdpa_goes_through_the_handshake)
{
	struct rig *r = set_up();

	fake_sys_forget(&r->sys);
	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	/* ACCESS_PLATFORM is added; the doorbell is last, and nothing is mapped twice */
	CHECK_STR("status 3\nfeatures 300000020\nstatus b\nnum 0 128\nbase 0 0\n"
		  "addr 0 1000 2000 3000\ncall 0 42\nenable 0 1\nstatus f\nkick 0 41\n",
		  r->sys.log);
	fake_sys_forget(&r->sys);
	CHECK_EQ(0, r->v->ops->set_call(r->v, 0, 50));
	CHECK_STR("call 0 50\n", r->sys.log);
	fake_sys_forget(&r->sys);
	r->v->ops->stop(r->v);
	CHECK_STR("kick 0 -1\nstatus 0\ncall 0 -1\nbegin 0+0\nunmap 0+100000\nend 0+0\n",
		  r->sys.log);
	fake_sys_forget(&r->sys);
	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	CHECK_HAS(r->sys.log, "begin 0+0\nmap 0+100000\nend 0+0\nstatus 3\n");
	finish(r);
}

TEST(vdpa_map_that_survives_a_reset_is_left_in_place)
{
	struct rig *r = malloc(sizeof(*r));

	begin(r, MIB);
	r->sys.backend_features |= BIT(8); /* VHOST_BACKEND_F_IOTLB_PERSIST */
	CHECK_EQ(0, create(r));
	CHECK_HAS(r->sys.log, "backend features 106\n");
	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	fake_sys_forget(&r->sys);
	r->v->ops->stop(r->v);
	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	CHECK(!strstr(r->sys.log, "map"));
	finish(r);
}

TEST(vdpa_packed_rings_begin_with_their_wrap_counters_set)
{
	struct rig *r = set_up();

	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES | BIT(VIRTIO_F_RING_PACKED), rings, &r->e));
	CHECK_HAS(r->sys.log, "base 0 80008000\n");
	finish(r);
}

TEST(vdpa_that_refuses_features_is_not_started)
{
	struct rig *r = set_up();

	r->sys.refused_status = VIRTIO_CONFIG_S_FEATURES_OK;
	CHECK_EQ(-EPROTO, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	CHECK_HAS(r->e.text, "v: /dev/x: status 0x8 is not taken");
	CHECK_EQ(0, r->sys.status);
	CHECK(!strstr(r->sys.log, "enable"));
	finish(r);
}

/* Whichever call fails, the error has a text, the device is in reset, and no doorbell or call is left with it. */
TEST(vdpa_start_that_fails_leaves_nothing_behind)
{
	struct rig *r = set_up();
	unsigned before = r->sys.calls, all;

	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	all = r->sys.calls - before;
	r->v->ops->stop(r->v);
	for (unsigned i = 1; i <= all; i++) {
		r->sys.fail_at = r->sys.calls + i;
		r->e.text[0] = '\0';
		CHECK_EQ(-EIO, r->v->ops->start(r->v, FEATURES, rings, &r->e));
		CHECK_HAS(r->e.text, "v: ");
		CHECK_EQ(0, r->sys.status);
		CHECK(r->sys.kick[0] <= 0);
		r->sys.fail_at = 0;
	}
	CHECK_EQ(0, r->v->ops->start(r->v, FEATURES, rings, &r->e));
	finish(r);
}

TEST(vdpa_creation_that_fails_says_why)
{
	struct rig *r = set_up();
	unsigned all = r->sys.calls;

	vhost_destroy(r->v);
	r->v = NULL;
	for (unsigned i = 1; i <= all; i++) {
		r->sys.calls = 0;
		r->sys.fail_at = i;
		r->e.text[0] = '\0';
		CHECK(create(r) < 0);
		CHECK_HAS(r->e.text, "v: ");
		CHECK(!r->v);
	}
	finish(r);
}

static void refused(void (*spoil)(struct fake_sys *), const char *why)
{
	struct rig *r = malloc(sizeof(*r));

	begin(r, MIB);
	spoil(&r->sys);
	CHECK(create(r) < 0);
	CHECK_HAS(r->e.text, why);
	CHECK(!r->v);
	finish(r);
}

static void not_there(struct fake_sys *f)
{
	f->open_error = ENOENT;
}

static void closed(struct fake_sys *f)
{
	f->open_error = EACCES;
}

static void taken(struct fake_sys *f)
{
	f->open_error = EBUSY;
}

static void old(struct fake_sys *f)
{
	f->backend_features = 0;
}

static void near(struct fake_sys *f)
{
	f->last = 0xfffff - 1;
}

static void empty(struct fake_sys *f)
{
	f->queue_max = 0;
}

static void limited(struct fake_sys *f)
{
	f->fail_at = 12; /* the first "map" */
	f->error = EFAULT;
}

TEST(vdpa_errors_say_what_would_mend_them)
{
	refused(not_there, "v: /dev/x is not there: sudo modprobe vhost_vdpa");
	refused(closed, "v: no permission for /dev/x: sudo chown $USER /dev/x");
	refused(taken, "v: /dev/x is busy: another program uses it");
	refused(old, "older than Linux 5.18");
	refused(near, "the guest's memory ends at 0x100000: --memory must be smaller");
	refused(empty, "queues of no entries");
	refused(limited, "guest's memory");
}

/* ---- network devices, whose control queue is behind all pairs ---- */

static void net_of_pairs(struct rig *r, uint16_t pairs, uint32_t queues)
{
	begin(r, MIB);
	r->sys.device_id = 1;
	r->sys.features |= BIT(VIRTIO_NET_F_MQ);
	r->sys.queues = queues;
	memcpy(r->sys.config + offsetof(struct virtio_net_config, max_virtqueue_pairs), &pairs, 2);
	CHECK_EQ(0, create(r));
}

TEST(vdpa_net_has_as_many_pairs_as_there_are_queues_for)
{
	static const struct {
		uint16_t pairs;
		uint32_t queues;
		bool mq;
		unsigned n;
	} cases[] = {
		{4, 9, true, 9},    {4, 8, false, 3},   {1, 3, true, 3},
		{32, 65, false, 3}, {31, 63, true, 63}, {1, 2, false, 2},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *r = malloc(sizeof(*r));

		net_of_pairs(r, cases[i].pairs, cases[i].queues);
		CHECK_EQ(cases[i].mq, r->v->features >> VIRTIO_NET_F_MQ & 1);
		CHECK_EQ(cases[i].n, r->v->n_queues);
		finish(r);
	}
}

/* ---- configuration ---- */

static void changed(void *arg)
{
	((struct rig *)arg)->changed++;
}

static void gone(void *arg, const char *why)
{
	CHECK_HAS(why, "reset");
	((struct rig *)arg)->gone++;
}

static void turn(struct rig *r)
{
	struct epoll_event ev;
	uint64_t one = 1;

	CHECK_EQ(8, write(r->sys.config_call, &one, 8));
	CHECK_EQ(1, epoll_wait(r->loop.epoll_fd, &ev, 1, 0));
	((struct loop_source *)ev.data.ptr)
		->fn(((struct loop_source *)ev.data.ptr)->arg, ev.events);
}

TEST(vdpa_tells_of_a_changed_configuration_and_of_a_device_that_gave_up)
{
	struct rig *r = set_up();

	turn(r); /* nobody listens yet */
	r->v->config_changed = changed;
	r->v->gone = gone;
	r->v->arg = r;
	turn(r);
	CHECK(r->changed == 1 && r->gone == 0);
	r->sys.status = VIRTIO_CONFIG_S_NEEDS_RESET;
	turn(r);
	CHECK(r->changed == 1 && r->gone == 1);
	finish(r);
}

TEST(vdpa_configuration_is_read_and_written_in_place)
{
	struct rig *r = set_up();
	char got[4];

	memcpy(r->sys.config + 8, "abcd", 4);
	CHECK_EQ(0, r->v->ops->config_read(r->v, 9, got, 3));
	CHECK(memcmp(got, "bcd", 3) == 0);
	CHECK_EQ(0, r->v->ops->config_write(r->v, 56, "wxyz", 4));
	CHECK(memcmp(r->sys.config + 56, "wxyz", 4) == 0);
	CHECK_EQ(-EINVAL, r->v->ops->config_read(r->v, 58, got, 4));
	finish(r);
}
