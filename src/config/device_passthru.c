// SPDX-License-Identifier: Apache-2.0
/* Devices that are not made here: those of the host, and those in other processes. */
#include <errno.h>
#include <string.h>

#include "config/device.h"
#include "config/set.h"

static int set_vfio_path(void *target, const char *word, struct err *e)
{
	struct vfio_config *v = target;

	return set_path(&v->path, word, e);
}

static int set_vfio_id(void *target, const struct given *given, struct err *e)
{
	struct vfio_config *v = target;

	return set_id(&v->id, given->text, e);
}

/* clang-format off: one row a field */
const struct field vfio_fields[] = {
	{.key = "path", .type = FIELD_PATH, .required = true, MEMBER(struct vfio_config, path)},
	{.option = "id", .key = "id", .value = "NAME", .type = FIELD_TEXT, .set = set_vfio_id},
	{0},
};
/* clang-format on */

const struct list vfio_option_list = {
	.first = "DEVICE",
	.set_first = set_vfio_path,
	.fields = vfio_fields,
};

static int set_socket(void *target, const char *word, struct err *e)
{
	struct vfio_user_config *v = target;

	return set_path(&v->path, word, e);
}

static int set_user_id(void *target, const struct given *given, struct err *e)
{
	struct vfio_user_config *v = target;

	return set_id(&v->id, given->text, e);
}

/* clang-format off: one row a field */
const struct field vfio_user_fields[] = {
	{.key = "socket",
	 .type = FIELD_PATH,
	 .required = true,
	 MEMBER(struct vfio_user_config, path)},
	{.option = "id", .key = "id", .value = "NAME", .type = FIELD_TEXT, .set = set_user_id},
	{0},
};
/* clang-format on */

const struct list vfio_user_list = {
	.first = "SOCKET",
	.set_first = set_socket,
	.fields = vfio_user_fields,
};
