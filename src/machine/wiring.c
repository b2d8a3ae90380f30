// SPDX-License-Identifier: Apache-2.0
#include "machine/wiring.h"

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

void wiring_set_intx(void *machine, unsigned line, bool level)
{
	struct machine *m = machine;

	kvm_irq_line(&m->kvm, GSI_PCI_INTX + line, level);
}

int wiring_init(struct machine *m, struct err *e)
{
	int rc = routes_create(&m->routes, &m->kvm, e);

	if (rc < 0)
		return rc;
	m->msi = routes_msi(m->routes);
	m->mmio.doorbells = (struct bus_doorbell_ops){add_doorbell, remove_doorbell, m};
	return 0;
}
