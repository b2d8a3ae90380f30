// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/vhost.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "fake/driver.h"
#include "fake/vhost.h"

#include "../test.h"

#define BIT(n) (1ULL << (n))

#define DRIVING                                                                               \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK | \
	 VIRTIO_CONFIG_S_DRIVER_OK)

struct rig {
	struct fake_driver f;
	struct fake_vhost *back;
	struct virtio_dev *dev;
	int vector[2]; /* the transport's eventfds; -1: none */
};

static void create(struct rig *r)
{
	struct err e;

	*r = (struct rig){.vector = {-1, -1}};
	fake_init(&r->f);
	r->back = fake_vhost_create();
	CHECK(r->back != NULL);
	r->back->arg = r;
	CHECK_EQ(0, vhost_dev_create(&r->dev, &r->back->v, "rig", &r->f.host, &e));
}

static int eventfd_of(void *arg, int queue)
{
	struct fake_driver *f = arg;

	return queue < 0 ? -ENOENT : container_of(f, struct rig, f)->vector[queue];
}

static void start(struct rig *r, uint64_t features)
{
	fake_attach(&r->f, r->dev, features);
	r->dev->transport.eventfd = eventfd_of;
}

static void set_up(struct rig *r)
{
	create(r);
	start(r, 0);
}

static void fini(struct rig *r)
{
	fake_fini(&r->f);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(sizeof(one), write(fd, &one, sizeof(one)));
}

static bool is_signalled(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

/* ---- what is offered ---- */

TEST(vhost_offers_what_the_back_end_can_do_and_no_transport_can_spoil)
{
	struct fake_vhost *back = fake_vhost_create();
	uint64_t mine = BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_RING_PACKED) |
			BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_ORDER_PLATFORM) | BIT(5) |
			BIT(23) | BIT(50) | BIT(63);
	struct virtio_dev *dev;
	struct fake_driver f;
	struct err e;

	fake_init(&f);
	back->v.features = mine | BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_F_RING_RESET) |
			   BIT(VIRTIO_F_SR_IOV) | BIT(24) | BIT(26) | BIT(27) | BIT(30) | BIT(38) |
			   BIT(49);
	CHECK_EQ(0, vhost_dev_create(&dev, &back->v, "x", &f.host, &e));
	CHECK_EQ(mine, dev->offered);
	CHECK_EQ(VIRTIO_ID_BLOCK, dev->ops->id);
	CHECK_EQ(64, virtio_queue_get(dev, 1, VQ_FIELD_MAX));
	virtio_destroy(dev);
	fake_fini(&f);
}

static void refused(void (*spoil)(struct vhost *v), const char *why)
{
	struct fake_vhost *back = fake_vhost_create();
	struct virtio_dev *dev = NULL;
	bool destroyed = false;
	struct fake_driver f;
	struct err e;

	fake_init(&f);
	back->destroyed = &destroyed;
	spoil(&back->v);
	CHECK_EQ(-ENOTSUP, vhost_dev_create(&dev, &back->v, "x", &f.host, &e));
	CHECK_HAS(e.text, why);
	CHECK(destroyed && !dev);
	fake_fini(&f);
}

static void legacy(struct vhost *v)
{
	v->features = BIT(5);
}

static void nameless(struct vhost *v)
{
	v->device_id = 0;
}

static void without_queues(struct vhost *v)
{
	v->n_queues = 0;
}

static void with_many_queues(struct vhost *v)
{
	v->n_queues = VHOST_MAX_QUEUES + 1;
}

TEST(vhost_refuses_a_back_end_that_cannot_be_a_device_here)
{
	refused(legacy, "x: the device is older than virtio 1.0");
	refused(nameless, "x: 0 is no virtio device ID");
	refused(without_queues, "x: the device has 0 queues; 1 to 64 are possible");
	refused(with_many_queues, "x: the device has 65 queues");
}

/* ---- life ---- */

TEST(vhost_gives_the_rings_away_with_driver_ok)
{
	struct rig r;

	create(&r);
	r.dev->offered |= BIT(5);
	CHECK_EQ(0, r.back->starts);
	start(&r, BIT(5));
	CHECK_EQ(1, r.back->starts);
	CHECK_EQ(BIT(5) | BIT(VIRTIO_F_VERSION_1), r.back->features);
	for (unsigned i = 0; i < 2; i++) {
		const struct vhost_ring *ring = &r.back->ring[i];

		CHECK(ring->enabled);
		CHECK_EQ(FAKE_QUEUE_SIZE, ring->size);
		CHECK_EQ(r.f.queue[i].desc, ring->desc);
		CHECK_EQ(r.f.queue[i].avail, ring->driver);
		CHECK_EQ(r.f.queue[i].used, ring->device);
		CHECK_EQ(r.dev->queue[i].doorbell.fd, ring->kick);
		CHECK(is_signalled(ring->kick)); /* what was offered before is looked at */
	}
	CHECK(r.back->ring[0].call != r.back->ring[1].call);
	fini(&r);
}

