/* SPDX-License-Identifier: Apache-2.0 */
/* A PCI bus with a passed-through device on it: an NVMe-like one, which a test changes before it is plugged in. */
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include "../pci/pci_rig.h"
#include "event/loop.h"
#include "fake/vfio.h"
#include "passthru/pci.h"

#define MSIX_CAP 0x40
#define PM_CAP   0x60
#define EXP_CAP  0x80
#define MSI_CAP  0xc0
#define TABLE    0x2000
#define PBA      0x3000
#define VECTORS  5

struct front {
	struct rig bus;
	struct fake_vfio dev;
	struct fake_msi msi;
	struct loop loop;
	struct passthru *p;
	struct {
		uint64_t addr, len;
		void *host;
	} memory[16];
	unsigned n_memory;
	unsigned intx_line, intx_on;
	int intx_trigger, intx_resample;
};

static inline int front_memory_add(void *arg, uint64_t addr, const struct bus_memory *m)
{
	struct front *f = arg;

	f->memory[f->n_memory].addr = addr;
	f->memory[f->n_memory].len = m->len;
	f->memory[f->n_memory++].host = m->host;
	return 0;
}

static inline void front_memory_remove(void *arg, uint64_t addr, const struct bus_memory *m)
{
	struct front *f = arg;
	unsigned i = 0;

	(void)m;
	while (f->memory[i].addr != addr)
		CHECK(++i < f->n_memory);
	f->memory[i] = f->memory[--f->n_memory];
}

static inline int front_connect_intx(void *arg, unsigned line, int trigger, int resample, bool on)
{
	struct front *f = container_of((struct rig *)arg, struct front, bus);

	f->intx_line = line;
	f->intx_on += on ? 1 : -1u;
	f->intx_trigger = trigger;
	f->intx_resample = resample;
	return 0;
}

static inline void front_init(struct front *f)
{
	struct fake_vfio *d = &f->dev;

	memset(f, 0, sizeof(*f));
	rig_init(&f->bus);
	f->bus.mmio.memory = (struct bus_memory_ops){front_memory_add, front_memory_remove, f};
	f->bus.pci.connect_intx = front_connect_intx;
	f->loop = LOOP_EMPTY;
	CHECK_EQ(0, loop_init(&f->loop, &f->bus.e));
	fake_vfio_init(d);
	fake_msi_init(&f->msi);
	fake_put(d, PCI_VENDOR_ID, 0x00101b36, 4);
	fake_put(d, PCI_CLASS_REVISION, 0x01080202, 4);
	fake_put(d, PCI_SUBSYSTEM_VENDOR_ID, 0x11001af4, 4);
	fake_put(d, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	fake_put(d, PCI_HEADER_TYPE, 0x80, 1);
	fake_put(d, PCI_BASE_ADDRESS_0, 0xfe400004, 4); /* 64-bit, at the host's address */
	fake_put(d, PCI_CAPABILITY_LIST, MSIX_CAP, 1);
	fake_put(d, PCI_INTERRUPT_PIN, 2, 1); /* INTB# */
	fake_put(d, MSIX_CAP, PCI_CAP_ID_MSIX | EXP_CAP << 8 | (VECTORS - 1) << 16, 4);
	fake_put(d, MSIX_CAP + PCI_MSIX_TABLE, TABLE, 4);
	fake_put(d, MSIX_CAP + PCI_MSIX_PBA, PBA, 4);
	fake_put(d, EXP_CAP, PCI_CAP_ID_EXP | PM_CAP << 8 | 0x0002 << 16, 4);
	fake_put(d, EXP_CAP + PCI_EXP_LNKCAP, 0x12345678, 4);
	fake_put(d, PM_CAP, PCI_CAP_ID_PM | MSI_CAP << 8 | 0xf803u << 16, 4);
	/* 4 vectors, 64-bit, with masks; then vital product data */
	fake_put(d, MSI_CAP, PCI_CAP_ID_MSI | 0xe0 << 8 | (2 << 1 | 0x80 | 0x100) << 16, 4);
	fake_put(d, 0xe0, PCI_CAP_ID_VPD | 0xf0 << 8, 4);
	fake_put(d, 0xf0, PCI_CAP_ID_VNDR | 8u << 16, 4);
	fake_put(d, 0xf4, 0xabcd, 4);
	fake_bar(d, 0, 0x4000);
}

static inline int front_plug(struct front *f)
{
	struct passthru_host host = {&f->bus.pci, &f->msi.router, &f->loop};

	return passthru_create(&f->p, &f->dev.base, &host, &f->bus.e);
}

static inline void front_fini(struct front *f)
{
	passthru_destroy(f->p);
	CHECK_EQ(1, f->dev.destroyed);
	CHECK_EQ(-1, f->dev.armed);
	CHECK_EQ(0, f->n_memory);
	CHECK_EQ(0, f->intx_on);
	for (unsigned i = 0; i < f->msi.n; i++)
		CHECK(!f->msi.route[i].open);
	loop_fini(&f->loop);
	rig_fini(&f->bus);
}

/* The device is in slot 1. */
static inline uint32_t cfg(struct front *f, unsigned off, unsigned len)
{
	uint32_t v = 0;

	bus_read(&f->bus.mmio, ECAM + (1 << 15) + off, &v, len);
	return v;
}

static inline void set(struct front *f, unsigned off, uint32_t value, unsigned len)
{
	bus_write(&f->bus.mmio, ECAM + (1 << 15) + off, &value, len);
}

static inline void set_vector(struct front *f, unsigned v, uint64_t address, uint32_t data,
			      bool masked)
{
	uint32_t entry[4] = {(uint32_t)address, (uint32_t)(address >> 32), data, masked};
	uint64_t at = (cfg(f, PCI_BASE_ADDRESS_0, 4) & ~0xfu) + TABLE + 16ull * v;

	for (unsigned i = 0; i < 4; i++)
		bus_write(&f->bus.mmio, at + 4ull * i, &entry[i], 4);
}

static inline void decode(struct front *f)
{
	set(f, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}
