// SPDX-License-Identifier: Apache-2.0
/* The vfio-user client (src/passthru/user*.c) with a server that keeps to the protocol. */
#include "user_rig.h"

#include <errno.h>
#include <fcntl.h>

#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)
#define MSIX    VFIO_PCI_MSIX_IRQ_INDEX

static struct user_rig r;

/* The layouts are the specification's, in bytes. */
TEST(messages_have_the_sizes_of_the_specification)
{
	CHECK_EQ(16, sizeof(struct user_header));
	CHECK_EQ(12, offsetof(struct user_header, error));
	CHECK_EQ(4, sizeof(struct user_version));
	CHECK_EQ(16, sizeof(struct user_device_info));
	CHECK_EQ(32, sizeof(struct vfio_region_info));
	CHECK_EQ(16, sizeof(struct vfio_irq_info));
	CHECK_EQ(20, sizeof(struct vfio_irq_set));
	CHECK_EQ(32, sizeof(struct user_dma_map));
	CHECK_EQ(24, sizeof(struct user_dma_unmap));
	CHECK_EQ(16, sizeof(struct user_region_access));
	CHECK_EQ(8, offsetof(struct user_region_access, region));
	CHECK_EQ(16, sizeof(struct user_dma_access));
	CHECK_EQ(40, sizeof(struct user_io_fd));
	CHECK_EQ(32, offsetof(struct user_io_fd, match));
	CHECK_EQ(48, sizeof(struct user_io_fd_shadow));
	CHECK_EQ(40, offsetof(struct user_io_fd_shadow, match));
}

TEST(device_has_what_its_server_says)
{
	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(sizeof(r.reg), r.v->region[REG_BAR].size);
	CHECK_EQ(0, r.v->region[REG_BAR].n_areas);
	CHECK_EQ(1, r.v->region[MEM_BAR].n_areas);
	CHECK_EQ(4096, r.v->region[MEM_BAR].area[0].len);
	CHECK_EQ(1, r.v->region[BELL_BAR].n_doorbells);
	CHECK_EQ(0, r.v->region[3].size);
	CHECK_EQ(256, r.v->region[CONFIG].size);
	CHECK_EQ(1, r.v->irq[VFIO_PCI_INTX_IRQ_INDEX].count);
	CHECK_EQ(0, r.v->irq[VFIO_PCI_MSI_IRQ_INDEX].count);
	CHECK_EQ(RIG_MSIX, r.v->irq[MSIX].count);
	CHECK_EQ(1, r.resets);
	rig_fini(&r);
}

TEST(registers_are_read_and_written_by_message)
{
	uint64_t wide;

	rig_init(&r);
	rig_open(&r);
	rig_put(&r, 8, 0x12345678, 0);
	CHECK_EQ(0x12345678, rig_get(&r, 8, 0));
	CHECK_EQ(0, r.v->ops->read(r.v, REG_BAR, 8, &wide, 8));
	CHECK_EQ(0x12345678, wide);
	/* Outside of the region, or of what there is: nobody is asked. */
	CHECK_EQ(0xffffffff, rig_get(&r, sizeof(r.reg) - 2, -EIO));
	CHECK_EQ(0xffffffff, rig_get(&r, UINT64_MAX - 1, -EIO));
	CHECK_EQ(-EIO, r.v->ops->read(r.v, 99, 0, &wide, 8));
	CHECK_EQ(-EIO, r.v->ops->write(r.v, 99, 0, &wide, 8));
	rig_fini(&r);
}

TEST(mapped_memory_is_the_servers_file)
{
	uint32_t value = 0xabcd;

	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(sizeof(value), pwrite(r.mem_file, &value, sizeof(value), 0x80));
	CHECK_EQ(value, *(uint32_t *)((char *)r.v->region[MEM_BAR].area[0].host + 0x80));
	rig_fini(&r);
}

