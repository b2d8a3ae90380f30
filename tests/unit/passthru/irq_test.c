// SPDX-License-Identifier: Apache-2.0
/* Interrupts of the PCI front: which kind is armed, and which message each eventfd becomes. */
#include "front_rig.h"

#define MSIX_CONTROL (MSIX_CAP + PCI_MSIX_FLAGS)
#define MSIX_ON      (PCI_MSIX_FLAGS_ENABLE | (VECTORS - 1))
#define MSI_CONTROL  (MSI_CAP + PCI_MSI_FLAGS)
#define MSI_MASKS    (MSI_CAP + PCI_MSI_MASK_64)

static struct front f;

static void plug(void)
{
	CHECK_EQ(0, front_plug(&f));
	decode(&f);
}

static uint64_t eventfd_count(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

TEST(intx_is_armed_from_the_start_and_unmasked_by_the_host)
{
	front_init(&f);
	plug();
	CHECK_EQ(VFIO_PCI_INTX_IRQ_INDEX, f.dev.armed);
	CHECK_EQ(1, f.intx_on);
	CHECK_EQ(1, f.intx_line);
	CHECK_EQ(f.intx_trigger, f.dev.fd[0]);
	CHECK_EQ(f.intx_resample, f.dev.unmask_fd);
	front_fini(&f);
}

static void on_stop(void *arg, uint32_t events)
{
	(void)events;
	loop_stop(arg);
}

TEST(device_without_an_unmask_eventfd_is_unmasked_by_the_loop)
{
	struct loop_source timer = {.fd = timer_open(), .fn = on_stop, .arg = &f.loop};

	front_init(&f);
	f.dev.no_unmask_fd = true;
	plug();
	CHECK_EQ(1, f.intx_on);
	CHECK_EQ(0, eventfd_write(f.intx_resample, 1));
	CHECK_EQ(0, loop_add(&f.loop, &timer, EPOLLIN));
	CHECK_EQ(0, timer_arm(timer.fd, 1));
	while (f.dev.unmasks == 0) { /* the loop takes both, in any order */
		f.loop.stopping = false;
		CHECK_EQ(0, loop_run(&f.loop));
		CHECK_EQ(0, timer_arm(timer.fd, 1));
	}
	CHECK_EQ(1, f.dev.unmasks);
	loop_remove(&f.loop, &timer);
	close(timer.fd);
	front_fini(&f);
}

TEST(intx_that_cannot_be_had_is_no_reason_to_fail)
{
	front_init(&f);
	f.dev.fail_irqs = -EBUSY;
	plug();
	CHECK_EQ(-1, f.dev.armed);
	CHECK_EQ(0, f.intx_on);
	front_fini(&f);
}

TEST(vector_is_armed_when_it_is_unmasked)
{
	int route;

	front_init(&f);
	plug();
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	CHECK_EQ(VFIO_PCI_MSIX_IRQ_INDEX, f.dev.armed);
	CHECK_EQ(0, f.intx_on);
	CHECK_EQ(-1, f.dev.fd[0]);
	set_vector(&f, 2, 0xfee01000, 0x4021, false);
	CHECK_EQ(3, f.dev.n_armed);
	CHECK(f.dev.fd[0] == -1 && f.dev.fd[1] == -1 && f.dev.fd[2] >= 0);
	route = fake_msi_find(&f.msi, f.dev.fd[2]);
	CHECK(f.msi.route[route].connected && f.msi.route[route].address == 0xfee01000 &&
	      f.msi.route[route].data == 0x4021);
	set_vector(&f, 2, 0xfee02000, 0x4022, false);
	CHECK_EQ(0xfee02000, f.msi.route[route].address);
	front_fini(&f);
}

TEST(higher_vector_on_an_old_host_arms_all_anew_and_loses_nothing)
{
	int first;

	front_init(&f);
	plug();
	set_vector(&f, 0, 0xfee00000, 0x30, false);
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	first = f.dev.fd[0];
	CHECK(first >= 0);
	CHECK_EQ(0, eventfd_count(first));
	set_vector(&f, 4, 0xfee00000, 0x34, false);
	CHECK_EQ(5, f.dev.n_armed);
	CHECK_EQ(first, f.dev.fd[0]);
	CHECK_EQ(1, eventfd_count(first)); /* one too many rather than one too few */
	front_fini(&f);
}

TEST(higher_vector_on_a_new_host_leaves_the_others_alone)
{
	front_init(&f);
	f.dev.base.irq[VFIO_PCI_MSIX_IRQ_INDEX].flags = VFIO_IRQ_INFO_EVENTFD;
	plug();
	set_vector(&f, 0, 0xfee00000, 0x30, false);
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	set_vector(&f, 4, 0xfee00000, 0x34, false);
	CHECK_EQ(5, f.dev.n_armed);
	CHECK_EQ(0, eventfd_count(f.dev.fd[0]));
	CHECK(f.dev.fd[4] >= 0);
	front_fini(&f);
}

TEST(masked_vector_waits_in_its_eventfd)
{
	uint32_t bits = 0;
	int route;

	front_init(&f);
	plug();
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	set_vector(&f, 1, 0xfee00000, 0x31, false);
	route = fake_msi_find(&f.msi, f.dev.fd[1]);
	set_vector(&f, 1, 0xfee00000, 0x31, true);
	CHECK(!f.msi.route[route].connected);
	CHECK_EQ(0, eventfd_write(f.dev.fd[1], 1));
	bus_read(&f.bus.mmio, WINDOW32 + PBA, &bits, 4);
	CHECK_EQ(2, bits);
	set_vector(&f, 1, 0xfee00000, 0x31, false);
	CHECK(f.msi.route[route].connected);
	front_fini(&f);
}

TEST(intx_comes_back_when_msix_is_switched_off)
{
	front_init(&f);
	plug();
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	set(&f, MSIX_CONTROL, 0, 2);
	CHECK_EQ(VFIO_PCI_INTX_IRQ_INDEX, f.dev.armed);
	CHECK_EQ(1, f.intx_on);
	front_fini(&f);
}

TEST(msi_messages_differ_in_the_lowest_bits)
{
	front_init(&f);
	plug();
	set(&f, MSI_CAP + PCI_MSI_ADDRESS_LO, 0xfee03000, 4);
	set(&f, MSI_CAP + PCI_MSI_DATA_64, 0x4143, 2);
	set(&f, MSI_CONTROL, PCI_MSI_FLAGS_ENABLE | 2 << 4, 2);
	CHECK_EQ(VFIO_PCI_MSI_IRQ_INDEX, f.dev.armed);
	CHECK_EQ(4, f.dev.n_armed);
	for (unsigned i = 0; i < 4; i++) {
		int route = fake_msi_find(&f.msi, f.dev.fd[i]);
		CHECK_EQ(0xfee03000, f.msi.route[route].address);
		CHECK_EQ(0x4140 + i, f.msi.route[route].data);
	}
	front_fini(&f);
}

TEST(guest_gets_no_more_messages_than_it_was_offered)
{
	front_init(&f);
	plug();
	set(&f, MSI_CONTROL, PCI_MSI_FLAGS_ENABLE | 7 << 4, 2);
	CHECK_EQ(4, f.dev.n_armed);
	set(&f, MSI_CONTROL, PCI_MSI_FLAGS_ENABLE, 2);
	CHECK_EQ(1, f.dev.n_armed);
	front_fini(&f);
}

TEST(masked_message_is_pending)
{
	int route;

	front_init(&f);
	plug();
	set(&f, MSI_MASKS, 2, 4);
	set(&f, MSI_CONTROL, PCI_MSI_FLAGS_ENABLE | 1 << 4, 2);
	route = fake_msi_find(&f.msi, f.dev.fd[1]);
	CHECK(!f.msi.route[route].connected);
	CHECK_EQ(0, cfg(&f, MSI_CAP + PCI_MSI_PENDING_64, 4));
	CHECK_EQ(0, eventfd_write(f.dev.fd[1], 1));
	CHECK_EQ(2, cfg(&f, MSI_CAP + PCI_MSI_PENDING_64, 4));
	set(&f, MSI_MASKS, 0, 4);
	CHECK(f.msi.route[route].connected);
	front_fini(&f);
}

TEST(device_with_fewer_vectors_than_its_table_arms_those_it_has)
{
	front_init(&f);
	f.dev.base.irq[VFIO_PCI_MSIX_IRQ_INDEX].count = 2;
	plug();
	set(&f, MSIX_CONTROL, MSIX_ON, 2);
	for (unsigned v = 0; v < VECTORS; v++)
		set_vector(&f, v, 0xfee00000, v, false);
	CHECK_EQ(2, f.dev.n_armed);
	front_fini(&f);
}
