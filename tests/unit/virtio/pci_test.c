// SPDX-License-Identifier: Apache-2.0
/*
 * The driver's side as in Linux's virtio_pci_modern_dev.c and virtio_pci_common.c: twice, with interrupts by MSI-X
 * and by INTx. In front of the real PCI bus; what KVM would do with messages and lines is played.
 */
#include "transport.h"

#include <errno.h>
#include <linux/virtio_pci.h>
#include <string.h>
#include <unistd.h>

#include "pci/msix.h"
#include "pci/pci.h"
#include "virtio/pci.h"

#define WINDOW32 0xc0000000
#define WINDOW64 0x8000000000
#define ROUTES   (ECHO_QUEUES + 1)
#define NONE     VIRTIO_MSI_NO_VECTOR

#define VERSION_1 (1ULL << VIRTIO_F_VERSION_1)

/* The machine around one virtio-pci device, and what the driver found out about it. */
struct pci_end {
	struct virtio_pci *virtio;
	struct bus pio;
	struct pci_bus bus;
	struct msi_router router;
	int route_fd[ROUTES];
	uint32_t route_data[ROUTES]; /* 0: not connected */
	bool line[PCI_INTX_LINES];

	unsigned slot;
	struct {
		unsigned at; /* offset of the capability; 0: there is none */
		uint64_t off;
		uint32_t len;
	} cap[16]; /* by VIRTIO_PCI_CAP_... */
	unsigned msix_cap;
};

static struct err e;

static struct pci_end *end_of(struct rig *r)
{
	return r->transport;
}

/* ---- what KVM does ---- */

static int route_open(void *arg, int fd)
{
	struct pci_end *end = arg;

	for (int i = 0; i < ROUTES; i++)
		if (end->route_fd[i] < 0) {
			end->route_fd[i] = fd;
			return i;
		}
	return -ENOSPC;
}

static int route_connect(void *arg, int route, uint64_t address, uint32_t data)
{
	(void)address;
	((struct pci_end *)arg)->route_data[route] = data;
	return 0;
}

static void route_disconnect(void *arg, int route)
{
	((struct pci_end *)arg)->route_data[route] = 0;
}

static void route_close(void *arg, int route)
{
	((struct pci_end *)arg)->route_fd[route] = -1;
}

static void set_intx(void *arg, unsigned line, bool level)
{
	((struct pci_end *)arg)->line[line] = level;
}

/* The messages that have come since the last time: a bit for each data value. */
static unsigned messages(struct rig *r)
{
	struct pci_end *end = end_of(r);
	unsigned got = 0;
	uint64_t n;

	for (unsigned i = 0; i < ROUTES; i++)
		if (end->route_data[i] && read(end->route_fd[i], &n, 8) == 8)
			got |= 1u << end->route_data[i];
	return got;
}

static bool line(struct rig *r)
{
	return end_of(r)->line[pci_intx_line(end_of(r)->slot)];
}

/* ---- configuration space, by ECAM ---- */

static uint32_t config_read(struct rig *r, unsigned off, unsigned len)
{
	uint32_t value = 0;

	pci_ecam_ops.read(&end_of(r)->bus, end_of(r)->slot << 15 | off, &value, len);
	return value;
}

static void config_write(struct rig *r, unsigned off, uint32_t value, unsigned len)
{
	pci_ecam_ops.write(&end_of(r)->bus, end_of(r)->slot << 15 | off, &value, len);
}

static uint32_t bar_read(struct rig *r, uint64_t off, unsigned len)
{
	uint32_t value = 0;

	bus_read(&r->mmio, r->base + off, &value, len);
	return value;
}

static void bar_write(struct rig *r, uint64_t off, uint32_t value, unsigned len)
{
	bus_write(&r->mmio, r->base + off, &value, len);
}

