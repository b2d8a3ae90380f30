// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/start.h"

#include <errno.h>

#define CR0_PE   (1u << 0)  /* protected mode */
#define CR0_ET   (1u << 4)  /* always 1 since the 486 */
#define CR0_NE   (1u << 5)  /* x87 errors by exception */
#define CR0_PG   (1u << 31) /* paging */
#define CR4_PAE  (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

#define RFLAGS_FIXED 0x2 /* bit 1 is always set */

/* Page table entry bits (Intel SDM volume 3, 4.5). */
#define PTE_PRESENT  (1u << 0)
#define PTE_WRITABLE (1u << 1)
#define PTE_LARGE    (1u << 7) /* in a page directory: this entry maps 2 MiB */

/* Selectors by the Linux boot protocol: __BOOT_CS and __BOOT_DS (boot.rst, "32-bit Boot Protocol"). */
#define SELECTOR_CODE 0x10
#define SELECTOR_DATA 0x18
#define SELECTOR_TSS  0x20

/* Segment types (SDM volume 3, 3.4.5.1 and 3.5). */
#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_TSS  0xb /* busy 32 or 64-bit TSS */

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code_or_data,
				  bool long_mode)
{
	return (struct kvm_segment){
		.base = 0,
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = code_or_data,
		.db = code_or_data && !long_mode,
		.l = long_mode,
		.g = code_or_data,
	};
}

/* The descriptor that would load `s` (SDM volume 3, figure 3-8). */
static uint64_t descriptor(const struct kvm_segment *s)
{
	uint64_t limit = s->g ? s->limit >> 12 : s->limit;
	uint64_t flags = (uint64_t)s->g << 3 | (uint64_t)s->db << 2 | (uint64_t)s->l << 1;
	uint64_t access =
		(uint64_t)s->present << 7 | (uint64_t)s->dpl << 5 | (uint64_t)s->s << 4 | s->type;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | access << 40 |
	       ((limit >> 16) & 0xf) << 48 | flags << 52 | ((s->base >> 24) & 0xff) << 56;
}

struct segments {
	struct kvm_segment code, data, tss;
};

static struct segments segments_for(enum start_mode mode)
{
	struct segments s = {
		.code = segment(SELECTOR_CODE, TYPE_CODE, true, mode == START_LONG),
		.data = segment(SELECTOR_DATA, TYPE_DATA, true, false),
		.tss = segment(SELECTOR_TSS, TYPE_TSS, false, false),
	};

	s.tss.limit = 0x67;
	return s;
}

#define GDT_ENTRIES 5

int start_write_tables(struct gmem *m, enum start_mode mode, struct err *e)
{
	struct segments s = segments_for(mode);
	uint64_t gdt[GDT_ENTRIES] = {
		[SELECTOR_CODE / 8] = descriptor(&s.code),
		[SELECTOR_DATA / 8] = descriptor(&s.data),
		[SELECTOR_TSS / 8] = descriptor(&s.tss),
	};
	uint64_t *pml4 = gmem_slice(m, BOOT_PML4, PAGE_SIZE);
	uint64_t *pdpt = gmem_slice(m, BOOT_PDPT, PAGE_SIZE);
	uint64_t *pd = gmem_slice(m, BOOT_PD, 4 * PAGE_SIZE);

	if (!pml4 || !pdpt || !pd || gmem_write(m, BOOT_GDT, gdt, sizeof(gdt)) < 0)
		return err_set(e, EFAULT, "memory: too small for the boot page tables");
	if (mode != START_LONG)
		return 0;
	pml4[0] = BOOT_PDPT | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PD + i * PAGE_SIZE) | PTE_PRESENT | PTE_WRITABLE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i * 2 * MIB | PTE_PRESENT | PTE_WRITABLE | PTE_LARGE;
	return 0;
}

int start_set_registers(const struct vcpu *v, const struct start_state *s, struct err *e)
{
	struct kvm_regs regs = {
		.rip = s->rip,
		.rbx = s->rbx,
		.rsi = s->rsi,
		.rsp = BOOT_STACK_TOP,
		.rflags = RFLAGS_FIXED,
	};
	struct segments seg = segments_for(s->mode);
	struct kvm_sregs sregs;
	int rc = vcpu_get_sregs(v, &sregs);

	if (rc < 0)
		return err_set(e, -rc, "KVM_GET_SREGS failed");
	sregs.cs = seg.code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = seg.data;
	sregs.tr = seg.tss;
	sregs.gdt = (struct kvm_dtable){.base = BOOT_GDT, .limit = GDT_ENTRIES * 8 - 1};
	/*
	 * The IDT stays as after power-on (base 0, limit 0xffff), not empty: a limit of 0 is how a kernel
	 * triple-faults on purpose, and machine/report.c tells the two apart.
	 */
	sregs.idt = (struct kvm_dtable){.base = 0, .limit = 0xffff};
	sregs.cr0 = CR0_PE | CR0_ET;
	if (s->mode == START_LONG) {
		sregs.cr0 |= CR0_PG | CR0_NE;
		sregs.cr3 = BOOT_PML4;
		sregs.cr4 |= CR4_PAE;
		sregs.efer |= EFER_LME | EFER_LMA;
	}
	if ((rc = vcpu_set_sregs(v, &sregs, e)) < 0)
		return rc;
	return vcpu_set_regs(v, &regs, e);
}

#define MSR_IA32_MISC_ENABLE 0x1a0
#define MISC_ENABLE_FAST_STR (1u << 0) /* Linux uses REP MOVSB only when it is set */
#define MISC_ENABLE_NO_BTS   (1u << 11)
#define MISC_ENABLE_NO_PEBS  (1u << 12) /* as KVM itself has them at reset */
#define MSR_MTRR_DEF_TYPE    0x2ff
#define MTRR_ENABLE_WRITE_BACK \
	(1u << 11 | 6) /* MTRRs on, default type write-back: else Linux gives up PAT */

int start_set_msrs(const struct vcpu *v, struct err *e)
{
	int rc = vcpu_set_msr(v, MSR_IA32_MISC_ENABLE,
			      MISC_ENABLE_FAST_STR | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS, e);

	return rc < 0 ? rc : vcpu_set_msr(v, MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WRITE_BACK, e);
}
