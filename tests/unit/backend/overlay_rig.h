/* SPDX-License-Identifier: Apache-2.0 */
/* A disk with an overlay; kills and power cuts. */
#pragma once

#include "backend/disk_rig.h"

#include <sys/sendfile.h>

#include "backend/overlay_impl.h"

#define CLUSTER 4096

struct over {
	struct rig g;
	char file[128], copy[128];
};

static inline void over_init(struct over *o, enum overlay_kind kind)
{
	rig_init(&o->g, DISK_ENGINE_AUTO);
	snprintf(o->file, sizeof(o->file), "%s/overlay", o->g.dir);
	snprintf(o->copy, sizeof(o->copy), "%s/copy", o->g.dir);
	o->g.config.overlay = kind;
	o->g.config.overlay_path = kind == OVERLAY_FILE ? o->file : NULL;
}

static inline void over_fini(struct over *o)
{
	rig_close(&o->g);
	unlink(o->file);
	unlink(o->copy);
	rig_fini(&o->g);
}

/* The overlay as it would be if toyvmm were killed now: the page cache is there, what is in memory is not. */
static inline void reopen_after_kill(struct over *o)
{
	int from = open(o->file, O_RDONLY), to = open(o->copy, O_CREAT | O_TRUNC | O_RDWR, 0644);
	struct stat st;

	CHECK(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	for (off_t at = 0; at < st.st_size;)
		CHECK(sendfile(to, from, &at, (size_t)(st.st_size - at)) > 0);
	close(from);
	close(to);
	rig_close(&o->g);
	CHECK_EQ(0, rename(o->copy, o->file));
	rig_open(&o->g);
}

static inline void patch(const char *path, off_t at, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY);

	CHECK_EQ(len, pwrite(fd, data, len, at));
	close(fd);
}

/* As after the host's next start: another boot id, and data that was never flushed is something else. */
static inline void reopen_after_power_cut(struct over *o, uint64_t lost_at, uint64_t lost_len)
{
	struct overlay probe = {.size = RIG_SIZE};
	char id[40] = "00000000-0000-0000-0000-000000000000";
	uint8_t *junk = malloc(RIG_SIZE);
	int from, to;
	struct stat st;

	from = open(o->file, O_RDONLY);
	to = open(o->copy, O_CREAT | O_TRUNC | O_RDWR, 0644);
	CHECK(from >= 0 && to >= 0 && fstat(from, &st) == 0 && junk != NULL);
	for (off_t at = 0; at < st.st_size;)
		CHECK(sendfile(to, from, &at, (size_t)(st.st_size - at)) > 0);
	close(from);
	close(to);
	rig_close(&o->g);
	CHECK_EQ(0, rename(o->copy, o->file));
	overlay_layout(&probe, 0);
	memset(junk, 0xee, RIG_SIZE);
	if (lost_len)
		patch(o->file, (off_t)(probe.data_at + lost_at), junk, lost_len);
	patch(o->file, offsetof(struct overlay_header, boot_id), id, sizeof(id));
	free(junk);
	rig_open(&o->g);
}
