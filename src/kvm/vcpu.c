// SPDX-License-Identifier: Apache-2.0
#include "kvm/vcpu.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

int vcpu_open(struct vcpu *v, const struct kvm *k, unsigned id, struct err *e)
{
	*v = VCPU_CLOSED;
	v->id = id;
	v->run_size = k->run_size;
	v->fd = ioctl(k->vm_fd, KVM_CREATE_VCPU, id);
	if (v->fd < 0)
		return err_sys(e, "KVM_CREATE_VCPU: vCPU %u", id);
	v->run = mmap(NULL, v->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		return err_sys(e, "vCPU %u: cannot map its kvm_run", id);
	}
	return 0;
}

void vcpu_close(struct vcpu *v)
{
	if (v->run)
		munmap(v->run, v->run_size);
	v->run = NULL;
	fd_close(&v->fd);
}

int vcpu_run(struct vcpu *v)
{
	return ioctl(v->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

void vcpu_kick(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_RELEASE);
}

int vcpu_get_regs(const struct vcpu *v, struct kvm_regs *regs)
{
	return ioctl(v->fd, KVM_GET_REGS, regs) < 0 ? -errno : 0;
}

int vcpu_set_regs(const struct vcpu *v, const struct kvm_regs *regs, struct err *e)
{
	return ioctl(v->fd, KVM_SET_REGS, regs) < 0 ? err_sys(e, "KVM_SET_REGS") : 0;
}

int vcpu_get_sregs(const struct vcpu *v, struct kvm_sregs *sregs)
{
	return ioctl(v->fd, KVM_GET_SREGS, sregs) < 0 ? -errno : 0;
}

int vcpu_set_sregs(const struct vcpu *v, const struct kvm_sregs *sregs, struct err *e)
{
	return ioctl(v->fd, KVM_SET_SREGS, sregs) < 0 ? err_sys(e, "KVM_SET_SREGS") : 0;
}

int vcpu_set_cpuid(const struct vcpu *v, const struct kvm_cpuid2 *cpuid, struct err *e)
{
	return ioctl(v->fd, KVM_SET_CPUID2, cpuid) < 0 ? err_sys(e, "KVM_SET_CPUID2") : 0;
}

int vcpu_set_msr(const struct vcpu *v, uint32_t index, uint64_t value, struct err *e)
{
	_Alignas(struct kvm_msrs)
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = {0};
	struct kvm_msrs *msrs = (struct kvm_msrs *)room; /* ends in a flexible array: one entry */

	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){.index = index, .data = value};
	if (ioctl(v->fd, KVM_SET_MSRS, msrs) == 1)
		return 0;
	return err_set(e, EINVAL, "KVM_SET_MSRS: MSR 0x%x refused", index);
}

bool vcpu_translate(const struct vcpu *v, uint64_t virtual_address, uint64_t *gpa)
{
	struct kvm_translation t = {.linear_address = virtual_address};

	if (ioctl(v->fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return false;
	*gpa = t.physical_address;
	return true;
}

int kvm_supported_cpuid(const struct kvm *k, struct kvm_cpuid2 **out, struct err *e)
{
	/* KVM says E2BIG until there is room; today's hosts have some 50 entries. */
	for (uint32_t room = 128; room <= 4096; room *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + room * sizeof(c->entries[0]));
		if (!c)
			return err_set(e, ENOMEM, "CPUID: out of memory");
		c->nent = room;
		if (ioctl(k->fd, KVM_GET_SUPPORTED_CPUID, c) == 0) {
			*out = c;
			return 0;
		}
		free(c);
		if (errno != E2BIG)
			break;
	}
	return err_sys(e, "KVM_GET_SUPPORTED_CPUID");
}
