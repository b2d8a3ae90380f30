/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts, as a device's side of the machine sees them: an eventfd that becomes a
 * message, a write of `data` to `address`, which the local APICs take for an interrupt (Intel SDM volume 3,
 * 11.11). The machine implements this by KVM_SET_GSI_ROUTING and KVM_IRQFD. Any thread.
 */
#pragma once

#include "base/base.h"
#include "bus/irq.h"

struct msi_router {
	/* Makes room for one message source. A route number from 0 on, or -errno. */
	int (*open)(void *arg, int fd);
	/* From now on a write to the eventfd sends this message; again: another message. 0 or -errno. */
	int (*connect)(void *arg, int route, uint64_t address, uint32_t data);
	/* From now on it sends nothing; what is written stays in the eventfd. */
	void (*disconnect)(void *arg, int route);
	void (*close)(void *arg, int route);
	void *arg;
};

/*
 * One source of messages: an eventfd, and the route that turns it into a message. A vector of MSI-X or of MSI, whoever
 * raises it. While it is not connected, what is written waits in the eventfd, and is sent when it is again. The owner's
 * lock guards it.
 */
struct msi_source {
	struct irq irq; /* fd -1: never used so far */
	int route;      /* -1: none */
	bool connected; /* the route sends the next two */
	uint64_t address;
	uint32_t data;
};

#define MSI_SOURCE_EMPTY ((struct msi_source){.irq.fd = -1, .route = -1})

/* An eventfd and a route, the first time. 0 or -errno. */
MUST_CHECK int msi_source_open(struct msi_source *s, const struct msi_router *r);
/* Makes the route send this message; nothing is done where it does. 0; -errno: then it sends nothing. */
MUST_CHECK int msi_source_connect(struct msi_source *s, const struct msi_router *r,
				  uint64_t address, uint32_t data);
void msi_source_disconnect(struct msi_source *s, const struct msi_router *r);
/* Something waits in the eventfd. */
bool msi_source_waiting(const struct msi_source *s);
/* What waits there is not sent any more. */
void msi_source_forget(struct msi_source *s);
/* Gives back route and eventfd. */
void msi_source_close(struct msi_source *s, const struct msi_router *r);
