// SPDX-License-Identifier: Apache-2.0
/* The front end with a back end that does as it should: what is agreed on, what is handed over, what comes back. */
#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>

#include "user_rig.h"

TEST(a_device_is_what_the_back_end_says_and_the_front_end_knows)
{
	struct rig r;

	rig_init(&r);
	r.b.features |= BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_RING_F_EVENT_IDX) |
			BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(26);
	for (unsigned i = 0; i < 60; i++)
		r.b.config[i] = (uint8_t)i;
	backend_start(&r.b);
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(2, r.v->device_id);
	CHECK_EQ(2, r.v->n_queues);
	CHECK_EQ(256, r.v->queue_max);
	CHECK_EQ(60, r.v->config_len);
	CHECK(r.v->features == (V1 | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_RING_F_EVENT_IDX)));
	uint8_t space[60];
	CHECK_EQ(0, r.v->ops->config_read(r.v, 0, space, 60));
	CHECK_EQ(33, space[33]);
	CHECK_EQ(2, space[offsetof(struct virtio_blk_config, num_queues)]); /* ours to say */
	CHECK_EQ(0, space[offsetof(struct virtio_blk_config, num_queues) + 1]);
	rig_fini(&r);
}

TEST(memory_goes_as_a_file_with_offsets_and_addresses_of_nothing)
{
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	CHECK_EQ(1, r.b.memory.n);
	CHECK_EQ(1, r.b.n_memory_fds);
	CHECK(r.b.memory.region[0].guest == 0);
	CHECK(r.b.memory.region[0].size == RAM);
	CHECK(r.b.memory.region[0].offset == 0);
	uint64_t user = r.b.memory.region[0].user;
	CHECK(user != (uintptr_t)r.mem.region[0].host);
	CHECK(r.b.ring[1].addr.desc - user == RING(1));
	CHECK(r.b.ring[1].addr.avail - user == RING(1) + 0x1000);
	CHECK(r.b.ring[1].addr.used - user == RING(1) + 0x2000);
	CHECK(r.b.ring[0].num == RING_SIZE && r.b.ring[0].base == 0);
	CHECK(r.b.ring[0].enabled == 1 && r.b.ring[1].enabled == 1);
	CHECK(r.b.accepted == (V1 | BIT(VU_F_PROTOCOL)));
	CHECK_EQ(VIRTIO_CONFIG_S_DRIVER_OK, r.b.status & VIRTIO_CONFIG_S_DRIVER_OK);
	CHECK(r.b.inflights_made == 1 && r.b.inflight.size == 4096);
	rig_fini(&r);
}

TEST(doorbell_and_interrupt_are_the_same_eventfds_over_there)
{
	uint64_t one = 1;
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	CHECK(!is_signalled(r.b.ring[0].kick));
	CHECK_EQ(8, write(r.ring[0].kick, &one, 8));
	CHECK(is_signalled(r.b.ring[0].kick));
	CHECK_EQ(8, write(r.b.ring[0].call, &one, 8));
	CHECK(is_signalled(r.ring[0].call) && !is_signalled(r.ring[1].call));
	CHECK_EQ(0, r.v->ops->set_call(r.v, 0, r.ring[1].call));
	CHECK_EQ(8, write(r.b.ring[0].call, &one, 8));
	CHECK(is_signalled(r.ring[1].call));
	rig_fini(&r);
}

TEST(stop_takes_every_ring_back_and_start_gives_them_again)
{
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	r.v->ops->stop(r.v);
	CHECK_EQ(2, r.b.seen[VU_GET_VRING_BASE]);
	CHECK(r.b.status == 0);
	CHECK_EQ(0, rig_start(&r));
	CHECK_EQ(1, r.b.connections);
	CHECK_EQ(2, r.b.inflights_made);
	rig_fini(&r);
}

/* What is taken and not finished when the rings come back: the back end may still write to the guest's memory. */
TEST(one_that_does_not_finish_after_the_rings_are_back_is_left)
{
	struct rig r;

	rig_init(&r);
	r.b.end_base = 3;
	rig_up(&r);
	r.v->ops->stop(r.v);
	r.b.end_base = 0;
	CHECK_EQ(0, rig_start(&r));
	CHECK_EQ(2, r.b.connections);
	rig_fini(&r);
}

