/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvpanic (QEMU docs/specs/pvpanic): one port through which a guest says that it panicked.
 * Stateless but for the log's rate limit, which has a lock of its own.
 */
#pragma once

#include "bus/bus.h"
#include "dev/lifecycle.h"

struct pvpanic;

extern const struct bus_ops pvpanic_bus_ops; /* region: PORT_PVPANIC, 1 port, width 1 */

int pvpanic_create(struct pvpanic **out, struct lifecycle life, struct err *e);
void pvpanic_destroy(struct pvpanic *p);
