// SPDX-License-Identifier: Apache-2.0
#include "machine/wiring.h"

#include <errno.h>

static int add_doorbell(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct machine *m = arg;

	return kvm_ioeventfd(&m->kvm, addr, d->len, d->match ? &d->value : NULL, d->fd, true);
}

static void remove_doorbell(void *arg, uint64_t addr, const struct bus_doorbell *d)
{
	struct machine *m = arg;

	kvm_ioeventfd(&m->kvm, addr, d->len, d->match ? &d->value : NULL, d->fd, false);
}

/* Memory slots after those of RAM: slot GMEM_MAX_REGIONS + i is at memory_at[i]. The bus's table is locked. */
static int add_memory(void *arg, uint64_t addr, const struct bus_memory *mem)
{
	struct machine *m = arg;
	unsigned i = 0;
	int rc;

	while (i < MACHINE_MEMORY_SLOTS && m->memory_at[i])
		i++;
	if (i == MACHINE_MEMORY_SLOTS)
		return -ENOSPC;
	rc = kvm_set_memory(&m->kvm, GMEM_MAX_REGIONS + i, addr, mem->len, mem->host,
			    mem->readonly);
	if (rc == 0)
		m->memory_at[i] = addr;
	return rc;
}

static void remove_memory(void *arg, uint64_t addr, const struct bus_memory *mem)
{
	struct machine *m = arg;
	unsigned i = 0;

	while (i < MACHINE_MEMORY_SLOTS && m->memory_at[i] != addr)
		i++;
	if (i == MACHINE_MEMORY_SLOTS)
		return;
	/* Fails only for a slot that there is not. */
	if (kvm_set_memory(&m->kvm, GMEM_MAX_REGIONS + i, addr, 0, mem->host, false) == 0)
		m->memory_at[i] = 0;
}

void wiring_set_intx(void *machine, unsigned line, bool level)
{
	struct machine *m = machine;

	kvm_irq_line(&m->kvm, GSI_PCI_INTX + line, level);
}

int wiring_connect_intx(void *machine, unsigned line, int trigger, int resample, bool connect)
{
	struct machine *m = machine;

	return kvm_irqfd_level(&m->kvm, trigger, resample, GSI_PCI_INTX + line, connect);
}

int wiring_init(struct machine *m, struct err *e)
{
	int rc = routes_create(&m->routes, &m->kvm, e);

	if (rc < 0)
		return rc;
	m->msi = routes_msi(m->routes);
	m->mmio.memory = (struct bus_memory_ops){add_memory, remove_memory, m};
	m->mmio.doorbells = (struct bus_doorbell_ops){add_doorbell, remove_doorbell, m};
	return 0;
}