TEST(a_back_end_without_protocol_features_gets_along)
{
	struct rig r;

	rig_init(&r);
	r.b.features = V1;
	r.setup.device_id = VIRTIO_ID_NET;
	r.setup.own_features = BIT(VIRTIO_NET_F_MAC);
	r.setup.config = "\x02\x01\x02\x03\x04\x05";
	r.setup.own_len = 6;
	backend_start(&r.b);
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(2, r.v->n_queues);
	CHECK(r.v->features == (V1 | BIT(VIRTIO_NET_F_MAC)));
	uint8_t mac[6];
	CHECK_EQ(0, r.v->ops->config_read(r.v, 0, mac, 6));
	CHECK_EQ(5, mac[5]);
	CHECK_EQ(0, r.v->ops->start(r.v, V1 | BIT(VIRTIO_NET_F_MAC), r.ring, &r.e));
	BACKEND_WAIT(&r.b, r.b.seen[VU_SET_VRING_KICK] == 2); /* nothing is acknowledged */
	CHECK(r.b.accepted == V1);
	CHECK_EQ(0, r.b.seen[VU_SET_VRING_ENABLE] + r.b.seen[VU_GET_PROTOCOL_FEATURES]);
	CHECK_EQ(-EPERM, r.v->ops->config_write(r.v, 0, mac, 6));
	rig_fini(&r);
}

TEST(a_file_system_has_an_urgent_queue_first_and_a_number_of_the_others)
{
	uint8_t space[40];
	struct rig r;

	rig_init(&r);
	r.b.queues = 4;
	r.setup.device_id = VIRTIO_ID_FS;
	r.setup.config = "home";
	r.setup.own_len = 5;
	backend_start(&r.b);
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(3, r.v->n_queues);
	CHECK_EQ(40, r.v->config_len);
	CHECK_EQ(0, r.v->ops->config_read(r.v, 0, space, 40));
	CHECK_STR("home", (char *)space);
	CHECK_EQ(2, space[36]);
	CHECK_EQ(0, r.b.seen[VU_GET_CONFIG]);
	rig_fini(&r);
}

TEST(queues_are_as_many_as_both_have)
{
	struct rig r;

	rig_init(&r);
	r.setup.queues_default = 4;
	r.b.queues = 1;
	backend_start(&r.b);
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(1, r.v->n_queues);
	vhost_destroy(r.v);
	r.v = NULL;
	r.setup.queues = 3;
	CHECK_EQ(-EINVAL, rig_create(&r));
	CHECK_STR("vhost-user0: the back end has no more than queues=1", r.e.text);
	r.b.queues = ~0ULL;
	r.setup.queues = 0;
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(4, r.v->n_queues);
	rig_fini(&r);
}

TEST(a_change_of_the_configuration_is_fetched_and_told)
{
	struct vu_msg m = {.h = {VU_BACKEND_CONFIG_CHANGE, VU_VERSION | VU_NEED_REPLY, 0}};
	uint8_t byte = 0;
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	pthread_mutex_lock(&r.b.lock);
	r.b.config[0] = 77;
	CHECK_EQ(0, vu_send(r.b.channel, &m, clock_ms() + 600000));
	pthread_mutex_unlock(&r.b.lock);
	BACKEND_WAIT(&r.b, r.config_changes == 1);
	CHECK_EQ(0, vu_receive(r.b.channel, &m, clock_ms() + 600000));
	CHECK(m.u64 == 0 && m.h.size == 8 && m.h.flags & VU_REPLY);
	CHECK_EQ(0, r.v->ops->config_read(r.v, 0, &byte, 1));
	CHECK_EQ(77, byte);
	byte = 9;
	CHECK_EQ(0, r.v->ops->config_write(r.v, 32, &byte, 1));
	CHECK_EQ(9, r.b.config[32]);
	rig_fini(&r);
}

TEST(what_is_not_agreed_on_is_refused_on_the_back_ends_channel)
{
	struct vu_msg m = {.h = {VU_BACKEND_HOST_NOTIFIER, VU_VERSION | VU_NEED_REPLY, 24}};
	struct rig r;
	unsigned before;

	rig_init(&r);
	rig_up(&r);
	before = test_open_fds();
	m.fd[0] = r.b.listener; /* to be closed */
	m.n_fds = 1;
	CHECK_EQ(0, vu_send(r.b.channel, &m, clock_ms() + 600000));
	CHECK_EQ(0, vu_receive(r.b.channel, &m, clock_ms() + 600000));
	CHECK(m.u64 != 0);
	CHECK_EQ(before, test_open_fds());
	rig_fini(&r);
}

