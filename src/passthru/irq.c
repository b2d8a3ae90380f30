// SPDX-License-Identifier: Apache-2.0
/*
 * Which kind of interrupt the device uses, and the arming of its MSI-X vectors. The host lets a device have one kind at a
 * time, so that one is taken away before the next is armed. A vector is armed when the guest first unmasks it.
 */
#include <errno.h>
#include <string.h>

#include "passthru/pci_impl.h"

int passthru_trigger(struct passthru *p, unsigned index, unsigned start, unsigned count,
		     const int *fd)
{
	uint32_t data = count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE;

	return p->v->ops->set_irqs(p->v, data | VFIO_IRQ_SET_ACTION_TRIGGER, index, start, count,
				   fd);
}

/* ---- MSI-X; lock held ---- */

/* Vectors 0 to `n`, those that nobody uses yet without an eventfd. */
static int arm_all(struct passthru *p, unsigned n)
{
	int fd[MSIX_MAX], rc;

	for (unsigned i = 0; i < n; i++) {
		fd[i] = p->msix_used[i] ? msix_eventfd(p->msix, i) : -1;
		if (p->msix_used[i] && fd[i] < 0)
			return fd[i];
	}
	if (p->msix_armed)
		passthru_trigger(p, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, NULL);
	rc = passthru_trigger(p, VFIO_PCI_MSIX_IRQ_INDEX, 0, n, fd);
	/* What came in between is lost; an interrupt too many does no harm, one too few may. */
	for (unsigned i = 0; i < p->msix_armed && i < n && rc == 0; i++)
		if (p->msix_used[i])
			irq_raise(&(struct irq){fd[i]});
	p->msix_armed = rc == 0 ? n : 0;
	return rc;
}

/*
 * One more vector. Hosts before Linux 6.5 have a fixed number of them while MSI-X is on (VFIO_IRQ_INFO_NORESIZE): a
 * higher one needs all of them armed anew.
 */
static int arm_one(struct passthru *p, unsigned v)
{
	const struct vfio_irq *irq = &p->v->irq[VFIO_PCI_MSIX_IRQ_INDEX];
	int fd = msix_eventfd(p->msix, v);

	if (fd < 0)
		return fd;
	if (v < p->msix_armed || (p->msix_armed && !(irq->flags & VFIO_IRQ_INFO_NORESIZE))) {
		int rc = passthru_trigger(p, VFIO_PCI_MSIX_IRQ_INDEX, v, 1, &fd);
		p->msix_armed = rc == 0 ? MAX(p->msix_armed, v + 1) : p->msix_armed;
		return rc;
	}
	return arm_all(p, v + 1);
}

static void update_vector(struct passthru *p, unsigned v)
{
	int rc;

	if (p->mode != MODE_MSIX || !msix_unmasked(p->msix, v) ||
	    v >= p->v->irq[VFIO_PCI_MSIX_IRQ_INDEX].count || p->msix_used[v])
		return;
	p->msix_used[v] = true;
	rc = arm_one(p, v);
	if (rc < 0) {
		p->msix_used[v] = false;
		log_limited(&p->limit, "%s: MSI-X vector %u cannot be had: %s", p->v->name, v,
			    strerror(-rc));
	}
}

void passthru_update_vector(struct passthru *p, unsigned v)
{
	pthread_mutex_lock(&p->lock);
	update_vector(p, v);
	pthread_mutex_unlock(&p->lock);
}

/*
 * The device has to be in MSI-X mode from the moment that the guest says so, though all may be masked: else it would
 * send its interrupts by INTx. Vectors that are unmasked are armed together, in one call.
 */
static int msix_arm(struct passthru *p)
{
	unsigned n = 1,
		 count = MIN(msix_vectors(p->msix), p->v->irq[VFIO_PCI_MSIX_IRQ_INDEX].count);

	for (unsigned v = 0; v < count; v++) {
		p->msix_used[v] = msix_unmasked(p->msix, v);
		if (p->msix_used[v])
			n = v + 1;
	}
	return arm_all(p, n);
}

static void msix_disarm(struct passthru *p)
{
	if (p->msix_armed)
		passthru_trigger(p, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, NULL);
	p->msix_armed = 0;
	memset(p->msix_used, 0, sizeof(p->msix_used));
}

/* ---- the kind ---- */

static enum passthru_mode wanted(const struct passthru *p)
{
	if (p->dead)
		return MODE_NONE;
	if (p->msix && msix_enabled(p->msix))
		return MODE_MSIX;
	if (msi_enabled(p))
		return MODE_MSI;
	return p->dev.config[PCI_INTERRUPT_PIN] ? MODE_INTX : MODE_NONE;
}

static void disarm(struct passthru *p)
{
	switch (p->mode) {
	case MODE_INTX:
		intx_disarm(p);
		break;
	case MODE_MSI:
		msi_disarm(p);
		break;
	case MODE_MSIX:
		msix_disarm(p);
		break;
	case MODE_NONE:
		break;
	}
	p->mode = MODE_NONE;
}

static void change_mode(struct passthru *p, enum passthru_mode to)
{
	static const char *const name[] = {"", "INTx", "MSI", "MSI-X"};
	int rc = 0;

	disarm(p);
	p->mode = to;
	if (to == MODE_INTX)
		rc = intx_arm(p);
	else if (to == MODE_MSI)
		rc = msi_arm(p);
	else if (to == MODE_MSIX)
		rc = msix_arm(p);
	if (rc < 0)
		log_limited(&p->limit, "%s: its interrupts (%s) cannot be had: %s%s", p->v->name,
			    name[to], strerror(-rc),
			    to == MODE_INTX && rc == -EBUSY
				    ? "; another device of the host's has the same line"
				    : "");
}

void passthru_update_irqs(struct passthru *p)
{
	enum passthru_mode to;

	pthread_mutex_lock(&p->lock);
	to = wanted(p);
	if (to != p->mode) {
		change_mode(p, to);
	} else if (to == MODE_MSI) {
		msi_update(p);
	} else if (to == MODE_MSIX) { /* the function mask may have gone */
		for (unsigned v = 0; v < msix_vectors(p->msix); v++)
			update_vector(p, v);
	}
	pthread_mutex_unlock(&p->lock);
}

void passthru_end_irqs(struct passthru *p)
{
	pthread_mutex_lock(&p->lock);
	p->dead = true;
	disarm(p);
	pthread_mutex_unlock(&p->lock);
}
