/* SPDX-License-Identifier: Apache-2.0 */
#include "lib_virtio.h"

#define PCI_ADDRESS 0xcf8
#define PCI_DATA    0xcfc
#define MMIO_BASE   0xe8000000ULL
#define MMIO_STEP   0x1000ULL
#define PATIENCE    20000000000ULL /* ticks of the time stamp counter: some seconds */
#define POOL_SIZE   (2 << 20)

static uint8_t pool[POOL_SIZE] __attribute__((aligned(4096)));
static unsigned pool_used;

void *pool_alloc(unsigned len)
{
	uint8_t *at = pool + pool_used;

	len = (len + 4095) & ~4095u;
	CHECK(pool_used + len <= POOL_SIZE);
	pool_used += len;
	mem_fill(at, 0, len);
	return at;
}

void pool_reset(void)
{
	pool_used = 0;
}

uint64_t deadline(void)
{
	return rdtsc() + PATIENCE;
}

bool passed(uint64_t when)
{
	__asm__ volatile("pause");
	return (int64_t)(rdtsc() - when) > 0;
}

/* ---- PCI ---- */

uint32_t pci_read(unsigned slot, unsigned off, unsigned len)
{
	outl(PCI_ADDRESS, 0x80000000u | slot << 11 | (off & 0xfc));
	if (len == 1)
		return inb((uint16_t)(PCI_DATA + (off & 3)));
	return len == 2 ? inw((uint16_t)(PCI_DATA + (off & 2))) : inl(PCI_DATA);
}

void pci_write(unsigned slot, unsigned off, unsigned len, uint32_t value)
{
	outl(PCI_ADDRESS, 0x80000000u | slot << 11 | (off & 0xfc));
	if (len == 1)
		outb((uint16_t)(PCI_DATA + (off & 3)), (uint8_t)value);
	else if (len == 2)
		outw((uint16_t)(PCI_DATA + (off & 2)), (uint16_t)value);
	else
		outl(PCI_DATA, value);
}

bool pci_present(void)
{
	outl(PCI_ADDRESS, 0x80000000u);
	return inl(PCI_ADDRESS) == 0x80000000u && pci_read(0, 0, 4) != 0xffffffff;
}

static uint64_t bar_address(unsigned slot, unsigned bar)
{
	uint32_t low = pci_read(slot, 0x10 + 4 * bar, 4);
	uint64_t high = (low & 6) == 4 ? pci_read(slot, 0x14 + 4 * bar, 4) : 0;

	return high << 32 | (low & ~15u);
}

static void take_capability(struct vdev *d, unsigned at)
{
	uint64_t where =
		bar_address(d->slot, pci_read(d->slot, at + 4, 1)) + pci_read(d->slot, at + 8, 4);

	switch (pci_read(d->slot, at + 3, 1)) {
	case 1:
		d->common = where;
		d->bar = bar_address(d->slot, pci_read(d->slot, at + 4, 1));
		break;
	case 2:
		d->notify = where;
		d->notify_multiplier = pci_read(d->slot, at + 16, 4);
		break;
	case 3:
		d->isr = where;
		break;
	case 4:
		d->config = where;
		break;
	}
}

static void take_capabilities(struct vdev *d)
{
	unsigned at = pci_read(d->slot, 0x34, 1);

	for (unsigned n = 0; at && n < 48; n++, at = pci_read(d->slot, at + 1, 1)) {
		unsigned id = pci_read(d->slot, at, 1);
		if (id == 9)
			take_capability(d, at);
		if (id == 0x11) {
			uint32_t table = pci_read(d->slot, at + 4, 4);
			d->msix_cap = (uint16_t)at;
			d->msix = bar_address(d->slot, table & 7) + (table & ~7u);
		}
	}
}

static unsigned find_pci(struct vdev *found)
{
	unsigned n = 0;

	for (unsigned slot = 0; pci_present() && slot < 32; slot++) {
		uint32_t id = pci_read(slot, 0, 4);
		if ((id & 0xffff) != 0x1af4 || id >> 16 < 0x1040)
			continue;
		found[n] = (struct vdev){.slot = slot, .id = (uint16_t)((id >> 16) - 0x1040)};
		pci_write(slot, 4, 2, 6); /* memory decoding, bus master */
		take_capabilities(&found[n++]);
	}
	return n;
}

static unsigned find_mmio(struct vdev *found, unsigned n)
{
	for (uint64_t base = MMIO_BASE; n < VDEV_MAX && mmio_read32(base) == 0x74726976;
	     base += MMIO_STEP)
		if (mmio_read32(base + 8))
			found[n++] = (struct vdev){.mmio = true,
						   .base = base,
						   .id = (uint16_t)mmio_read32(base + 8)};
	return n;
}

unsigned vdev_find_all(struct vdev found[VDEV_MAX])
{
	return find_mmio(found, find_pci(found));
}

