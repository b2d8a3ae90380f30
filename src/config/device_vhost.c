// SPDX-License-Identifier: Apache-2.0
/* Virtio devices that another process serves: --vhost-user and --fs. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <string.h>

#include "config/device.h"
#include "config/set.h"
#include "config/text.h"

static const struct word kinds[] = {
	{"blk", VIRTIO_ID_BLOCK},
	{"net", VIRTIO_ID_NET},
	{"fs", VIRTIO_ID_FS},
	{"scsi", VIRTIO_ID_SCSI},
	{0},
};

/* A name, or a number of virtio 1.2, chapter 5. The transports have 8 bits of room for it, and a transitional range. */
#define DEVICE_ID_MAX 63

static int set_kind(void *target, const struct given *given, struct err *e)
{
	struct vhost_user_config *v = target;
	uint64_t n;

	for (const struct word *w = kinds; w->name; w++)
		if (strcmp(given->text, w->name) == 0) {
			v->device_id = w->value;
			return 0;
		}
	if (parse_u64(given->text, &n) < 0 || n < 1 || n > DEVICE_ID_MAX)
		return err_set(
			e, EINVAL,
			"'%s' is not blk, net, fs, scsi, or a virtio device's number from 1 to %d",
			show(given->text).text, DEVICE_ID_MAX);
	v->device_id = (uint32_t)n;
	return 0;
}

static int set_socket(void *target, const struct given *given, struct err *e)
{
	struct vhost_user_config *v = target;
	int rc = check_socket_path(given->text, 0, e);

	return rc < 0 ? rc : set_path(&v->socket, given->text, e);
}

static int set_device_id(void *target, const struct given *given, struct err *e)
{
	struct vhost_user_config *v = target;

	return set_id(&v->id, given->text, e);
}

static int set_mac(void *target, const struct given *given, struct err *e)
{
	struct vhost_user_config *v = target;
	int rc = read_mac(v->mac, given, e);

	v->has_mac |= rc == 0;
	return rc;
}

static int set_queue_size(void *target, const struct given *given, struct err *e)
{
	struct vhost_user_config *v = target;
	uint64_t n = given->number;

	if (n < 16 || n > CONFIG_MAX_QUEUE_SIZE || (n & (n - 1)))
		return err_set(e, EINVAL, "'%s' is not a power of two from 16 to %d",
			       show(given->text).text, CONFIG_MAX_QUEUE_SIZE);
	v->queue_size = (unsigned)n;
	return 0;
}

#define VHOST(member) MEMBER(struct vhost_user_config, member)

/* clang-format off: one row a field */
#define COMMON_FIELDS                                                                            \
	{.option = "socket",                                                                     \
	 .key = "socket",                                                                        \
	 .value = "PATH",                                                                        \
	 .type = FIELD_PATH,                                                                     \
	 .required = true,                                                                       \
	 .set = set_socket},                                                                     \
		{.option = "id",                                                                 \
		 .key = "id",                                                                    \
		 .value = "NAME",                                                                \
		 .type = FIELD_TEXT,                                                             \
		 .set = set_device_id},                                                          \
		{.option = "tag",                                                                \
		 .key = "tag",                                                                   \
		 .value = "NAME",                                                                \
		 .type = FIELD_TEXT,                                                             \
		 .max = FS_TAG_MAX,                                                              \
		 VHOST(tag)},                                                                    \
		{.option = "queues",                                                             \
		 .key = "queues",                                                                \
		 .value = "N",                                                                   \
		 .type = FIELD_NUMBER,                                                           \
		 .min = 1,                                                                       \
		 .max = CONFIG_MAX_VHOST_QUEUES,                                                 \
		 VHOST(queues)},                                                                 \
	{                                                                                        \
		.option = "queue-size", .key = "queue_size", .value = "N", .type = FIELD_NUMBER, \
		.min = 16, .max = CONFIG_MAX_QUEUE_SIZE, .set = set_queue_size                   \
	}

const struct field vhost_user_fields[] = {
	{.option = "type",
	 .key = "type",
	 .value = "KIND",
	 .type = FIELD_TEXT,
	 .required = true,
	 .set = set_kind},
	COMMON_FIELDS,
	{.option = "mac",
	 .key = "guest_mac",
	 .value = "ADDRESS",
	 .type = FIELD_TEXT,
	 .set = set_mac},
	{.option = "config-size",
	 .key = "config_size",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .max = 256,
	 VHOST(config_size)},
	{0},
};

const struct field fs_fields[] = {
	COMMON_FIELDS,
	{0},
};
/* clang-format on */

static int finish(void *target, struct err *e)
{
	return vhost_user_check(target, e);
}

const struct list vhost_user_option_list = {.fields = vhost_user_fields, .finish = finish};
const struct list fs_list = {.fields = fs_fields, .finish = finish};

static bool is_known(uint32_t device_id)
{
	for (const struct word *w = kinds; w->name; w++)
		if (w->value == device_id)
			return true;
	return false;
}

int vhost_user_check(const struct vhost_user_config *v, struct err *e)
{
	if (v->device_id == 0)
		return err_set(e, EINVAL, "the kind of device is missing: type=blk, say");
	if (!v->socket)
		return err_set(e, EINVAL, "the back end's socket is missing: socket=PATH");
	if (v->device_id == VIRTIO_ID_FS && !v->tag)
		return err_set(e, EINVAL, "a file system needs a name to mount it by: tag=NAME");
	if (v->device_id != VIRTIO_ID_FS && v->tag)
		return err_set(e, EINVAL, "only a file system (type=fs) has a tag");
	if (v->device_id != VIRTIO_ID_NET && v->has_mac)
		return err_set(e, EINVAL, "only a network card (type=net) has a MAC address");
	if (v->device_id == VIRTIO_ID_NET && v->queues > 1)
		return err_set(
			e, EINVAL,
			"a network card has one pair of queues here; queues=%u is not possible",
			v->queues);
	if (is_known(v->device_id) && v->config_size)
		return err_set(e, EINVAL, "config-size is for a type that is a number");
	return 0;
}
