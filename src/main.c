// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "config/cli.h"
#include "machine/check.h"
#include "machine/machine.h"
#include "machine/signals.h"
#include "machine/vfio_tool.h"

/* Started with descriptors 0 to 2 closed: they must not become a disk or a VM by accident. */
static void open_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
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
	if (machine.signal)
		signals_die_of(machine.signal);
	return rc;
}

int main(int argc, char **argv)
{
	struct err e = {""};
	struct cli cli;
	int rc;

	open_standard_descriptors();
	signals_init();
	rc = cli_parse(&cli, argc, argv, &e);
	if (rc == 0 && cli.command == CLI_EXIT)
		return cli.exit_code;
	if (rc == 0 && cli.command == CLI_CHECK)
		return check_host();
	if (rc == 0 && cli.command == CLI_VFIO)
		rc = vfio_tool(cli.vfio, cli.device, &e);
	else if (rc == 0)
		rc = run(&cli.config, &e);
	config_fini(&cli.config);
	if (rc < 0)
		log_error("%s", e.text);
	return rc < 0 ? EXIT_FAILURE : rc;
}
