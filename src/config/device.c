// SPDX-License-Identifier: Apache-2.0
#include "config/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/set.h"
#include "config/text.h"

#define ID_MAX 64

/* Room for one more of `size` bytes in the array, zeroed; NULL: no. `what` is for the message. */
static void *grow(void *array, unsigned *n, unsigned max, size_t size, const char *what,
		  struct err *e)
{
	void **owner = array;
	char *bigger;

	if (*n >= max) {
		err_set(e, EINVAL, "there are at most %u %s", max, what);
		return NULL;
	}
	bigger = reallocarray(*owner, *n + 1, size);
	if (!bigger) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	*owner = bigger;
	return memset(bigger + size * (*n)++, 0, size);
}

struct disk_config *config_add_disk(struct vm_config *c, struct err *e)
{
	return grow(&c->disk, &c->n_disks, CONFIG_MAX_PCI_DEVICES, sizeof(*c->disk), "disks", e);
}

struct net_config *config_add_net(struct vm_config *c, struct err *e)
{
	struct net_config *n = grow(&c->net, &c->n_nets, CONFIG_MAX_PCI_DEVICES, sizeof(*c->net),
				    "network interfaces", e);

	if (n)
		n->fd = -1;
	return n;
}

struct console_config *config_add_console(struct vm_config *c, struct err *e)
{
	return grow(&c->console, &c->n_consoles, CONFIG_MAX_CONSOLES, sizeof(*c->console),
		    "consoles", e);
}

struct elsewhere_config *config_add_vfio(struct vm_config *c, struct err *e)
{
	return grow(&c->vfio, &c->n_vfios, CONFIG_MAX_PCI_DEVICES, sizeof(*c->vfio),
		    "devices of the host", e);
}

struct elsewhere_config *config_add_vdpa(struct vm_config *c, struct err *e)
{
	return grow(&c->vdpa, &c->n_vdpas, CONFIG_MAX_PCI_DEVICES, sizeof(*c->vdpa), "vDPA devices",
		    e);
}

struct elsewhere_config *config_add_vfio_user(struct vm_config *c, struct err *e)
{
	return grow(&c->vfio_user, &c->n_vfio_users, CONFIG_MAX_PCI_DEVICES, sizeof(*c->vfio_user),
		    "vfio-user devices", e);
}

struct vhost_user_config *config_add_vhost_user(struct vm_config *c, struct err *e)
{
	return grow(&c->vhost_user, &c->n_vhost_users, CONFIG_MAX_PCI_DEVICES,
		    sizeof(*c->vhost_user), "vhost-user devices", e);
}

static void free_net(struct net_config *n)
{
	for (unsigned i = 0; i < n->n_hostfwds; i++) {
		free(n->hostfwd[i].host_addr);
		free(n->hostfwd[i].guest_addr);
	}
	free(n->hostfwd);
	free(n->id);
	free(n->tap);
	free(n->socket);
}

static void free_elsewhere(struct elsewhere_config *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		free(list[i].id);
		free(list[i].path);
	}
	free(list);
}

void config_free_devices(struct vm_config *c)
{
	free_elsewhere(c->vdpa, c->n_vdpas);
	free_elsewhere(c->vfio, c->n_vfios);
	free_elsewhere(c->vfio_user, c->n_vfio_users);
	for (unsigned i = 0; i < c->n_disks; i++) {
		free(c->disk[i].id);
		free(c->disk[i].path);
		free(c->disk[i].serial);
		free(c->disk[i].overlay_path);
		free(c->disk[i].partuuid);
	}
	for (unsigned i = 0; i < c->n_nets; i++)
		free_net(&c->net[i]);
	for (unsigned i = 0; i < c->n_consoles; i++) {
		free(c->console[i].path);
		free(c->console[i].name);
	}
	for (unsigned i = 0; i < c->n_vhost_users; i++) {
		free(c->vhost_user[i].id);
		free(c->vhost_user[i].socket);
		free(c->vhost_user[i].tag);
	}
	free(c->vhost_user);
	free(c->disk);
	free(c->net);
	free(c->console);
	free(c->vsock.socket);
}

int set_id(char **id, const char *written, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";
	size_t len = strlen(written);

	if (len == 0 || len > ID_MAX || strspn(written, allowed) != len)
		return err_set(e, EINVAL,
			       "'%s' is no name of 1 to %d letters, digits, '_', '-' and '.'",
			       show(written).text, ID_MAX);
	return set_line(id, written, e);
}

struct bucket_config bucket_per_second(uint64_t tokens)
{
	return (struct bucket_config){.size = tokens, .refill_ms = 1000};
}

/* Firecracker's: https://github.com/firecracker-microvm/firecracker, its API's TokenBucket and RateLimiter. */
static const struct field bucket_fields[] = {
	{.key = "size",
	 .type = FIELD_NUMBER,
	 .required = true,
	 .max = BUCKET_MAX,
	 MEMBER(struct bucket_config, size)},
	{.key = "one_time_burst",
	 .type = FIELD_NUMBER,
	 .max = BUCKET_MAX,
	 MEMBER(struct bucket_config, one_time_burst)},
	{.key = "refill_time",
	 .type = FIELD_NUMBER,
	 .required = true,
	 .max = UINT32_MAX,
	 MEMBER(struct bucket_config, refill_ms)},
	{0},
};

const struct field limit_fields[] = {
	{.key = "bandwidth",
	 .type = FIELD_OBJECT,
	 .fields = bucket_fields,
	 MEMBER(struct limit_config, bandwidth)},
	{.key = "ops",
	 .type = FIELD_OBJECT,
	 .fields = bucket_fields,
	 MEMBER(struct limit_config, ops)},
	{0},
};

const struct field rng_fields[] = {
	{.key = "rate_limiter",
	 .type = FIELD_OBJECT,
	 .fields = limit_fields,
	 MEMBER(struct rng_config, limit)},
	{0},
};
