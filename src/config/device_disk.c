// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/device.h"
#include "config/set.h"
#include "config/text.h"

static int set_first(void *target, const char *word, struct err *e)
{
	struct disk_config *d = target;

	return set_path(&d->path, word, e);
}

static int set_disk_id(void *target, const struct given *given, struct err *e)
{
	struct disk_config *d = target;

	return set_id(&d->id, given->text, e);
}

/* "temporary", or a file; a file of that name is "./temporary". */
static int set_overlay(void *target, const struct given *given, struct err *e)
{
	struct disk_config *d = target;

	if (strcmp(given->text, "temporary") == 0) {
		d->overlay = OVERLAY_TEMPORARY;
		return 0;
	}
	d->overlay = OVERLAY_FILE;
	return set_path(&d->overlay_path, given->text, e);
}

/* The ring's index arithmetic wants a power of two (virtio 1.2, 2.7); 4: a request has 3 descriptors or more. */
static int set_queue_size(void *target, const struct given *given, struct err *e)
{
	struct disk_config *d = target;
	uint64_t n = given->number;

	if (n < 4 || n > CONFIG_MAX_QUEUE_SIZE || (n & (n - 1)))
		return err_set(e, EINVAL, "'%s' is not a power of two from 4 to %d",
			       show(given->text).text, CONFIG_MAX_QUEUE_SIZE);
	d->queue_size = (unsigned)n;
	return 0;
}

/* It becomes a word of the kernel's command line: no spaces, no quotation marks. */
static int set_partuuid(void *target, const struct given *given, struct err *e)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-/=";
	struct disk_config *d = target;
	size_t len = strlen(given->text);

	if (len == 0 || len > 64 || strspn(given->text, allowed) != len)
		return err_set(e, EINVAL, "'%s' is no UUID of a partition", show(given->text).text);
	return set_line(&d->partuuid, given->text, e);
}

/*
 * Firecracker's files say "Unsafe" where their writer did not care: it is the default there, and means that
 * flushes are not even offered. It is a permission; a disk that keeps its promises keeps them here too.
 */
static int set_cache_type(void *target, const struct given *given, struct err *e)
{
	(void)target;
	if (strcmp(given->text, "Writeback") == 0)
		return 0;
	if (strcmp(given->text, "Unsafe") != 0)
		return err_set(e, EINVAL, "'%s' is neither Writeback nor Unsafe",
			       show(given->text).text);
	log_info("drives: cache_type Unsafe: flushes are honoured all the same (\"noflush\": true "
		 "if not)");
	return 0;
}

static int set_vhost_socket(void *target, const struct given *given, struct err *e)
{
	(void)target;
	(void)given;
	return err_set(e, EINVAL, "vhost-user is not supported yet");
}

static int set_bandwidth(void *target, const struct given *given, struct err *e)
{
	struct disk_config *d = target;

	if (given->number < 1 || given->number > BUCKET_MAX)
		return err_set(e, EINVAL, "'%s' a second is too little or too much",
			       show(given->text).text);
	d->limit.bandwidth = bucket_per_second(given->number);
	return 0;
}

static int set_iops(void *target, const struct given *given, struct err *e)
{
	struct disk_config *d = target;

	if (given->number < 1 || given->number > UINT32_MAX)
		return err_set(e, EINVAL, "'%s' is not a whole number from 1 to %u",
			       show(given->text).text, UINT32_MAX);
	d->limit.ops = bucket_per_second(given->number);
	return 0;
}

static const struct word engines[] = {
	{"auto", DISK_ENGINE_AUTO},       {"io_uring", DISK_ENGINE_IO_URING},
	{"threads", DISK_ENGINE_THREADS}, {"Async", DISK_ENGINE_IO_URING}, /* Firecracker's two */
	{"Sync", DISK_ENGINE_THREADS},    {0},
};

#define DISK(member) MEMBER(struct disk_config, member)

/* clang-format off: one row a field */
const struct field disk_fields[] = {
	{.key = "path_on_host", .type = FIELD_PATH, DISK(path)},
	{.key = "socket", .type = FIELD_TEXT, .set = set_vhost_socket},
	{.option = "readonly",
	 .option_alias = "ro",
	 .key = "is_read_only",
	 .type = FIELD_FLAG,
	 DISK(readonly)},
	{.option = "direct", .key = "direct", .type = FIELD_FLAG, DISK(direct)},
	{.option = "id",
	 .key = "drive_id",
	 .value = "NAME",
	 .type = FIELD_TEXT,
	 .set = set_disk_id},
	{.option = "serial",
	 .key = "serial",
	 .value = "TEXT",
	 .type = FIELD_TEXT,
	 .max = DISK_SERIAL_MAX,
	 DISK(serial)},
	{.option = "overlay",
	 .key = "overlay",
	 .value = "FILE|temporary",
	 .type = FIELD_TEXT,
	 .set = set_overlay},
	{.option = "engine",
	 .key = "io_engine",
	 .key_alias = "engine",
	 .value = "auto|io_uring|threads",
	 .type = FIELD_WORD,
	 .words = engines,
	 DISK(engine)},
	{.option = "queues",
	 .key = "queues",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 1,
	 .max = CONFIG_MAX_DISK_QUEUES,
	 DISK(queues)},
	{.option = "queue-size",
	 .key = "queue_size",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 4,
	 .max = CONFIG_MAX_QUEUE_SIZE,
	 .set = set_queue_size},
	{.option = "packed", .key = "packed", .type = FIELD_FLAG, DISK(packed)},
	{.option = "root", .key = "is_root_device", .type = FIELD_FLAG, DISK(root)},
	{.option = "partuuid",
	 .key = "partuuid",
	 .value = "UUID",
	 .type = FIELD_TEXT,
	 .set = set_partuuid},
	{.key = "cache_type", .type = FIELD_TEXT, .set = set_cache_type},
	{.key = "rate_limiter", .type = FIELD_OBJECT, .fields = limit_fields, DISK(limit)},
	{.option = "bw", .value = "RATE", .type = FIELD_SIZE, .set = set_bandwidth},
	{.option = "iops",
	 .value = "N",
	 .type = FIELD_NUMBER,
	 .min = 1,
	 .max = UINT32_MAX,
	 .set = set_iops},
	{.option = "noflush", .key = "noflush", .type = FIELD_FLAG, DISK(no_flush)},
	{.option = "nodiscard", .key = "nodiscard", .type = FIELD_FLAG, DISK(no_discard)},
	{.option = "nolock", .key = "nolock", .type = FIELD_FLAG, DISK(no_lock)},
	{0},
};
/* clang-format on */

static int finish(void *target, struct err *e)
{
	const struct disk_config *d = target;

	/* In Firecracker's files it is there, and ignored. */
	if (d->partuuid && !d->root)
		return err_set(e, EINVAL, "partuuid without root");
	return disk_check(d, e);
}

const struct list disk_list = {"PATH", set_first, disk_fields, finish};

int disk_check(const struct disk_config *d, struct err *e)
{
	if (!d->path || !*d->path)
		return err_set(e, EINVAL, "the disk's file is not named (path_on_host)");
	if (d->overlay != OVERLAY_NONE && d->readonly)
		return err_set(e, EINVAL,
			       "overlay and readonly contradict each other: with an overlay the "
			       "file is only read");
	if (d->overlay == OVERLAY_FILE && strcmp(d->overlay_path, d->path) == 0)
		return err_set(e, EINVAL, "the overlay is the disk's own file");
	return 0;
}
