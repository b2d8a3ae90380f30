/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI bus between two address spaces, devices that remember accesses, and accesses as a guest makes them. */
#pragma once

#include <errno.h>
#include <string.h>

#include "../test.h"

#include "pci/pci.h"

#define ECAM       0xb0000000ULL
#define WINDOW32   0xc0000000ULL
#define LAST32     0xdfffffffULL
#define WINDOW64   0x100000000000ULL
#define LAST64     0x17ffffffffffULL
#define WINDOW_IO  0x1000ULL
#define LAST_IO    0xffffULL
#define DEFAULT_ID ((struct pci_id){0x1af4, 0x1042, 0x1af4, 0x0040, 0x018000, 1, true})

/* Doorbells that are there now. */
struct fake_doorbells {
	unsigned n;
	uint64_t addr[16];
};

struct fake_pci {
	struct pci_dev dev;
	unsigned reads, writes, configs; /* of BARs; calls of config_written() */
	uint64_t off;
	unsigned bar, len;
	struct fake_bar {
		struct fake_pci *dev;
		unsigned i;
	} fake_bar[PCI_BARS];
};

struct rig {
	struct bus mmio, pio;
	struct pci_bus pci;
	struct fake_doorbells doorbells;
	unsigned line_changes;
	bool line[PCI_INTX_LINES];
	struct fake_pci fake[PCI_SLOTS];
	struct err e;
};

static inline void rig_set_intx(void *arg, unsigned line, bool level)
{
	struct rig *r = arg;

	CHECK(line < PCI_INTX_LINES && r->line[line] != level);
	r->line[line] = level;
	r->line_changes++;
}

static inline int rig_doorbell_add(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct fake_doorbells *b = &((struct rig *)arg)->doorbells;

	(void)d;
	b->addr[b->n++] = addr;
	return 0;
}

static inline void rig_doorbell_remove(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct fake_doorbells *b = &((struct rig *)arg)->doorbells;
	unsigned i = 0;

	(void)d;
	while (b->addr[i] != addr)
		CHECK(++i < b->n);
	b->addr[i] = b->addr[--b->n];
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	bus_init(&r->mmio, "memory");
	bus_init(&r->pio, "ports");
	r->mmio.doorbells = (struct bus_doorbell_ops){rig_doorbell_add, rig_doorbell_remove, r};
	CHECK_EQ(0, pci_bus_init(&r->pci, &r->mmio, &r->pio, &r->e));
	r->pci.window32 = WINDOW32, r->pci.window32_last = LAST32;
	r->pci.window64 = WINDOW64, r->pci.window64_last = LAST64;
	r->pci.window_io = WINDOW_IO, r->pci.window_io_last = LAST_IO;
	r->pci.set_intx = rig_set_intx;
	r->pci.intx_arg = r;
	CHECK_EQ(0, bus_add(&r->mmio,
			    (struct bus_region){.base = ECAM,
						.last = ECAM + PCI_ECAM_LEN - 1,
						.name = "ecam",
						.ops = &pci_ecam_ops,
						.dev = &r->pci},
			    &r->e));
	CHECK_EQ(0, bus_add(&r->pio,
			    (struct bus_region){.base = PCI_PORT_ADDRESS,
						.last = PCI_PORT_ADDRESS + PCI_PORTS - 1,
						.name = "pci",
						.ops = &pci_port_ops,
						.dev = &r->pci},
			    &r->e));
}

static inline void rig_fini(struct rig *r)
{
	pci_bus_fini(&r->pci);
	bus_fini(&r->pio);
	bus_fini(&r->mmio);
}

/* Each byte read from BAR i is 0x10 + i. */
static inline void fake_bar_read(void *arg, uint64_t off, void *data, unsigned len)
{
	struct fake_bar *b = arg;

	b->dev->reads++;
	b->dev->off = off;
	b->dev->len = len;
	b->dev->bar = b->i;
	memset(data, (int)(0x10 + b->i), len);
}

static inline void fake_bar_write(void *arg, uint64_t off, const void *data, unsigned len)
{
	struct fake_bar *b = arg;

	(void)data;
	b->dev->writes++;
	b->dev->off = off;
	b->dev->len = len;
	b->dev->bar = b->i;
}

static inline void fake_config_written(struct pci_dev *d, unsigned off, unsigned len)
{
	CHECK(len > 0 && off < PCI_CONFIG_LEN && len <= PCI_CONFIG_LEN - off);
	container_of(d, struct fake_pci, dev)->configs++;
}

static const struct bus_ops fake_bar_ops = {.read = fake_bar_read, .write = fake_bar_write};
static const struct pci_ops fake_pci_ops = {.config_written = fake_config_written};

static inline void fake_pci_init(struct fake_pci *f)
{
	pci_dev_init(&f->dev, "fake", DEFAULT_ID);
	f->dev.ops = &fake_pci_ops;
}

static inline struct pci_bar *fake_pci_bar(struct fake_pci *f, unsigned i, uint64_t size)
{
	f->fake_bar[i] = (struct fake_bar){f, i};
	f->dev.bar[i] = (struct pci_bar){
		.name = "fake bar", .size = size, .ops = &fake_bar_ops, .dev = &f->fake_bar[i]};
	return &f->dev.bar[i];
}

/* As a guest: configuration space by ECAM. */

static inline uint64_t cfg_read(struct rig *r, unsigned slot, unsigned off, unsigned len)
{
	uint64_t v = 0;

	bus_read(&r->mmio, ECAM + (slot << 15) + off, &v, len);
	return v;
}

static inline void cfg_write(struct rig *r, unsigned slot, unsigned off, uint64_t v, unsigned len)
{
	bus_write(&r->mmio, ECAM + (slot << 15) + off, &v, len);
}

/* The same by ports. */

static inline uint32_t port_cfg_read(struct rig *r, unsigned slot, unsigned off, unsigned len)
{
	uint32_t v = 0, address = 0x80000000 | slot << 11 | (off & 0xfc);

	bus_write(&r->pio, 0xcf8, &address, 4);
	bus_read(&r->pio, 0xcfc + (off & 3), &v, len);
	return v;
}

static inline void port_cfg_write(struct rig *r, unsigned slot, unsigned off, uint32_t v,
				  unsigned len)
{
	uint32_t address = 0x80000000 | slot << 11 | (off & 0xfc);

	bus_write(&r->pio, 0xcf8, &address, 4);
	bus_write(&r->pio, 0xcfc + (off & 3), &v, len);
}

static inline void set_command(struct rig *r, unsigned slot, uint16_t command)
{
	cfg_write(r, slot, PCI_COMMAND, command, 2);
}

static inline void write_bar(struct rig *r, unsigned slot, unsigned i, uint32_t v)
{
	cfg_write(r, slot, PCI_BASE_ADDRESS_0 + 4 * i, v, 4);
}

static inline uint32_t read_bar(struct rig *r, unsigned slot, unsigned i)
{
	return (uint32_t)cfg_read(r, slot, PCI_BASE_ADDRESS_0 + 4 * i, 4);
}

/* The byte at an address: 0xff is nobody, 0x10 + i a fake's BAR i. */
static inline uint8_t peek(struct bus *b, uint64_t addr)
{
	uint8_t v;

	bus_read(b, addr, &v, 1);
	return v;
}
