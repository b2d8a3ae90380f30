// SPDX-License-Identifier: Apache-2.0
#include "passthru/pci.h"

#include <errno.h>
#include <stdlib.h>

#include "passthru/pci_impl.h"

static const struct pci_ops front_ops = {
	.config_read = passthru_config_read,
	.config_write = passthru_config_write,
};

/* Loop thread: the device is dead. A card that was pulled out looks like that: nobody answers, all bits are ones. */
static void on_gone(void *arg, const char *why)
{
	struct passthru *p = arg;

	log_warn("vfio '%s': gone from the guest: %s", p->v->name, why);
	pci_remove(&p->dev);
	passthru_end_irqs(p);
}

static int init(struct passthru *p, struct err *e)
{
	int rc;

	if ((rc = passthru_config_init(p, e)) < 0 || (rc = passthru_bars_init(p, e)) < 0 ||
	    (rc = pci_add(p->host.bus, &p->dev, e)) < 0)
		return rc;
	p->on_bus = true;
	p->v->gone = on_gone;
	p->v->arg = p;
	passthru_update_irqs(p);
	return 0;
}

int passthru_create(struct passthru **out, struct vfio_device *v, const struct passthru_host *host,
		    struct err *e)
{
	struct passthru *p = calloc(1, sizeof(*p));
	int rc;

	if (!p) {
		vfio_destroy(v);
		return err_set(e, ENOMEM, "out of memory");
	}
	p->v = v;
	p->host = *host;
	p->intx.trigger.fd = p->intx.resample.fd = -1;
	p->dev.name = v->name;
	p->dev.ops = &front_ops;
	pthread_mutex_init(&p->lock, NULL);
	rc = init(p, e);
	if (rc < 0) {
		passthru_destroy(p);
		return rc;
	}
	*out = p;
	return 0;
}

void passthru_destroy(struct passthru *p)
{
	if (!p)
		return;
	if (p->on_bus)
		pci_remove(&p->dev); /* KVM's mappings of it go before the memory does */
	passthru_end_irqs(p);
	msix_destroy(p->msix);
	msi_fini(p);
	intx_fini(p);
	vfio_destroy(p->v);
	passthru_bars_fini(p);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
