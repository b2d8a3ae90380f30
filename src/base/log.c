// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum log_level log_level = LOG_WARN;

/* Nobody may wait for the reader of standard error, a vCPU least of all: what it does not take is lost. */
static bool can_write(void)
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void log_line(const char *fmt, va_list ap)
{
	static const char prefix[] = "toyvmm: ";
	char line[1024] = "toyvmm: ";
	size_t max = sizeof(line) - 3;
	int n = vsnprintf(line + sizeof(prefix) - 1, max - (sizeof(prefix) - 1), fmt, ap);
	size_t len;

	if (n < 0)
		return;
	len = MIN(sizeof(prefix) - 1 + (size_t)n, max - 1);
	line[len++] = '\r'; /* raw mode: without it the next line would start where this one ends */
	line[len++] = '\n';
	if (!isatty(STDERR_FILENO))
		line[--len - 1] = '\n';
	if (can_write() && write(STDERR_FILENO, line, len) < 0)
		return; /* nowhere left to say it */
}

void log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	struct timespec now;
	va_list ap;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (limit->printed == 0 || now.tv_sec - limit->window_start_s >= LOG_INTERVAL_S) {
		if (limit->suppressed)
			log_warn("%u more of these left out", limit->suppressed);
		*limit = (struct log_limit){.window_start_s = now.tv_sec};
	}
	if (limit->printed >= LOG_BURST) {
		limit->suppressed++;
		return;
	}
	limit->printed++;
	if (LOG_WARN > log_level)
		return;
	va_start(ap, fmt);
	log_line(fmt, ap);
	va_end(ap);
}
