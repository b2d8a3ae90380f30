/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's interrupt line, edge-triggered: an eventfd that the machine connects to an interrupt
 * controller pin (KVM_IRQFD). A device only raises it; it knows neither number nor controller.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

struct irq {
	int fd; /* eventfd, non-blocking; -1: not connected, raising does nothing */
};

int irq_init(struct irq *irq, struct err *e);
void irq_fini(struct irq *irq);
/* One edge. Any thread; never blocks. */
void irq_raise(const struct irq *irq);
