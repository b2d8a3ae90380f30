// SPDX-License-Identifier: Apache-2.0
/*
 * Each test runs in a child that has a pty as its controlling terminal, as a shell's job has; the
 * child's exit code is the number of the first check that failed.
 */
#include "backend/terminal.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "../test.h"

#define EXPECT(cond)                               \
	do {                                       \
		if (!(cond))                       \
			return __LINE__ % 251 + 1; \
	} while (0)

static bool is_raw(void)
{
	struct termios t;

	return tcgetattr(STDIN_FILENO, &t) == 0 && !(t.c_lflag & (ICANON | ECHO | ISIG));
}

static bool same_mode(const struct termios *a)
{
	struct termios t;

	return tcgetattr(STDIN_FILENO, &t) == 0 && a->c_iflag == t.c_iflag &&
	       a->c_oflag == t.c_oflag && a->c_cflag == t.c_cflag && a->c_lflag == t.c_lflag &&
	       memcmp(a->c_cc, t.c_cc, sizeof(t.c_cc)) == 0;
}

/* As the session leader with its terminal in the foreground. */
static void in_session(int (*body)(void))
{
	int master, tty, status = -1;
	pid_t child;

	CHECK_EQ(0, openpty(&master, &tty, NULL, NULL, NULL));
	fflush(stdout);
	child = fork();
	if (child == 0) {
		setsid();
		ioctl(tty, TIOCSCTTY, 0);
		dup2(tty, STDIN_FILENO);
		_exit(body());
	}
	CHECK_EQ(child, waitpid(child, &status, 0));
	CHECK(WIFEXITED(status));
	CHECK_EQ(0, WEXITSTATUS(status));
	close(master), close(tty);
}

/* A job of that session, in a process group of its own. Its status, stopped included. */
static pid_t start_job(int (*body)(void), bool foreground)
{
	pid_t job = fork();

	if (job == 0) {
		setpgid(0, 0);
		if (foreground) {
			signal(SIGTTOU, SIG_IGN);
			tcsetpgrp(STDIN_FILENO, getpid());
			signal(SIGTTOU, SIG_DFL);
		}
		_exit(body());
	}
	return job;
}

static int raw_and_back(void)
{
	struct termios before;
	struct err e;

	EXPECT(tcgetattr(STDIN_FILENO, &before) == 0);
	EXPECT(!is_raw());
	EXPECT(terminal_raw(&e) == 0);
	EXPECT(is_raw());
	EXPECT(terminal_raw(&e) == 0); /* does not take raw mode for the user's own */
	terminal_restore();
	EXPECT(same_mode(&before));
	terminal_restore();
	EXPECT(same_mode(&before));
	return 0;
}

TEST(terminal_is_raw_until_restored)
{
	in_session(raw_and_back);
}

static int restore_of_nothing(void)
{
	struct termios before, changed;

	EXPECT(tcgetattr(STDIN_FILENO, &before) == 0);
	changed = before;
	changed.c_lflag &= ~(tcflag_t)ECHO;
	EXPECT(tcsetattr(STDIN_FILENO, TCSANOW, &changed) == 0);
	terminal_restore();
	terminal_continue();
	EXPECT(same_mode(&changed));
	return 0;
}

TEST(terminal_restore_without_raw_touches_nothing)
{
	in_session(restore_of_nothing);
}

static int stdin_is_a_pipe(void)
{
	struct err e;
	int p[2];

	EXPECT(pipe(p) == 0);
	dup2(p[0], STDIN_FILENO);
	EXPECT(terminal_raw(&e) == 0);
	terminal_continue();
	terminal_restore();
	return 0;
}

TEST(terminal_raw_of_a_pipe_is_no_error)
{
	in_session(stdin_is_a_pipe);
}

static int raw_in_background(void)
{
	struct err e;

	EXPECT(terminal_raw(&e) == 0);
	terminal_continue();
	terminal_restore();
	EXPECT(!is_raw());
	return 0;
}