TEST(vhost_leaves_doorbells_to_the_back_end)
{
	struct rig r;

	set_up(&r);
	while (fake_turn(&r.f, 0))
		;
	CHECK(is_signalled(r.back->ring[1].kick));
	virtio_kick(r.dev, 1);      /* an exit */
	CHECK(!fake_turn(&r.f, 0)); /* is nothing for the loop */
	CHECK(is_signalled(r.back->ring[1].kick));
	fini(&r);
}

TEST(vhost_says_which_queues_the_driver_uses)
{
	struct rig r;

	set_up(&r);
	virtio_set_status(r.dev, 0);
	CHECK_EQ(1, r.back->stops);
	virtio_set_status(r.dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept(r.dev, 1, 1);
	virtio_set_status(r.dev, VIRTIO_CONFIG_S_FEATURES_OK);
	virtio_queue_set(r.dev, 1, VQ_FIELD_SIZE, 16);
	virtio_queue_set(r.dev, 1, VQ_FIELD_DESC_LO, 0x1000);
	virtio_queue_set(r.dev, 1, VQ_FIELD_DRIVER_LO, 0x2000);
	virtio_queue_set(r.dev, 1, VQ_FIELD_DEVICE_LO, 0x3000);
	virtio_queue_set(r.dev, 1, VQ_FIELD_ENABLE, 1);
	virtio_set_status(r.dev, DRIVING);
	CHECK_EQ(2, r.back->starts);
	CHECK(!r.back->ring[0].enabled && r.back->ring[1].enabled);
	CHECK_EQ(0x3000, r.back->ring[1].device);
	fini(&r);
}

static void look_around(struct fake_vhost *back)
{
	struct rig *r = back->arg;

	CHECK_EQ(0, pthread_mutex_trylock(&r->dev->lock)); /* the loop may have it */
	CHECK(!virtio_queue_ready(r->dev, 0));
	pthread_mutex_unlock(&r->dev->lock);
	back->v.gone(back->v.arg, "it died just now"); /* that is forgotten with the reset */
}

TEST(vhost_stops_at_reset_without_the_lock_and_once)
{
	struct rig r;

	set_up(&r);
	r.back->stopping = look_around;
	virtio_set_status(r.dev, 0);
	CHECK_EQ(1, r.back->stops);
	CHECK_EQ(0, virtio_status(r.dev));
	virtio_set_status(r.dev, 0);
	CHECK_EQ(1, r.back->stops);
	fini(&r);
}

TEST(vhost_stops_when_it_is_destroyed)
{
	bool destroyed = false;
	struct rig r;

	set_up(&r);
	r.back->destroyed = &destroyed;
	r.back->stopping = NULL;
	fini(&r);
	CHECK(destroyed);
}

TEST(vhost_that_does_not_start_needs_reset)
{
	struct rig r;

	create(&r);
	r.back->start_rc = -EIO;
	start(&r, 0);
	CHECK(virtio_status(r.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_set_status(r.dev, 0);
	CHECK_EQ(0, r.back->stops);
	r.back->start_rc = 0;
	start(&r, 0);
	CHECK_EQ(DRIVING, virtio_status(r.dev));
	CHECK_EQ(1, r.back->starts);
	fini(&r);
}

TEST(vhost_that_is_gone_needs_reset)
{
	struct rig r;

	set_up(&r);
	r.back->v.gone(r.back->v.arg, "it died");
	CHECK_EQ(1, r.f.config_interrupts);
	CHECK(virtio_status(r.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	r.back->v.gone(r.back->v.arg, "it died");
	CHECK_EQ(1, r.f.config_interrupts);
	virtio_set_status(r.dev, 0);
	CHECK_EQ(1, r.back->stops);
	CHECK_EQ(0, virtio_status(r.dev));
	fini(&r);
}

/* ---- interrupts ---- */

TEST(vhost_carries_interrupts_where_the_transport_has_no_eventfd)
{
	struct rig r;

	set_up(&r);
	signal_fd(r.back->ring[1].call);
	CHECK(fake_turn(&r.f, 0));
	CHECK_EQ(1, r.f.interrupts[1]);
	CHECK_EQ(0, r.f.interrupts[0]);
	CHECK(!fake_turn(&r.f, 0)); /* an edge each */
	signal_fd(r.back->ring[1].call);
	CHECK(fake_turn(&r.f, 0));
	CHECK_EQ(2, r.f.interrupts[1]);
	fini(&r);
}

TEST(vhost_interrupts_are_late_after_a_reset)
{
	struct rig r;

	set_up(&r);
	signal_fd(r.back->ring[0].call);
	virtio_set_status(r.dev, 0);
	CHECK(fake_turn(&r.f, 0));
	CHECK_EQ(0, r.f.interrupts[0]);
	fini(&r);
}

TEST(vhost_interrupts_follow_the_vectors)
{
	struct rig r;
	int own, vector = eventfd(0, EFD_NONBLOCK);

	set_up(&r);
	own = r.back->ring[0].call;
	r.vector[0] = vector;
	virtio_vectors_changed(r.dev);
	CHECK_EQ(vector, r.back->ring[0].call);
	CHECK(own != r.back->ring[1].call && vector != r.back->ring[1].call);
	/* What went to the old one is not lost. */
	signal_fd(own);
	CHECK(fake_turn(&r.f, 0));
	CHECK_EQ(1, r.f.interrupts[0]);
	r.vector[0] = -ENOENT;
	virtio_vectors_changed(r.dev);
	CHECK_EQ(own, r.back->ring[0].call);
	close(vector);
	fini(&r);
}

TEST(vhost_vectors_that_are_there_at_the_start_are_used)
{
	int vector = eventfd(0, EFD_NONBLOCK);
	struct rig r;

	set_up(&r);
	r.vector[0] = vector;
	virtio_set_status(r.dev, 0);
	virtio_vectors_changed(r.dev); /* of a device that is not running: nothing to tell */
	virtio_set_status(r.dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept(r.dev, 1, 1);
	virtio_set_status(r.dev, VIRTIO_CONFIG_S_FEATURES_OK);
	virtio_set_status(r.dev, DRIVING);
	CHECK_EQ(vector, r.back->ring[0].call);
	close(vector);
	fini(&r);
}

TEST(vhost_that_takes_no_other_interrupt_is_broken)
{
	int vector = eventfd(0, EFD_NONBLOCK);
	struct rig r;

	set_up(&r);
	r.back->set_call_rc = -EIO;
	r.vector[1] = vector;
	virtio_vectors_changed(r.dev);
	CHECK(virtio_status(r.dev) & VIRTIO_CONFIG_S_NEEDS_RESET);
	close(vector);
	fini(&r);
}

/* ---- configuration ---- */

TEST(vhost_configuration_is_the_back_ends)
{
	uint8_t got[4] = {1, 1, 1, 1};
	struct rig r;

	set_up(&r);
	virtio_config_read(r.dev, 2, got, 4);
	CHECK_EQ(0xc2, got[0]);
	CHECK_EQ(0xc5, got[3]);
	virtio_config_read(r.dev, FAKE_VHOST_CONFIG - 1, got, 4); /* over the end */
	CHECK_EQ(0xcb, got[0]);
	CHECK_EQ(0, got[1] | got[2] | got[3]);
	virtio_config_read(r.dev, UINT64_MAX, got, 4);
	CHECK_EQ(0, got[0]);
	virtio_config_write(r.dev, 8, "abcd", 4);
	CHECK_EQ('d', r.back->config[11]);
	virtio_config_write(r.dev, 9, "efgh", 4);
	CHECK_EQ('d', r.back->config[11]);
	fini(&r);
}

TEST(vhost_configuration_that_cannot_be_read_is_zeros)
{
	uint8_t got[4] = {1, 1, 1, 1};
	struct rig r;

	set_up(&r);
	r.back->config_rc = -EIO;
	virtio_config_read(r.dev, 0, got, 4);
	CHECK_EQ(0, got[0] | got[1] | got[2] | got[3]);
	virtio_config_write(r.dev, 0, "abcd", 4);
	CHECK_EQ(DRIVING, virtio_status(r.dev));
	fini(&r);
}

TEST(vhost_configuration_change_is_an_interrupt)
{
	struct rig r;

	set_up(&r);
	r.back->v.config_changed(r.back->v.arg);
	CHECK_EQ(1, r.f.config_interrupts);
	CHECK_EQ(1, virtio_generation(r.dev));
	fini(&r);
}
