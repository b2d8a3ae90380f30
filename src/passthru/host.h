/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI devices of this host, as sysfs shows them (Linux Documentation/ABI/testing/sysfs-bus-pci), and which
 * driver has them. Reading changes nothing. `root` is put in front of every path: "" but in tests.
 */
#pragma once

#include <limits.h>

#include "base/base.h"
#include "base/err.h"

#define HOST_BARS        7  /* six, and the expansion ROM */
#define HOST_BDF_LEN     13 /* "0000:03:00.0" and a NUL */
#define HOST_MAX_MEMBERS 32
#define HOST_CDEV_LEN    64

struct host_bar {
	uint64_t size; /* bytes; 0: none */
	bool io, is_64, prefetchable;
};

struct host_device {
	char bdf[HOST_BDF_LEN];
	uint16_t vendor, device;
	uint32_t class_code; /* 24 bits */
	char driver[64];     /* "": none */
	char used_as[64];    /* "eth0", "nvme0n1": what the host's driver made of it; "": nothing */
	int group;           /* of the IOMMU; -1: none */
	char reset_methods
		[64]; /* as the kernel would try them: "flr bus"; "": it cannot be reset */
	struct host_bar bar[HOST_BARS];
	bool config_known; /* an ordinary user reads the first 64 bytes only: the next two are then 0 */
	unsigned msi, msix; /* vectors */
	bool bridge;
};

/* The devices of a group, this one and bridges included. */
struct host_group {
	unsigned n;
	char member[HOST_MAX_MEMBERS][HOST_BDF_LEN];
};

/* "03:00.0" and "0000:03:00.0" are one device; `bdf` gets the long form. -EINVAL with a text. */
int host_bdf(char bdf[HOST_BDF_LEN], const char *written, struct err *e);

/* -ENODEV with a text: there is no such device. */
int host_read(struct host_device *d, const char *root, const char *bdf, struct err *e);
/* All devices, by address; *list is the caller's to free. -errno with a text. */
int host_read_all(struct host_device **list, unsigned *n, const char *root, struct err *e);
/* The group's devices; none when group is negative. */
void host_read_group(struct host_group *g, const char *root, int group);

/*
 * The device's own file, "/dev/vfio/devices/vfio0", which VFIO makes where the host has iommufd; `dir` is the device's directory
 * in sysfs. False: there is none.
 */
bool host_cdev(char path[HOST_CDEV_LEN], const char *dir);

/* A driver that leaves the device to vfio: vfio-pci and its like, or pci-stub; none does no harm either. */
bool host_driver_is_harmless(const char *driver);

/*
 * Takes the device from its driver and gives it to `driver` (driver_override, then drivers_probe); NULL: to whoever
 * the kernel finds. Nothing when it is so already. -errno with a text that says what to do.
 */
int host_bind(const char *root, const char *bdf, const char *driver, struct err *e);
