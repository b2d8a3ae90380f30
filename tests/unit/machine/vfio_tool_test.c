// SPDX-License-Identifier: Apache-2.0
/* `toyvmm vfio list` and `check` on hosts that are made up. */
#include "machine/vfio_tool.h"

#include <errno.h>

#include "../passthru/sysfs.h"

#define NVME  "0000:03:00.0"
#define OTHER "0000:03:00.1"

static char text[8192];
static struct sysfs fs;
static struct err e;

/* A host on which the device can be passed on. */
static struct vfio_host good_host(void)
{
	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 7);
	sysfs_driver(&fs, NVME, "vfio-pci");
	return (struct vfio_host){.root = fs.root, .memlock = UINT64_MAX};
}

static bool check(const struct vfio_host *h)
{
	FILE *out = fmemopen(text, sizeof(text), "w");
	bool works = false;

	CHECK(out != NULL);
	CHECK_EQ(0, vfio_check(h, NVME, &works, out, &e));
	fclose(out);
	CHECK_EQ(works, strstr(text, "  no   ") == NULL);
	CHECK_EQ(works, strstr(text, "mend:") == NULL);
	return works;
}

TEST(device_that_can_be_passed_on_says_how)
{
	struct vfio_host h = good_host();

	CHECK(check(&h));
	CHECK_HAS(text, "It will work: toyvmm run --vfio " NVME " ...");
	CHECK_HAS(text, "MSI-X 65, MSI 4");
	CHECK_HAS(text, "16K 32(ports)");
	CHECK_HAS(text, "flr bus");
	sysfs_fini(&fs);
}

TEST(device_with_its_own_driver_is_to_be_bound)
{
	struct vfio_host h = good_host();

	sysfs_driver(&fs, NVME, "nvme");
	sysfs_set(&fs, NVME, "nvme/nvme0/model", "");
	CHECK(!check(&h));
	CHECK_HAS(text, "nvme, which uses it as nvme0");
	CHECK_HAS(text, "sudo toyvmm vfio bind " NVME);
	sysfs_fini(&fs);
}

TEST(driver_of_another_device_of_the_group_is_in_the_way)
{
	struct vfio_host h = good_host();

	sysfs_add(&fs, OTHER, 7);
	CHECK(check(&h));
	sysfs_driver(&fs, OTHER, "e1000e");
	CHECK(!check(&h));
	CHECK_HAS(text, OTHER " is in it, too, and e1000e has it");
	CHECK_HAS(text, "sudo toyvmm vfio bind " OTHER);
	sysfs_driver(&fs, OTHER, "pci-stub");
	CHECK(check(&h));
	sysfs_fini(&fs);
}

TEST(missing_module_permission_and_iommu_are_named_with_their_mend)
{
	struct vfio_host h = good_host();

	h.container = ENOENT;
	CHECK(!check(&h));
	CHECK_HAS(text, "modprobe vfio-pci");
	h.container = 0;
	h.group = EACCES;
	CHECK(!check(&h));
	CHECK_HAS(text, "chown \"$USER\" /dev/vfio/7");
	sysfs_fini(&fs);
	sysfs_init(&fs);
	sysfs_add(&fs, NVME, -1);
	h.group = 0;
	CHECK(!check(&h));
	CHECK_HAS(text, "intel_iommu=on");
	sysfs_fini(&fs);
}

TEST(limit_of_locked_memory_is_told_to_ordinary_users)
{
	struct vfio_host h = good_host();

	h.memlock = 8 * MIB;
	CHECK(!check(&h));
	CHECK_HAS(text, "a limit of 8M: too little for a guest\n");
	CHECK_HAS(text, "ulimit -l unlimited");
	h.memlock = GIB;
	CHECK(check(&h));
	CHECK_HAS(text, "guests up to 1G");
	h.memlock = 8 * MIB;
	h.privileged = true;
	CHECK(check(&h));
	CHECK_HAS(text, "as much as the host has");
	sysfs_fini(&fs);
}

TEST(list_has_a_line_for_each_device_and_groups_together)
{
	FILE *out = fmemopen(text, sizeof(text), "w");

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 9);
	sysfs_add(&fs, "0000:04:00.0", 2);
	sysfs_driver(&fs, NVME, "nvme");
	CHECK_EQ(0, vfio_list(fs.root, out, &e));
	fclose(out);
	CHECK_HAS(text, "9     " NVME "  1b36:0010  NVMe disk    nvme");
	CHECK(strstr(text, "0000:04:00.0") < strstr(text, NVME));
	CHECK(strstr(text, "No IOMMU groups") == NULL);
	sysfs_fini(&fs);
}
