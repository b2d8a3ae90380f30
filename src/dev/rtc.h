/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CMOS clock (Motorola MC146818A): the host's time in UTC, 128 bytes of RAM, alarm, update and
 * periodic interrupt. A guest that sets the time moves its own clock only.
 *
 * A host timer runs only while an interrupt of the clock is enabled and due; flags nobody waits for
 * are worked out when register C is read. All state is guarded by the device's own lock, taken
 * last.
 */
#pragma once

#include "bus/bus.h"
#include "bus/irq.h"
#include "event/loop.h"

struct rtc;

extern const struct bus_ops rtc_bus_ops; /* region: ports 0x70 and 0x71, width 1 */

/* Neither irq nor loop is owned; both outlive the clock. */
int rtc_create(struct rtc **out, const struct irq *irq, struct loop *loop, struct err *e);
/* From the loop's thread, or after loop_run() has returned. NULL is fine. */
void rtc_destroy(struct rtc *r);

/* Another clock than the host's, in microseconds since 1970: for tests. Before the guest runs. */
void rtc_set_clock(struct rtc *r, int64_t (*now_us)(void *arg), void *arg);
