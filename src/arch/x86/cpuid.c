// SPDX-License-Identifier: Apache-2.0
/* Leaves by Intel SDM volume 2, CPUID, and AMD APM volume 3, appendix E. */
#include "arch/x86/cpuid.h"

#include <cpuid.h>
#include <stdlib.h>

#define HYGON_EBX 0x6f677948 /* "Hygo", of "HygonGenuine" */

/* Bits [high:low] of *reg become `value`. */
static void set_bits(uint32_t *reg, unsigned high, unsigned low, uint32_t value)
{
	uint32_t mask = (uint32_t)((1ULL << (high - low + 1)) - 1) << low;

	*reg = (*reg & ~mask) | ((value << low) & mask);
}

static void set_flag(uint32_t *reg, unsigned bit, bool on)
{
	set_bits(reg, bit, bit, on);
}

/* Number of APIC ID bits that `n` IDs need. */
static unsigned id_bits(unsigned n)
{
	unsigned bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

/* Leaf 1: processor info and feature bits. */
static void adjust_features(struct kvm_cpuid_entry2 *l, unsigned id, unsigned cpus,
			    bool tsc_deadline)
{
	set_bits(&l->ebx, 31, 24, id);
	set_bits(&l->ebx, 23, 16, cpus < 256 ? cpus : 255);
	set_bits(&l->ebx, 15, 8, 8); /* CLFLUSH line: 64 bytes */
	set_flag(&l->ecx, 3, false); /* MONITOR: exits are not worth having */
	set_flag(&l->ecx, 24, tsc_deadline);
	set_flag(&l->ecx, 31, true);     /* under a hypervisor */
	set_flag(&l->edx, 28, cpus > 1); /* HTT: EBX[23:16] is valid */
}

/* Leaf 4 and AMD's 0x8000001d: caches. L1 and L2 belong to one core, L3 to the package. */
static void adjust_cache(struct kvm_cpuid_entry2 *l, unsigned cpus)
{
	unsigned level = (l->eax >> 5) & 7;

	if ((l->eax & 0x1f) == 0)
		return; /* no such cache */
	set_bits(&l->eax, 25, 14, level >= 3 ? (1u << id_bits(cpus)) - 1 : 0);
	if (l->function == 4)
		set_bits(&l->eax, 31, 26, MIN((1u << id_bits(cpus)) - 1, 63u));
}

#define TOPOLOGY_LEAF   0xb
#define TOPOLOGY_LEVELS 2

/* Leaf 0xb: x2APIC topology. Subleaf 0: threads of a core (one), subleaf 1: cores of the package. */
static void adjust_topology(struct kvm_cpuid_entry2 *l, unsigned id, unsigned cpus)
{
	bool core = l->index == 1;

	l->eax = core ? id_bits(cpus) : 0;
	l->ebx = core ? cpus : 1;
	l->ecx = l->index | (core ? 2u : 1u) << 8; /* level types: 1 thread, 2 core */
	l->edx = id;
}

/* AMD leaf 0x80000008 ECX: cores in the package, and how many APIC ID bits they take. */
static void adjust_amd_cores(struct kvm_cpuid_entry2 *l, unsigned cpus)
{
	set_bits(&l->ecx, 7, 0, cpus - 1);
	set_bits(&l->ecx, 15, 12, id_bits(cpus));
}

/* AMD leaf 0x8000001e: extended APIC ID, core ID with one thread a core, one node. */
static void adjust_amd_topology(struct kvm_cpuid_entry2 *l, unsigned id)
{
	l->eax = id;
	l->ebx = id & 0xff;
	l->ecx = 0;
}

static bool vendor_is_amd(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0)
			return c->entries[i].ebx == signature_AMD_ebx ||
			       c->entries[i].ebx == HYGON_EBX; /* AMD's design */
	return false;
}

struct kvm_cpuid2 *cpuid_create(const struct kvm_cpuid2 *supported)
{
	struct kvm_cpuid2 *c;

	c = calloc(1, sizeof(*c) + (supported->nent + TOPOLOGY_LEVELS) * sizeof(c->entries[0]));
	if (!c)
		return NULL;
	for (uint32_t i = 0; i < supported->nent; i++) {
		const struct kvm_cpuid_entry2 *l = &supported->entries[i];
		if (l->function != TOPOLOGY_LEAF && l->function != 0x1f)
			c->entries[c->nent++] = *l;
	}
	for (uint32_t level = 0; level < TOPOLOGY_LEVELS; level++)
		c->entries[c->nent++] = (struct kvm_cpuid_entry2){
			.function = TOPOLOGY_LEAF,
			.index = level,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
	return c;
}

void cpuid_adjust(struct kvm_cpuid2 *c, unsigned id, unsigned cpus, bool tsc_deadline)
{
	bool amd = vendor_is_amd(c);

	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *l = &c->entries[i];
		switch (l->function) {
		case 0x1:
			adjust_features(l, id, cpus, tsc_deadline);
			break;
		case 0x4:
		case 0x8000001d:
			adjust_cache(l, cpus);
			break;
		case TOPOLOGY_LEAF:
			adjust_topology(l, id, cpus);
			break;
		case 0x80000001:
			set_flag(&l->ecx, 1, amd && cpus > 1); /* CmpLegacy: cores, not threads */
			break;
		case 0x80000008:
			if (amd)
				adjust_amd_cores(l, cpus);
			break;
		case 0x8000001e:
			adjust_amd_topology(l, id);
			break;
		}
	}
}

unsigned cpuid_address_bits(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0x80000008)
			return c->entries[i].eax & 0xff;
	return 36;
}
