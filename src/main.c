// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/terminal.h"
#include "base/log.h"
#include "config/cli.h"
#include "machine/check.h"
#include "machine/machine.h"

/* Our own mistake: give the user's terminal back before the signal kills us (SA_RESETHAND). */
static void on_fault(int signal)
{
	terminal_restore();
	raise(signal);
}

static void set_up_process(void)
{
	struct sigaction fault = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};
	int fd;

	/* Started with descriptors 0 to 2 closed: they must not become a disk or a VM by accident. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	for (const int *s = (const int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, 0}; *s; s++)
		sigaction(*s, &fault, NULL);
	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write(2) */
}

/* Our parent sees that the signal it sent ended us; machine/ had it blocked. */
static void die_of(int number)
{
	sigset_t set;

	signal(number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, number);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int run(const struct vm_config *config, struct err *e)
{
	static struct machine machine; /* one per process; its bus tables are large for a stack */
	char why[256];
	int rc;

	if (!check_can_run_linux(why, sizeof(why)))
		log_warn("%s", why);
	rc = machine_create(&machine, config, e);
	if (rc == 0) {
		rc = machine_run(&machine, e);
		machine_destroy(&machine);
	}
	terminal_restore();
	if (machine.signal)
		die_of(machine.signal);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = {""};
	struct cli cli;
	int rc;

	set_up_process();
	rc = cli_parse(&cli, argc, argv, &e);
	if (rc == 0 && cli.command == CLI_EXIT)
		return cli.exit_code;
	if (rc == 0 && cli.command == CLI_CHECK)
		return check_host();
	if (rc == 0)
		rc = run(&cli.config, &e);
	config_fini(&cli.config);
	if (rc < 0)
		log_error("%s", e.text);
	return rc < 0 ? EXIT_FAILURE : rc;
}
