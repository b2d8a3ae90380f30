// SPDX-License-Identifier: Apache-2.0
/* Servers that misbehave, die, or come again while the device is in use: the guest goes on. */
#include "user_rig.h"

#include <errno.h>

#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define MSIX    VFIO_PCI_MSIX_IRQ_INDEX

static struct user_rig r;

/* ---- the reply to the next command of a kind is spoiled ---- */

static atomic_uint armed; /* the command; 0: none */
static void (*spoil)(struct vfuser_reply *p);
static enum vfuser_verdict verdict;

static enum vfuser_verdict mangle(void *arg, struct vfuser_server *s, struct vfuser_reply *p)
{
	(void)arg;
	(void)s;
	if (armed != p->h.command)
		return VFUSER_SEND;
	armed = 0;
	if (spoil)
		spoil(p);
	return verdict;
}

static void open_with_mangler(void)
{
	rig_init(&r);
	r.server.mangle = mangle;
	armed = 0;
	rig_open(&r);
}

static void arm(uint16_t command, void (*how)(struct vfuser_reply *), enum vfuser_verdict v)
{
	spoil = how;
	verdict = v;
	armed = command;
}

static void other_id(struct vfuser_reply *p)
{
	p->h.id++;
}

static void other_place(struct vfuser_reply *p)
{
	p->payload[0]++;
}

static void no_data(struct vfuser_reply *p)
{
	p->len = 16;
	p->h.size = sizeof(p->h) + 16;
}

static void refuse(struct vfuser_reply *p)
{
	p->len = 0;
	p->h.size = sizeof(p->h);
	p->h.flags |= USER_ERROR;
	p->h.error = EPERM;
}

static void with_byte(struct vfuser_reply *p)
{
	p->h.size++;
	p->len++;
}

static void half(struct vfuser_reply *p)
{
	p->len /= 2;
}

static int call(uint16_t command)
{
	uint32_t value = 1;
	int none = -1, fd = r.bell;

	switch (command) {
	case USER_REGION_READ:
		return r.v->ops->read(r.v, REG_BAR, 0, &value, 4);
	case USER_REGION_WRITE:
		return r.v->ops->write(r.v, REG_BAR, 0, &value, 4);
	case USER_SET_IRQS:
		return r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 0, 1, fd >= 0 ? &fd : &none);
	default:
		return r.v->ops->reset(r.v);
	}
}

/* It is told once, and nobody is asked any more. */
static void check_gone(const char *why)
{
	rig_turn(&r, true);
	CHECK_EQ(1, r.gone);
	CHECK_HAS(r.why, why);
	CHECK_EQ(0xffffffff, rig_get(&r, 0, -EIO));
	rig_put(&r, 0, 1, -EIO);
	CHECK_EQ(-EIO, r.v->ops->reset(r.v));
	rig_turn(&r, false);
	CHECK_EQ(1, r.gone);
}