/* ---- registers ---- */

static uint8_t read8(uint64_t a)
{
	return *(volatile uint8_t *)a;
}

static uint16_t read16(uint64_t a)
{
	return *(volatile uint16_t *)a;
}

static void write8(uint64_t a, uint8_t v)
{
	*(volatile uint8_t *)a = v;
}

static void write16(uint64_t a, uint16_t v)
{
	*(volatile uint16_t *)a = v;
}

uint8_t vdev_status(const struct vdev *d)
{
	return d->mmio ? (uint8_t)mmio_read32(d->base + 0x70) : read8(d->common + 20);
}

void vdev_set_status(const struct vdev *d, uint8_t status)
{
	if (d->mmio)
		mmio_write32(d->base + 0x70, status);
	else
		write8(d->common + 20, status);
}

uint64_t vdev_offered(const struct vdev *d)
{
	uint64_t select = d->mmio ? d->base + 0x14 : d->common,
		 value = d->mmio ? d->base + 0x10 : d->common + 4;
	uint64_t bits;

	mmio_write32(select, 1);
	bits = (uint64_t)mmio_read32(value) << 32;
	mmio_write32(select, 0);
	return bits | mmio_read32(value);
}

void vdev_accept(const struct vdev *d, uint64_t features)
{
	uint64_t select = d->mmio ? d->base + 0x24 : d->common + 8,
		 value = d->mmio ? d->base + 0x20 : d->common + 12;

	for (uint32_t half = 0; half < 2; half++) {
		mmio_write32(select, half);
		mmio_write32(value, (uint32_t)(features >> (32 * half)));
	}
}

void vdev_select(const struct vdev *d, uint16_t queue)
{
	if (d->mmio)
		mmio_write32(d->base + 0x30, queue);
	else
		write16(d->common + 22, queue);
}

uint16_t vdev_queue_max(const struct vdev *d)
{
	return d->mmio ? (uint16_t)mmio_read32(d->base + 0x34) : read16(d->common + 24);
}

static void write64(uint64_t at, uint64_t value)
{
	mmio_write32(at, (uint32_t)value);
	mmio_write32(at + 4, (uint32_t)(value >> 32));
}

void vdev_set_queue(const struct vdev *d, uint16_t size, uint64_t desc, uint64_t avail,
		    uint64_t used)
{
	if (d->mmio) {
		mmio_write32(d->base + 0x38, size);
		write64(d->base + 0x80, desc);
		write64(d->base + 0x90, avail);
		write64(d->base + 0xa0, used);
	} else {
		write16(d->common + 24, size);
		write64(d->common + 32, desc);
		write64(d->common + 40, avail);
		write64(d->common + 48, used);
	}
}

void vdev_enable(const struct vdev *d)
{
	if (d->mmio)
		mmio_write32(d->base + 0x44, 1);
	else
		write16(d->common + 28, 1);
}

uint32_t vdev_enabled(const struct vdev *d)
{
	return d->mmio ? mmio_read32(d->base + 0x44) : read16(d->common + 28);
}

void vdev_kick(const struct vdev *d, uint16_t queue)
{
	__asm__ volatile("mfence" : : : "memory");
	if (d->mmio)
		mmio_write32(d->base + 0x50, queue);
	else
		write16(d->notify + (uint64_t)queue * d->notify_multiplier, queue);
}

uint64_t vdev_config64(const struct vdev *d, unsigned off)
{
	uint64_t at = (d->mmio ? d->base + 0x100 : d->config) + off;

	return mmio_read32(at) | (uint64_t)mmio_read32(at + 4) << 32;
}

bool vdev_reset(const struct vdev *d)
{
	uint64_t end = deadline();

	vdev_set_status(d, 0);
	while (vdev_status(d) != 0)
		if (passed(end))
			return false;
	return true;
}