TEST(ram_is_mapped_for_the_server_and_nothing_else)
{
	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(1, r.server.n_maps);
	CHECK_EQ(0, r.server.map[0].addr);
	CHECK_EQ(RIG_RAM, r.server.map[0].size);
	memcpy(vfuser_dma(&r.server, 0x1000, 4), "DMA", 4);
	CHECK_STR("DMA", gmem_slice(&r.ram, 0x1000, 4));
	rig_fini(&r);
}

/* Else a server could make a touch of guest RAM a SIGBUS. */
TEST(shared_ram_cannot_be_made_shorter)
{
	rig_init(&r);
	CHECK_EQ(-1, ftruncate(r.ram.memfd, 0));
	CHECK_EQ(EPERM, errno);
	rig_fini(&r);
}

TEST(plain_doorbell_is_an_eventfd_for_the_bus)
{
	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(0, r.v->region[BELL_BAR].doorbell[0].off);
	CHECK_EQ(4, r.v->region[BELL_BAR].doorbell[0].len);
	eventfd_write(r.v->region[BELL_BAR].doorbell[0].fd, 1);
	CHECK_EQ(1, rig_count(r.bell));
	rig_fini(&r);
}

TEST(shadow_doorbell_leaves_its_value_in_the_file)
{
	uint32_t value = 77, seen;
	unsigned before;

	rig_init(&r);
	rig_open(&r);
	before = r.server.served;
	CHECK_EQ(0, r.v->ops->write(r.v, BELL_BAR, 8, &value, 4));
	CHECK_EQ(1, rig_count(r.shadow_bell));
	CHECK_EQ(4, pread(r.shadow_file, &seen, 4, SHADOW_AT));
	CHECK_EQ(77, seen);
	CHECK_EQ(before, r.server.served);
	/* Another width is another write. */
	CHECK_EQ(0, r.v->ops->write(r.v, BELL_BAR, 8, &value, 2));
	CHECK_EQ(0, rig_count(r.shadow_bell));
	/* A server that cuts its file short gets no value; no signal comes of it. */
	CHECK_EQ(0, ftruncate(r.shadow_file, 0));
	CHECK_EQ(0, r.v->ops->write(r.v, BELL_BAR, 8, &value, 4));
	rig_fini(&r);
}

static int eventfds[RIG_MSIX];

static void open_eventfds(void)
{
	for (unsigned i = 0; i < RIG_MSIX; i++)
		eventfds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void close_eventfds(void)
{
	for (unsigned i = 0; i < RIG_MSIX; i++)
		close(eventfds[i]);
}

/* The server takes 16 descriptors in a message. */
TEST(vectors_go_in_as_many_messages_as_they_need)
{
	rig_init(&r);
	rig_open(&r);
	open_eventfds();
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 0, RIG_MSIX, eventfds));
	for (unsigned i = 0; i < RIG_MSIX; i++)
		vfuser_interrupt(&r.server, MSIX, i);
	for (unsigned i = 0; i < RIG_MSIX; i++)
		CHECK_EQ(1, rig_count(eventfds[i]));
	close_eventfds();
	rig_fini(&r);
}

TEST(vectors_without_an_eventfd_are_told_apart)
{
	int some[5];

	rig_init(&r);
	rig_open(&r);
	open_eventfds();
	memcpy(some, eventfds, sizeof(some));
	some[1] = some[2] = -1;
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 3, 5, some));
	for (unsigned i = 0; i < RIG_MSIX; i++)
		CHECK_EQ(i == 3 || i == 6 || i == 7, r.server.irq[MSIX][i] >= 0);
	/* One that was set is taken away, its neighbours stay. */
	some[3] = -1;
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 6, 1, &some[3]));
	CHECK_EQ(-1, r.server.irq[MSIX][6]);
	CHECK(r.server.irq[MSIX][7] >= 0);
	CHECK_EQ(0, r.v->ops->set_irqs(r.v, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
				       MSIX, 0, 0, NULL));
	CHECK_EQ(-1, r.server.irq[MSIX][7]);
	close_eventfds();
	rig_fini(&r);
}

