/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver for QEMU's edu device (QEMU docs/specs/edu.rst), passed through in slot 1: registers, both ways of DMA, and both
 * kinds of interrupts. Run by tests/lab/test_vfio_edu.py.
 */
#include "lib_virtio.h"

#define SLOT 1

#define REG_ID         0x00
#define REG_LIVE       0x04 /* gives the inverse of what was written */
#define REG_FACTORIAL  0x08
#define REG_STATUS     0x20
#define STATUS_BUSY    0x01u
#define STATUS_IRQ     0x80u /* an interrupt when the factorial is there */
#define REG_IRQ_STATUS 0x24
#define REG_IRQ_RAISE  0x60
#define REG_IRQ_ACK    0x64
#define REG_DMA_FROM   0x80
#define REG_DMA_TO     0x88
#define REG_DMA_LEN    0x90
#define REG_DMA        0x98
#define DMA_START      0x01u
#define DMA_TO_RAM     0x02u
#define DMA_IRQ        0x04u
#define EDU_BUFFER     0x40000u /* as the device's own DMA engine sees it; a page */
#define DMA_LEN        2048     /* of all 4096, QEMU 7.2 thinks that they are too many, and ends */

#define VECTOR_MSI 0x60
#define NOT_RAM \
	0x5000000u /* behind the 64 MiB of this guest, below the 256 that the device reaches */
#define UNACKNOWLEDGED 4u /* ends of interrupt while the device still asserts it */

static uint64_t bar;
static unsigned line, unacknowledged;

static void acknowledge(void)
{
	mmio_write32(bar + REG_IRQ_ACK, mmio_read32(bar + REG_IRQ_STATUS));
}

static void on_interrupt(unsigned vector)
{
	if (vector == line && unacknowledged > 0)
		unacknowledged--;
	else
		acknowledge();
}

static void wait_for(unsigned vector, uint32_t count)
{
	while (guest_irq_count[vector] < count)
		sti_hlt();
	CHECK_EQ(guest_irq_count[vector], count);
}

static void registers(void)
{
	CHECK_EQ(mmio_read32(bar + REG_ID) & 0xff, 0xed);
	mmio_write32(bar + REG_LIVE, 0x12345678);
	CHECK_EQ(mmio_read32(bar + REG_LIVE), ~0x12345678u);
	mmio_write32(bar + REG_FACTORIAL, 10);
	while (mmio_read32(bar + REG_STATUS) & STATUS_BUSY)
		;
	CHECK_EQ(mmio_read32(bar + REG_FACTORIAL), 3628800);
	guest_print("REGISTERS\n");
}

static void dma(uint64_t from, uint64_t to, uint32_t flags)
{
	*(volatile uint64_t *)(bar + REG_DMA_FROM) = from;
	*(volatile uint64_t *)(bar + REG_DMA_TO) = to;
	*(volatile uint64_t *)(bar + REG_DMA_LEN) = DMA_LEN;
	mmio_write32(bar + REG_DMA, DMA_START | flags);
	if (flags & DMA_IRQ)
		return;
	while (mmio_read32(bar + REG_DMA) & DMA_START)
		;
}

/* There and back again; and to where no RAM is, which the IOMMU has to stop. */
static void memory(void)
{
	uint32_t *from = pool_alloc(DMA_LEN), *to = pool_alloc(DMA_LEN);

	for (unsigned i = 0; i < DMA_LEN / 4; i++)
		from[i] = 0x9e3779b9u * (i + 1);
	dma((uint64_t)from, EDU_BUFFER, 0);
	dma(EDU_BUFFER, (uint64_t)to, DMA_TO_RAM);
	CHECK(mem_same(from, to, DMA_LEN));
	dma(EDU_BUFFER, NOT_RAM, DMA_TO_RAM);
	guest_print("DMA\n");
}

/*
 * As long as the device asserts its line, each end of interrupt is followed by the next interrupt, though the host has seen
 * one only: the line is looked at again. When the device is silent, it ends.
 */
static void intx(void)
{
	line = VECTOR_IRQ + pci_read(SLOT, 0x3c, 1);
	CHECK_EQ(pci_read(SLOT, 0x3d, 1), 1);
	guest_route_level(line - VECTOR_IRQ);
	unacknowledged = UNACKNOWLEDGED;
	mmio_write32(bar + REG_IRQ_RAISE, 2);
	wait_for(line, UNACKNOWLEDGED + 1);
	CHECK_EQ(pci_read(SLOT, 6, 2) & 8, 0); /* status: not asserted */
	mmio_write32(bar + REG_STATUS, STATUS_IRQ);
	mmio_write32(bar + REG_FACTORIAL, 5);
	wait_for(line, UNACKNOWLEDGED + 2);
	CHECK_EQ(mmio_read32(bar + REG_FACTORIAL), 120);
	guest_print("INTX\n");
}

static unsigned find_msi(void)
{
	unsigned at = pci_read(SLOT, 0x34, 1), tries = 48;

	while (at && (pci_read(SLOT, at, 1) != 5) && --tries)
		at = pci_read(SLOT, at + 1, 1);
	CHECK(at && tries);
	return at;
}

/* Another message in the middle of it, and the line again afterwards. */
static void msi(void)
{
	unsigned cap = find_msi();
	uint32_t before = guest_irq_count[line];

	CHECK_EQ(pci_read(SLOT, cap + 2, 2) & 0x80, 0x80); /* 64-bit: data at + 12 */
	pci_write(SLOT, cap + 4, 4, 0xfee00000u | guest_cpu() << 12);
	pci_write(SLOT, cap + 8, 4, 0);
	pci_write(SLOT, cap + 12, 2, VECTOR_MSI);
	pci_write(SLOT, cap + 2, 2, 1);
	mmio_write32(bar + REG_IRQ_RAISE, 2);
	wait_for(VECTOR_MSI, 1);
	dma(EDU_BUFFER, (uint64_t)pool_alloc(DMA_LEN), DMA_TO_RAM | DMA_IRQ);
	wait_for(VECTOR_MSI, 2);
	pci_write(SLOT, cap + 12, 2, VECTOR_MSI + 1);
	mmio_write32(bar + REG_IRQ_RAISE, 2);
	wait_for(VECTOR_MSI + 1, 1);
	CHECK_EQ(guest_irq_count[VECTOR_MSI], 2);
	CHECK_EQ(guest_irq_count[line], before);
	pci_write(SLOT, cap + 2, 2, 0);
	mmio_write32(bar + REG_IRQ_RAISE, 2);
	wait_for(line, before + 1);
	CHECK_EQ(guest_irq_count[VECTOR_MSI + 1], 1);
	guest_print("MSI\n");
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	(void)boot_params;
	(void)pvh_info;
	CHECK_EQ(pci_read(SLOT, 0, 4), 0x11e81234);
	bar = pci_read(SLOT, 0x10, 4) & ~15u;
	pci_write(SLOT, 4, 2, 6); /* memory, DMA */
	registers();
	memory();
	guest_irq_handler = on_interrupt;
	guest_interrupts_on();
	intx();
	msi();
	guest_print("PASS\n");
}
