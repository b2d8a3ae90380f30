/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration space, BARs, MSI-X and the registers of virtio-pci, in every wrong way. */
#include "hostile.h"

#define ECAM        0xe0000000ULL
#define BAR_LEN_MAX 0x10000u

static uint8_t data[512];

static bool works(struct hostile *h)
{
	return vdev_start(h->disk, 0, HOSTILE_SIZE) && blk_request(h->disk, 0, 1, data, 512) == 0 &&
	       data[0] == 1;
}

static enum verdict after(struct hostile *h)
{
	return hostile_witness(h) ? PASS : WEDGED;
}

struct saved {
	uint32_t bar[6], command;
};

static struct saved save(unsigned slot)
{
	struct saved s = {.command = pci_read(slot, 4, 2)};

	for (unsigned i = 0; i < 6; i++)
		s.bar[i] = pci_read(slot, 0x10 + 4 * i, 4);
	return s;
}

static void restore(unsigned slot, const struct saved *s)
{
	pci_write(slot, 4, 2, 0);
	for (unsigned i = 0; i < 6; i++)
		pci_write(slot, 0x10 + 4 * i, 4, s->bar[i]);
	pci_write(slot, 4, 2, s->command);
}

/* The disk's BAR 0 goes to a while it decodes, is used there as if it were, and comes back. */
static enum verdict move(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	struct saved s;

	if (d->mmio)
		return SKIP;
	if (a == 1)
		a = h->witness->bar;
	if (a == 2)
		a = h->ram_end - 4096;
	s = save(d->slot);
	for (uint64_t i = 0; i <= b; i++) {
		pci_write(d->slot, 0x10, 4, (uint32_t)a);
		pci_write(d->slot, 0x14, 4, (uint32_t)(a >> 32));
		restore(d->slot, &s);
	}
	return works(h) ? after(h) : FAIL;
}

/* The same to a good place: the device works there. */
static enum verdict move_and_use(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev moved = *h->disk;
	int64_t by = (int64_t)(a - h->disk->bar);
	struct saved s;
	bool ok;

	(void)b;
	if (moved.mmio)
		return SKIP;
	s = save(moved.slot);
	pci_write(moved.slot, 0x10, 4, (uint32_t)a);
	pci_write(moved.slot, 0x14, 4, (uint32_t)(a >> 32));
	moved.common += by, moved.notify += by, moved.isr += by, moved.config += by;
	ok = vdev_start(&moved, 0, HOSTILE_SIZE) && blk_request(&moved, 0, 1, data, 512) == 0 &&
	     data[0] == 1;
	restore(moved.slot, &s);
	return ok ? after(h) : FAIL;
}

/* A request is under way while decoding goes off and on. */
static enum verdict decode(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	(void)b;
	if (d->mmio)
		return SKIP;
	for (uint64_t i = 0; i < a; i++) {
		pci_write(d->slot, 4, 2, 0);
		vdev_kick(d, 0); /* into nothing */
		pci_write(d->slot, 4, 2, 6);
	}
	return works(h) ? after(h) : FAIL;
}

/* Sizing: all ones give the size, whatever bits are tried; the address comes back. */
static enum verdict sizing(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	struct saved s;
	uint32_t got;

	(void)b;
	if (d->mmio)
		return SKIP;
	s = save(d->slot);
	pci_write(d->slot, 4, 2, 0);
	pci_write(d->slot, 0x10, 4, (uint32_t)a);
	got = pci_read(d->slot, 0x10, 4);
	restore(d->slot, &s);
	if ((got & 15) != (s.bar[0] & 15) || got & ~15u & ~(uint32_t)a)
		return FAIL;
	return works(h) ? after(h) : FAIL;
}

/* Every offset of the configuration space, each width: value a; by ports, or b: by ECAM. */
static enum verdict config_sweep(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	struct saved s;
	uint32_t id;

	if (d->mmio)
		return SKIP;
	s = save(d->slot);
	id = pci_read(d->slot, 0, 4);
	for (unsigned off = 0; off < 256; off++) {
		volatile uint8_t *at = (volatile uint8_t *)(ECAM + ((uint64_t)d->slot << 15) + off);
		if (b) {
			*at = (uint8_t)a;
			if (off % 2 == 0)
				*(volatile uint16_t *)at = (uint16_t)a;
			if (off % 4 == 0)
				*(volatile uint32_t *)at = (uint32_t)a;
		} else {
			pci_write(d->slot, off, 1, (uint32_t)a);
			pci_write(d->slot, off & ~1u, 2, (uint32_t)a);
			pci_write(d->slot, off & ~3u, 4, (uint32_t)a);
		}
	}
	pci_write(d->slot, d->msix_cap + 2u, 2, 0);
	restore(d->slot, &s);
	if (pci_read(d->slot, 0, 4) != id)
		return FAIL;
	return works(h) ? after(h) : FAIL;
}

