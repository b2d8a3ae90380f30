// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <stdlib.h>
#include <string.h>

#include "arch/x86/cpuid.h"
#include "base/base.h"

#define HOST_BITS 0xffffffff

/* A host table with every leaf that is adjusted, all bits set, AMD or Intel. */
static struct kvm_cpuid2 *host_table(bool amd)
{
	static const uint32_t leaf[] = {0x0,        0x1,        0x4,        0xb,       0x1f,
					0x80000001, 0x80000008, 0x8000001d, 0x8000001e};
	struct kvm_cpuid2 *host =
		calloc(1, sizeof(*host) + ARRAY_SIZE(leaf) * sizeof(host->entries[0]));
	struct kvm_cpuid2 *c;

	host->nent = ARRAY_SIZE(leaf);
	for (unsigned i = 0; i < ARRAY_SIZE(leaf); i++) {
		struct kvm_cpuid_entry2 *l = &host->entries[i];
		l->function = leaf[i];
		l->eax = l->ebx = l->ecx = l->edx = HOST_BITS;
	}
	memcpy(&host->entries[0].ebx, amd ? "Auth" : "Genu", 4);
	c = cpuid_create(host);
	free(host);
	return c;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *c, uint32_t function,
					   uint32_t index)
{
	const struct kvm_cpuid_entry2 *found = NULL;

	for (uint32_t i = 0; i < c->nent; i++)
		if (c->entries[i].function == function && c->entries[i].index == index) {
			CHECK(found == NULL); /* KVM uses the first: a second one would be a trap */
			found = &c->entries[i];
		}
	CHECK(found != NULL);
	return found;
}

TEST(each_cpu_has_its_own_apic_id)
{
	struct kvm_cpuid2 *c = host_table(true);

	for (unsigned id = 0; id < 5; id++) {
		cpuid_adjust(c, id, 5, true);
		CHECK_EQ(id, find(c, 1, 0)->ebx >> 24);
		CHECK_EQ(5, find(c, 1, 0)->ebx >> 16 & 0xff);
		CHECK_EQ(id, find(c, 0xb, 0)->edx);
		CHECK_EQ(id, find(c, 0xb, 1)->edx);
		CHECK_EQ(id, find(c, 0x8000001e, 0)->eax);
	}
	free(c);
}

TEST(topology_is_one_package_of_single_threaded_cores)
{
	struct kvm_cpuid2 *c = host_table(false);

	cpuid_adjust(c, 0, 6, true);
	CHECK_EQ(0, find(c, 0xb, 0)->eax);
	CHECK_EQ(1, find(c, 0xb, 0)->ebx);
	CHECK_EQ(0x100, find(c, 0xb, 0)->ecx);
	CHECK_EQ(3, find(c, 0xb, 1)->eax); /* six IDs take three bits */
	CHECK_EQ(6, find(c, 0xb, 1)->ebx);
	CHECK_EQ(0x201, find(c, 0xb, 1)->ecx);
	CHECK(find(c, 0xb, 1)->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX);
	free(c);
}

TEST(hosts_own_topology_leaves_do_not_leak)
{
	struct kvm_cpuid2 *c = host_table(false);

	for (uint32_t i = 0; i < c->nent; i++)
		CHECK(c->entries[i].function != 0x1f);
	free(c);
}

TEST(one_cpu_has_no_hyperthreading_bit)
{
	struct kvm_cpuid2 *c = host_table(true);

	cpuid_adjust(c, 0, 1, true);
	CHECK_EQ(0, find(c, 1, 0)->edx >> 28 & 1);
	CHECK_EQ(0, find(c, 0x80000008, 0)->ecx & 0xff);
	cpuid_adjust(c, 0, 2, true);
	CHECK_EQ(1, find(c, 1, 0)->edx >> 28 & 1);
	CHECK_EQ(1, find(c, 0x80000008, 0)->ecx & 0xff);
	free(c);
}

TEST(hypervisor_bit_is_set_monitor_is_not_and_tsc_deadline_follows_the_host)
{
	struct kvm_cpuid2 *c = host_table(true);

	cpuid_adjust(c, 0, 1, false);
	CHECK_EQ(1, find(c, 1, 0)->ecx >> 31);
	CHECK_EQ(0, find(c, 1, 0)->ecx >> 3 & 1);
	CHECK_EQ(0, find(c, 1, 0)->ecx >> 24 & 1);
	cpuid_adjust(c, 0, 1, true);
	CHECK_EQ(1, find(c, 1, 0)->ecx >> 24 & 1);
	free(c);
}

TEST(address_bits_come_from_their_leaf_or_are_36)
{
	struct kvm_cpuid2 none = {.nent = 0};
	struct kvm_cpuid2 *c = host_table(true);

	CHECK_EQ(255, cpuid_address_bits(c));
	CHECK_EQ(36, cpuid_address_bits(&none));
	free(c);
}