/* ---- death ---- */

TEST(with_an_in_flight_area_the_next_back_end_gets_it_and_goes_on)
{
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	rig_offer(&r, 0, 0);
	rig_offer(&r, 0, 1);
	rig_finish(&r, 0, 1);
	backend_die(&r.b);
	BACKEND_WAIT(&r.b, r.b.connections == 2 && r.b.seen[VU_SET_STATUS]);
	CHECK_EQ(1, r.b.inflights_made);
	CHECK_EQ(1, r.b.seen[VU_SET_INFLIGHT_FD]);
	CHECK_EQ(1, r.b.ring[0].base);
	CHECK_EQ(0, r.b.ring[1].base);
	r.v->ops->stop(r.v); /* behind the thread: it has stirred the rings by then */
	CHECK(is_signalled(r.ring[0].kick) && is_signalled(r.ring[0].call));
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

TEST(without_one_the_account_says_what_a_disk_does_again)
{
	struct rig r;

	rig_init(&r);
	r.b.protocol &= ~BIT(VU_PROTOCOL_INFLIGHT_SHMFD);
	rig_up(&r);
	for (uint16_t head = 0; head < 4; head++)
		rig_offer(&r, 0, head);
	rig_finish(&r, 0, 3);
	rig_finish(&r, 0, 1);
	backend_die(&r.b);
	BACKEND_WAIT(&r.b, r.b.connections == 2 && r.b.seen[VU_SET_STATUS]);
	CHECK_EQ(2, r.b.ring[0].base);
	CHECK_EQ(0, *rig_word(&r, r.ring[0].driver + 4 + 2 * 2));
	CHECK_EQ(2, *rig_word(&r, r.ring[0].driver + 4 + 2 * 3));
	rig_fini(&r);
}

TEST(a_file_system_without_one_is_gone_until_the_driver_resets)
{
	struct rig r;

	rig_init(&r);
	r.b.protocol &= ~BIT(VU_PROTOCOL_INFLIGHT_SHMFD);
	r.setup.device_id = VIRTIO_ID_FS;
	r.setup.queues_default = 1;
	rig_up(&r);
	backend_die(&r.b);
	BACKEND_WAIT(&r.b, r.gone == 1);
	CHECK_STR("its back end is gone: it has hung up", r.why);
	r.v->ops->stop(r.v);
	CHECK_EQ(0, rig_start(&r));
	CHECK_EQ(2, r.b.connections);
	CHECK_EQ(1, r.gone);
	rig_fini(&r);
}

TEST(a_new_back_end_must_be_able_to_do_what_is_in_use)
{
	struct rig r;

	rig_init(&r);
	r.b.features |= BIT(VIRTIO_BLK_F_FLUSH);
	backend_start(&r.b);
	CHECK_EQ(0, rig_create(&r));
	CHECK_EQ(0, r.v->ops->start(r.v, V1 | BIT(VIRTIO_BLK_F_FLUSH), r.ring, &r.e));
	pthread_mutex_lock(&r.b.lock);
	r.b.features &= ~BIT(VIRTIO_BLK_F_FLUSH);
	pthread_mutex_unlock(&r.b.lock);
	backend_die(&r.b);
	BACKEND_WAIT(&r.b, r.b.connections >= 3); /* tried, and tried again */
	CHECK_EQ(0, r.b.seen[VU_SET_VRING_KICK]);
	pthread_mutex_lock(&r.b.lock);
	r.b.features |= BIT(VIRTIO_BLK_F_FLUSH);
	pthread_mutex_unlock(&r.b.lock);
	BACKEND_WAIT(&r.b, r.b.seen[VU_SET_STATUS] == 1);
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

TEST(a_driver_may_reset_while_nobody_is_there)
{
	struct rig r;

	rig_init(&r);
	rig_up(&r);
	backend_stop(&r.b);
	r.v->ops->stop(r.v);
	CHECK_EQ(-ENOENT, rig_start(&r));
	CHECK_HAS(r.e.text, "vhost-user0: nobody listens at '/tmp/vhost-user-");
	rig_fini(&r);
}
