// SPDX-License-Identifier: Apache-2.0
#include "kvm/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/layout.h"

#define ISA_IRQS 16 /* those that the PICs have, too */

struct source {
	int fd; /* eventfd; -1: this route is free */
	bool connected;
	uint64_t address;
	uint32_t data;
};

struct routes {
	const struct kvm *kvm;
	pthread_mutex_t lock;
	struct source *source; /* route n is global system interrupt GSI_END + n */
	unsigned n, room;
	struct kvm_irq_routing *table; /* for ioctl; room for all pins and `room` messages */
};

int routes_create(struct routes **out, const struct kvm *k, struct err *e)
{
	struct routes *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(e, ENOMEM, "interrupt routes: out of memory");
	r->kvm = k;
	pthread_mutex_init(&r->lock, NULL);
	*out = r;
	return 0;
}

void routes_destroy(struct routes *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r->source);
	free(r->table);
	free(r);
}

static void add_pin(struct kvm_irq_routing *t, unsigned gsi, unsigned chip, unsigned pin)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = {.irqchip = chip, .pin = pin},
	};
}

/* What KVM_CREATE_IRQCHIP sets up (arch/x86/kvm/irq_comm.c): each to the IOAPIC, the first 16 to a PIC. */
static void add_pins(struct kvm_irq_routing *t)
{
	for (unsigned gsi = 0; gsi < GSI_END; gsi++) {
		if (gsi < ISA_IRQS)
			add_pin(t, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
				gsi % 8);
		add_pin(t, gsi, KVM_IRQCHIP_IOAPIC, gsi);
	}
}

/* Lock held. */
static int set_table(struct routes *r)
{
	struct kvm_irq_routing *t = r->table;

	t->nr = t->flags = 0;
	add_pins(t);
	for (unsigned i = 0; i < r->n; i++) {
		const struct source *s = &r->source[i];
		if (s->fd < 0 || !s->connected)
			continue;
		t->entries[t->nr++] = (struct kvm_irq_routing_entry){
			.gsi = GSI_END + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.u.msi = {.address_lo = (uint32_t)s->address,
				  .address_hi = (uint32_t)(s->address >> 32),
				  .data = s->data},
		};
	}
	return kvm_set_routing(r->kvm, t);
}

/* Lock held. Room for one source more. */
static int grow(struct routes *r)
{
	unsigned room = r->room ? 2 * r->room : 16;
	struct kvm_irq_routing *table;
	struct source *source;

	if (r->n < r->room)
		return 0;
	source = realloc(r->source, room * sizeof(*source));
	if (source)
		r->source = source;
	table = realloc(r->table,
			sizeof(*table) + (GSI_END + ISA_IRQS + room) * sizeof(table->entries[0]));
	if (table)
		r->table = table;
	if (!source || !table)
		return -ENOMEM;
	r->room = room;
	return 0;
}

static int open_route(void *arg, int fd)
{
	struct routes *r = arg;
	unsigned i = 0;
	int rc = 0;

	pthread_mutex_lock(&r->lock);
	while (i < r->n && r->source[i].fd >= 0)
		i++;
	if (i == r->n && (rc = grow(r)) == 0)
		r->n++;
	if (rc == 0)
		r->source[i] = (struct source){.fd = fd};
	pthread_mutex_unlock(&r->lock);
	return rc < 0 ? rc : (int)i;
}

/* KVM refuses the whole table for one message that it does not understand: then the old one is put back. */
static int connect_route(void *arg, int route, uint64_t address, uint32_t data)
{
	struct routes *r = arg;
	struct source *s, before;
	int rc;

	pthread_mutex_lock(&r->lock);
	s = &r->source[route];
	before = *s;
	*s = (struct source){before.fd, true, address, data};
	rc = set_table(r);
	if (rc == 0 && !before.connected)
		rc = kvm_irqfd(r->kvm, s->fd, GSI_END + (unsigned)route, true);
	if (rc < 0)
		*s = before;
	pthread_mutex_unlock(&r->lock);
	return rc;
}

static void disconnect_route(void *arg, int route)
{
	struct routes *r = arg;
	struct source *s;

	pthread_mutex_lock(&r->lock);
	s = &r->source[route];
	if (s->connected)
		kvm_irqfd(r->kvm, s->fd, GSI_END + (unsigned)route, false);
	s->connected =
		false; /* its line in KVM's table is harmless, and goes with the next change */
	pthread_mutex_unlock(&r->lock);
}

static void close_route(void *arg, int route)
{
	struct routes *r = arg;

	disconnect_route(arg, route);
	pthread_mutex_lock(&r->lock);
	r->source[route].fd = -1;
	pthread_mutex_unlock(&r->lock);
}

struct msi_router routes_msi(struct routes *r)
{
	return (struct msi_router){open_route, connect_route, disconnect_route, close_route, r};
}
