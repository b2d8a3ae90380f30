// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that reads and writes configuration space by ports and by ECAM, and whatever lies in the BAR
 * windows, in any order and width. Slot 1 has MSI-X in a 32-bit BAR, slot 2 a 64-bit BAR with doorbells,
 * slot 3 a tiny BAR and one of ports. After each access the map must be sound; at the end, with decoding
 * turned off and on again and every BAR back at its place, everything must work.
 *
 * One step is 4 bytes (what: bits 0-2 kind, bits 3-4 log2 of the width; slot and flags; offset, 2) and, if it
 * writes, 8 more: the value.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "pci/msix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ECAM      0xb0000000ULL
#define WINDOW32  0xc0000000ULL
#define LAST32    0xcfffffffULL
#define WINDOW64  0x4000000000ULL
#define LAST64    0x7fffffffffULL
#define WINDOW_IO 0x1000ULL
#define LAST_IO   0xffffULL

#define DEVICES   4 /* slot 0 is the bridge */
#define VECTORS   5
#define MSIX_BAR  4096
#define PBA_OFF   2048
#define MAX_STEPS 1024
#define DOORBELLS 2

struct fuzz {
	struct bus mmio, pio;
	struct pci_bus pci;
	struct pci_dev dev[DEVICES];
	struct msix *msix;
	uint64_t home[DEVICES][PCI_BARS];
	unsigned doorbells;
	int routes;
	bool line[PCI_INTX_LINES];
};

static void require(bool what)
{
	if (!what)
		abort();
}

static void msix_bar_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct fuzz *f = dev;

	require(len <= MSIX_BAR && off <= MSIX_BAR - len);
	if (off < PBA_OFF)
		msix_table_read(f->msix, off, data, len);
	else
		msix_pba_read(f->msix, off - PBA_OFF, data, len);
}

static void msix_bar_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	require(len <= MSIX_BAR && off <= MSIX_BAR - len);
	msix_table_write(((struct fuzz *)dev)->msix, off, data, len);
}

static void plain_read(void *dev, uint64_t off, void *data, unsigned len)
{
	const struct pci_bar *bar = dev;

	require(len <= bar->size && off <= bar->size - len);
	memset(data, 0x42, len);
}

static void plain_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	const struct pci_bar *bar = dev;

	(void)data;
	require(len <= bar->size && off <= bar->size - len);
}

static const struct bus_ops msix_bar_ops = {msix_bar_read, msix_bar_write},
			    plain_ops = {plain_read, plain_write};

static int route_open(void *arg, int fd)
{
	require(fd >= 0 && ((struct fuzz *)arg)->routes < VECTORS);
	return ((struct fuzz *)arg)->routes++;
}

/* A host that refuses some messages, as KVM does. */
static int route_connect(void *arg, int route, uint64_t address, uint32_t data)
{
	require(route >= 0 && route < ((struct fuzz *)arg)->routes);
	return data == 0xbad || address >> 63 ? -EINVAL : 0;
}

static void route_disconnect(void *arg, int route)
{
	require(route >= 0 && route < ((struct fuzz *)arg)->routes);
}

static int doorbell_add(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	(void)addr, (void)d;
	((struct fuzz *)arg)->doorbells++;
	return 0;
}

static void doorbell_remove(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	(void)addr, (void)d;
	require(((struct fuzz *)arg)->doorbells-- > 0);
}

static void set_intx(void *arg, unsigned line, bool level)
{
	struct fuzz *f = arg;

	require(line < PCI_INTX_LINES && f->line[line] != level);
	f->line[line] = level;
}

static void config_written(struct pci_dev *d, unsigned off, unsigned len)
{
	require(off < PCI_CONFIG_LEN && len <= PCI_CONFIG_LEN - off);
	msix_config_written(container_of(d, struct fuzz, dev[1])->msix, off, len);
}

static struct pci_bar *set_bar(struct fuzz *f, unsigned slot, unsigned i, uint64_t size)
{
	struct pci_bar *bar = &f->dev[slot].bar[i];

	*bar = (struct pci_bar){.name = "bar", .size = size, .ops = &plain_ops, .dev = bar};
	return bar;
}

