// SPDX-License-Identifier: Apache-2.0
/*
 * The PCI front between two strangers: a device whose configuration space and regions are the input's, and a guest
 * that reads and writes configuration space and the BARs as the input says.
 *
 * 2 bytes a region (kind, size), 256 bytes of configuration space and 64 of the extended part, then operations of 8.
 */
#include "base/log.h"
#include "event/loop.h"
#include "fake/vfio.h"
#include "passthru/pci.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ECAM    0xb0000000ULL
#define EXT     64
#define HEAD    (6 * 2 + 256 + EXT)
#define OP      8
#define OPS_MAX 400

static void require(bool true_)
{
	if (!true_)
		abort();
}

struct fuzz {
	struct bus mmio, pio;
	struct pci_bus pci;
	struct loop loop;
	struct fake_vfio dev;
	struct fake_msi msi;
	struct passthru *p;
	unsigned memories;
	int lines;
};

static int memory_add(void *arg, uint64_t addr, const struct bus_memory *m)
{
	struct fuzz *f = arg;
	bool inside = false;

	require(addr % FAKE_PAGE == 0 && m->len && m->len % FAKE_PAGE == 0);
	for (unsigned i = 0; i < 6; i++) {
		const uint8_t *bar = f->dev.bar[i], *host = m->host;
		inside |= bar && host == bar + m->off && m->off < f->dev.base.region[i].size &&
			  m->len <= f->dev.base.region[i].size - m->off;
	}
	require(inside);
	f->memories++;
	return 0;
}

static void memory_remove(void *arg, uint64_t addr, const struct bus_memory *m)
{
	(void)addr;
	(void)m;
	((struct fuzz *)arg)->memories--;
}

static void set_intx(void *arg, unsigned line, bool level)
{
	(void)arg;
	(void)line;
	(void)level;
}

static int connect_intx(void *arg, unsigned line, int trigger, int resample, bool on)
{
	struct fuzz *f = arg;

	require(line < PCI_INTX_LINES && trigger >= 0 && resample >= 0);
	f->lines += on ? 1 : -1;
	require(f->lines == 0 || f->lines == 1);
	return 0;
}

static void start(struct fuzz *f)
{
	struct err e;

	memset(f, 0, sizeof(*f));
	bus_init(&f->mmio, "memory");
	bus_init(&f->pio, "ports");
	f->mmio.memory = (struct bus_memory_ops){memory_add, memory_remove, f};
	require(pci_bus_init(&f->pci, &f->mmio, &f->pio, &e) == 0);
	f->pci.window32 = 0xc0000000, f->pci.window32_last = 0xdfffffff;
	f->pci.window64 = 1ULL << 40, f->pci.window64_last = (1ULL << 41) - 1;
	f->pci.window_io = 0xc000, f->pci.window_io_last = 0xffff;
	f->pci.set_intx = set_intx, f->pci.connect_intx = connect_intx, f->pci.intx_arg = f;
	require(bus_add(&f->mmio,
			(struct bus_region){.base = ECAM,
					    .last = ECAM + PCI_ECAM_LEN - 1,
					    .name = "ecam",
					    .ops = &pci_ecam_ops,
					    .dev = &f->pci},
			&e) == 0);
	f->loop = LOOP_EMPTY;
	require(loop_init(&f->loop, &e) == 0);
	fake_vfio_init(&f->dev);
	fake_msi_init(&f->msi);
}

/* Sizes up to 64 KiB, whole pages or not; a size alone, up to 2^63, with nothing behind it. */
static void make_device(struct fuzz *f, const uint8_t *data)
{
	for (unsigned i = 0; i < 6; i++) {
		uint8_t kind = data[2 * i], n = data[2 * i + 1];
		if (kind % 4 == 1)
			fake_bar(&f->dev, i, (n % 16u + 1) * FAKE_PAGE);
		else if (kind % 4 == 2)
			fake_bar(&f->dev, i, n + 1u);
	}
	memcpy(f->dev.config, data + 12, 256 + EXT);
	f->dev.no_unmask_fd = data[0] & 0x80;
	if (data[1] & 0x80)
		f->dev.base.irq[VFIO_PCI_MSIX_IRQ_INDEX].flags &= ~(uint32_t)VFIO_IRQ_INFO_NORESIZE;
	if (data[3] & 0x80)
		f->dev.base.irq[VFIO_PCI_MSIX_IRQ_INDEX].count = data[3] & 7;
	if (data[5] & 0x80)
		f->dev.base.region[VFIO_PCI_CONFIG_REGION_INDEX].size = data[5];
}

/* Both lists end, and stay in configuration space. */
static void check_lists(struct fuzz *f)
{
	uint32_t at = 0, header = 0;
	unsigned n = 0;

	bus_read(&f->mmio, ECAM + (1 << 15) + PCI_CAPABILITY_LIST, &at, 1);
	for (; at; n++) {
		require(n < 48 && at >= 0x40 && at % 4 == 0);
		bus_read(&f->mmio, ECAM + (1 << 15) + at + 1, &at, 1);
	}
	for (at = 0x100, n = 0; at; n++) {
		require(n < 480 && at >= 0x100 && at % 4 == 0);
		bus_read(&f->mmio, ECAM + (1 << 15) + at, &header, 4);
		at = header >> 20;
	}
}

static void operate(struct fuzz *f, const uint8_t *op)
{
	unsigned len = 1u << (op[0] >> 4 & 3), off = op[1] | (op[2] & 15u) << 8;
	uint64_t value = 0, at = 0;

	memcpy(&value, op + 4, 4);
	value |= value << 32;
	bus_read(&f->mmio, ECAM + (1 << 15) + PCI_BASE_ADDRESS_0 + op[3] % 6 * 4, &at, 4);
	at &= ~0xfULL;
	switch (op[0] & 7) {
	case 0:
		bus_read(&f->mmio, ECAM + (1 << 15) + off, &value, len);
		break;
	case 1:
	case 2:
		bus_write(&f->mmio, ECAM + (1 << 15) + off, &value, len);
		break;
	case 3:
		bus_read(&f->mmio, at + off, &value, len);
		break;
	case 4:
		bus_write(&f->mmio, at + off, &value, len);
		break;
	case 5:
		bus_write(&f->pio, at + off % 64, &value, MIN(len, 4u));
		break;
	case 6:
		bus_read(&f->pio, at + off % 64, &value, MIN(len, 4u));
		break;
	default:
		if (op[1] == 0xdd && f->dev.base.gone) {
			f->dev.dead = true;
			f->dev.base.gone(f->dev.base.arg, "the input says so");
			f->dev.base.gone = NULL;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz f;
	struct passthru_host host = {&f.pci, &f.msi.router, &f.loop};
	struct err e;

	if (size < HEAD)
		return 0;
	log_level = LOG_ERROR;
	start(&f);
	make_device(&f, data);
	if (passthru_create(&f.p, &f.dev.base, &host, &e) == 0) {
		check_lists(&f);
		for (unsigned i = 0; i < OPS_MAX && HEAD + (i + 1) * OP <= size; i++)
			operate(&f, data + HEAD + i * OP);
		if (!f.dev.dead)
			check_lists(&f);
		passthru_destroy(f.p);
	}
	require(f.dev.destroyed == 1 && f.memories == 0 && f.lines == 0);
	require(f.dev.dead || f.dev.armed == -1);
	for (unsigned i = 0; i < f.msi.n; i++)
		require(!f.msi.route[i].open);
	loop_fini(&f.loop);
	pci_bus_fini(&f.pci);
	bus_fini(&f.pio);
	bus_fini(&f.mmio);
	return 0;
}
