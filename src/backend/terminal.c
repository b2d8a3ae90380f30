// SPDX-License-Identifier: Apache-2.0
#include "backend/terminal.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/*
 * The one static besides the log level: a signal handler that must give the terminal back has no
 * argument to find it by.
 */
static struct {
	struct termios saved, raw;
	volatile sig_atomic_t wanted; /* terminal_raw() was called */
	volatile sig_atomic_t known;  /* `saved` and `raw` are set */
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

/* Only in the foreground: the mode found then is the one that the user's shell gave us. */
static int enter_raw(void)
{
	if (!terminal.known) {
		if (tcgetattr(STDIN_FILENO, &terminal.saved) < 0)
			return -1;
		terminal.raw = terminal.saved;
		/* Output too is left alone: the guest sends "\r\n" itself, and a lone "\n" where it means one. */
		cfmakeraw(&terminal.raw);
		terminal.known = 1;
	}
	return set_mode(&terminal.raw);
}

int terminal_raw(struct err *e)
{
	if (terminal.wanted || !isatty(STDIN_FILENO))
		return 0;
	terminal.wanted = 1; /* in the background: when we are continued in the foreground */
	if (in_foreground() && enter_raw() < 0)
		return err_sys(e, "terminal: cannot set raw mode");
	return 0;
}

static void give_back(void)
{
	if (terminal.known && in_foreground())
		set_mode(&terminal.saved);
}

void terminal_restore(void)
{
	int saved_errno = errno;

	give_back();
	terminal.wanted = terminal.known = 0;
	errno = saved_errno;
}

bool terminal_size(unsigned *cols, unsigned *rows)
{
	struct winsize size = {0};

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 &&
	    ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
		return false;
	*cols = size.ws_col;
	*rows = size.ws_row;
	return size.ws_col > 0 && size.ws_row > 0;
}

void terminal_suspend(void)
{
	int saved_errno = errno;

	give_back();
	kill(getpid(), SIGSTOP);
	errno = saved_errno;
}

void terminal_continue(void)
{
	int saved_errno = errno;

	if (terminal.wanted && in_foreground())
		enter_raw();
	errno = saved_errno;
}