/* virtio_pci_find_capability() */
static void find_capabilities(struct rig *r)
{
	struct pci_end *end = end_of(r);
	unsigned at = config_read(r, PCI_CAPABILITY_LIST, 1), n = 0;

	CHECK(config_read(r, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	for (; at; at = config_read(r, at + PCI_CAP_LIST_NEXT, 1)) {
		unsigned type = config_read(r, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);

		CHECK(n++ < 16);
		if (config_read(r, at, 1) == PCI_CAP_ID_MSIX)
			end->msix_cap = at;
		if (config_read(r, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		CHECK(type < ARRAY_SIZE(end->cap) && end->cap[type].at == 0);
		CHECK_EQ(0, config_read(r, at + VIRTIO_PCI_CAP_BAR, 1));
		end->cap[type].at = at;
		end->cap[type].off = config_read(r, at + VIRTIO_PCI_CAP_OFFSET, 4);
		end->cap[type].len = config_read(r, at + VIRTIO_PCI_CAP_LENGTH, 4);
	}
}

static void enable_device(struct rig *r)
{
	config_write(r, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static void start(struct rig *r)
{
	struct pci_end *end = calloc(1, sizeof(*end));

	assert_non_null(end);
	r->transport = end;
	for (unsigned i = 0; i < ROUTES; i++)
		end->route_fd[i] = -1;
	end->router =
		(struct msi_router){route_open, route_connect, route_disconnect, route_close, end};
	bus_init(&end->pio, "ports");
	CHECK_EQ(0, pci_bus_init(&end->bus, &r->mmio, &end->pio, &e));
	end->bus.window32 = end->bus.next32 = WINDOW32;
	end->bus.window32_last = WINDOW32 + 16 * MIB - 1;
	end->bus.window64 = end->bus.next64 = WINDOW64;
	end->bus.window64_last = WINDOW64 + 1 * GIB - 1;
	end->bus.set_intx = set_intx;
	end->bus.intx_arg = end;
	CHECK_EQ(0, virtio_pci_create(&end->virtio, r->f.dev, &end->bus, &end->router, &e));
	end->slot = 1;
	find_capabilities(r);
	enable_device(r);
	r->base = (config_read(r, PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK) |
		  (uint64_t)config_read(r, PCI_BASE_ADDRESS_1, 4) << 32;
	r->len = VIRTIO_PCI_BAR_LEN;
	r->regs = r->base + end->cap[VIRTIO_PCI_CAP_COMMON_CFG].off;
	r->config = r->base + end->cap[VIRTIO_PCI_CAP_DEVICE_CFG].off;
}

static void stop(struct rig *r)
{
	struct pci_end *end = end_of(r);

	config_write(r, PCI_COMMAND, 0, 2);
	CHECK_EQ(0, r->n_doorbells);
	CHECK(!line(r));
	virtio_pci_destroy(end->virtio);
	for (unsigned i = 0; i < ROUTES; i++)
		CHECK_EQ(-1, end->route_fd[i]);
	pci_bus_fini(&end->bus);
	bus_fini(&end->pio);
	free(end);
}

static uint64_t doorbell(struct rig *r, unsigned queue, unsigned *len)
{
	struct pci_end *end = end_of(r);
	uint32_t multiplier =
		config_read(r, end->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].at + VIRTIO_PCI_NOTIFY_CAP_MULT,
			    4);

	if (queue < ECHO_QUEUES) {
		rig_write(r, QUEUE_SEL, queue);
		CHECK_EQ(queue, bar_read(r, VIRTIO_PCI_COMMON + VIRTIO_PCI_COMMON_Q_NOFF, 2));
		CHECK(queue * multiplier + 2 <= end->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].len);
	}
	*len = 2;
	return r->base + end->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].off + (uint64_t)queue * multiplier;
}

/* ---- INTx ---- */

/* vp_interrupt(): the line is low after the ISR status was read. */
static unsigned take_intx(struct rig *r)
{
	unsigned isr;

	if (!line(r))
		return 0;
	CHECK(config_read(r, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	isr = bar_read(r, end_of(r)->cap[VIRTIO_PCI_CAP_ISR_CFG].off, 1);
	CHECK(isr != 0 && !line(r));
	return isr;
}

/* ---- MSI-X: vector 0 for the configuration, 1 + i for queue i; message data: 1 + vector ---- */

static void write_message(struct rig *r, unsigned vector, uint32_t data, uint32_t control)
{
	uint64_t entry = VIRTIO_PCI_MSIX + vector * MSIX_ENTRY_LEN;

	bar_write(r, entry + PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee00000, 4);
	bar_write(r, entry + PCI_MSIX_ENTRY_UPPER_ADDR, 0, 4);
	bar_write(r, entry + PCI_MSIX_ENTRY_DATA, data, 4);
	bar_write(r, entry + PCI_MSIX_ENTRY_VECTOR_CTRL, control, 4);
}

static uint32_t set_vector(struct rig *r, unsigned reg, uint32_t vector)
{
	bar_write(r, VIRTIO_PCI_COMMON + reg, vector, 2);
	return bar_read(r, VIRTIO_PCI_COMMON + reg, 2);
}

static void enable_msix(struct rig *r, bool on)
{
	config_write(r, end_of(r)->msix_cap + PCI_MSIX_FLAGS, on ? PCI_MSIX_FLAGS_ENABLE : 0, 2);
}

/* vp_request_msix_vectors() and vp_modern_queue_vector() */
static void choose_msix(struct rig *r)
{
	enable_msix(r, true);
	for (unsigned v = 0; v < ROUTES; v++)
		write_message(r, v, 1 + v, 0);
	CHECK_EQ(0, set_vector(r, VIRTIO_PCI_COMMON_MSIX, 0));
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		rig_write(r, QUEUE_SEL, i);
		CHECK_EQ(1 + i, set_vector(r, VIRTIO_PCI_COMMON_Q_MSIX, 1 + i));
	}
}

static unsigned take_msix(struct rig *r)
{
	unsigned got = messages(r);

	CHECK(!line(r));
	return (got & 1u << 1 ? IRQ_CONFIG : 0) | (got & ~(1u << 1) ? IRQ_QUEUE : 0);
}

#define PCI_REGS                                                         \
	{                                                                \
		[DEVICE_FEATURES_SEL] = {VIRTIO_PCI_COMMON_DFSELECT, 4}, \
		[DEVICE_FEATURES] = {VIRTIO_PCI_COMMON_DF, 4},           \
		[DRIVER_FEATURES_SEL] = {VIRTIO_PCI_COMMON_GFSELECT, 4}, \
		[DRIVER_FEATURES] = {VIRTIO_PCI_COMMON_GF, 4},           \
		[STATUS] = {VIRTIO_PCI_COMMON_STATUS, 1},                \
		[GENERATION] = {VIRTIO_PCI_COMMON_CFGGENERATION, 1},     \
		[QUEUE_SEL] = {VIRTIO_PCI_COMMON_Q_SELECT, 2},           \
		[QUEUE_MAX] = {VIRTIO_PCI_COMMON_Q_SIZE, 2},             \
		[QUEUE_SIZE] = {VIRTIO_PCI_COMMON_Q_SIZE, 2},            \
		[QUEUE_ENABLE] = {VIRTIO_PCI_COMMON_Q_ENABLE, 2},        \
		[DESC_LO] = {VIRTIO_PCI_COMMON_Q_DESCLO, 4},             \
		[DESC_HI] = {VIRTIO_PCI_COMMON_Q_DESCHI, 4},             \
		[DRIVER_LO] = {VIRTIO_PCI_COMMON_Q_AVAILLO, 4},          \
		[DRIVER_HI] = {VIRTIO_PCI_COMMON_Q_AVAILHI, 4},          \
		[DEVICE_LO] = {VIRTIO_PCI_COMMON_Q_USEDLO, 4},           \
		[DEVICE_HI] = {VIRTIO_PCI_COMMON_Q_USEDHI, 4},           \
	}

static const struct port intx_port = {
	.reg = PCI_REGS,
	.start = start,
	.stop = stop,
	.take_interrupts = take_intx,
	.doorbell = doorbell,
};

static const struct port msix_port = {
	.reg = PCI_REGS,
	.start = start,
	.stop = stop,
	.choose_interrupts = choose_msix,
	.take_interrupts = take_msix,
	.doorbell = doorbell,
};

#define ON_PCI(name)                     \
	TEST(name##_with_msix)           \
	{                                \
		case_##name(&msix_port); \
	}                                \
	TEST(name##_with_intx)           \
	{                                \
		case_##name(&intx_port); \
	}
TRANSPORT_CASES(ON_PCI)

/* ---- what there is over PCI alone ---- */

static void interrupt(struct rig *r, int queue)
{
	struct virtio_dev *dev = &r->echo->dev;

	pthread_mutex_lock(&dev->lock);
	dev->transport.interrupt(dev->transport.arg, queue);
	pthread_mutex_unlock(&dev->lock);
}

TEST(driver_finds_a_modern_device)
{
	struct rig r;

	rig_start(&r, &intx_port);
	CHECK_EQ(0x1af4, config_read(&r, PCI_VENDOR_ID, 2));
	CHECK_EQ(0x1040 + VIRTIO_ID_BLOCK, config_read(&r, PCI_DEVICE_ID, 2));
	CHECK_EQ(1, config_read(&r, PCI_REVISION_ID, 1));
	CHECK_EQ(0x018000, config_read(&r, PCI_CLASS_REVISION, 4) >> 8);
	CHECK_EQ(0x1af4, config_read(&r, PCI_SUBSYSTEM_VENDOR_ID, 2));
	CHECK(config_read(&r, PCI_SUBSYSTEM_ID, 2) >= 0x40);
	CHECK_EQ(1, config_read(&r, PCI_INTERRUPT_PIN, 1));
	CHECK_EQ(PCI_BASE_ADDRESS_MEM_TYPE_64, config_read(&r, PCI_BASE_ADDRESS_0, 4) & 0xf);
	CHECK_EQ(0, r.base % VIRTIO_PCI_BAR_LEN);
	CHECK_EQ(ECHO_QUEUES, bar_read(&r, VIRTIO_PCI_COMMON_NUMQ, 2));
	CHECK_EQ(ROUTES - 1, config_read(&r, end_of(&r)->msix_cap + PCI_MSIX_FLAGS, 2));
	rig_stop(&r);
}

TEST(capabilities_lie_apart_inside_the_bar)
{
	static const unsigned type[] = {VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG,
					VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_DEVICE_CFG};
	struct pci_end *end;
	struct rig r;

	rig_start(&r, &intx_port);
	end = end_of(&r);
	CHECK(end->cap[VIRTIO_PCI_CAP_PCI_CFG].at && end->msix_cap);
	CHECK(end->cap[VIRTIO_PCI_CAP_COMMON_CFG].len >= sizeof(struct virtio_pci_common_cfg));
	CHECK(end->cap[VIRTIO_PCI_CAP_DEVICE_CFG].len >= ECHO_CONFIG_LEN);
	CHECK_EQ(4, config_read(&r, end->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].at + 16, 4));
	for (unsigned i = 0; i < ARRAY_SIZE(type); i++) {
		uint64_t off = end->cap[type[i]].off, len = end->cap[type[i]].len;
		CHECK(end->cap[type[i]].at && len > 0 && off % 4 == 0);
		CHECK(off + len <= VIRTIO_PCI_BAR_LEN);
		for (unsigned j = 0; j < i; j++)
			CHECK(off >= end->cap[type[j]].off + end->cap[type[j]].len ||
			      off + len <= end->cap[type[j]].off);
	}
	rig_stop(&r);
}

/* Linux takes a device without this capability as one without configuration (virtio_pci_config_nodev_ops). */
TEST(device_without_configuration_has_no_capability_for_it)
{
	struct rig r = {.port = &intx_port};

	fake_init(&r.f);
	bus_init(&r.mmio, "mmio");
	r.echo = echo_create(&r.f.host);
	r.echo->dev.config_len = 0;
	r.f.dev = &r.echo->dev;
	start(&r);
	CHECK_EQ(0, end_of(&r)->cap[VIRTIO_PCI_CAP_DEVICE_CFG].at);
	CHECK(end_of(&r)->cap[VIRTIO_PCI_CAP_NOTIFY_CFG].at);
	rig_stop(&r);
}

TEST(registers_read_back_by_field)
{
	static const struct {
		uint16_t off, len;
		uint32_t value;
	} field[] = {
		{VIRTIO_PCI_COMMON_DFSELECT, 4, 0x89abcdef},
		{VIRTIO_PCI_COMMON_GFSELECT, 4, 1},
		{VIRTIO_PCI_COMMON_GF, 4, 1},
		{VIRTIO_PCI_COMMON_MSIX, 2, 1},
		{VIRTIO_PCI_COMMON_Q_SELECT, 2, 1},
		{VIRTIO_PCI_COMMON_Q_SIZE, 2, 8},
		{VIRTIO_PCI_COMMON_Q_MSIX, 2, 2},
		{VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0x12345678},
		{VIRTIO_PCI_COMMON_Q_DESCHI, 4, 0x9abcdef0},
		{VIRTIO_PCI_COMMON_Q_AVAILLO, 4, 0x11111111},
		{VIRTIO_PCI_COMMON_Q_AVAILHI, 4, 0x22222222},
		{VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x33333333},
		{VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x44444444},
	};
	struct rig r;

	rig_start(&r, &intx_port);
	for (unsigned i = 0; i < ARRAY_SIZE(field); i++)
		bar_write(&r, field[i].off, field[i].value, field[i].len);
	for (unsigned i = 0; i < ARRAY_SIZE(field); i++) {
		CHECK_EQ(field[i].value, bar_read(&r, field[i].off, field[i].len));
		for (unsigned b = 0; b < field[i].len; b++) /* bytes add up to the same */
			CHECK_EQ(field[i].value >> 8 * b & 0xff, bar_read(&r, field[i].off + b, 1));
	}
	rig_stop(&r);
}

TEST(fields_are_written_whole_or_not_at_all)
{
	uint64_t wide = 0x123456789abcdef0, got = 0;
	struct rig r;

	rig_start(&r, &intx_port);
	for (unsigned len = 1; len <= 2;
	     len *= 2) /* halves of 4-byte fields, bytes of 2-byte ones */
		for (unsigned off = 0; off < sizeof(struct virtio_pci_common_cfg); off++)
			if (len == 1 ? off != VIRTIO_PCI_COMMON_STATUS
				     : off < VIRTIO_PCI_COMMON_MSIX ||
					       off >= VIRTIO_PCI_COMMON_Q_DESCLO || off % 2)
				bar_write(&r, off, 0x0101, len);
	bar_write(&r, VIRTIO_PCI_COMMON_MSIX, 0x10001, 4);
	bar_write(&r, VIRTIO_PCI_COMMON_STATUS, 0x00010101, 4);
	bar_write(&r, VIRTIO_PCI_COMMON_STATUS, 0x0101, 2);
	CHECK_EQ(0, rig_read(&r, STATUS));
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_COMMON_DFSELECT, 4));
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_COMMON_GF, 4));
	CHECK_EQ(NONE, bar_read(&r, VIRTIO_PCI_COMMON_MSIX, 2));
	CHECK_EQ(0, rig_read(&r, QUEUE_SEL));
	CHECK_EQ(ECHO_QUEUE_MAX, rig_read(&r, QUEUE_MAX));
	CHECK_EQ(0, virtio_vq(&r.echo->dev, 0)->desc);
	bus_write(&r.mmio, r.base + VIRTIO_PCI_COMMON_Q_DESCLO, &wide, 8); /* two of 4 */
	CHECK_EQ(wide, virtio_vq(&r.echo->dev, 0)->desc);
	bus_read(&r.mmio, r.base + VIRTIO_PCI_COMMON_Q_DESCLO, &got, 8);
	CHECK_EQ(wide, got);
	bus_read(&r.mmio, r.base + VIRTIO_PCI_COMMON_Q_DESCLO + 1, &got, 8);
	CHECK_EQ(wide >> 8, got);
	rig_stop(&r);
}

TEST(vector_out_of_range_reads_back_as_none)
{
	static const uint32_t vector[] = {ROUTES, 0x7ff, 0x800, 0xfffe, NONE};
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(vector); i++) {
		CHECK_EQ(1, set_vector(&r, VIRTIO_PCI_COMMON_MSIX, 1));
		CHECK_EQ(NONE, set_vector(&r, VIRTIO_PCI_COMMON_MSIX, vector[i]));
		rig_write(&r, QUEUE_SEL, 0);
		CHECK_EQ(2, set_vector(&r, VIRTIO_PCI_COMMON_Q_MSIX, 2));
		CHECK_EQ(NONE, set_vector(&r, VIRTIO_PCI_COMMON_Q_MSIX, vector[i]));
	}
	interrupt(&r, 0);
	interrupt(&r, VIRTIO_CONFIG_CHANGED);
	CHECK_EQ(0, r.port->take_interrupts(&r));
	rig_write(&r, QUEUE_SEL, ECHO_QUEUES); /* no such queue: no vector, none to be set */
	CHECK_EQ(NONE, set_vector(&r, VIRTIO_PCI_COMMON_Q_MSIX, 1));
	rig_write(&r, QUEUE_SEL, 0xffff);
	CHECK_EQ(NONE, set_vector(&r, VIRTIO_PCI_COMMON_Q_MSIX, 1));
	rig_stop(&r);
}

TEST(each_queue_has_its_own_message)
{
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	interrupt(&r, 0);
	CHECK_EQ(1u << 2, messages(&r));
	interrupt(&r, 1);
	CHECK_EQ(1u << 3, messages(&r));
	interrupt(&r, VIRTIO_CONFIG_CHANGED);
	CHECK_EQ(1u << 1, messages(&r));
	rig_write(&r, QUEUE_SEL, 1); /* several events may share a vector */
	CHECK_EQ(0, set_vector(&r, VIRTIO_PCI_COMMON_Q_MSIX, 0));
	interrupt(&r, 1);
	CHECK_EQ(1u << 1, messages(&r));
	rig_stop(&r);
}

TEST(masked_message_comes_when_unmasked)
{
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	write_message(&r, 1, 2, PCI_MSIX_ENTRY_CTRL_MASKBIT);
	interrupt(&r, 0);
	CHECK_EQ(0, messages(&r));
	CHECK_EQ(1u << 1, bar_read(&r, VIRTIO_PCI_PBA, 4));
	write_message(&r, 1, 2, 0);
	CHECK_EQ(1u << 2, messages(&r));
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_PBA, 4));
	rig_stop(&r);
}

