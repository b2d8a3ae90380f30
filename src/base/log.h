/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the user on standard error, each "toyvmm: ..." and whole: one write(2), from any thread,
 * never waiting for a reader. The terminal may be in raw mode, so a line ends with "\r\n" there.
 */
#pragma once

#include "base/base.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* The project's only mutable global: the least important level that is still printed. */
extern enum log_level log_level;

void log_at(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/*
 * For what a guest can provoke: at most LOG_BURST lines from one place in LOG_INTERVAL_S seconds,
 * then one line that says how many were left out. `limit` lives in the device; zero-initialised.
 */
#define LOG_BURST      10
#define LOG_INTERVAL_S 5

struct log_limit {
	int64_t window_start_s; /* CLOCK_MONOTONIC, seconds */
	unsigned printed, suppressed;
};

void log_limited(struct log_limit *limit, const char *fmt, ...) PRINTF_LIKE(2, 3);
