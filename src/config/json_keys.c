// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "config/device.h"
#include "config/json.h"
#include "config/set.h"
#include "config/text.h"

/* ---- boot-source and machine-config ---- */

static int set_boot_args(void *target, const struct given *given, struct err *e)
{
	return set_cmdline(target, given->text, e);
}

static int set_mem_size(void *target, const struct given *given, struct err *e)
{
	return set_memory(target, given->number, given->text, e);
}

/* For what Firecracker can switch on and toyvmm cannot yet: saying so beats ignoring it. */
static int only_false(void *target, const struct given *given, struct err *e)
{
	(void)target;
	return given->number ? err_set(e, EINVAL, "only false is supported") : 0;
}

static int only_none(void *target, const struct given *given, struct err *e)
{
	(void)target;
	if (strcmp(given->text, "None") == 0)
		return 0;
	return err_set(e, EINVAL, "'%s': only \"None\" is supported", show(given->text).text);
}

/* It prepares snapshots of what has changed, and nothing here reads it. */
static int ignore_dirty_pages(void *target, const struct given *given, struct err *e)
{
	(void)target;
	(void)e;
	if (given->number)
		log_info("machine-config: track_dirty_pages does nothing: there are no snapshots");
	return 0;
}

static int set_transport_name(void *target, const struct given *given, struct err *e)
{
	return set_transport(target, given->text, e);
}

#define CONFIG(member) MEMBER(struct vm_config, member)

/* clang-format off: one row a key */
static const struct field boot_source_keys[] = {
	{.key = "kernel_image_path",
	 .key_alias = "kernel_path",
	 .type = FIELD_PATH,
	 CONFIG(kernel)},
	{.key = "initrd_path", .type = FIELD_PATH, CONFIG(initrd)},
	{.key = "boot_args", .type = FIELD_TEXT, .set = set_boot_args},
	{0},
};

static const struct field machine_config_keys[] = {
	{.key = "vcpu_count", .type = FIELD_NUMBER, .min = 1, .max = CONFIG_MAX_CPUS, CONFIG(cpus)},
	{.key = "mem_size_mib", .type = FIELD_SIZE, .set = set_mem_size},
	/* ht_enabled: Firecracker before 1.0 */
	{.key = "smt", .key_alias = "ht_enabled", .type = FIELD_FLAG, .set = only_false},
	{.key = "track_dirty_pages",
	 .key_alias = "track_dirty_page",
	 .type = FIELD_FLAG,
	 .set = ignore_dirty_pages},
	{.key = "cpu_template", .type = FIELD_TEXT, .set = only_none},
	{.key = "huge_pages", .type = FIELD_TEXT, .set = only_none},
	{.key = "transport", .type = FIELD_TEXT, .set = set_transport_name},
	{0},
};
/* clang-format on */

/* ToyVMM's word for the kernel: the file is for a machine that had virtio-mmio and nothing else. */
static int finish_boot_source(void *target, const json_t *section, struct err *e)
{
	struct vm_config *c = target;

	(void)e;
	c->older_toyvmm = json_is_string(json_object_get(section, "kernel_path"));
	return 0;
}

/* ---- serial ---- */

static const struct field no_keys[] = {{0}};

/* clang-format off: one row a key */
static const struct field serial_keys[] = {
	{.key = "kind", .type = FIELD_TEXT}, /* finish_serial() looks at these */
	{.key = "path", .type = FIELD_TEXT},
	{.key = "serial_out_path", .type = FIELD_TEXT},
	{.key = "rate_limiter", .type = FIELD_OBJECT, .fields = no_keys},
	{0},
};
/* clang-format on */

/* "kind" and "path" are toyvmm's own; "serial_out_path" is Firecracker's way to say kind "file". */
static int finish_serial(void *target, const json_t *section, struct err *e)
{
	const char *kind = json_string_value(json_object_get(section, "kind"));
	const char *path = json_string_value(json_object_get(section, "path"));
	const char *out = json_string_value(json_object_get(section, "serial_out_path"));

	if (out && (kind || path))
		return err_set(e, EINVAL, "serial_out_path contradicts %s", kind ? "kind" : "path");
	if (path && !kind)
		return err_set(e, EINVAL, "path without kind: \"file\" or \"socket\"");
	if (out)
		return set_serial(target, "file", out, e);
	return kind ? set_serial(target, kind, path, e) : 0;
}