TEST(reset_unmaps_vectors_and_lowers_the_line)
{
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	rig_write(&r, STATUS, 0);
	CHECK_EQ(NONE, bar_read(&r, VIRTIO_PCI_COMMON_MSIX, 2));
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		rig_write(&r, QUEUE_SEL, i);
		CHECK_EQ(NONE, bar_read(&r, VIRTIO_PCI_COMMON_Q_MSIX, 2));
	}
	enable_msix(&r, false);
	interrupt(&r, 0);
	CHECK(line(&r));
	rig_write(&r, STATUS, 0);
	CHECK(!line(&r));
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_ISR_AT, 1));
	rig_stop(&r);
}

TEST(isr_is_cleared_by_reading_its_byte_only)
{
	struct rig r;

	rig_start(&r, &intx_port);
	rig_bring_up(&r);
	interrupt(&r, 0);
	interrupt(&r, VIRTIO_CONFIG_CHANGED);
	bar_write(&r, VIRTIO_PCI_ISR_AT, 0, 1);
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_ISR_AT + 1, 1));
	CHECK(line(&r));
	CHECK_EQ(IRQ_QUEUE | IRQ_CONFIG, bar_read(&r, VIRTIO_PCI_ISR_AT, 4));
	CHECK(!line(&r));
	CHECK_EQ(0, bar_read(&r, VIRTIO_PCI_ISR_AT, 1));
	rig_stop(&r);
}