static int background_job(void)
{
	pid_t job = start_job(raw_in_background, false);
	int status = -1;

	EXPECT(waitpid(job, &status, WUNTRACED) == job);
	EXPECT(WIFEXITED(status)); /* SIGTTOU would have stopped it */
	return WEXITSTATUS(status);
}

TEST(terminal_is_left_alone_in_the_background)
{
	in_session(background_job);
}

static void on_tstp(int sig)
{
	(void)sig;
	terminal_suspend();
}

static void on_cont(int sig)
{
	(void)sig;
	terminal_continue();
}

static int suspended_job_body(void)
{
	struct err e;

	signal(SIGTSTP, on_tstp);
	signal(SIGCONT, on_cont);
	EXPECT(terminal_raw(&e) == 0);
	EXPECT(is_raw());
	raise(SIGTSTP);
	EXPECT(is_raw()); /* continued in the foreground */
	terminal_restore();
	EXPECT(!is_raw());
	return 0;
}

static int suspended_job(void)
{
	pid_t job = start_job(suspended_job_body, true);
	int status = -1;

	EXPECT(waitpid(job, &status, WUNTRACED) == job);
	EXPECT(WIFSTOPPED(status));
	EXPECT(!is_raw()); /* the shell has its mode back */
	kill(job, SIGCONT);
	EXPECT(waitpid(job, &status, WUNTRACED) == job);
	EXPECT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(terminal_mode_follows_stop_and_continue)
{
	in_session(suspended_job);
}

static int ends_in_background_body(void)
{
	struct err e;

	EXPECT(terminal_raw(&e) == 0);
	raise(SIGSTOP); /* meanwhile the shell takes the terminal */
	terminal_continue();
	EXPECT(!is_raw());
	terminal_restore();
	return 0;
}

static int ends_in_background(void)
{
	pid_t job = start_job(ends_in_background_body, true);
	struct termios cooked;
	int status = -1;

	EXPECT(tcgetattr(STDIN_FILENO, &cooked) == 0);
	cooked.c_lflag |= ICANON | ECHO | ISIG;
	EXPECT(waitpid(job, &status, WUNTRACED) == job);
	EXPECT(WIFSTOPPED(status));
	signal(SIGTTOU, SIG_IGN);
	EXPECT(tcsetpgrp(STDIN_FILENO, getpgrp()) == 0);
	EXPECT(tcsetattr(STDIN_FILENO, TCSANOW, &cooked) == 0);
	kill(job, SIGCONT);
	EXPECT(waitpid(job, &status, WUNTRACED) == job);
	EXPECT(WIFEXITED(status));
	EXPECT(same_mode(&cooked));
	return WEXITSTATUS(status);
}

TEST(terminal_is_not_touched_when_it_ends_in_the_background)
{
	in_session(ends_in_background);
}

static int tells_its_size(void)
{
	struct winsize size = {.ws_col = 132, .ws_row = 43};
	unsigned cols = 0, rows = 0;

	EXPECT(ioctl(STDIN_FILENO, TIOCSWINSZ, &size) == 0);
	dup2(STDIN_FILENO, STDOUT_FILENO);
	EXPECT(terminal_size(&cols, &rows) && cols == 132 && rows == 43);
	close(STDOUT_FILENO); /* output goes elsewhere: the one on input counts */
	cols = rows = 0;
	EXPECT(terminal_size(&cols, &rows) && cols == 132 && rows == 43);
	size = (struct winsize){0}; /* one that does not know */
	EXPECT(ioctl(STDIN_FILENO, TIOCSWINSZ, &size) == 0);
	EXPECT(!terminal_size(&cols, &rows));
	close(STDIN_FILENO);
	EXPECT(!terminal_size(&cols, &rows));
	return 0;
}

TEST(the_terminals_size_is_that_of_output_or_input)
{
	in_session(tells_its_size);
}
