// SPDX-License-Identifier: Apache-2.0
/*
 * INTx: level-triggered, and shared. The host's kernel cannot wait for the guest to silence the device: it masks the
 * line and writes `trigger`, by which KVM raises the guest's line. At the guest's end of interrupt (EOI) KVM lowers it
 * and writes `resample`: then the device is unmasked, and if it still asserts its interrupt, all begins anew.
 *
 *     device -> host masks it -> trigger -> KVM: line up -> guest's handler -> EOI -> KVM: line down -> resample -> unmask
 *
 * The host's kernel takes `resample` itself where it can; for others (a mediated device, another process) the loop
 * does it.
 */
#include <errno.h>
#include <unistd.h>

#include "passthru/pci_impl.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX

static int unmask(struct passthru *p, uint32_t data, unsigned count, const int *fd)
{
	return p->v->ops->set_irqs(p->v, data | VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, count, fd);
}

/* Loop thread: what does not mask itself needs no unmasking, and may say so. */
static void on_resample(void *arg, uint32_t events)
{
	struct passthru *p = arg;
	uint64_t n;

	(void)events;
	if (read(p->intx.resample.fd, &n, sizeof(n)) == sizeof(n))
		unmask(p, VFIO_IRQ_SET_DATA_NONE, 1, NULL);
}

static int watch(struct passthru *p)
{
	p->intx.source =
		(struct loop_source){.fd = p->intx.resample.fd, .fn = on_resample, .arg = p};
	return loop_add(p->host.loop, &p->intx.source, EPOLLIN);
}

static void unwatch(struct passthru *p)
{
	if (p->intx.source.fn)
		loop_remove(p->host.loop, &p->intx.source);
	p->intx.source.fn = NULL;
}

static int connect(struct passthru *p, bool on)
{
	const struct pci_bus *b = p->host.bus;

	if (!b->connect_intx)
		return -ENOTSUP;
	return b->connect_intx(b->intx_arg, pci_intx_line(p->dev.slot), p->intx.trigger.fd,
			       p->intx.resample.fd, on);
}

static int open_fds(struct passthru *p)
{
	struct err ignored;

	if (p->intx.trigger.fd < 0 && irq_init(&p->intx.trigger, &ignored) < 0)
		return -EMFILE;
	if (p->intx.resample.fd < 0 && irq_init(&p->intx.resample, &ignored) < 0)
		return -EMFILE;
	return 0;
}

int intx_arm(struct passthru *p)
{
	int rc = open_fds(p);

	if (rc < 0 || (rc = connect(p, true)) < 0)
		return rc;
	rc = passthru_trigger(p, INTX, 0, 1, &p->intx.trigger.fd);
	if (rc == 0 && unmask(p, VFIO_IRQ_SET_DATA_EVENTFD, 1, &p->intx.resample.fd) < 0)
		rc = watch(p);
	p->intx.armed = true;
	if (rc < 0)
		intx_disarm(p);
	return rc;
}

void intx_disarm(struct passthru *p)
{
	int none = -1;

	if (!p->intx.armed)
		return;
	if (p->intx.source.fn)
		unwatch(p);
	else
		unmask(p, VFIO_IRQ_SET_DATA_EVENTFD, 1, &none);
	passthru_trigger(p, INTX, 0, 0, NULL);
	connect(p, false); /* the line falls, as far as it was this device's */
	p->intx.armed = false;
}

void intx_fini(struct passthru *p)
{
	irq_fini(&p->intx.resample);
	irq_fini(&p->intx.trigger);
}