static void make_devices(struct fuzz *f, const struct msi_router *router)
{
	static const struct pci_ops ops = {.config_written = config_written};
	static const struct pci_id id = {.vendor = 0x1af4, .device = 0x1042, .intx = true};
	static const struct bus_doorbell bells[DOORBELLS] = {{.off = 0x3000}, {.off = 0x3004}};
	struct pci_bar *bar;
	struct err e;

	for (unsigned slot = 1; slot < DEVICES; slot++)
		pci_dev_init(&f->dev[slot], "fuzzed", id);
	f->dev[1].ops = &ops;
	bar = set_bar(f, 1, 1, MSIX_BAR);
	bar->ops = &msix_bar_ops;
	bar->dev = f;
	require(msix_create(&f->msix, &f->dev[1], router, VECTORS, 1, 0, PBA_OFF, &e) == 0);
	bar = set_bar(f, 2, 4, 16 * KIB);
	bar->is_64 = bar->prefetchable = true;
	bar->doorbell = bells;
	bar->n_doorbells = DOORBELLS;
	set_bar(f, 3, 0, 16);
	set_bar(f, 3, 5, 4)->io = true;
	for (unsigned slot = 1; slot < DEVICES; slot++)
		require(pci_add(&f->pci, &f->dev[slot], &e) == 0);
}

static void start(struct fuzz *f)
{
	struct err e;

	bus_init(&f->mmio, "memory");
	bus_init(&f->pio, "ports");
	f->mmio.doorbells = (struct bus_doorbell_ops){doorbell_add, doorbell_remove, f};
	require(pci_bus_init(&f->pci, &f->mmio, &f->pio, &e) == 0);
	f->pci.window32 = WINDOW32, f->pci.window32_last = LAST32;
	f->pci.window64 = WINDOW64, f->pci.window64_last = LAST64;
	f->pci.window_io = WINDOW_IO, f->pci.window_io_last = LAST_IO;
	f->pci.set_intx = set_intx, f->pci.intx_arg = f;
	require(bus_add(&f->mmio,
			(struct bus_region){.base = ECAM,
					    .last = ECAM + PCI_ECAM_LEN - 1,
					    .name = "ecam",
					    .ops = &pci_ecam_ops,
					    .dev = &f->pci},
			&e) == 0);
	require(bus_add(&f->pio,
			(struct bus_region){.base = PCI_PORT_ADDRESS,
					    .last = PCI_PORT_ADDRESS + PCI_PORTS - 1,
					    .name = "pci",
					    .ops = &pci_port_ops,
					    .dev = &f->pci},
			&e) == 0);
}

static uint64_t cfg_read(struct fuzz *f, unsigned slot, unsigned off, unsigned len)
{
	uint64_t v = 0;

	bus_read(&f->mmio, ECAM + (slot << 15) + off, &v, len);
	return v;
}

static void cfg_write(struct fuzz *f, unsigned slot, unsigned off, uint64_t v, unsigned len)
{
	bus_write(&f->mmio, ECAM + (slot << 15) + off, &v, len);
}

static uint64_t bar_register(struct fuzz *f, unsigned slot, unsigned i)
{
	return cfg_read(f, slot, PCI_BASE_ADDRESS_0 + 4 * i, f->dev[slot].bar[i].is_64 ? 8 : 4);
}

/* Each region of a BAR is in a window, at what its register says; nothing overlaps, nothing is left over. */
static void check_map(struct fuzz *f)
{
	unsigned mmio = 1, pio = 1, doorbells = 0;

	for (unsigned slot = 1; slot < DEVICES; slot++)
		for (unsigned i = 0; i < PCI_BARS; i++) {
			const struct pci_bar *bar = &f->dev[slot].bar[i];
			uint64_t last = bar->at + bar->size - 1;
			if (!bar->mapped)
				continue;
			require(bar->size && (bar_register(f, slot, i) & ~0xfULL & -bar->size) ==
						     (bar->at & ~0xfULL));
			require(bar->io ? bar->at >= WINDOW_IO && last <= LAST_IO
					: (bar->at >= WINDOW32 && last <= LAST32) ||
						  (bar->at >= WINDOW64 && last <= LAST64));
			*(bar->io ? &pio : &mmio) += 1;
			doorbells += bar->n_doorbells;
		}
	require(f->mmio.n == mmio && f->pio.n == pio && f->doorbells == doorbells);
	for (unsigned i = 1; i < f->mmio.n; i++)
		require(f->mmio.region[i - 1].last < f->mmio.region[i].base);
	for (unsigned i = 1; i < f->pio.n; i++)
		require(f->pio.region[i - 1].last < f->pio.region[i].base);
}

/* Where the access goes; near a device's BAR more often than not. */
static uint64_t target(struct fuzz *f, unsigned kind, uint8_t slot, uint16_t off)
{
	const struct pci_bar *bar = &f->dev[slot % DEVICES].bar[slot / DEVICES % PCI_BARS];

	switch (kind) {
	case 0:
		return PCI_PORT_ADDRESS + off % PCI_PORTS;
	case 1:
		return bar->io ? bar->at + off % 8 : off;
	case 2:
		return ECAM + (slot % DEVICES << 15) + off % PCI_CONFIG_LEN;
	case 3:
		return ECAM + (slot << 12) + off;
	case 4:
		return bar->at + off;
	default:
		return (slot & 1 ? WINDOW32 : WINDOW64) + (uint64_t)off * 16;
	}
}