TEST(wrong_reply_is_the_end_of_the_device)
{
	static const struct {
		uint16_t command;
		void (*spoil)(struct vfuser_reply *p);
		const char *why;
	} c[] = {
		{USER_REGION_READ, other_id, "wrong message ID"},
		{USER_REGION_READ, other_place, "another's data"},
		{USER_REGION_READ, no_data, "too short"},
		{USER_REGION_READ, with_byte, "too long"},
		{USER_REGION_WRITE, other_id, "wrong message ID"},
		{USER_REGION_WRITE, other_place, "as another"},
		{USER_REGION_WRITE, with_byte, "too long"},
		{USER_SET_IRQS, with_byte, "too long"},
		{USER_RESET, with_byte, "too long"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		open_with_mangler();
		arm(c[i].command, c[i].spoil, VFUSER_SEND);
		CHECK_EQ(-EIO, call(c[i].command));
		check_gone(c[i].why);
		rig_fini(&r);
	}
}

TEST(silence_is_the_end_of_the_device)
{
	static const uint16_t command[] = {USER_REGION_READ, USER_REGION_WRITE, USER_SET_IRQS,
					   USER_RESET};

	for (unsigned i = 0; i < ARRAY_SIZE(command); i++) {
		open_with_mangler();
		vfio_destroy(r.v);
		r.host.deadline_ms = 300;
		rig_open(&r);
		arm(command[i], NULL, VFUSER_SILENT);
		CHECK_EQ(-EIO, call(command[i]));
		check_gone("no answer");
		rig_fini(&r);
	}
}

TEST(refusal_is_not_the_end)
{
	static const uint16_t command[] = {USER_REGION_READ, USER_REGION_WRITE, USER_SET_IRQS,
					   USER_RESET};

	open_with_mangler();
	for (unsigned i = 0; i < ARRAY_SIZE(command); i++) {
		arm(command[i], refuse, VFUSER_SEND);
		CHECK_EQ(-EPERM, call(command[i]));
		CHECK_EQ(0, call(command[i]));
	}
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

/* ---- while nobody waits ---- */

static void check_idle(const struct user_header *h, const void *payload, size_t len, int fd,
		       const char *why)
{
	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(0, vfuser_send(r.server.fd, h, payload, len, &fd, fd >= 0));
	check_gone(why);
	rig_fini(&r);
}

TEST(wrong_message_to_an_idle_client_is_the_end)
{
	struct user_dma_access all = {0, UINT64_MAX}, one[2] = {{0, 1}};
	struct user_header h = {.command = USER_REGION_READ, .size = 16, .flags = USER_REPLY};

	check_idle(&h, NULL, 0, -1, "nobody asked for");
	h.flags = 9;
	check_idle(&h, NULL, 0, -1, "neither command nor reply");
	h.flags = USER_COMMAND;
	check_idle(&h, NULL, 0, 0, "came with file descriptors");
	h.size = 15;
	check_idle(&h, NULL, 0, -1, "shorter than its header");
	h.size = UINT32_MAX;
	check_idle(&h, NULL, 0, -1, "too long");
	h = (struct user_header){.command = USER_DMA_READ, .size = 16 + 8};
	check_idle(&h, one, 8, -1, "a DMA command is too short");
	h.size = 16 + sizeof(one[0]) + 1;
	check_idle(&h, one, sizeof(one[0]) + 1, -1, "wrong length");
	h.size = 16 + sizeof(all);
	check_idle(&h, &all, sizeof(all), -1, "wrong length");
	h.command = USER_DMA_WRITE;
	check_idle(&h, one, sizeof(one[0]), -1, "wrong length");
}

TEST(half_a_command_waits_for_its_rest)
{
	struct user_dma_access a = {0x3000, 4};
	struct user_header h = {.command = USER_DMA_WRITE,
				.size = sizeof(h) + sizeof(a) + 4,
				.flags = USER_NO_REPLY};
	uint8_t all[sizeof(h) + sizeof(a) + 4];

	rig_init(&r);
	rig_open(&r);
	memcpy(all, &h, sizeof(h));
	memcpy(all + sizeof(h), &a, sizeof(a));
	memcpy(all + sizeof(h) + sizeof(a), "half", 4);
	for (unsigned i = 0; i < sizeof(all); i++) {
		CHECK_EQ(1, send(r.server.fd, all + i, 1, MSG_NOSIGNAL));
		rig_turn(&r, true);
	}
	assert_memory_equal("half", gmem_slice(&r.ram, 0x3000, 4), 4);
	rig_fini(&r);
}

/* ---- the server goes, and comes again ---- */

/* The loop hears of it when all is done. */
static void wait_for_it_to_be_back(void)
{
	uint32_t value;

	do
		rig_turn(&r, true);
	while (r.v->ops->read(r.v, REG_BAR, 0, &value, sizeof(value)) < 0 && !r.gone);
	CHECK_EQ(0, r.gone);
}

static void kill_server(void)
{
	rig_kill(&r);
	rig_turn(&r, true);
	CHECK_EQ(0, r.gone);
}

TEST(server_that_has_gone_leaves_all_ones)
{
	open_with_mangler();
	kill_server();
	CHECK_EQ(0xffffffff, rig_get(&r, 0, -EIO));
	rig_put(&r, 0, 1, -EIO);
	CHECK_EQ(0, r.v->ops->reset(r.v));
	rig_fini(&r);
}

TEST(server_that_hangs_up_while_it_is_asked_has_gone)
{
	static const uint16_t command[] = {USER_REGION_READ, USER_REGION_WRITE};

	for (unsigned i = 0; i < ARRAY_SIZE(command); i++) {
		open_with_mangler();
		arm(command[i], half, i ? VFUSER_CUT : VFUSER_CLOSE);
		CHECK_EQ(-EIO, call(command[i]));
		rig_turn(&r, true);
		CHECK_EQ(0, r.gone);
		wait_for_it_to_be_back();
		CHECK_EQ(2, r.clients);
		rig_fini(&r);
	}
}

TEST(server_that_comes_again_is_given_everything_anew)
{
	uint16_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	open_with_mangler();
	CHECK_EQ(0, r.v->ops->write(r.v, CONFIG, PCI_COMMAND, &command, 2));
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 2, 1, &r.bell));
	kill_server();
	/* What is set while nobody is there counts as well; so does what is taken away. */
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 5, 1, &r.bell));
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 6, 1, &r.bell));
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 6, 1, &(int){-1}));
	rig_serve(&r);
	wait_for_it_to_be_back();
	CHECK_EQ(2, r.resets);
	CHECK_EQ(1, r.server.n_maps);
	CHECK_EQ(command, r.config[PCI_COMMAND]);
	for (unsigned i = 0; i < RIG_MSIX; i++)
		CHECK_EQ(i == 2 || i == 5, r.server.irq[MSIX][i] >= 0);
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

