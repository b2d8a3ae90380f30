// SPDX-License-Identifier: Apache-2.0
#include "machine/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "backend/terminal.h"
#include "base/io.h"
#include "machine/virtio_board.h"

static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
/* All that would end a process by default and may come from outside: each is to leave a sane terminal. */
static const int endings[] = {SIGTERM, SIGINT,    SIGHUP,  SIGQUIT, SIGUSR2, SIGALRM,
			      SIGXCPU, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};

static void on_fault(int number)
{
	terminal_restore();
	raise(number); /* SA_RESETHAND: the default action now */
}

static void on_stop(int number)
{
	(void)number;
	terminal_suspend();
}

static void on_continue(int number)
{
	(void)number;
	terminal_continue();
}

void signals_init(void)
{
	struct sigaction fault = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
	struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
	struct sigaction resume = {.sa_handler = on_continue, .sa_flags = SA_RESTART};

	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &fault, NULL);
	sigaction(SIGTSTP, &stop, NULL);
	sigaction(SIGCONT, &resume, NULL);
	/* Where it is ignored, by inheritance, a child that ends is gone, and its id soon another's. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at the limit of ulimit -f: EFBIG of write(2) */
}

void signals_thread_mask(sigset_t *mask)
{
	sigfillset(mask);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(mask, faults[i]);
}

static void on_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;
	struct machine *m = arg;

	(void)events;
	if (read(m->signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		virtio_board_resized(m);
	else if (machine_stop(m,
			      OUTCOME_ENDED)) /* else the guest ended first, and that is the news */
		m->signal = (int)info.ssi_signo;
}

int signals_watch(struct machine *m, struct err *e)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(endings); i++) {
		struct sigaction now;
		/* nohup(1) and "&" in a script have them ignored: leave that so */
		if (sigaction(endings[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(&set, endings[i]);
	}
	sigaddset(&set, SIGWINCH); /* ignored where nobody reads it */
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "signalfd");
	m->signals = (struct loop_source){.fd = fd, .fn = on_signal, .arg = m};
	if (loop_add(&m->loop, &m->signals, EPOLLIN) < 0)
		return err_sys(e, "epoll_ctl");
	return 0;
}

void signals_unwatch(struct machine *m)
{
	fd_close(&m->signals.fd);
}

void signals_die_of(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number); /* blocked: pending until the next line */
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}
