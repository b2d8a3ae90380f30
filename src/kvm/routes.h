/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts by KVM: a table that routes each global system interrupt to pins of the
 * interrupt controllers or to a message (api.rst, KVM_SET_GSI_ROUTING), and an irqfd that fires one of them
 * when an eventfd is written. Numbers below GSI_END are the pins, as KVM has them from the start; each
 * message source gets a number after that.
 *
 * KVM takes the table only as a whole, and waits for all vCPUs to be done with the old one: it is set when a
 * message changes, not when one is masked.
 */
#pragma once

#include <pthread.h>

#include "base/base.h"
#include "base/err.h"
#include "bus/msi.h"
#include "kvm/vm.h"

struct routes;

/* Nothing is set in KVM before the first message. */
int routes_create(struct routes **out, const struct kvm *k, struct err *e);
void routes_destroy(struct routes *r); /* NULL is fine */
/* What devices use. Locked inside; any thread. */
struct msi_router routes_msi(struct routes *r);
