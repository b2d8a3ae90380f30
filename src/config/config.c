// SPDX-License-Identifier: Apache-2.0
#include "config/config.h"

#include <stdlib.h>

#include "config/device.h"

void config_init(struct vm_config *c)
{
	*c = (struct vm_config){
		.cpus = 1,
		.memory = CONFIG_DEFAULT_MEMORY,
		.serial.kind = SERIAL_STDIO,
	};
}

unsigned config_virtio_devices(const struct vm_config *c)
{
	return c->n_disks + c->n_nets + c->n_vdpas + c->n_vhost_users + (c->n_consoles > 0) +
	       c->rng.enabled + (c->vsock.cid != 0) + c->balloon.enabled;
}

/* The kernel's VFIO needs none: it pins this process's own pages. */
bool config_needs_shared_memory(const struct vm_config *c)
{
	return c->n_vdpas + c->n_vfio_users + c->n_vhost_users > 0;
}

void config_fini(struct vm_config *c)
{
	free(c->kernel);
	free(c->initrd);
	free(c->cmdline);
	free(c->serial.path);
	config_free_devices(c);
	*c = (struct vm_config){0};
}
