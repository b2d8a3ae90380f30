// SPDX-License-Identifier: Apache-2.0
/*
 * Interrupts: the server gets eventfds that KVM takes. A message carries as many as the server can take, one each for
 * consecutive vectors; a vector without one is told apart, by a message without any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "passthru/user_impl.h"

int user_irqs_init(struct user_device *u)
{
	u->unmask = -1;
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		unsigned n = u->base.irq[i].count; /* the uAPI's bounds were checked */
		u->irq[i] = calloc(n + 1, sizeof(int));
		if (!u->irq[i])
			return -ENOMEM;
		memset(u->irq[i], 0xff, n * sizeof(int));
	}
	return 0;
}

void user_irqs_fini(struct user_device *u)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		free(u->irq[i]);
}

static int tell(struct user_conn *c, uint32_t flags, unsigned index, unsigned start, unsigned count,
		const int *fd, unsigned n_fds)
{
	struct vfio_irq_set set = {.argsz = sizeof(set),
				   .flags = flags,
				   .index = index,
				   .start = start,
				   .count = count};
	struct user_request r = {.command = USER_SET_IRQS,
				 .head = &set,
				 .head_len = sizeof(set),
				 .fd = fd,
				 .n_fds = n_fds};

	return user_conn_tell(c, &r);
}

/* How many of fd[] go together: all with a descriptor, or all without. */
static unsigned run(const int *fd, unsigned count, unsigned max)
{
	unsigned n = 1;

	while (n < count && (fd[n] < 0) == (fd[0] < 0) && (fd[0] < 0 || n < max))
		n++;
	return n;
}

/* `had`: the ones that are set now; what was not set and shall not be is left alone. */
static int tell_fds(struct user_conn *c, uint32_t flags, unsigned index, unsigned start,
		    unsigned count, const int *fd, const int *had)
{
	for (unsigned i = 0; i < count;) {
		unsigned n = run(fd + i, count - i, c->max_fds);
		bool none = fd[i] < 0, any = false;
		for (unsigned k = i; k < i + n && none; k++)
			any |= had[k] >= 0;
		if (!none || any) {
			int rc = tell(c, flags, index, start + i, n, fd + i, none ? 0 : n);
			/* Some servers know no such message; an eventfd that nobody looks at does no harm. */
			if (rc < 0 && (!none || c->broken))
				return rc;
		}
		i += n;
	}
	return 0;
}

/* Where the eventfds of this action are kept; NULL: nowhere. */
static int *kept(struct user_device *u, uint32_t flags, unsigned index)
{
	switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
	case VFIO_IRQ_SET_ACTION_TRIGGER:
		return u->irq[index];
	case VFIO_IRQ_SET_ACTION_UNMASK:
		return index == VFIO_PCI_INTX_IRQ_INDEX ? &u->unmask : NULL;
	default:
		return NULL;
	}
}

static int set_fds(struct user_device *u, uint32_t flags, unsigned index, unsigned start,
		   unsigned count, const int *fd)
{
	int *had = kept(u, flags, index);
	int rc;

	if (!had || !fd)
		return -EINVAL;
	rc = u->state == USER_UP ? tell_fds(&u->conn, flags, index, start, count, fd, had + start)
				 : 0;
	/* Also when the server is away: it is told when it is there again. */
	if (rc == 0 || u->conn.broken)
		memcpy(had + start, fd, count * sizeof(*fd));
	return u->state == USER_UP && u->conn.broken != USER_CLOSED ? rc : 0;
}

/* Without data: the action itself; of no interrupt at all: the kind is switched off. */
static int act(struct user_device *u, uint32_t flags, unsigned index, unsigned start,
	       unsigned count)
{
	bool off = count == 0 && flags & VFIO_IRQ_SET_ACTION_TRIGGER;

	if (off)
		memset(u->irq[index], 0xff, u->base.irq[index].count * sizeof(int));
	if (off && index == VFIO_PCI_INTX_IRQ_INDEX)
		u->unmask = -1;
	return u->state == USER_UP ? tell(&u->conn, flags, index, start, count, NULL, 0) : 0;
}

int user_set_irqs(struct user_device *u, uint32_t flags, unsigned index, unsigned start,
		  unsigned count, const int *fd)
{
	unsigned n = index < VFIO_PCI_NUM_IRQS ? u->base.irq[index].count : 0;

	if (n == 0 || start > n || count > n - start)
		return -EINVAL;
	if (u->state == USER_DEAD)
		return -EIO;
	switch (flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return set_fds(u, flags, index, start, count, fd);
	case VFIO_IRQ_SET_DATA_NONE:
		return act(u, flags, index, start, count);
	default:
		return -EINVAL;
	}
}

int user_irqs_again(struct user_device *u, struct user_conn *c)
{
	const uint32_t fds = VFIO_IRQ_SET_DATA_EVENTFD;

	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++) {
		unsigned n = u->base.irq[i].count;
		/* Nothing is set there: against itself, what is missing is left alone. */
		int rc = tell_fds(c, fds | VFIO_IRQ_SET_ACTION_TRIGGER, i, 0, n, u->irq[i],
				  u->irq[i]);
		if (rc < 0)
			return rc;
	}
	if (u->unmask < 0)
		return 0;
	/* As at the start: one that does not take it does not need it. */
	tell(c, fds | VFIO_IRQ_SET_ACTION_UNMASK, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, &u->unmask, 1);
	return c->broken ? -EIO : 0;
}