TEST(line_is_quiet_while_msix_is_enabled)
{
	struct rig r;

	rig_start(&r, &intx_port);
	rig_bring_up(&r);
	interrupt(&r, VIRTIO_CONFIG_CHANGED);
	CHECK(line(&r));
	enable_msix(&r, true);
	CHECK(!line(&r));
	interrupt(&r, 0); /* no vector: it is nobody's */
	CHECK(!line(&r));
	enable_msix(&r, false);
	CHECK(line(&r)); /* the first one was not acknowledged */
	CHECK_EQ(IRQ_CONFIG, bar_read(&r, VIRTIO_PCI_ISR_AT, 1));
	rig_stop(&r);
}

TEST(config_change_sets_its_isr_bit_with_msix_too)
{
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	interrupt(&r, VIRTIO_CONFIG_CHANGED);
	interrupt(&r, 0);
	CHECK_EQ(IRQ_CONFIG, bar_read(&r, VIRTIO_PCI_ISR_AT, 1));
	rig_stop(&r);
}

TEST(doorbells_take_any_value_in_any_width)
{
	struct rig r;

	rig_start(&r, &intx_port);
	rig_bring_up(&r);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		unsigned kicks = r.echo->kicks;
		CHECK_EQ(r.base + VIRTIO_PCI_NOTIFY + 4 * i, r.doorbell[i].addr);
		CHECK_EQ(0, r.doorbell[i].bell.len);
		CHECK(!r.doorbell[i].bell.match);
		for (unsigned len = 1; len <= 4; len *= 2) {
			bar_write(&r, VIRTIO_PCI_NOTIFY + 4 * i, 0xffffffff, len);
			rig_turn(&r);
			CHECK_EQ(++kicks, r.echo->kicks);
		}
		bar_write(&r, VIRTIO_PCI_NOTIFY + 4 * i + 2, i, 2);
		rig_turn(&r);
		CHECK_EQ(kicks, r.echo->kicks);
	}
	rig_stop(&r);
}

