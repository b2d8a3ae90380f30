// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/json.h"
#include "config/set.h"
#include "config/text.h"

static int set_kernel(struct vm_config *c, const json_t *value, struct err *e)
{
	return set_path(&c->kernel, json_string_value(value), e);
}

static int set_initrd(struct vm_config *c, const json_t *value, struct err *e)
{
	return set_path(&c->initrd, json_string_value(value), e);
}

static int set_boot_args(struct vm_config *c, const json_t *value, struct err *e)
{
	return set_cmdline(c, json_string_value(value), e);
}

static int set_vcpu_count(struct vm_config *c, const json_t *value, struct err *e)
{
	json_int_t n = json_integer_value(value);
	char written[32];

	snprintf(written, sizeof(written), "%lld", (long long)n);
	return set_cpus(c, n < 0 ? 0 : (uint64_t)n, written, e);
}

static int set_mem_size_mib(struct vm_config *c, const json_t *value, struct err *e)
{
	json_int_t n = json_integer_value(value);
	char written[32];
	uint64_t bytes;

	snprintf(written, sizeof(written), "%lld MiB", (long long)n);
	if (n < 0)
		bytes = 0;
	else if (__builtin_mul_overflow((uint64_t)n, MIB, &bytes))
		bytes = UINT64_MAX;
	return set_memory(c, bytes, written, e);
}

/* For what Firecracker can switch on and toyvmm cannot yet: saying so beats ignoring it. */
static int only_false(struct vm_config *c, const json_t *value, struct err *e)
{
	(void)c;
	return json_is_true(value) ? err_set(e, EINVAL, "only false is supported") : 0;
}

static int only_none(struct vm_config *c, const json_t *value, struct err *e)
{
	(void)c;
	if (strcmp(json_string_value(value), "None") == 0)
		return 0;
	return err_set(e, EINVAL, "'%s': only \"None\" is supported",
		       show(json_string_value(value)).text);
}

static int no_limiter(struct vm_config *c, const json_t *value, struct err *e)
{
	(void)c;
	return json_object_size(value) ? err_set(e, EINVAL, "rate limits are not supported") : 0;
}

/* "kind" and "path" are toyvmm's own; "serial_out_path" is Firecracker's way to say kind "file". */
static int finish_serial(struct vm_config *c, const json_t *section, struct err *e)
{
	const char *kind = json_string_value(json_object_get(section, "kind"));
	const char *path = json_string_value(json_object_get(section, "path"));
	const char *out = json_string_value(json_object_get(section, "serial_out_path"));

	if (out && (kind || path))
		return err_set(e, EINVAL, "serial_out_path contradicts %s", kind ? "kind" : "path");
	if (path && !kind)
		return err_set(e, EINVAL, "path without kind: \"file\" or \"socket\"");
	if (out)
		return set_serial(c, "file", out, e);
	return kind ? set_serial(c, kind, path, e) : 0;
}

static const struct json_key boot_source_keys[] = {
	{"kernel_image_path", JSON_STRING, "kernel_path", set_kernel},
	{"initrd_path", JSON_STRING, NULL, set_initrd},
	{"boot_args", JSON_STRING, NULL, set_boot_args},
	{0},
};

static const struct json_key machine_config_keys[] = {
	{"vcpu_count", JSON_INTEGER, NULL, set_vcpu_count},
	{"mem_size_mib", JSON_INTEGER, NULL, set_mem_size_mib},
	{"smt", JSON_TRUE, "ht_enabled", only_false}, /* ht_enabled: Firecracker before 1.0 */
	{"track_dirty_pages", JSON_TRUE, "track_dirty_page", only_false},
	{"cpu_template", JSON_STRING, NULL, only_none},
	{"huge_pages", JSON_STRING, NULL, only_none},
	{0},
};

static const struct json_key serial_keys[] = {
	{"kind", JSON_STRING, NULL, NULL},
	{"path", JSON_STRING, NULL, NULL},
	{"serial_out_path", JSON_STRING, NULL, NULL},
	{"rate_limiter", JSON_OBJECT, NULL, no_limiter},
	{0},
};

const struct json_section json_sections[] = {
	{"boot-source", boot_source_keys, NULL},
	{"machine-config", machine_config_keys, NULL},
	{"serial", serial_keys, finish_serial},
	{0},
};

const char *const json_later_sections[] = {
	"drives",  "network-interfaces", "vsock",      "balloon", "entropy",        "logger",
	"metrics", "mmds-config",        "cpu-config", "pmem",    "memory-hotplug", "features",
	NULL,
};
