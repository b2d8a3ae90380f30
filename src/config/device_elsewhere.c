// SPDX-License-Identifier: Apache-2.0
/* Devices that are not made here: --vfio, --vdpa and --vfio-user say where they are. */
#include <errno.h>

#include "config/device.h"
#include "config/set.h"

static int set_place(void *target, const char *word, struct err *e)
{
	struct elsewhere_config *c = target;

	return set_path(&c->path, word, e);
}

static int set_name(void *target, const struct given *given, struct err *e)
{
	struct elsewhere_config *c = target;

	return set_id(&c->id, given->text, e);
}

/* clang-format off: one row a field */
#define PLACE(what)                                                \
	{                                                          \
		.key = what, .type = FIELD_PATH, .required = true, \
		MEMBER(struct elsewhere_config, path)              \
	}
#define NAME                                                                                      \
	{                                                                                         \
		.option = "id", .key = "id", .value = "NAME", .type = FIELD_TEXT, .set = set_name \
	}

const struct field host_device_fields[] = {PLACE("path"), NAME, {0}};
const struct field vfio_user_fields[] = {PLACE("socket"), NAME, {0}};
/* clang-format on */

const struct list host_device_list = {
	.first = "DEVICE",
	.set_first = set_place,
	.fields = host_device_fields,
};

const struct list vfio_user_list = {
	.first = "SOCKET",
	.set_first = set_place,
	.fields = vfio_user_fields,
};

int vdpa_check(const struct elsewhere_config *c, struct err *e)
{
	return c->path ? 0 : err_set(e, EINVAL, "the device is not named: /dev/vhost-vdpa-N");
}
