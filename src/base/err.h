/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of setting up: the user's (a bad path) and the host's (no /dev/kvm). The place where it went
 * wrong writes the text once, callers may put context in front, main() prints it once. Nothing
 * here is for what a guest does: run-time paths return -errno to their device.
 */
#pragma once

#include "base/base.h"

struct err {
	char text[512]; /* one line, no newline, no "toyvmm:" */
};

/* Each returns a negative errno, so that `return err_set(e, EINVAL, "...")` ends a function. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The same for a failed system call: adds ": " and strerror(errno), returns -errno. */
int err_sys(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts context before an inner error: "kernel 'vmlinux': " + what was there. Returns rc. */
int err_wrap(struct err *e, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);
