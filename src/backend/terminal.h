/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mode of the user's terminal. In raw mode each key goes to the guest as it is (Ctrl-C
 * included) and the guest's tty does the echoing; the user's shell wants its own mode back on every
 * way out.
 *
 * Only standard input's terminal is touched, and only while we are its foreground process group: a
 * background process that sets a mode is stopped (SIGTTOU), and the terminal belongs to somebody
 * else.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"

/* Raw mode until terminal_restore(). 0 also where there is no terminal to set. */
int terminal_raw(struct err *e);

/* Gives back the mode found by the first terminal_raw(). Idempotent, async-signal-safe. */
void terminal_restore(void);

/* The size of the terminal on standard output, or input. False: there is none, or it does not know. */
MUST_CHECK bool terminal_size(unsigned *cols, unsigned *rows);

/* For handlers of SIGTSTP and SIGCONT, async-signal-safe. */
void terminal_suspend(void); /* restores, then stops the process until it is continued */
void terminal_continue(
	void); /* raw again, if terminal_raw() was called and we are in the foreground */
