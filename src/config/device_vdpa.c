// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "config/device.h"
#include "config/set.h"

static int set_vdpa_path(void *target, const char *word, struct err *e)
{
	struct vdpa_config *v = target;

	return set_path(&v->path, word, e);
}

static int set_vdpa_id(void *target, const struct given *given, struct err *e)
{
	struct vdpa_config *v = target;

	return set_id(&v->id, given->text, e);
}

/* clang-format off: one row a field */
const struct field vdpa_fields[] = {
	{.key = "path", .type = FIELD_PATH, .required = true, MEMBER(struct vdpa_config, path)},
	{.option = "id", .key = "id", .value = "NAME", .type = FIELD_TEXT, .set = set_vdpa_id},
	{0},
};
/* clang-format on */

const struct list vdpa_list = {
	.first = "DEVICE",
	.set_first = set_vdpa_path,
	.fields = vdpa_fields,
};

int vdpa_check(const struct vdpa_config *v, struct err *e)
{
	return v->path ? 0 : err_set(e, EINVAL, "the device is not named: /dev/vhost-vdpa-N");
}
