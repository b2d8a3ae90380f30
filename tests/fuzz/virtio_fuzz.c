// SPDX-License-Identifier: Apache-2.0
/*
 * A driver that does anything with the registers of a virtio device and with the memory that its rings lie in, over
 * MMIO (bit 0 of the first byte is 0) or PCI. Nothing may crash or hang, and after a reset the device must leave
 * memory alone, and then work for a driver that behaves.
 *
 * Eight bytes are one step: what (bits 0-2), log2 of the width (bits 3-4), queue (bit 5); offset (2); value (4);
 * one is unused. Step 7 is a driver that behaves, up to DRIVER_OK: without it hardly an input would get that far.
 */
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "fake/echo.h"
#include "pci/msix.h"
#include "pci/pci.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM     (64 * KIB)
#define BASE    0xd0000000
#define ENTRIES 8
/* Guest-physical: the rings of queue i, then its buffers. */
#define RINGS(i)  (0x1000ull * (1 + (i)))
#define AVAIL(i)  (RINGS(i) + 0x400)
#define USED(i)   (RINGS(i) + 0x800)
#define BUFFER(i) (RINGS(i) + 0xc00)

enum reg { FEATURES_SEL, FEATURES, STATUS, SEL, SIZE, ENABLE, DESC, DRIVER, DEVICE, N_REGS };

struct place {
	uint8_t off, len;
};

static const struct place mmio_reg[N_REGS] = {
	[FEATURES_SEL] = {VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4},
	[FEATURES] = {VIRTIO_MMIO_DRIVER_FEATURES, 4},
	[STATUS] = {VIRTIO_MMIO_STATUS, 4},
	[SEL] = {VIRTIO_MMIO_QUEUE_SEL, 4},
	[SIZE] = {VIRTIO_MMIO_QUEUE_NUM, 4},
	[ENABLE] = {VIRTIO_MMIO_QUEUE_READY, 4},
	[DESC] = {VIRTIO_MMIO_QUEUE_DESC_LOW, 4},
	[DRIVER] = {VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4},
	[DEVICE] = {VIRTIO_MMIO_QUEUE_USED_LOW, 4},
};

static const struct place pci_reg[N_REGS] = {
	[FEATURES_SEL] = {VIRTIO_PCI_COMMON_GFSELECT, 4},
	[FEATURES] = {VIRTIO_PCI_COMMON_GF, 4},
	[STATUS] = {VIRTIO_PCI_COMMON_STATUS, 1},
	[SEL] = {VIRTIO_PCI_COMMON_Q_SELECT, 2},
	[SIZE] = {VIRTIO_PCI_COMMON_Q_SIZE, 2},
	[ENABLE] = {VIRTIO_PCI_COMMON_Q_ENABLE, 2},
	[DESC] = {VIRTIO_PCI_COMMON_Q_DESCLO, 4},
	[DRIVER] = {VIRTIO_PCI_COMMON_Q_AVAILLO, 4},
	[DEVICE] = {VIRTIO_PCI_COMMON_Q_USEDLO, 4},
};

struct world {
	const struct place *reg;
	struct gmem mem;
	struct loop loop;
	struct virtio_host host;
	struct echo *echo;
	struct bus mmio, pio;
	struct irq irq;
	struct virtio_mmio *over_mmio;
	struct virtio_pci *over_pci;
	struct pci_bus pci;
	struct msi_router router;
	bool line[PCI_INTX_LINES];
	int routes;
};

static void require(bool what)
{
	if (!what)
		abort();
}

static int route_open(void *arg, int fd)
{
	require(fd >= 0);
	return ((struct world *)arg)->routes++;
}

static int route_connect(void *arg, int route, uint64_t address, uint32_t data)
{
	(void)data;
	require(route < ((struct world *)arg)->routes);
	return address >> 20 == 0xfee ? 0 : -1; /* as KVM might refuse one */
}

static void route_none(void *arg, int route)
{
	require(route < ((struct world *)arg)->routes);
}

static void set_intx(void *arg, unsigned line, bool level)
{
	((struct world *)arg)->line[line] = level;
}

static void config(struct world *w, bool write, unsigned off, void *value, unsigned len)
{
	uint64_t at = 1u << 15 | off;

	if (write)
		pci_ecam_ops.write(&w->pci, at, value, len);
	else
		pci_ecam_ops.read(&w->pci, at, value, len);
}