TEST(doorbells_move_with_the_bar)
{
	struct rig r;

	rig_start(&r, &msix_port);
	rig_bring_up(&r);
	for (unsigned i = 1; i <= 20; i++) {
		uint64_t to = WINDOW64 + i * 64 * KIB, delta = to - r.base;
		config_write(&r, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
		CHECK_EQ(0, r.n_doorbells);
		config_write(&r, PCI_BASE_ADDRESS_0, (uint32_t)to, 4);
		config_write(&r, PCI_BASE_ADDRESS_1, (uint32_t)(to >> 32), 4);
		enable_device(&r);
		r.base += delta, r.regs += delta, r.config += delta;
		CHECK_EQ(ECHO_QUEUES, r.n_doorbells);
		rig_check_echo(&r, i % 2, rig_kick_by_eventfd);
	}
	rig_stop(&r);
}

/* Linux clears the bit before it starts another kernel: the device must not write to that one's memory. */
TEST(fall_of_bus_master_resets)
{
	struct rig r;

	rig_start(&r, &msix_port);
	config_write(&r, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	rig_bring_up(&r); /* not every driver sets it */
	rig_check_echo(&r, 0, rig_kick_by_exit);
	enable_device(&r);
	rig_check_echo(&r, 0, rig_kick_by_exit);
	config_write(&r, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	CHECK_EQ(0, rig_read(&r, STATUS));
	rig_write(&r, QUEUE_SEL, 0);
	CHECK_EQ(0, rig_read(&r, QUEUE_ENABLE));
	rig_bring_up(&r);
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_stop(&r);
}

/* ---- the window in configuration space, as firmware uses it (4.1.4.9) ---- */

static unsigned window_at(struct rig *r)
{
	return end_of(r)->cap[VIRTIO_PCI_CAP_PCI_CFG].at;
}

static void place_window(struct rig *r, uint32_t bar, uint32_t off, uint32_t len)
{
	config_write(r, window_at(r) + VIRTIO_PCI_CAP_BAR, bar, 1);
	config_write(r, window_at(r) + VIRTIO_PCI_CAP_LENGTH, len, 4);
	config_write(r, window_at(r) + VIRTIO_PCI_CAP_OFFSET, off, 4);
}

static uint32_t window_read(struct rig *r, uint32_t off, unsigned len)
{
	place_window(r, 0, off, len);
	return config_read(r, window_at(r) + 16, len);
}

static void window_write(struct rig *r, uint32_t off, uint32_t value, unsigned len)
{
	place_window(r, 0, off, len);
	config_write(r, window_at(r) + 16, value, len);
}

TEST(window_reaches_every_structure_without_the_bar)
{
	struct rig r;

	rig_start(&r, &intx_port);
	rig_bring_up(&r);
	config_write(&r, PCI_COMMAND, PCI_COMMAND_MASTER, 2); /* nothing is mapped */
	CHECK_EQ(0, r.mmio.n);
	CHECK_EQ(ECHO_QUEUES, window_read(&r, VIRTIO_PCI_COMMON_NUMQ, 2));
	CHECK_EQ(0xf, window_read(&r, VIRTIO_PCI_COMMON_STATUS, 1));
	window_write(&r, VIRTIO_PCI_COMMON_DFSELECT, 1, 4);
	CHECK_EQ(r.echo->dev.offered >> 32, window_read(&r, VIRTIO_PCI_COMMON_DF, 4));
	window_write(&r, VIRTIO_PCI_COMMON_Q_SELECT, 1, 2);
	CHECK_EQ(1, window_read(&r, VIRTIO_PCI_COMMON_Q_NOFF, 2));
	CHECK_EQ(0xa3a2a1a0, window_read(&r, VIRTIO_PCI_DEVICE, 4));
	window_write(&r, VIRTIO_PCI_DEVICE + 3, 0x77, 1);
	CHECK_EQ(0x77, r.echo->config[3]);
	interrupt(&r, 0);
	CHECK_EQ(IRQ_QUEUE, window_read(&r, VIRTIO_PCI_ISR_AT, 1));
	CHECK(!line(&r));
	window_write(&r, VIRTIO_PCI_NOTIFY + 4, 1, 2);
	rig_turn(&r);
	CHECK(r.echo->kicks > 0);
	window_write(&r, VIRTIO_PCI_COMMON_STATUS, 0, 1);
	CHECK_EQ(0, window_read(&r, VIRTIO_PCI_COMMON_STATUS, 1));
	rig_stop(&r);
}

TEST(window_is_read_in_parts_too)
{
	struct rig r;

	rig_start(&r, &intx_port);
	place_window(&r, 0, VIRTIO_PCI_DEVICE + 4, 4);
	CHECK_EQ(0xa5, config_read(&r, window_at(&r) + 16 + 1, 1));
	CHECK_EQ(0xa7a6, config_read(&r, window_at(&r) + 16 + 2, 2));
	/* a dump of all of configuration space goes through it, harmlessly */
	for (unsigned off = 0; off < PCI_CONFIG_LEN; off += 4)
		config_read(&r, off, 4);
	rig_stop(&r);
}

TEST(window_that_leads_nowhere_is_harmless)
{
	static const struct {
		uint32_t bar, off, len;
	} bad[] = {
		{0, VIRTIO_PCI_BAR_LEN, 4},
		{0, 0xfffffffc, 4},
		{0, VIRTIO_PCI_BAR_LEN - 2, 4},
		{0, VIRTIO_PCI_BAR_LEN - 1, 2},
		{0, 0x16, 4},
		{0, 0x15, 2},
		{0, VIRTIO_PCI_COMMON_STATUS, 0},
		{0, 0x14, 3},
		{0, 0x10, 8},
		{0, 0x14, UINT32_MAX},
		{0, 0, UINT32_MAX},
		{0, VIRTIO_PCI_DEVICE, 3},
		{0, VIRTIO_PCI_DEVICE, 8},
		{0, VIRTIO_PCI_DEVICE + 1, 2},
		{0, VIRTIO_PCI_DEVICE + 2, 4},
		{1, 0x14, 1},
		{5, 0x14, 1},
		{6, 0x14, 1},
		{0xff, 0x14, 1},
	};
	struct rig r;

	rig_start(&r, &intx_port);
	rig_bring_up(&r);
	interrupt(&r, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		place_window(&r, bad[i].bar, bad[i].off, bad[i].len);
		for (unsigned len = 1; len <= 4; len *= 2) {
			config_write(&r, window_at(&r) + 16, 0, len);
			config_read(&r, window_at(&r) + 16, len);
		}
	}
	CHECK_EQ(0xf, rig_read(&r, STATUS));
	for (unsigned i = 0; i < ECHO_CONFIG_LEN; i++)
		CHECK_EQ(0xa0 + i, r.echo->config[i]);
	CHECK_EQ(IRQ_QUEUE, r.port->take_interrupts(&r));
	rig_check_echo(&r, 0, rig_kick_by_exit);
	rig_stop(&r);
}

TEST(every_offset_through_the_window_is_safe)
{
	struct rig r;

	log_level = LOG_ERROR;
	rig_start(&r, &msix_port);
	for (uint32_t off = 0; off < VIRTIO_PCI_BAR_LEN + 64; off++)
		for (unsigned len = 1; len <= 4; len *= 2) {
			window_read(&r, off, len);
			window_write(&r, off, 0xffffffff, len);
		}
	rig_turn(&r);
	rig_bring_up(&r);
	rig_check_echo(&r, 1, rig_kick_by_exit);
	rig_stop(&r);
}

TEST(only_the_window_is_writable_in_capabilities)
{
	struct rig r;

	rig_start(&r, &intx_port);
	for (unsigned type = 1; type < 5; type++)
		for (unsigned off = 0; off < 16; off++) {
			unsigned at = end_of(&r)->cap[type].at + off;
			uint32_t before = config_read(&r, at, 1);
			config_write(&r, at, ~before, 1);
			CHECK_EQ(before, config_read(&r, at, 1));
		}
	for (unsigned off = 0; off < 4; off++) {
		uint32_t before = config_read(&r, window_at(&r) + off, 1);
		config_write(&r, window_at(&r) + off, ~before, 1);
		CHECK_EQ(before, config_read(&r, window_at(&r) + off, 1));
	}
	rig_stop(&r);
}

TEST(what_cannot_be_created_leaves_nothing)
{
	struct virtio_pci *p = NULL;
	struct rig r;

	rig_start(&r, &intx_port);
	for (unsigned i = 2; i < PCI_SLOTS; i++)
		end_of(&r)->bus.slot[i] = end_of(&r)->bus.slot[0];
	virtio_pci_destroy(end_of(&r)->virtio);
	end_of(&r)->virtio = NULL;
	CHECK_EQ(-ENOSPC,
		 virtio_pci_create(&p, &r.echo->dev, &end_of(&r)->bus, &end_of(&r)->router, &e));
	CHECK(p == NULL && r.echo->dev.transport.interrupt == NULL);
	r.echo->dev.n_queues = VIRTIO_PCI_MAX_QUEUES + 1;
	CHECK_EQ(-EINVAL,
		 virtio_pci_create(&p, &r.echo->dev, &end_of(&r)->bus, &end_of(&r)->router, &e));
	CHECK_HAS(e.text, "too many");
	r.echo->dev.n_queues = ECHO_QUEUES;
	pci_bus_fini(&end_of(&r)->bus);
	bus_fini(&end_of(&r)->pio);
	free(r.transport);
	fake_fini(&r.f);
	bus_fini(&r.mmio);
}