TEST(interrupts_that_the_device_has_not_are_refused)
{
	int fd = 0;

	rig_init(&r);
	rig_open(&r);
	CHECK_EQ(-EINVAL, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, RIG_MSIX, 1, &fd));
	CHECK_EQ(-EINVAL, r.v->ops->set_irqs(r.v, TRIGGER, MSIX, 1, UINT32_MAX, &fd));
	CHECK_EQ(-EINVAL, r.v->ops->set_irqs(r.v, TRIGGER, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &fd));
	CHECK_EQ(-EINVAL, r.v->ops->set_irqs(r.v, TRIGGER, 99, 0, 1, &fd));
	rig_fini(&r);
}

TEST(reset_reaches_the_device)
{
	rig_init(&r);
	rig_open(&r);
	rig_put(&r, 0, 5, 0);
	CHECK_EQ(0, r.v->ops->reset(r.v));
	CHECK_EQ(0, rig_get(&r, 0, 0));
	rig_fini(&r);
}

TEST(device_without_a_reset_is_not_asked_for_one)
{
	rig_init(&r);
	r.dev.flags = VFIO_DEVICE_FLAGS_PCI;
	rig_open(&r);
	CHECK_EQ(-ENOTTY, r.v->ops->reset(r.v));
	CHECK_EQ(0, r.resets);
	rig_fini(&r);
	CHECK_EQ(0, r.resets);
}

TEST(end_resets_the_device_and_takes_ram_away)
{
	rig_init(&r);
	rig_open(&r);
	vfio_destroy(r.v);
	r.v = NULL;
	CHECK_EQ(2, r.resets);
	rig_kill(&r);
	CHECK_EQ(0, r.server.n_maps);
	rig_fini(&r);
}

/* ---- the server's own commands, while a reply is awaited ---- */

static void dma_both_ways(struct user_rig *rig, uint64_t off)
{
	char text[8] = "";

	(void)off;
	rig->result = vfuser_dma_write(&rig->server, 0x2000, "by mail", 8);
	if (rig->result == 0)
		rig->result = vfuser_dma_read(&rig->server, 0x2000, text, 8);
	if (rig->result == 0 && strcmp(text, "by mail") != 0)
		rig->result = -EBADMSG;
}

static void check_dma_by_message(bool twin)
{
	rig_init(&r);
	r.server.twin = twin;
	r.on_write = dma_both_ways;
	rig_open(&r);
	CHECK_EQ(twin, r.server.command_fd != r.server.fd);
	rig_put(&r, 0, 1, 0);
	CHECK_EQ(0, r.result);
	CHECK_STR("by mail", gmem_slice(&r.ram, 0x2000, 8));
	CHECK_EQ(1, rig_get(&r, 0, 0));
	rig_fini(&r);
}

TEST(dma_by_message_comes_while_a_reply_is_awaited)
{
	check_dma_by_message(false);
}

TEST(dma_by_message_comes_by_the_second_socket)
{
	check_dma_by_message(true);
}

static void dma_outside(struct user_rig *rig, uint64_t off)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} place[] = {{RIG_RAM, 1}, {RIG_RAM - 1, 2}, {UINT64_MAX, 1}, {UINT64_MAX - 3, 8}};
	char data[8];

	(void)off;
	rig->result = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(place); i++)
		rig->result += vfuser_dma_read(&rig->server, place[i].addr, data, place[i].len) ==
				       -EFAULT &&
			       vfuser_dma_write(&rig->server, place[i].addr, data, place[i].len) ==
				       -EFAULT;
}

TEST(dma_outside_of_ram_is_refused_and_the_device_lives)
{
	rig_init(&r);
	r.on_write = dma_outside;
	rig_open(&r);
	rig_put(&r, 0, 1, 0);
	CHECK_EQ(4, r.result);
	CHECK_EQ(1, rig_get(&r, 0, 0));
	rig_fini(&r);
}