static void config_put(struct world *w, unsigned off, uint32_t value, unsigned len)
{
	config(w, true, off, &value, len);
}

static void start_pci(struct world *w)
{
	struct err e;

	w->reg = pci_reg;
	w->router = (struct msi_router){route_open, route_connect, route_none, route_none, w};
	require(pci_bus_init(&w->pci, &w->mmio, &w->pio, &e) == 0);
	w->pci.window32 = w->pci.next32 = w->pci.window64 = w->pci.next64 = BASE;
	w->pci.window32_last = w->pci.window64_last = BASE + 1 * MIB - 1;
	w->pci.set_intx = set_intx;
	w->pci.intx_arg = w;
	require(virtio_pci_create(&w->over_pci, &w->echo->dev, &w->pci, &w->router, &e) == 0);
}

/* As the firmware left it: at BASE, decoding on, INTx, no MSI-X. */
static void settle_pci(struct world *w)
{
	uint8_t at = PCI_CAPABILITY_LIST, id;

	config_put(w, PCI_COMMAND, 0, 2);
	config_put(w, PCI_BASE_ADDRESS_0, BASE, 4);
	config_put(w, PCI_BASE_ADDRESS_1, 0, 4);
	config_put(w, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	for (config(w, false, at, &at, 1); at; config(w, false, at + PCI_CAP_LIST_NEXT, &at, 1)) {
		config(w, false, at, &id, 1);
		if (id == PCI_CAP_ID_MSIX)
			config_put(w, at + PCI_MSIX_FLAGS, 0, 2);
	}
}

static void start(struct world *w, bool over_pci)
{
	struct err e;

	*w = (struct world){.irq.fd = -1};
	require(gmem_create(&w->mem, RAM, false, &e) == 0);
	require(loop_init(&w->loop, &e) == 0);
	w->host = (struct virtio_host){.mem = &w->mem, .loop = &w->loop};
	bus_init(&w->mmio, "mmio");
	bus_init(&w->pio, "ports");
	w->echo = echo_create(&w->host);
	require(w->echo != NULL);
	if (over_pci) {
		start_pci(w);
		settle_pci(w);
		return;
	}
	w->reg = mmio_reg;
	require(virtio_mmio_create(&w->over_mmio, &w->echo->dev, &w->mmio, BASE, &w->irq, &e) == 0);
}

static void stop(struct world *w)
{
	virtio_mmio_destroy(w->over_mmio);
	if (w->over_pci) {
		virtio_pci_destroy(w->over_pci);
		pci_bus_fini(&w->pci);
	}
	virtio_destroy(&w->echo->dev);
	bus_fini(&w->pio);
	bus_fini(&w->mmio);
	loop_fini(&w->loop);
	gmem_destroy(&w->mem);
}

static uint32_t get(struct world *w, enum reg reg)
{
	uint32_t value = 0;

	bus_read(&w->mmio, BASE + w->reg[reg].off, &value, w->reg[reg].len);
	return value;
}

static void put(struct world *w, enum reg reg, uint32_t value)
{
	bus_write(&w->mmio, BASE + w->reg[reg].off, &value, w->reg[reg].len);
}

static void kick(struct world *w, unsigned queue)
{
	uint64_t at =
		BASE + (w->over_pci ? VIRTIO_PCI_NOTIFY + 4 * queue : VIRTIO_MMIO_QUEUE_NOTIFY);

	bus_write(&w->mmio, at, &queue, w->over_pci ? 2 : 4);
}

/* Each queue gives at most an event for each time it was kicked, and one for work it has left. */
static void serve(struct world *w)
{
	struct epoll_event ev;

	for (unsigned i = 0; i < 64 && epoll_wait(w->loop.epoll_fd, &ev, 1, 0) == 1; i++) {
		struct loop_source *s = ev.data.ptr;
		s->fn(s->arg, ev.events);
	}
}

static void bring_up(struct world *w, uint64_t features)
{
	put(w, STATUS, 0);
	put(w, STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		put(w, FEATURES_SEL, i);
		put(w, FEATURES, (uint32_t)(features >> (32 * i)));
	}
	put(w, STATUS, VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < ECHO_QUEUES; i++) {
		put(w, SEL, i);
		put(w, SIZE, ENTRIES);
		put(w, DESC, (uint32_t)RINGS(i));
		put(w, DRIVER, (uint32_t)AVAIL(i));
		put(w, DEVICE, (uint32_t)USED(i));
		put(w, ENABLE, 1);
	}
	put(w, STATUS, VIRTIO_CONFIG_S_DRIVER_OK);
}

static void config_change(struct world *w)
{
	pthread_mutex_lock(&w->echo->dev.lock);
	w->echo->config[0]++;
	virtio_config_changed(&w->echo->dev);
	pthread_mutex_unlock(&w->echo->dev.lock);
}

static void step(struct world *w, const uint8_t in[8])
{
	unsigned len = 1u << (in[0] >> 3 & 3), queue = in[0] >> 5 & 1;
	uint16_t off = (uint16_t)(in[1] | in[2] << 8);
	uint64_t value = 0, features = 1ULL << VIRTIO_F_VERSION_1;

	memcpy(&value, in + 3, 4);
	value |= value << 32;
	switch (in[0] & 7) {
	case 0:
		bus_read(&w->mmio, BASE + off % VIRTIO_PCI_BAR_LEN, &value, len);
		break;
	case 1:
		bus_write(&w->mmio, BASE + off % VIRTIO_PCI_BAR_LEN, &value, len);
		break;
	case 2: /* a ring, a buffer, or whatever is there */
		(void)!gmem_write(&w->mem, off, &value, len);
		break;
	case 3:
		serve(w);
		break;
	case 4:
		if (w->over_pci)
			config(w, queue, off % 512, &value, len);
		break;
	case 5:
		config_change(w);
		break;
	case 6:
		kick(w, queue);
		serve(w);
		break;
	case 7:
		if (w->over_pci)
			settle_pci(w);
		features |= (uint64_t)(off & 1) << VIRTIO_F_RING_PACKED |
			    (uint64_t)(off >> 1 & 1) << VIRTIO_RING_F_EVENT_IDX |
			    (uint64_t)(off >> 2 & 1) << VIRTIO_RING_F_INDIRECT_DESC;
		bring_up(w, features);
		break;
	}
}

static void check_quiet_after_reset(struct world *w)
{
	uint8_t *ram = gmem_slice(&w->mem, 0, RAM);

	put(w, STATUS, 0);
	require(get(w, STATUS) == 0);
	memset(ram, 0x5a, RAM);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		kick(w, i);
	serve(w);
	require(ram[0] == 0x5a && memcmp(ram, ram + 1, RAM - 1) == 0);
	require(!w->line[pci_intx_line(1)]);
	memset(ram, 0, RAM);
}

static void check_echo(struct world *w, unsigned queue)
{
	struct vring_desc desc[] = {
		{.addr = BUFFER(queue), .len = 4, .flags = VRING_DESC_F_NEXT, .next = 1},
		{.addr = BUFFER(queue) + 64, .len = 8, .flags = VRING_DESC_F_WRITE},
	};
	uint16_t one = 1;
	struct {
		uint16_t flags, idx;
		uint32_t id, len;
	} used;
	char got[4];

	require(gmem_write(&w->mem, RINGS(queue), desc, sizeof(desc)) == 0);
	require(gmem_write(&w->mem, BUFFER(queue), "ping", 4) == 0);
	require(gmem_write(&w->mem, AVAIL(queue) + 2, &one, 2) == 0);
	kick(w, queue);
	serve(w);
	require(gmem_read(&w->mem, USED(queue), &used, sizeof(used)) == 0);
	require(used.idx == 1 && used.id == 0 && used.len == 4);
	require(gmem_read(&w->mem, BUFFER(queue) + 64, got, 4) == 0 && !memcmp(got, "ping", 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w;

	if (size == 0 || size > 8 * 512)
		return 0;
	log_level = LOG_ERROR;
	start(&w, data[0] & 1);
	for (size_t at = 1; at + 8 <= size; at += 8)
		step(&w, data + at);
	if (w.over_pci)
		settle_pci(&w);
	check_quiet_after_reset(&w);
	bring_up(&w, 1ULL << VIRTIO_F_VERSION_1);
	require(get(&w, STATUS) == 0xf);
	for (unsigned i = 0; i < ECHO_QUEUES; i++)
		check_echo(&w, i);
	require(!w.over_pci || w.line[pci_intx_line(1)]);
	stop(&w);
	return 0;
}
