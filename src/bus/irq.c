// SPDX-License-Identifier: Apache-2.0
#include "bus/irq.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/io.h"

int irq_init(struct irq *irq, struct err *e)
{
	irq->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return irq->fd < 0 ? err_sys(e, "interrupt: eventfd") : 0;
}

void irq_fini(struct irq *irq)
{
	fd_close(&irq->fd);
}

void irq_raise(const struct irq *irq)
{
	uint64_t one = 1;

	/* Fails only when 2^64-2 edges are waiting: then the interrupt is pending as it is. */
	if (irq->fd >= 0 && write(irq->fd, &one, sizeof(one)) < 0)
		return;
}
