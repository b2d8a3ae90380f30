// SPDX-License-Identifier: Apache-2.0
/* The host's PCI devices (src/passthru/host.c), in a sysfs that is made up. */
#include "passthru/host.h"

#include <errno.h>

#include "sysfs.h"

#define NVME "0000:03:00.0"

static struct sysfs fs;
static struct err e;

TEST(address_may_leave_out_the_domain)
{
	char bdf[HOST_BDF_LEN];
	static const char *const wrong[] = {"",          "03",      "03:00",
					    "03:20.0",   "03:00.8", "0000:03:00.0x",
					    "x:03:00.0", "../..",   "03:00.0 "};

	CHECK_EQ(0, host_bdf(bdf, "3:1f.7", &e));
	CHECK_STR("0000:03:1f.7", bdf);
	CHECK_EQ(0, host_bdf(bdf, "000a:C1:00.0", &e));
	CHECK_STR("000a:c1:00.0", bdf);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		CHECK_EQ(-EINVAL, host_bdf(bdf, wrong[i], &e));
		CHECK_HAS(e.text, "is not the address of a PCI device");
	}
}

TEST(device_is_read_from_sysfs)
{
	struct host_device d;

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 7);
	sysfs_driver(&fs, NVME, "nvme");
	sysfs_set(&fs, NVME, "nvme/nvme0/model", "");
	CHECK_EQ(0, host_read(&d, fs.root, NVME, &e));
	CHECK_EQ(0x1b36, d.vendor);
	CHECK_EQ(0x0010, d.device);
	CHECK_EQ(0x010802, d.class_code);
	CHECK_STR("nvme", d.driver);
	CHECK_STR("nvme0", d.used_as);
	CHECK_STR("flr bus", d.reset_methods);
	CHECK_EQ(7, d.group);
	CHECK_EQ(16 * KIB, d.bar[0].size);
	CHECK(d.bar[0].is_64 && !d.bar[0].io && !d.bar[0].prefetchable);
	CHECK_EQ(0, d.bar[1].size);
	CHECK_EQ(32, d.bar[2].size);
	CHECK(d.bar[2].io);
	CHECK(d.config_known && !d.bridge);
	CHECK_EQ(65, d.msix);
	CHECK_EQ(4, d.msi);
	CHECK_EQ(-ENODEV, host_read(&d, fs.root, "0000:04:00.0", &e));
	CHECK_HAS(e.text, "toyvmm vfio list");
	sysfs_fini(&fs);
}

TEST(capability_list_that_loops_ends)
{
	uint8_t config[256] = {[6] = 0x10, [0x34] = 0x40, [0x40] = 0x01, [0x41] = 0x40};
	struct host_device d;

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, -1);
	sysfs_write(&fs, "bus/pci/devices/" NVME "/config", config, sizeof(config));
	CHECK_EQ(0, host_read(&d, fs.root, NVME, &e));
	CHECK_EQ(0, d.msix + d.msi);
	CHECK_EQ(-1, d.group);
	config[0x41] = 0xfc; /* at the very end */
	config[0xfc] = 0x11;
	sysfs_write(&fs, "bus/pci/devices/" NVME "/config", config, sizeof(config));
	CHECK_EQ(0, host_read(&d, fs.root, NVME, &e));
	CHECK_EQ(1, d.msix);
	sysfs_fini(&fs);
}

TEST(ordinary_user_sees_no_capabilities)
{
	uint8_t config[64] = {[6] = 0x10, [0x34] = 0x40};
	struct host_device d;

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 1);
	sysfs_write(&fs, "bus/pci/devices/" NVME "/config", config, sizeof(config));
	CHECK_EQ(0, host_read(&d, fs.root, NVME, &e));
	CHECK(!d.config_known);
	sysfs_fini(&fs);
}

TEST(devices_and_groups_come_in_order)
{
	struct host_device *list;
	struct host_group g;
	unsigned n;

	sysfs_init(&fs);
	sysfs_add(&fs, "0000:04:00.0", 2);
	sysfs_add(&fs, "0000:03:00.1", 1);
	sysfs_add(&fs, NVME, 1);
	CHECK_EQ(0, host_read_all(&list, &n, fs.root, &e));
	CHECK_EQ(3, n);
	CHECK_STR(NVME, list[0].bdf);
	CHECK_STR("0000:04:00.0", list[2].bdf);
	free(list);
	host_read_group(&g, fs.root, 1);
	CHECK_EQ(2, g.n);
	CHECK_STR(NVME, g.member[0]);
	CHECK_STR("0000:03:00.1", g.member[1]);
	host_read_group(&g, fs.root, -1);
	CHECK_EQ(0, g.n);
	sysfs_fini(&fs);
}

/* The sysfs of a test takes what is written, but nobody binds: that the driver is not there is what comes back. */
TEST(binding_overrides_unbinds_and_probes)
{
	char text[64];

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 1);
	sysfs_driver(&fs, NVME, "nvme");
	CHECK_EQ(-ENODEV, host_bind(fs.root, NVME, "vfio-pci", &e));
	CHECK_HAS(e.text, "modprobe vfio-pci");
	sysfs_get(&fs, NVME, "driver_override", text);
	CHECK(strncmp(text, "vfio-pci", 8) == 0);
	sysfs_get(&fs, NVME, "../../drivers/nvme/unbind", text);
	CHECK_STR(NVME, text);
	sysfs_get(&fs, NVME, "../../drivers_probe", text);
	CHECK_STR(NVME, text);
	sysfs_fini(&fs);
}

TEST(device_in_no_group_keeps_its_driver)
{
	char text[64];

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, -1);
	sysfs_driver(&fs, NVME, "nvme");
	CHECK_EQ(-ENODEV, host_bind(fs.root, NVME, "vfio-pci", &e));
	CHECK_HAS(e.text, "is in no IOMMU group");
	sysfs_get(&fs, NVME, "driver_override", text);
	CHECK_STR("(null)\n", text);
	sysfs_get(&fs, NVME, "../../drivers/nvme/unbind", text);
	CHECK_STR("", text);
	sysfs_fini(&fs);
}

TEST(unbinding_forgets_the_override)
{
	char text[64];

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 1);
	sysfs_set(&fs, NVME, "driver_override", "");
	sysfs_driver(&fs, NVME, "vfio-pci");
	CHECK_EQ(0, host_bind(fs.root, NVME, NULL, &e));
	sysfs_get(&fs, NVME, "driver_override", text);
	CHECK_STR("\n", text);
	sysfs_get(&fs, NVME, "../../drivers/vfio-pci/unbind", text);
	CHECK_STR(NVME, text);
	sysfs_fini(&fs);
}

TEST(bound_device_is_left_alone_and_a_bridge_refused)
{
	uint8_t config[64] = {[0x0e] = 0x81};
	char text[64];

	sysfs_init(&fs);
	sysfs_add(&fs, NVME, 1);
	sysfs_driver(&fs, NVME, "vfio-pci");
	CHECK_EQ(0, host_bind(fs.root, NVME, "vfio-pci", &e));
	sysfs_get(&fs, NVME, "driver_override", text);
	CHECK_STR("(null)\n", text);
	sysfs_write(&fs, "bus/pci/devices/" NVME "/config", config, sizeof(config));
	CHECK_EQ(-EINVAL, host_bind(fs.root, NVME, NULL, &e));
	CHECK_HAS(e.text, "is a bridge");
	sysfs_fini(&fs);
}
