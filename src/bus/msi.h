/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Message-signalled interrupts, as a device's side of the machine sees them: an eventfd that becomes a
 * message, a write of `data` to `address`, which the local APICs take for an interrupt (Intel SDM volume 3,
 * 11.11). The machine implements this by KVM_SET_GSI_ROUTING and KVM_IRQFD. Any thread.
 */
#pragma once

#include "base/base.h"

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
