// SPDX-License-Identifier: Apache-2.0
#include "backend/terminal.h"

#include <errno.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

/*
 * The one static besides the log level: a signal handler that must give the terminal back has no
 * argument to find it by.
 */
static struct {
	struct termios saved, raw;
	volatile sig_atomic_t wanted; /* terminal_raw() was called: `saved` and `raw` are set */
} terminal;

static bool in_foreground(void)
{
	return tcgetpgrp(STDIN_FILENO) == getpgrp(); /* -1 where it is not our terminal */
}

/* Another process may take the foreground in between: then we had better fail than be stopped. */
static int set_mode(const struct termios *mode)
{
	sigset_t ttou, old;
	int rc;

	sigemptyset(&ttou);
	sigaddset(&ttou, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &ttou, &old);
	do
		rc = tcsetattr(STDIN_FILENO, TCSANOW, mode);
	while (rc < 0 && errno == EINTR);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

int terminal_raw(struct err *e)
{
	if (terminal.wanted || !in_foreground())
		return 0;
	if (tcgetattr(STDIN_FILENO, &terminal.saved) < 0)
		return err_sys(e, "terminal: cannot read its mode");
	terminal.raw = terminal.saved;
	/* Output too is left alone: the guest sends "\r\n" itself, and a lone "\n" where it means
	 * one. */
	cfmakeraw(&terminal.raw);
	if (set_mode(&terminal.raw) < 0)
		return err_sys(e, "terminal: cannot set raw mode");
	terminal.wanted = 1;
	return 0;
}

void terminal_restore(void)
{
	int saved_errno = errno;

	if (terminal.wanted && in_foreground())
		set_mode(&terminal.saved);
	terminal.wanted = 0;
	errno = saved_errno;
}

void terminal_suspend(void)
{
	int saved_errno = errno;

	if (terminal.wanted && in_foreground())
		set_mode(&terminal.saved);
	kill(getpid(), SIGSTOP);
	errno = saved_errno;
}

void terminal_continue(void)
{
	int saved_errno = errno;

	if (terminal.wanted && in_foreground())
		set_mode(&terminal.raw);
	errno = saved_errno;
}