/* Bytes of input that the step took. */
static size_t step(struct fuzz *f, const uint8_t *in, size_t left)
{
	unsigned kind = in[0] & 7, len = 1u << (in[0] >> 3 & 3);
	uint16_t off = (uint16_t)(in[2] | in[3] << 8);
	uint64_t value = 0, addr = target(f, kind, in[1], off);
	struct bus *b = kind < 2 ? &f->pio : &f->mmio;
	bool write = in[0] & 0x20;

	if (kind == 6) {
		pci_set_intx(&f->dev[1 + in[1] % (DEVICES - 1)], off & 1);
	} else if (kind == 7) {
		msix_raise(f->msix, off);
	} else if (!write) {
		bus_read(b, addr, &value, len);
	} else if (left >= 12) {
		memcpy(&value, in + 4, 8);
		bus_write(b, addr, &value, len);
		return 12;
	}
	return 4;
}

static void go_home(struct fuzz *f)
{
	for (unsigned slot = 1; slot < DEVICES; slot++)
		cfg_write(f, slot, PCI_COMMAND, 0, 2);
	check_map(f);
	require(f->mmio.n == 1 && f->pio.n == 1 && f->doorbells == 0);
	for (unsigned slot = 1; slot < DEVICES; slot++) {
		for (unsigned i = 0; i < PCI_BARS; i++)
			if (f->dev[slot].bar[i].size)
				cfg_write(f, slot, PCI_BASE_ADDRESS_0 + 4 * i, f->home[slot][i],
					  f->dev[slot].bar[i].is_64 ? 8 : 4);
		cfg_write(f, slot, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_IO, 2);
	}
	require(f->mmio.n == 4 && f->pio.n == 2 && f->doorbells == DOORBELLS);
	check_map(f);
}

static void check_devices(struct fuzz *f)
{
	uint64_t table = f->dev[1].bar[1].at, v = 0;
	uint32_t pending;

	for (unsigned slot = 1; slot < DEVICES; slot++)
		require(cfg_read(f, slot, PCI_VENDOR_ID, 4) == 0x10421af4);
	bus_read(&f->mmio, f->dev[2].bar[4].at + 16 * KIB - 1, &v, 1);
	require(v == 0x42);
	bus_read(&f->pio, f->dev[3].bar[5].at, &v, 1);
	require(v == 0x42);
	cfg_write(f, 1, f->dev[1].config[PCI_CAPABILITY_LIST] + PCI_MSIX_FLAGS,
		  PCI_MSIX_FLAGS_ENABLE, 2);
	v = 1ULL << 32 | 7;
	bus_write(&f->mmio, table + 8, &v, 8); /* data 7, masked */
	v = 0xfee00000;
	bus_write(&f->mmio, table, &v, 8);
	msix_raise(f->msix, 0);
	bus_read(&f->mmio, table + PBA_OFF, &pending, 4);
	require(pending & 1);
	v = 7;
	bus_write(&f->mmio, table + 8, &v, 8);
	bus_read(&f->mmio, table + PBA_OFF, &pending, 4);
	require(!(pending & 1));
	for (unsigned slot = 1; slot < DEVICES; slot++) {
		pci_set_intx(&f->dev[slot], true);
		require(f->line[slot]);
		pci_set_intx(&f->dev[slot], false);
		require(!f->line[slot]);
	}
}

static void route_close(void *arg, int route)
{
	route_disconnect(arg, route);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;
	struct msi_router router = {route_open, route_connect, route_disconnect, route_close, &f};
	size_t at = 0;

	log_level = LOG_ERROR;
	memset(&f, 0, sizeof(f));
	start(&f);
	make_devices(&f, &router);
	for (unsigned slot = 1; slot < DEVICES; slot++)
		for (unsigned i = 0; i < PCI_BARS; i++)
			if (f.dev[slot].bar[i].size)
				f.home[slot][i] = bar_register(&f, slot, i);
	for (unsigned n = 0; n < MAX_STEPS && at + 4 <= size; n++) {
		at += step(&f, data + at, size - at);
		check_map(&f);
	}
	go_home(&f);
	check_devices(&f);
	msix_destroy(f.msix);
	pci_bus_fini(&f.pci);
	bus_fini(&f.pio);
	bus_fini(&f.mmio);
	return 0;
}
