/* SPDX-License-Identifier: Apache-2.0 */
/* Time that only goes on (CLOCK_MONOTONIC), in milliseconds, and deadlines in it. */
#pragma once

#include <poll.h>

#include "base/base.h"

int64_t clock_ms(void);

/* poll(2) until one of the descriptors has something. 0; -ETIMEDOUT from `deadline_ms` of clock_ms() on; -errno. */
MUST_CHECK int poll_until(struct pollfd *p, nfds_t n, int64_t deadline_ms);