bool vdev_negotiate(struct vdev *d, uint64_t features)
{
	if (!vdev_reset(d))
		return false;
	vdev_set_status(d, S_ACKNOWLEDGE);
	vdev_set_status(d, S_ACKNOWLEDGE | S_DRIVER);
	d->features = (features & vdev_offered(d)) | F_VERSION_1;
	vdev_accept(d, d->features);
	vdev_set_status(d, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
	return vdev_status(d) == (S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
}

uint16_t vdev_queues(const struct vdev *d)
{
	uint16_t n = 0;

	for (;; n++) {
		vdev_select(d, n);
		if (vdev_queue_max(d) == 0)
			return n;
	}
}

bool vdev_add_ring(const struct vdev *d, struct ring *r, uint16_t queue, uint16_t size)
{
	mem_fill(r, 0, sizeof(*r));
	r->size = size;
	r->packed = d->features & F_PACKED;
	r->wrap = r->fill_wrap = true;
	r->desc = pool_alloc(16u * size);
	r->avail = pool_alloc(6 + 2u * size);
	r->used = pool_alloc(6 + 8u * size);
	vdev_select(d, queue);
	vdev_set_queue(d, size, (uint64_t)r->desc, (uint64_t)r->avail, (uint64_t)r->used);
	vdev_enable(d);
	return vdev_enabled(d) == 1;
}

void vdev_go(const struct vdev *d)
{
	vdev_set_status(d, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

bool vdev_start(struct vdev *d, uint64_t features, uint16_t size)
{
	if (!vdev_negotiate(d, features) || !vdev_add_ring(d, &d->ring, 0, size))
		return false;
	vdev_go(d);
	return true;
}

/* ---- rings ---- */

void ring_desc(struct ring *r, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
	       uint16_t next)
{
	r->desc[i].addr = addr;
	r->desc[i].len = len;
	r->desc[i].flags = flags;
	r->desc[i].next = next;
}

void ring_offer(struct ring *r, uint16_t head)
{
	uint16_t idx = r->avail[1];

	r->avail[2 + idx % r->size] = head;
	__asm__ volatile("" : : : "memory");
	r->avail[1] = (uint16_t)(idx + 1);
}

static bool poll_packed(struct ring *r, uint32_t *id, uint32_t *len)
{
	volatile struct pdesc *d = (volatile struct pdesc *)r->desc + r->seen;
	uint16_t flags = d->flags;
	bool avail = flags >> 7 & 1, used = flags >> 15 & 1;

	if (avail != used || used != r->wrap)
		return false;
	*id = d->id;
	*len = d->len;
	return true;
}

bool ring_poll(struct ring *r, uint32_t *id, uint32_t *len)
{
	volatile uint32_t *elem = (volatile uint32_t *)(r->used + 2) + 2 * (r->seen % r->size);

	if (r->packed)
		return poll_packed(r, id, len);
	if (r->used[1] == r->seen)
		return false;
	*id = elem[0];
	*len = elem[1];
	r->seen++;
	return true;
}

bool ring_wait(struct ring *r, uint32_t *id, uint32_t *len)
{
	uint64_t end = deadline();

	while (!ring_poll(r, id, len))
		if (passed(end))
			return false;
	return true;
}

/* ---- block requests ---- */

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

/* Three descriptors that are used one request after the other: the ring comes round with each. */
static void offer_packed(struct ring *r, const struct desc *d, unsigned n)
{
	volatile struct pdesc *ring = (volatile struct pdesc *)r->desc;
	uint16_t first_flags = 0, first = r->at;
	bool wrap = r->wrap;

	for (unsigned i = 0; i < n; i++) {
		uint16_t flags = (uint16_t)(d[i].flags | (wrap ? 1u << 7 : 1u << 15));
		ring[r->at].addr = d[i].addr;
		ring[r->at].len = d[i].len;
		ring[r->at].id = 7;
		if (i == 0)
			first_flags = flags;
		else
			ring[r->at].flags = flags;
		if (++r->at == r->size) {
			r->at = 0;
			wrap = !wrap;
		}
	}
	__asm__ volatile("" : : : "memory");
	ring[first].flags = first_flags;
}

/* Takes `n` slots off a packed ring, after the used descriptor was seen. */
static void advance_packed(struct ring *r, unsigned n)
{
	r->seen = (uint16_t)(r->seen + n);
	if (r->seen >= r->size) {
		r->seen = (uint16_t)(r->seen - r->size);
		r->wrap = !r->wrap;
	}
}

int blk_request(struct vdev *d, uint32_t type, uint64_t sector, void *data, uint32_t len)
{
	static struct blk_header header;
	static volatile uint8_t status;
	uint16_t write = type == 0 || type == 8 ? DESC_WRITE : 0;
	struct desc chain[3];
	uint32_t id, written;
	unsigned n = 0;

	header = (struct blk_header){type, 0, sector};
	status = 0xee;
	chain[n++] = (struct desc){(uint64_t)&header, sizeof(header), DESC_NEXT, 1};
	if (len)
		chain[n++] = (struct desc){(uint64_t)data, len, (uint16_t)(DESC_NEXT | write), 2};
	chain[n] = (struct desc){(uint64_t)&status, 1, DESC_WRITE, 0};
	n++;
	if (d->ring.packed) {
		offer_packed(&d->ring, chain, n);
	} else {
		for (unsigned i = 0; i < n; i++)
			ring_desc(&d->ring, i, chain[i].addr, chain[i].len, chain[i].flags,
				  (uint16_t)(i + 1));
		ring_offer(&d->ring, 0);
	}
	vdev_kick(d, 0);
	if (!ring_wait(&d->ring, &id, &written))
		return -1;
	if (d->ring.packed)
		advance_packed(&d->ring, n);
	return status;
}