/* Odd accesses to ports 0xcf8 to 0xcff. */
static enum verdict config_ports(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	if (h->disk->mmio)
		return SKIP;
	for (unsigned address = 0; address < 4; address++) {
		outl(0xcf8, address == 0   ? 0
			    : address == 1 ? 0x7fffffff
			    : address == 2 ? 0xffffffff
					   : 0x80ff0000);
		for (uint16_t port = 0xcf8; port < 0xd00; port++) {
			outb(port, 0xff);
			(void)inb(port);
		}
		outl(0xcf8, 0x8000ff00); /* bus 0, slot 31, function 7 */
		outw(0xcfd, 0xffff);
		(void)inl(0xcfd);
	}
	return works(h) ? after(h) : FAIL;
}

/* There is nothing there: all ones. */
static enum verdict absent(struct hostile *h, uint64_t a, uint64_t b)
{
	uint64_t at = ECAM + (a << 15) + (b << 12);

	if (h->disk->mmio)
		return SKIP;
	mmio_write32(at + 4, 0xffffffff);
	return mmio_read32(at) == 0xffffffff && *(volatile uint8_t *)(at + 9) == 0xff ? PASS : FAIL;
}

static enum verdict ecam_agrees(struct hostile *h, uint64_t a, uint64_t b)
{
	unsigned slot = h->disk->slot;

	(void)a, (void)b;
	if (h->disk->mmio)
		return SKIP;
	for (unsigned off = 0; off < 256; off += 4)
		if (mmio_read32(ECAM + ((uint64_t)slot << 15) + off) != pci_read(slot, off, 4))
			return FAIL;
	for (unsigned off = 256; off < 4096; off += 4)
		if (mmio_read32(ECAM + ((uint64_t)slot << 15) + off) != 0)
			return FAIL;
	return PASS;
}