/* ---- features: ToyVMM's ---- */

static int set_feature(void *target, const struct given *given, struct err *e)
{
	(void)target;
	if (strcmp(given->text, "acpi") == 0)
		return 0;
	return err_set(e, EINVAL, "'%s': only \"acpi\" is known", show(given->text).text);
}

/* clang-format off: one row a key */
static const struct field feature_keys[] = {
	{.key = "feature", .type = FIELD_TEXT, .required = true, .set = set_feature},
	{.key = "enable", .type = FIELD_FLAG, .required = true},
	{0},
};
/* clang-format on */

static int finish_feature(void *target, const json_t *object, struct err *e)
{
	(void)target;
	(void)e;
	if (json_is_false(json_object_get(object, "enable")))
		log_info(
			"features: the ACPI tables are there all the same; acpi=off in boot_args has "
			"the kernel ignore them");
	return 0;
}

/* ---- devices ---- */

static void *new_disk(struct vm_config *c, struct err *e)
{
	return config_add_disk(c, e);
}

static int finish_disk(void *target, const json_t *object, struct err *e)
{
	(void)object;
	return disk_check(target, e);
}

static void *new_net(struct vm_config *c, struct err *e)
{
	return config_add_net(c, e);
}

static int finish_net(void *target, const json_t *object, struct err *e)
{
	(void)object;
	return net_check(target, e);
}

static void *new_vdpa(struct vm_config *c, struct err *e)
{
	return config_add_vdpa(c, e);
}

static void *new_console(struct vm_config *c, struct err *e)
{
	return config_add_console(c, e);
}

static int finish_console(void *target, const json_t *object, struct err *e)
{
	(void)object;
	return console_check(target, e);
}

static void *new_vfio(struct vm_config *c, struct err *e)
{
	return config_add_vfio(c, e);
}

static void *new_vfio_user(struct vm_config *c, struct err *e)
{
	return config_add_vfio_user(c, e);
}

static void *new_vhost_user(struct vm_config *c, struct err *e)
{
	return config_add_vhost_user(c, e);
}

static void *new_fs(struct vm_config *c, struct err *e)
{
	struct vhost_user_config *v = config_add_vhost_user(c, e);

	if (v)
		v->device_id = VIRTIO_ID_FS;
	return v;
}

static int finish_vhost_user(void *target, const json_t *object, struct err *e)
{
	(void)object;
	return vhost_user_check(target, e);
}

static void *the_vsock(struct vm_config *c, struct err *e)
{
	(void)e;
	return &c->vsock;
}

static void *the_balloon(struct vm_config *c, struct err *e)
{
	(void)e;
	return &c->balloon;
}

/* The section itself switches it on: Firecracker's "entropy": {}. */
static void *the_rng(struct vm_config *c, struct err *e)
{
	(void)e;
	c->rng.enabled = true;
	return &c->rng;
}

/* The devices' tables are those of the options; their first words have no part in this. */
const struct json_section json_sections[] = {
	{"boot-source", false, boot_source_keys, NULL, finish_boot_source},
	{"machine-config", false, machine_config_keys, NULL, NULL},
	{"serial", false, serial_keys, NULL, finish_serial},
	{"drives", true, disk_fields, new_disk, finish_disk},
	{"network-interfaces", true, net_fields, new_net, finish_net},
	{"vdpa", true, host_device_fields, new_vdpa, NULL},
	{"console", true, console_fields, new_console, finish_console},
	{"vsock", false, vsock_fields, the_vsock, NULL},
	{"balloon", false, balloon_fields, the_balloon, NULL},
	{"entropy", false, rng_fields, the_rng, NULL},
	{"vfio", true, host_device_fields, new_vfio, NULL},
	{"vfio-user", true, vfio_user_fields, new_vfio_user, NULL},
	{"vhost-user", true, vhost_user_fields, new_vhost_user, finish_vhost_user},
	{"fs", true, fs_fields, new_fs, finish_vhost_user},
	{"features", true, feature_keys, NULL, finish_feature},
	{0},
};

const char *const json_later_sections[] = {
	"logger", "metrics", "mmds-config", "cpu-config", "pmem", "memory-hotplug", NULL,
};