TEST(mapped_memory_is_the_new_servers_at_the_old_place)
{
	void *host;
	int old;

	open_with_mangler();
	host = r.v->region[MEM_BAR].area[0].host;
	old = r.mem_file;
	kill_server();
	r.mem_file = r.dev.region[MEM_BAR].fd = rig_file(4096);
	CHECK_EQ(4, pwrite(r.mem_file, "new", 4, 0));
	rig_serve(&r);
	wait_for_it_to_be_back();
	CHECK(r.v->region[MEM_BAR].area[0].host == host);
	CHECK_STR("new", host);
	close(old);
	rig_fini(&r);
}

/* KVM goes on ringing the old one. */
TEST(doorbell_reaches_the_new_server)
{
	int old_bell, old_shadow;
	uint32_t value = 5;

	open_with_mangler();
	old_bell = r.bell;
	old_shadow = r.shadow_bell;
	kill_server();
	eventfd_write(r.v->region[BELL_BAR].doorbell[0].fd, 3); /* while nobody is there */
	r.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r.shadow_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig_device(&r);
	rig_serve(&r);
	wait_for_it_to_be_back();
	rig_turn(&r, true);
	CHECK_EQ(1, rig_count(r.bell));
	eventfd_write(r.v->region[BELL_BAR].doorbell[0].fd, 1);
	rig_turn(&r, true);
	CHECK_EQ(1, rig_count(r.bell));
	CHECK_EQ(0, r.v->ops->write(r.v, BELL_BAR, 8, &value, 4));
	CHECK_EQ(1, rig_count(r.shadow_bell));
	CHECK_EQ(0, rig_count(old_shadow));
	close(old_bell);
	close(old_shadow);
	rig_fini(&r);
}

static void check_another(const char *why)
{
	rig_serve(&r);
	while (r.gone == 0)
		rig_turn(&r, true);
	CHECK_HAS(r.why, why);
	CHECK_EQ(0xffffffff, rig_get(&r, 0, -EIO));
	rig_fini(&r);
}

TEST(another_device_is_not_taken_for_the_old_one)
{
	open_with_mangler();
	kill_server();
	r.config[PCI_DEVICE_ID]++;
	check_another("another device");

	open_with_mangler();
	kill_server();
	r.dev.region[REG_BAR].size *= 2;
	check_another("region 0: it has changed");

	open_with_mangler();
	kill_server();
	r.dev.region[MEM_BAR].n_areas = 2;
	check_another("areas have changed");

	open_with_mangler();
	kill_server();
	r.dev.region[BELL_BAR].n_doorbells = 0;
	check_another("another device");

	open_with_mangler();
	kill_server();
	r.dev.irq[MSIX].count--;
	check_another("another device");
}

TEST(new_server_that_misbehaves_is_the_end)
{
	open_with_mangler();
	kill_server();
	arm(USER_GET_INFO, other_id, VFUSER_SEND);
	check_another("wrong message ID");
}

TEST(new_server_that_hangs_up_is_waited_for_again)
{
	open_with_mangler();
	kill_server();
	arm(USER_GET_INFO, NULL, VFUSER_CLOSE);
	rig_serve(&r);
	wait_for_it_to_be_back();
	CHECK_EQ(3, r.clients);
	rig_fini(&r);
}

TEST(server_may_go_and_come_many_times)
{
	open_with_mangler();
	for (unsigned i = 0; i < 20; i++) {
		kill_server();
		rig_serve(&r);
		wait_for_it_to_be_back();
		rig_put(&r, 0, i, 0);
		CHECK_EQ(i, rig_get(&r, 0, 0));
	}
	rig_fini(&r);
}

TEST(attach_and_detach_leave_nothing_behind)
{
	rig_init(&r);
	for (unsigned i = 0; i < 1000; i++) {
		rig_open(&r);
		vfio_destroy(r.v);
	}
	r.v = NULL;
	rig_fini(&r);
	CHECK_EQ(2000, r.resets);
}

TEST(device_may_end_while_its_server_is_away)
{
	open_with_mangler();
	kill_server();
	vfio_destroy(r.v);
	r.v = NULL;
	rig_fini(&r);
}
