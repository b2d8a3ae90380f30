// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>

void config_init(struct vm_config *c)
{
	*c = (struct vm_config){
		.cpus = 1,
		.memory = CONFIG_DEFAULT_MEMORY,
		.serial.kind = SERIAL_STDIO,
	};
}

void config_fini(struct vm_config *c)
{
	free(c->kernel);
	free(c->initrd);
	free(c->cmdline);
	free(c->serial.path);
	*c = (struct vm_config){0};
}

/* The setters (config/set.c) refuse most of this already; here is the whole, once, for every
 * source. */
int config_validate(const struct vm_config *c, struct err *e)
{
	bool wants_path = c->serial.kind == SERIAL_FILE || c->serial.kind == SERIAL_SOCKET;

	if (!c->kernel || !*c->kernel)
		return err_set(e, EINVAL,
			       "no kernel is named: --kernel FILE, or --config FILE with "
			       "boot-source.kernel_image_path");
	if (c->initrd && !*c->initrd)
		return err_set(e, EINVAL, "the initrd's file name is empty");
	if (c->cpus < 1 || c->cpus > CONFIG_MAX_CPUS)
		return err_set(e, EINVAL, "%u vCPUs: 1 to %u are possible", c->cpus,
			       CONFIG_MAX_CPUS);
	if (c->memory < CONFIG_MIN_MEMORY || c->memory > CONFIG_MAX_MEMORY || c->memory % MIB)
		return err_set(e, EINVAL,
			       "%llu bytes of memory: whole MiB from 32M to 8T are possible",
			       (unsigned long long)c->memory);
	if (wants_path && (!c->serial.path || !*c->serial.path))
		return err_set(e, EINVAL, "the serial port's file or socket is not named");
	return 0;
}
