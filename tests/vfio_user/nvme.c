// SPDX-License-Identifier: Apache-2.0
#include "vfio_user/nvme.h"

#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* Registers (figure 68 and on). */
enum {
	REG_CAP = 0x00,
	REG_VS = 0x08,
	REG_CC = 0x14,
	REG_CSTS = 0x1c,
	REG_AQA = 0x24,
	REG_ASQ = 0x28,
	REG_ACQ = 0x30,
};
#define CC_ENABLE      1u
#define CC_SHUTDOWN    (3u << 14)
#define CSTS_READY     1u
#define CSTS_FATAL     2u
#define CSTS_SHUT_DOWN (2u << 2)
#define VERSION        0x00010400u
#define CAP_CONTIGUOUS (1ULL << 16)
#define CAP_TIMEOUT    (20ULL << 24) /* units of 500 ms */
#define CAP_NVM        (1ULL << 37)

/* ---- configuration space ---- */

static void put16(uint8_t *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void init_config(uint8_t *c)
{
	put16(c + PCI_VENDOR_ID, 0x4e58);
	put16(c + PCI_DEVICE_ID, 0x0001);
	put16(c + PCI_STATUS, PCI_STATUS_CAP_LIST);
	c[PCI_CLASS_PROG] = 0x02; /* NVM Express */
	put16(c + PCI_CLASS_DEVICE, 0x0108);
	put32(c + PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64);
	c[PCI_CAPABILITY_LIST] = 0x40;
	c[0x40 + PCI_CAP_LIST_ID] = PCI_CAP_ID_MSIX;
	put16(c + 0x40 + PCI_MSIX_FLAGS, NVME_PAIRS - 1);
	put32(c + 0x40 + PCI_MSIX_TABLE, NVME_MSIX_TABLE);
	put32(c + 0x40 + PCI_MSIX_PBA, NVME_MSIX_PBA);
}

/* What the driver may change; BARs and MSI-X are the client's. */
static void write_config(struct nvme *n, uint64_t off, const uint8_t *data, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		uint64_t at = off + i;
		if (at == PCI_COMMAND || at == PCI_COMMAND + 1 || at == PCI_CACHE_LINE_SIZE ||
		    at == PCI_LATENCY_TIMER || at == PCI_INTERRUPT_LINE)
			n->config[at] = data[i];
	}
}

/* ---- queues ---- */