static void unknown_command(struct user_rig *rig, uint64_t off)
{
	struct user_header h = {.id = 7, .command = 99, .size = sizeof(h)}, reply;

	(void)off;
	rig->result = vfuser_send(rig->server.command_fd, &h, NULL, 0, NULL, 0);
	if (recv(rig->server.command_fd, &reply, sizeof(reply), MSG_WAITALL) == sizeof(reply))
		rig->result = reply.id == 7 && reply.flags == (USER_REPLY | USER_ERROR)
				      ? (int)reply.error
				      : -1;
}

TEST(command_that_is_not_known_is_refused)
{
	rig_init(&r);
	r.on_write = unknown_command;
	rig_open(&r);
	rig_put(&r, 0, 1, 0);
	CHECK_EQ(ENOTSUP, r.result);
	rig_fini(&r);
}

/* Private RAM has no descriptor: everything is by message. */
TEST(private_ram_is_mapped_without_a_file)
{
	struct err e;

	rig_init(&r);
	gmem_destroy(&r.ram);
	CHECK_EQ(0, gmem_create(&r.ram, RIG_RAM, false, &e));
	r.on_write = dma_both_ways;
	rig_open(&r);
	CHECK(r.server.map[0].host == NULL);
	rig_put(&r, 0, 1, 0);
	CHECK_EQ(0, r.result);
	rig_fini(&r);
}

/* ---- while nobody waits, the loop looks ---- */

static void *dma_by_itself(void *arg)
{
	dma_both_ways(arg, 0);
	return NULL;
}

static void check_idle_dma(bool twin)
{
	pthread_t t;

	rig_init(&r);
	r.server.twin = twin;
	r.result = 1;
	rig_open(&r);
	CHECK_EQ(0, pthread_create(&t, NULL, dma_by_itself, &r));
	while (pthread_tryjoin_np(t, NULL) != 0)
		rig_turn(&r, false);
	CHECK_EQ(0, r.result);
	rig_fini(&r);
}

TEST(idle_device_does_dma_on_the_second_socket)
{
	check_idle_dma(true);
}

/* Whoever makes the device's messages here reads the same socket as its server: one of them would take the other's. */
TEST(idle_loop_serves_a_command)
{
	struct user_dma_access a = {0x3000, 4};
	struct user_header h = {.id = 3, .command = USER_DMA_WRITE, .flags = USER_NO_REPLY};
	uint8_t payload[sizeof(a) + 4];

	rig_init(&r);
	rig_open(&r);
	memcpy(payload, &a, sizeof(a));
	memcpy(payload + sizeof(a), "idle", 4);
	h.size = sizeof(h) + sizeof(payload);
	CHECK_EQ(0, vfuser_send(r.server.fd, &h, payload, sizeof(payload), NULL, 0));
	rig_turn(&r, true);
	assert_memory_equal("idle", gmem_slice(&r.ram, 0x3000, 4), 4);
	CHECK_EQ(0, r.gone);
	rig_fini(&r);
}

/* ---- two vCPUs ---- */

static void *many_reads(void *arg)
{
	uintptr_t off = (uintptr_t)arg;

	for (unsigned i = 0; i < 300; i++) {
		uint64_t value = 0;
		if (r.v->ops->read(r.v, REG_BAR, off, &value, 8) < 0 || value != off * 3)
			return (void *)1;
	}
	return NULL;
}

TEST(vcpus_get_their_own_answers)
{
	pthread_t t[4];
	void *failed;

	rig_init(&r);
	rig_open(&r);
	for (uintptr_t i = 0; i < 4; i++)
		rig_put(&r, i * 8, (uint32_t)(i * 24), 0);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK_EQ(0, pthread_create(&t[i], NULL, many_reads, (void *)(i * 8)));
	for (unsigned i = 0; i < 4; i++) {
		CHECK_EQ(0, pthread_join(t[i], &failed));
		CHECK(failed == NULL);
	}
	rig_fini(&r);
}

TEST(no_server_is_one_clear_line)
{
	struct err e;

	rig_init(&r);
	rig_kill(&r);
	CHECK_EQ(-ENOENT, vfio_user_open(&r.v, &r.host, r.path, "dev0", &e));
	CHECK_STR("no server listens there", e.text);
	rig_fini(&r);
}
