/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The boot doctor: watches the console for what a beginner cannot know. Nothing printed at all, and
 * no console= on the command line; a panic of a kernel that has no pvpanic driver.
 *
 * doctor_see() runs on any thread, for each ear one at a time (its device's lock); the rest on the loop thread.
 */
#pragma once

#include <stdatomic.h>

#include "base/base.h"
#include "base/err.h"
#include "event/loop.h"

#define DOCTOR_SILENCE_S 5 /* seconds without output before the hint about console= */
#define DOCTOR_SETTLE_MS \
	1000 /* a panicked guest may go on printing; this long without is the end */
#define DOCTOR_PANIC_WINDOW 32768 /* bytes of output after which a panic text is an old story */

struct doctor;

/* One of the consoles. */
struct doctor_ear {
	struct doctor *doctor;
	char line[96]; /* start of the current line */
	unsigned line_len;
};

enum { DOCTOR_SERIAL, DOCTOR_CONSOLE, DOCTOR_EARS };

struct doctor {
	atomic_ulong seen;     /* bytes of console output */
	atomic_ulong panic_at; /* `seen` when the panic text ended, or 0 */
	struct doctor_ear ear[DOCTOR_EARS];

	struct loop *loop;
	struct loop_source silence, settle; /* timers; fd -1 when not used */
	unsigned long settle_seen;
	void (*panicked)(void *arg); /* loop thread: a panicked guest is done */
	void *arg;
};

#define DOCTOR_EMPTY ((struct doctor){.silence.fd = -1, .settle.fd = -1})

/* `cmdline`: the kernel's. panicked(arg) comes after doctor_expect_end(). */
int doctor_init(struct doctor *d, struct loop *loop, const char *cmdline,
		void (*panicked)(void *arg), void *arg, struct err *e);
void doctor_fini(struct doctor *d);

/* One byte of console output, for serial_set_tap() and console_set_tap(). `ear`: struct doctor_ear *. */
void doctor_see(void *ear, uint8_t byte);

/* The kernel's panic text was the last thing of note on the console. Any thread. */
bool doctor_saw_panic(const struct doctor *d);

/* pvpanic spoke: call panicked() once the console is quiet. Any thread. */
void doctor_expect_end(struct doctor *d);
