/* SPDX-License-Identifier: Apache-2.0 */
/* A sysfs with PCI devices in it, below a directory of the test's own; the words that a test puts there are files. */
#pragma once

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

struct sysfs {
	char root[64];
};

static inline void sysfs_make_parents(const char *path)
{
	char part[PATH_MAX + 128];

	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(part, 0755);
		*p = '/';
	}
}

static inline void sysfs_init(struct sysfs *s)
{
	strcpy(s->root, "/tmp/toyvmm-sysfs-XXXXXX");
	CHECK(mkdtemp(s->root) != NULL);
}

static inline void sysfs_fini(struct sysfs *s)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", s->root);
	CHECK_EQ(0, system(command));
}

static inline void sysfs_write(struct sysfs *s, const char *path, const void *data, size_t len)
{
	char full[PATH_MAX + 128];
	FILE *f;

	snprintf(full, sizeof(full), "%s/sys/%s", s->root, path);
	sysfs_make_parents(full);
	f = fopen(full, "w");
	CHECK(f != NULL);
	CHECK_EQ(len, fwrite(data, 1, len, f));
	fclose(f);
}

static inline void sysfs_link(struct sysfs *s, const char *path, const char *target)
{
	char full[PATH_MAX + 128];

	snprintf(full, sizeof(full), "%s/sys/%s", s->root, path);
	sysfs_make_parents(full);
	unlink(full);
	CHECK_EQ(0, symlink(target, full));
}

/* A file of a device. */
static inline void sysfs_set(struct sysfs *s, const char *bdf, const char *name, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", bdf, name);
	sysfs_write(s, path, text, strlen(text));
}

/* What was written into a file of the device since. */
static inline void sysfs_get(struct sysfs *s, const char *bdf, const char *name, char text[64])
{
	char path[PATH_MAX];
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", s->root, bdf, name);
	f = fopen(path, "r");
	CHECK(f != NULL);
	n = fread(text, 1, 63, f);
	text[n] = '\0';
	fclose(f);
}

static inline void sysfs_driver(struct sysfs *s, const char *bdf, const char *driver)
{
	char path[PATH_MAX], target[PATH_MAX];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", bdf);
	snprintf(target, sizeof(target), "../../drivers/%s", driver);
	sysfs_link(s, path, target);
	snprintf(path, sizeof(path), "bus/pci/drivers/%s/unbind", driver);
	sysfs_write(s, path, "", 0);
}

/* An NVMe disk with MSI-X of 65 vectors and MSI of 4, a 16 KiB BAR, in this group (-1: none). */
static inline void sysfs_add(struct sysfs *s, const char *bdf, int group)
{
	uint8_t config[256] = {[6] = 0x10,  [0x34] = 0x40, [0x40] = 0x11, [0x41] = 0x50,
			       [0x42] = 64, [0x50] = 0x05, [0x52] = 0x04};
	char path[PATH_MAX], target[64];

	sysfs_set(s, bdf, "vendor", "0x1b36\n");
	sysfs_set(s, bdf, "device", "0x0010\n");
	sysfs_set(s, bdf, "class", "0x010802\n");
	sysfs_set(s, bdf, "driver_override", "(null)\n");
	sysfs_set(s, bdf, "reset_method", "flr bus\n");
	sysfs_set(s, bdf, "resource",
		  "0x00000000fe400000 0x00000000fe403fff 0x0000000000140204\n"
		  "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		  "0x000000000000c000 0x000000000000c01f 0x0000000000040101\n");
	snprintf(path, sizeof(path), "bus/pci/devices/%s/config", bdf);
	sysfs_write(s, path, config, sizeof(config));
	sysfs_write(s, "bus/pci/drivers_probe", "", 0);
	if (group < 0)
		return;
	snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", bdf);
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%d", group);
	sysfs_link(s, path, target);
	snprintf(path, sizeof(path), "kernel/iommu_groups/%d/devices/%s", group, bdf);
	sysfs_link(s, path, "nowhere");
}