/* The doorbell's value, where the driver keeps it in memory: `i` counts doorbells, two a pair. */
static uint16_t shadow_value(struct nvme *n, unsigned i, uint16_t otherwise)
{
	const uint32_t *at = n->shadow ? vfuser_dma(&n->server, n->shadow + 4ull * i, 4) : NULL;

	return i < 2 || !at ? otherwise : (uint16_t)__atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* "Ring the doorbell when you get past this": the driver does not when it need not. */
static void want_event(struct nvme *n, unsigned i, uint16_t value)
{
	uint32_t *at = n->events ? vfuser_dma(&n->server, n->events + 4ull * i, 4) : NULL;

	if (i >= 2 && at)
		__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

static bool cq_full(struct nvme *n, unsigned q)
{
	struct nvme_cq *cq = &n->cq[q];
	uint16_t head = shadow_value(n, 2 * q + 1, cq->head);

	if (head < cq->size)
		cq->head = head;
	return (cq->tail + 1) % cq->size == cq->head;
}

static void complete(struct nvme *n, unsigned q, const struct nvme_command *c, uint16_t status,
		     uint32_t result)
{
	struct nvme_sq *sq = &n->sq[q];
	struct nvme_cq *cq = &n->cq[sq->cq];
	struct nvme_completion *at =
		vfuser_dma(&n->server, cq->base + cq->tail * sizeof(*at), sizeof(*at));
	struct nvme_completion done = {.result = result,
				       .sq_head = sq->head,
				       .sq_id = (uint16_t)q,
				       .id = c->id,
				       .status = (uint16_t)(status << 1 | cq->phase)};

	if (!at) {
		n->csts |= CSTS_FATAL;
		return;
	}
	/* The phase tells the driver that the entry is whole: it goes last. */
	memcpy(at, &done, offsetof(struct nvme_completion, status));
	__atomic_store_n(&at->status, done.status, __ATOMIC_RELEASE);
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	if (cq->interrupts)
		vfuser_interrupt(&n->server, VFIO_PCI_MSIX_IRQ_INDEX, cq->vector);
}

static bool serve_one(struct nvme *n, unsigned q)
{
	struct nvme_sq *sq = &n->sq[q];
	struct nvme_command c;
	const void *at;
	uint32_t result = 0;
	uint16_t status, tail = shadow_value(n, 2 * q, sq->tail);

	if (!(n->csts & CSTS_READY) || n->csts & CSTS_FATAL || sq->size == 0 || tail >= sq->size ||
	    sq->head == tail || cq_full(n, sq->cq))
		return false;
	at = vfuser_dma(&n->server, sq->base + sq->head * sizeof(c), sizeof(c));
	if (!at) {
		n->csts |= CSTS_FATAL;
		return false;
	}
	memcpy(&c, at, sizeof(c));
	sq->head = (uint16_t)((sq->head + 1) % sq->size);
	status = q == 0 ? nvme_admin(n, &c, &result) : nvme_io(n, &c);
	if (status != NVME_LATER)
		complete(n, q, &c, status, result);
	return true;
}

static void serve(struct nvme *n)
{
	bool any = true;

	while (any) {
		any = false;
		for (unsigned q = 0; q < NVME_PAIRS; q++) {
			while (serve_one(n, q))
				any = true;
			if (!n->sq[q].size)
				continue;
			/* What comes in between is seen by the look that follows. */
			want_event(n, 2 * q, n->sq[q].head);
			any |= serve_one(n, q);
		}
	}
}

static void ring(struct nvme *n, unsigned i, uint32_t value)
{
	struct nvme_sq *sq = &n->sq[i / 2];
	struct nvme_cq *cq = &n->cq[i / 2];

	if (i % 2 == 0 && value < sq->size)
		sq->tail = (uint16_t)value;
	if (i % 2 == 1 && value < cq->size)
		cq->head = (uint16_t)value;
}

void nvme_kicked(struct nvme *n)
{
	eventfd_t count;
	uint32_t value[2 * NVME_PAIRS];

	if (eventfd_read(n->kick, &count) < 0)
		return;
	if (n->doorbells == NVME_BY_SHADOW &&
	    pread(n->values, value, sizeof(value), 0) == sizeof(value))
		for (unsigned i = 2; i < 2 * NVME_PAIRS; i++)
			ring(n, i, value[i]);
	serve(n);
}

/* ---- registers ---- */

static void stop(struct nvme *n)
{
	static const uint32_t none[2 * NVME_PAIRS];

	memset(n->sq, 0, sizeof(n->sq));
	memset(n->cq, 0, sizeof(n->cq));
	n->shadow = n->events = 0;
	n->csts = 0;
	if (n->values >= 0 && pwrite(n->values, none, sizeof(none), 0) < 0)
		n->csts = CSTS_FATAL;
}

static void enable(struct nvme *n)
{
	stop(n);
	n->sq[0] = (struct nvme_sq){.base = n->asq, .size = (uint16_t)((n->aqa & 0xfff) + 1)};
	n->cq[0] = (struct nvme_cq){.base = n->acq,
				    .size = (uint16_t)((n->aqa >> 16 & 0xfff) + 1),
				    .phase = true,
				    .interrupts = true};
	n->csts |= CSTS_READY;
}

static void write_cc(struct nvme *n, uint32_t cc)
{
	uint32_t changed = n->cc ^ cc;

	n->cc = cc;
	if (changed & CC_ENABLE) {
		if (cc & CC_ENABLE)
			enable(n);
		else
			stop(n);
	}
	if (cc & CC_SHUTDOWN)
		n->csts |= CSTS_SHUT_DOWN;
}

/* A register, 32 bits a time. */
static uint32_t read_register(const struct nvme *n, uint64_t off)
{
	const uint64_t cap = (NVME_ENTRIES - 1) | CAP_CONTIGUOUS | CAP_TIMEOUT | CAP_NVM;

	switch (off) {
	case REG_CAP:
		return (uint32_t)cap;
	case REG_CAP + 4:
		return cap >> 32;
	case REG_VS:
		return VERSION;
	case REG_CC:
		return n->cc;
	case REG_CSTS:
		return n->csts;
	case REG_AQA:
		return n->aqa;
	case REG_ASQ:
		return (uint32_t)n->asq;
	case REG_ASQ + 4:
		return n->asq >> 32;
	case REG_ACQ:
		return (uint32_t)n->acq;
	case REG_ACQ + 4:
		return n->acq >> 32;
	default:
		return 0;
	}
}

static uint64_t half(uint64_t old, uint32_t v, bool high)
{
	return high ? (old & UINT32_MAX) | (uint64_t)v << 32 : (old & ~(uint64_t)UINT32_MAX) | v;
}

static void write_register(struct nvme *n, uint64_t off, uint32_t v)
{
	switch (off) {
	case REG_CC:
		write_cc(n, v);
		break;
	case REG_AQA:
		n->aqa = v;
		break;
	case REG_ASQ:
	case REG_ASQ + 4:
		n->asq = half(n->asq, v, off != REG_ASQ);
		break;
	case REG_ACQ:
	case REG_ACQ + 4:
		n->acq = half(n->acq, v, off != REG_ACQ);
		break;
	default:
		if (off >= NVME_DOORBELLS && off < NVME_DOORBELLS + 8ull * NVME_PAIRS) {
			ring(n, (unsigned)(off - NVME_DOORBELLS) / 4, v);
			serve(n);
		}
	}
}

/* ---- the device ---- */

static void on_read(void *arg, unsigned region, uint64_t off, void *data, unsigned len)
{
	struct nvme *n = arg;

	memset(data, 0, len);
	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		memcpy(data, n->config + off, len);
	else if (region == VFIO_PCI_BAR0_REGION_INDEX && off % 4 == 0 && len % 4 == 0)
		for (unsigned i = 0; i < len; i += 4)
			put32((uint8_t *)data + i, read_register(n, off + i));
}

static void on_write(void *arg, unsigned region, uint64_t off, const void *data, unsigned len)
{
	struct nvme *n = arg;

	if (region == VFIO_PCI_CONFIG_REGION_INDEX)
		write_config(n, off, data, len);
	else if (region == VFIO_PCI_BAR0_REGION_INDEX && off % 4 == 0 && len % 4 == 0)
		for (unsigned i = 0; i < len; i += 4) {
			uint32_t v;
			memcpy(&v, (const uint8_t *)data + i, sizeof(v));
			write_register(n, off + i, v);
		}
}

static void on_reset(void *arg)
{
	struct nvme *n = arg;

	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	put16(n->config + PCI_COMMAND, 0);
	stop(n);
}

/* One eventfd for all: which doorbell it was, the values tell. The admin queue's come by message. */
static void init_doorbells(struct nvme *n)
{
	struct vfuser_region *r = &n->dev.region[VFIO_PCI_BAR0_REGION_INDEX];
	unsigned per = n->doorbells == NVME_BY_SHADOW ? 2 : 1; /* an SQ's tail; a CQ's head too */

	if (n->doorbells == NVME_BY_MESSAGE)
		return;
	n->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	n->values = memfd_create("doorbells", MFD_CLOEXEC);
	if (n->kick < 0 || n->values < 0 || ftruncate(n->values, NVME_PAGE) < 0)
		return;
	for (unsigned i = 2; i < 2 * NVME_PAIRS && r->n_doorbells < VFUSER_DOORBELLS; i += 3 - per)
		r->doorbell[r->n_doorbells++] = (struct vfuser_doorbell){
			.off = NVME_DOORBELLS + 4 * i,
			.len = 4,
			.fd = n->kick,
			.shadow_fd = n->doorbells == NVME_BY_SHADOW ? n->values : -1,
			.shadow_off = 4 * i,
		};
}

void nvme_init(struct nvme *n, int disk, uint64_t size, enum nvme_doorbells doorbells)
{
	const uint32_t rw = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;

	*n = (struct nvme){.disk = disk,
			   .blocks = size / NVME_BLOCK,
			   .doorbells = doorbells,
			   .kick = -1,
			   .values = -1};
	n->dev = (struct vfuser_device){.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET,
					.read = on_read,
					.write = on_write,
					.reset = on_reset,
					.arg = n};
	n->dev.region[VFIO_PCI_BAR0_REGION_INDEX] =
		(struct vfuser_region){.size = NVME_BAR0, .flags = rw};
	n->dev.region[VFIO_PCI_CONFIG_REGION_INDEX] =
		(struct vfuser_region){.size = sizeof(n->config), .flags = rw};
	n->dev.irq[VFIO_PCI_MSIX_IRQ_INDEX].flags = VFIO_IRQ_INFO_EVENTFD;
	n->dev.irq[VFIO_PCI_MSIX_IRQ_INDEX].count = NVME_PAIRS;
	n->server.dev = &n->dev;
	init_config(n->config);
	init_doorbells(n);
}