static void write_width(uint64_t at, unsigned width, uint64_t value)
{
	if (width == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (width == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else if (width == 4)
		*(volatile uint32_t *)at = (uint32_t)value;
	else
		*(volatile uint64_t *)at = value;
}

static uint64_t read_width(uint64_t at, unsigned width)
{
	if (width == 1)
		return *(volatile uint8_t *)at;
	if (width == 2)
		return *(volatile uint16_t *)at;
	return width == 4 ? *(volatile uint32_t *)at : *(volatile uint64_t *)at;
}

/* The whole BAR with accesses of b bytes, a step of a: reads, then writes of ones and of zeroes. */
static enum verdict bar_sweep(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	if (d->mmio)
		return SKIP;
	for (uint64_t off = 0; off + b <= BAR_LEN_MAX; off += a) {
		(void)read_width(d->bar + off, (unsigned)b);
		write_width(d->bar + off, (unsigned)b, ~0ULL);
		write_width(d->bar + off, (unsigned)b, 0);
	}
	return works(h) ? after(h) : FAIL;
}

/* Common configuration only, each offset. */
static enum verdict common_sweep(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;

	if (d->mmio)
		return SKIP;
	for (uint64_t off = 0; off < 0x40; off++) {
		write_width(d->common + off, (unsigned)b, a);
		(void)read_width(d->common + off, (unsigned)b);
	}
	return works(h) ? after(h) : FAIL;
}

/* 4.1.5.1.2.1: a vector that there is not reads back as none. */
static enum verdict vector(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint64_t at = d->common + b; /* 16: configuration, 26: queue */
	uint16_t got;

	if (d->mmio)
		return SKIP;
	vdev_select(d, 0);
	*(volatile uint16_t *)at = (uint16_t)a;
	got = *(volatile uint16_t *)at;
	*(volatile uint16_t *)at = 0xffff;
	return got == 0xffff ? REJECT : FAIL;
}

/* The table, its end, and the pending bits, in accesses of b bytes; MSI-X is on. */
static enum verdict msix_sweep(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	uint16_t control;

	if (d->mmio || !d->msix)
		return SKIP;
	control = (uint16_t)pci_read(d->slot, d->msix_cap + 2u, 2);
	pci_write(d->slot, d->msix_cap + 2u, 2, 0x8000);
	for (uint64_t off = 0; off < 0x2000 && d->msix + off + b <= d->bar + BAR_LEN_MAX;
	     off += b) {
		write_width(d->msix + off, (unsigned)b, a);
		(void)read_width(d->msix + off, (unsigned)b);
	}
	/* All of it masked again, then off. */
	for (unsigned i = 0; i <= (control & 0x7ff); i++)
		mmio_write32(d->msix + 16 * i + 12, 1);
	pci_write(d->slot, d->msix_cap + 2u, 2, control & 0x3fff);
	return works(h) ? after(h) : FAIL;
}

/* A message to an address that is no APIC: it goes nowhere, requests are served all the same. */
static enum verdict msix_address(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	enum verdict v = FAIL;

	if (d->mmio || !d->msix)
		return SKIP;
	pci_write(d->slot, d->msix_cap + 2u, 2, 0x8000);
	mmio_write32(d->msix + 0, (uint32_t)a);
	mmio_write32(d->msix + 4, (uint32_t)(a >> 32));
	mmio_write32(d->msix + 8, (uint32_t)b);
	mmio_write32(d->msix + 12, 0);
	if (vdev_start(d, 0, HOSTILE_SIZE)) {
		vdev_select(d, 0);
		*(volatile uint16_t *)(d->common + 26) = 0;
		if (blk_request(d, 0, 1, data, 512) == 0)
			v = PASS;
	}
	mmio_write32(d->msix + 12, 1);
	pci_write(d->slot, d->msix_cap + 2u, 2, 0);
	return v == PASS ? after(h) : v;
}

/* 4.1.4.9: a window into a BAR through configuration space: BAR a, offset b, every length. */
static enum verdict window(struct hostile *h, uint64_t a, uint64_t b)
{
	struct vdev *d = h->disk;
	unsigned at = d->mmio ? 0 : pci_read(d->slot, 0x34, 1);

	if (d->mmio)
		return SKIP;
	while (at && !(pci_read(d->slot, at, 1) == 9 && pci_read(d->slot, at + 3, 1) == 5))
		at = pci_read(d->slot, at + 1, 1);
	if (!at)
		return FAIL; /* a device has to have it */
	for (uint32_t len = 0; len < 9; len++) {
		pci_write(d->slot, at + 4, 1, (uint32_t)a);
		pci_write(d->slot, at + 8, 4, (uint32_t)b);
		pci_write(d->slot, at + 12, 4, len == 8 ? 0xffffffff : len);
		(void)pci_read(d->slot, at + 16, 4);
		pci_write(d->slot, at + 16, 4, 0xffffffff);
	}
	return works(h) ? after(h) : FAIL;
}

const struct hostile_case hostile_pci[] = {
	{"pci: BAR over RAM", move, 0x100000, 0},
	{"pci: BAR over the end of RAM", move, 2, 0},
	{"pci: BAR over the other disk's", move, 1, 0},
	{"pci: BAR at 0", move, 0, 0},
	{"pci: BAR over ECAM", move, ECAM, 0},
	{"pci: BAR over the IOAPIC", move, 0xfec00000, 0},
	{"pci: BAR over the local APIC", move, 0xfee00000, 0},
	{"pci: BAR at the end of the address space", move, 0xfffffffffffff000, 0},
	{"pci: BAR beyond the processor's addresses", move, 1ULL << 56, 0},
	{"pci: BAR half written", move, 0xd0000000ULL | 0xdeadULL << 32, 0},
	{"pci: BAR moves a hundred times", move, 0xd0000000, 100},
	{"pci: BAR moves and works", move_and_use, 0xd8000000, 0},
	{"pci: decoding off and on", decode, 100, 0},
	{"pci: sizing by all ones", sizing, 0xffffffff, 0},
	{"pci: sizing by odd bits", sizing, 0x5a5a5a5a, 0},
	{"pci: configuration space, ones", config_sweep, 0xffffffff, 0},
	{"pci: configuration space, zeroes", config_sweep, 0, 0},
	{"pci: configuration space, a pattern", config_sweep, 0xa5a5a5a5, 0},
	{"pci: ECAM, ones", config_sweep, 0xffffffff, 1},
	{"pci: ECAM, zeroes", config_sweep, 0, 1},
	{"pci: odd accesses to the ports", config_ports, 0, 0},
	{"pci: function 7 of the disk's slot", absent, 1, 7},
	{"pci: slot 31", absent, 31, 0},
	{"pci: ECAM and ports agree", ecam_agrees, 0, 0},
	{"pci: all of the BAR by bytes", bar_sweep, 61, 1},
	{"pci: all of the BAR by words", bar_sweep, 62, 2},
	{"pci: all of the BAR by double words", bar_sweep, 60, 4},
	{"pci: all of the BAR by quad words", bar_sweep, 56, 8},
	{"pci: common configuration by bytes", common_sweep, 0xffffffffffffffff, 1},
	{"pci: common configuration by words, misaligned", common_sweep, 0xffffffffffffffff, 2},
	{"pci: common configuration by double words, misaligned", common_sweep, 0xfffffffffffffff3,
	 4},
	{"pci: common configuration by quad words, misaligned", common_sweep, 0xffffffffffffffff,
	 8},
	{"pci: common configuration, small numbers", common_sweep, 1, 4},
	{"pci: queue vector one too many", vector, 2048, 26},
	{"pci: queue vector 65534", vector, 0xfffe, 26},
	{"pci: configuration vector 65534", vector, 0xfffe, 16},
	{"pci: MSI-X table by bytes", msix_sweep, 0xff, 1},
	{"pci: MSI-X table by words", msix_sweep, 0xffff, 2},
	{"pci: MSI-X table by double words", msix_sweep, 0xfee00000, 4},
	{"pci: MSI-X table by quad words", msix_sweep, 0xffffffffffffffff, 8},
	{"pci: MSI-X message to RAM", msix_address, 0x100000, 0xdeadbeef},
	{"pci: MSI-X message to nowhere", msix_address, 0xfffffffffffffffc, 0xffffffff},
	{"pci: MSI-X message with vector 0", msix_address, 0xfee00000, 0},
	{"pci: window to BAR 0", window, 0, 0},
	{"pci: window to BAR 0, its end", window, 0, 0xffffffff},
	{"pci: window to BAR 5", window, 5, 0},
	{"pci: window to BAR 255", window, 255, 0x1000},
	{0},
};
