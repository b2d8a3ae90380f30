// SPDX-License-Identifier: Apache-2.0
#include "machine/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "boot/symbols.h"

#define EFER_LMA (1u << 10)

/* Linux writes 0 (cold) or 0x1234 (warm) there, whatever way of restarting follows. */
#define RESET_FLAG_UNTOUCHED 0x7674

int report_arm(struct gmem *ram, struct err *e)
{
	uint16_t flag = RESET_FLAG_UNTOUCHED;

	return gmem_write(ram, BDA_RESET_FLAG, &flag, sizeof(flag)) < 0
		       ? err_set(e, EFAULT, "memory: no BIOS data area")
		       : 0;
}

bool report_is_deliberate_reset(const struct vcpu *v, const struct gmem *ram)
{
	struct kvm_sregs sregs;
	uint16_t flag = RESET_FLAG_UNTOUCHED;

	/* Only there: Linux starts its other processors with an empty IDT, and a fault then is a crash. */
	if (v->id == 0 && vcpu_get_sregs(v, &sregs) == 0 && sregs.idt.limit == 0 &&
	    (sregs.efer & EFER_LMA))
		return true;
	/* AMD's KVM has put the vCPU into its INIT state by now, so that the IDT says nothing. */
	return gmem_read(ram, BDA_RESET_FLAG, &flag, sizeof(flag)) == 0 &&
	       flag != RESET_FLAG_UNTOUCHED;
}

static const char *internal_error_text(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "an instruction that KVM cannot emulate";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an exit while an event was delivered";
	default:
		return "unknown suberror";
	}
}

const char *report_exit_reason(const struct kvm_run *run, char *buf, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		snprintf(buf, size, "triple fault (KVM_EXIT_SHUTDOWN)");
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(buf, size, "KVM_EXIT_INTERNAL_ERROR %u: %s", run->internal.suberror,
			 internal_error_text(run->internal.suberror));
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(buf, size, "KVM_EXIT_FAIL_ENTRY: hardware reason 0x%llx",
			 run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_UNKNOWN:
		snprintf(buf, size, "KVM_EXIT_UNKNOWN: hardware reason 0x%llx",
			 run->hw.hardware_exit_reason);
		break;
	default:
		snprintf(buf, size, "KVM exit reason %u", run->exit_reason);
	}
	return buf;
}

static void print_general(const struct kvm_regs *r)
{
	log_error("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx", r->rax, r->rbx, r->rcx,
		  r->rdx);
	log_error("  rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx", r->rsi, r->rdi, r->rbp,
		  r->rsp);
	log_error("  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx", r->r8, r->r9, r->r10,
		  r->r11);
	log_error("  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx", r->r12, r->r13, r->r14,
		  r->r15);
	log_error("  rip %016llx  rflags %08llx", r->rip, r->rflags);
}

static void print_system(const struct kvm_sregs *s)
{
	log_error("  cr0 %08llx  cr2 %016llx  cr3 %016llx  cr4 %08llx  efer %04llx", s->cr0, s->cr2,
		  s->cr3, s->cr4, s->efer);
	log_error("  cs %04x base %llx limit %x%s  gdt %llx/%x  idt %llx/%x", s->cs.selector,
		  s->cs.base, s->cs.limit, s->cs.l ? " 64-bit" : (s->cs.db ? " 32-bit" : " 16-bit"),
		  s->gdt.base, s->gdt.limit, s->idt.base, s->idt.limit);
}

#define CODE_BYTES 16

/* Each byte is translated alone: the next one may lie in another page. */
static void print_code(const struct vcpu *v, const struct gmem *ram, uint64_t address)
{
	char text[3 * CODE_BYTES + 1] = "";
	uint64_t gpa;
	uint8_t byte;

	for (unsigned i = 0; i < CODE_BYTES; i++) {
		if (!vcpu_translate(v, address + i, &gpa) || gmem_read(ram, gpa, &byte, 1) < 0)
			break;
		snprintf(text + 3 * i, 4, " %02x", byte);
	}
	log_error("  code at %llx:%s", (unsigned long long)address,
		  *text ? text : " not mapped to RAM");
}

void report_crash(const struct vcpu *v, const char *kernel, const struct gmem *ram, const char *why)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	char name[128];

	log_error("the guest crashed on vCPU %u: %s", v->id, why);
	if (vcpu_get_regs(v, &regs) < 0 || vcpu_get_sregs(v, &sregs) < 0)
		return;
	if (v->run->exit_reason == KVM_EXIT_SHUTDOWN && regs.rip == 0xfff0) {
		log_error(
			"  (this host's KVM resets a vCPU before it reports a triple fault, as AMD's does: "
			"the registers at the fault are gone)");
		return;
	}
	if (symbol_for(kernel, regs.rip, name, sizeof(name)))
		log_error("  in %s", name);
	print_general(&regs);
	print_system(&sregs);
	print_code(v, ram, sregs.cs.base + regs.rip);
}
