// SPDX-License-Identifier: Apache-2.0
/* Console, vsock and balloon. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/device.h"
#include "config/set.h"
#include "config/text.h"

/* ---- console ---- */

static const struct word console_kinds[] = {
	{"stdio", CONSOLE_STDIO},   {"pty", CONSOLE_PTY},   {"file", CONSOLE_FILE},
	{"socket", CONSOLE_SOCKET}, {"none", CONSOLE_NONE}, {0},
};

static int set_console(void *target, const char *word, struct err *e)
{
	struct console_config *c = target;
	const char *path;
	char *kind;
	int rc = place_split(word, &kind, &path, e);

	if (rc == 0)
		rc = place_kind(kind, path, e);
	free(kind);
	if (rc < 0)
		return rc;
	c->kind = (enum console_kind)rc;
	return path ? set_path(&c->path, path, e) : 0;
}

static int set_console_name(void *target, const struct given *given, struct err *e)
{
	struct console_config *c = target;

	return set_id(&c->name, given->text, e);
}

/* clang-format off: one row a field */
const struct field console_fields[] = {
	{.key = "kind",
	 .type = FIELD_WORD,
	 .required = true,
	 .words = console_kinds,
	 MEMBER(struct console_config, kind)},
	{.key = "path", .type = FIELD_PATH, MEMBER(struct console_config, path)},
	{.option = "name",
	 .key = "name",
	 .value = "NAME",
	 .type = FIELD_TEXT,
	 .set = set_console_name},
	{0},
};
/* clang-format on */

const struct list console_list = {
	.first = "stdio|pty|file=PATH|socket=PATH|none",
	.set_first = set_console,
	.fields = console_fields,
};

int console_check(const struct console_config *c, struct err *e)
{
	int rc = place_kind(console_kinds[c->kind].name, c->path, e);

	return MIN(rc, 0);
}

/* ---- vsock ---- */

/* toyvmm appends "_" and a port of up to ten digits to it (docs/vsock.md). */
#define VSOCK_SUFFIX_MAX 11

static int set_vsock_socket(void *target, const struct given *given, struct err *e)
{
	struct vsock_config *v = target;
	int rc = check_socket_path(given->text, VSOCK_SUFFIX_MAX, e);

	return rc < 0 ? rc : set_path(&v->socket, given->text, e);
}

/* clang-format off: one row a field */
const struct field vsock_fields[] = {
	/* 0 to 2 are the hypervisor, the machine itself and the host; 2^32 - 1 is "any" (linux/vm_sockets.h) */
	{.option = "cid",
	 .key = "guest_cid",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .required = true,
	 .min = 3,
	 .max = UINT32_MAX - 1,
	 MEMBER(struct vsock_config, cid)},
	{.option = "socket",
	 .key = "uds_path",
	 .value = "PATH",
	 .type = FIELD_PATH,
	 .required = true,
	 .set = set_vsock_socket},
	{.key = "vsock_id", .type = FIELD_TEXT}, /* Firecracker has given it up */
	{0},
};
/* clang-format on */

static int finish_vsock(void *target, struct err *e)
{
	return vsock_check(target, e);
}

const struct list vsock_list = {.fields = vsock_fields, .finish = finish_vsock};

int vsock_check(const struct vsock_config *v, struct err *e)
{
	if (!v->cid && v->socket)
		return err_set(e, EINVAL, "the guest's number is missing: cid=N, from 3 on");
	if (v->cid && !v->socket)
		return err_set(e, EINVAL, "the host's side is missing: socket=PATH");
	return 0;
}

/* ---- balloon ---- */

static int set_target(void *target, const struct given *given, struct err *e)
{
	struct balloon_config *b = target;

	if (given->number > CONFIG_MAX_MEMORY)
		return err_set(e, EINVAL, "'%s' is too much: at most 8 TiB",
			       show(given->text).text);
	if (given->number % MIB)
		return err_set(e, EINVAL, "'%s' is not a whole number of MiB",
			       show(given->text).text);
	b->target = given->number;
	b->enabled = true;
	return 0;
}

static int set_balloon_size(void *target, const char *word, struct err *e)
{
	struct given given = {.text = word};
	int rc = read_size(word, &given.number, e);

	return rc < 0 ? rc : set_target(target, &given, e);
}

static int set_hinting(void *target, const struct given *given, struct err *e)
{
	(void)target;
	return given->number ? err_set(e, EINVAL, "only false is supported") : 0;
}

#define BALLOON(member) MEMBER(struct balloon_config, member)

/* clang-format off: one row a field */
const struct field balloon_fields[] = {
	{.key = "amount_mib", .type = FIELD_SIZE, .required = true, .set = set_target},
	{.option = "deflate-on-oom",
	 .key = "deflate_on_oom",
	 .type = FIELD_FLAG,
	 BALLOON(deflate_on_oom)},
	{.option = "stats",
	 .key = "stats_polling_interval_s",
	 .value = "SECONDS",
	 .type = FIELD_NUMBER,
	 .max = 65535,
	 BALLOON(stats_interval_s)},
	{.option = "reporting",
	 .key = "free_page_reporting",
	 .type = FIELD_FLAG,
	 BALLOON(free_page_reporting)},
	{.key = "free_page_hinting", .type = FIELD_FLAG, .set = set_hinting},
	{0},
};
/* clang-format on */

const struct list balloon_list = {
	.first = "SIZE",
	.set_first = set_balloon_size,
	.fields = balloon_fields,
};
