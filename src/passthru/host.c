// SPDX-License-Identifier: Apache-2.0
#include "passthru/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"

/* sysfs(5) shows the resource flags of Linux' include/linux/ioport.h. */
#define RESOURCE_IO       0x00000100
#define RESOURCE_MEM      0x00000200
#define RESOURCE_PREFETCH 0x00002000
#define RESOURCE_64       0x00100000

int host_bdf(char bdf[HOST_BDF_LEN], const char *written, struct err *e)
{
	unsigned domain = 0, bus, slot, function;
	char rest;

	if (sscanf(written, "%4x:%2x:%2x.%1u%c", &domain, &bus, &slot, &function, &rest) != 4) {
		domain = 0;
		if (sscanf(written, "%2x:%2x.%1u%c", &bus, &slot, &function, &rest) != 3)
			slot = 0xff;
	}
	if (slot > 0x1f || function > 7)
		return err_set(e, EINVAL,
			       "'%.40s' is not the address of a PCI device: write 0000:03:00.0, as "
			       "'lspci -D' or 'toyvmm vfio list' show it",
			       written);
	snprintf(bdf, HOST_BDF_LEN, "%04x:%02x:%02x.%u", domain & 0xffff, bus & 0xff, slot,
		 function & 7);
	return 0;
}

/* The first line of a file of the device, without its newline; "" where there is none. */
static void read_line(char *to, size_t size, const char *root, const char *bdf, const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	to[0] = '\0';
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", root, bdf, name);
	f = fopen(path, "re");
	if (!f)
		return;
	if (!fgets(to, (int)size, f))
		to[0] = '\0';
	fclose(f);
	to[strcspn(to, "\n")] = '\0';
}

static unsigned long read_number(const char *root, const char *bdf, const char *name)
{
	char text[32];

	read_line(text, sizeof(text), root, bdf, name);
	return strtoul(text, NULL, 0);
}

/* The last component of what a link of the device points to; "" where there is none. */
static void read_link(char *to, size_t size, const char *root, const char *bdf, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", root, bdf, name);
	n = readlink(path, target, sizeof(target) - 1);
	target[MAX(n, 0)] = '\0';
	snprintf(to, size, "%.*s", (int)size - 1,
		 strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
}

/* The name of the first entry of a directory of the device: net/eth0, nvme/nvme0. */
static bool first_entry(struct host_device *d, const char *root, const char *name)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/%s", root, d->bdf, name);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(d->used_as, sizeof(d->used_as), "%.60s", entry->d_name);
	if (dir)
		closedir(dir);
	return d->used_as[0];
}

static void read_use(struct host_device *d, const char *root)
{
	static const char *const place[] = {"net", "nvme", "drm", "sound", "ata1", "usb1"};

	for (unsigned i = 0; i < ARRAY_SIZE(place); i++)
		if (first_entry(d, root, place[i]))
			return;
}

/* A line "start end flags" each: six BARs, then the ROM. */
static void read_bars(struct host_device *d, const char *root)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/resource", root, d->bdf);
	f = fopen(path, "re");
	for (unsigned i = 0; f && i < HOST_BARS; i++) {
		unsigned long long start, end, flags;
		if (fscanf(f, "%llx %llx %llx", &start, &end, &flags) != 3)
			break;
		if (end > start && flags & (RESOURCE_IO | RESOURCE_MEM))
			d->bar[i] = (struct host_bar){
				.size = end - start + 1,
				.io = flags & RESOURCE_IO,
				.is_64 = flags & RESOURCE_64,
				.prefetchable = flags & RESOURCE_PREFETCH,
			};
	}
	if (f)
		fclose(f);
}

static unsigned word_at(const uint8_t *config, unsigned at)
{
	return config[at] | (unsigned)config[at + 1] << 8;
}

/* PCI 3.0, 6.8: the counts are in the capabilities' control words. */
static void read_capabilities(struct host_device *d, const uint8_t *config)
{
	unsigned at = config[PCI_CAPABILITY_LIST] & ~3u;

	if (!(config[PCI_STATUS] & PCI_STATUS_CAP_LIST))
		return;
	for (unsigned i = 0; i < 48 && at >= 0x40 && at <= 0xfc; i++, at = config[at + 1] & ~3u) {
		unsigned control = word_at(config, at + 2);
		if (config[at] == PCI_CAP_ID_MSI)
			d->msi = 1u << ((control & PCI_MSI_FLAGS_QMASK) >> 1);
		else if (config[at] == PCI_CAP_ID_MSIX)
			d->msix = (control & PCI_MSIX_FLAGS_QSIZE) + 1;
	}
}

static void read_config(struct host_device *d, const char *root)
{
	uint8_t config[256 + 4] = {0}; /* a capability at the end is looked at a bit beyond it */
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/config", root, d->bdf);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, config, 256);
	fd_close(&fd);
	d->bridge = n >= 64 && (config[PCI_HEADER_TYPE] & 0x7f) != PCI_HEADER_TYPE_NORMAL;
	d->config_known = n == 256;
	if (d->config_known && !d->bridge)
		read_capabilities(d, config);
}

int host_read(struct host_device *d, const char *root, const char *bdf, struct err *e)
{
	char group[32], path[PATH_MAX];

	*d = (struct host_device){.group = -1};
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s", root, bdf);
	if (access(path, F_OK) < 0)
		return err_set(e, ENODEV,
			       "%.40s: there is no such PCI device; 'toyvmm vfio list' shows all",
			       bdf);
	snprintf(d->bdf, sizeof(d->bdf), "%.12s", bdf);
	d->vendor = (uint16_t)read_number(root, bdf, "vendor");
	d->device = (uint16_t)read_number(root, bdf, "device");
	d->class_code = (uint32_t)read_number(root, bdf, "class") & 0xffffff;
	read_link(d->driver, sizeof(d->driver), root, bdf, "driver");
	read_link(group, sizeof(group), root, bdf, "iommu_group");
	if (isdigit((unsigned char)group[0]))
		d->group = atoi(group);
	read_line(d->reset_methods, sizeof(d->reset_methods), root, bdf, "reset_method");
	read_use(d, root);
	read_bars(d, root);
	read_config(d, root);
	return 0;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct host_device *)a)->bdf, ((const struct host_device *)b)->bdf);
}

int host_read_all(struct host_device **list, unsigned *n, const char *root, struct err *e)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	*list = NULL;
	*n = 0;
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices", root);
	dir = opendir(path);
	if (!dir)
		return err_sys(e, "%s", path);
	while ((entry = readdir(dir))) {
		struct host_device *more;
		if (entry->d_name[0] == '.')
			continue;
		more = realloc(*list, (*n + 1) * sizeof(*more));
		if (!more)
			break;
		*list = more;
		if (host_read(&more[*n], root, entry->d_name, e) == 0)
			++*n;
	}
	closedir(dir);
	if (*n > 0)
		qsort(*list, *n, sizeof(**list), by_address);
	return 0;
}

void host_read_group(struct host_group *g, const char *root, int group)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	g->n = 0;
	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%d/devices", root, group);
	dir = group < 0 ? NULL : opendir(path);
	while (dir && g->n < HOST_MAX_MEMBERS && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(g->member[g->n++], HOST_BDF_LEN, "%.12s", entry->d_name);
	if (dir)
		closedir(dir);
	qsort(g->member, g->n, HOST_BDF_LEN, (int (*)(const void *, const void *))strcmp);
}

bool host_cdev(char path[HOST_CDEV_LEN], const char *dir)
{
	char name[PATH_MAX];
	const struct dirent *entry;
	bool found = false;
	DIR *d;

	snprintf(name, sizeof(name), "%s/vfio-dev", dir);
	d = opendir(name);
	while (d && !found && (entry = readdir(d))) {
		found = strncmp(entry->d_name, "vfio", 4) == 0;
		snprintf(path, HOST_CDEV_LEN, "/dev/vfio/devices/%.40s", entry->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

/* drivers/vfio/vfio.c and vfio_main.c in Linux: those that do no DMA of their own. */
bool host_driver_is_harmless(const char *driver)
{
	static const char *const harmless[] = {"", "vfio-pci", "pci-stub", "pcieport"};

	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strcmp(driver, harmless[i]) == 0)
			return true;
	return strstr(driver, "vfio") != NULL;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = write_full(fd, text, strlen(text));
	fd_close(&fd);
	return rc;
}

static int write_error(const char *path, int rc, struct err *e)
{
	return err_set(e, -rc, "%s: %s%s", path, strerror(-rc),
		       rc == -EACCES || rc == -EPERM ? ": only root may give a device to another "
						       "driver: try it with sudo"
						     : "");
}

int host_bind(const char *root, const char *bdf, const char *driver, struct err *e)
{
	struct host_device d;
	char path[PATH_MAX];
	int rc = host_read(&d, root, bdf, e);

	if (rc < 0 || (driver && strcmp(d.driver, driver) == 0))
		return rc;
	if (d.bridge)
		return err_set(e, EINVAL,
			       "%s is a bridge: the devices behind it can be passed, "
			       "it cannot",
			       bdf);
	/* It would refuse the device, after that has been taken from the driver it had. */
	if (driver && strstr(driver, "vfio") && d.group < 0)
		return err_set(e, ENODEV,
			       "%s is in no IOMMU group, and %s takes no device without: the IOMMU "
			       "is off, or there is none",
			       bdf, driver);
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver_override", root, bdf);
	if ((rc = write_file(path, driver ? driver : "\n")) < 0)
		return write_error(path, rc, e);
	snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/driver/unbind", root, bdf);
	if (d.driver[0] && (rc = write_file(path, bdf)) < 0)
		return write_error(path, rc, e);
	snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers_probe", root);
	if ((rc = write_file(path, bdf)) < 0)
		return write_error(path, rc, e);
	if ((rc = host_read(&d, root, bdf, e)) < 0)
		return rc;
	if (driver && strcmp(d.driver, driver) != 0)
		return err_set(
			e, ENODEV,
			"%s: %s does not take it: is the module loaded? ('sudo modprobe %s')", bdf,
			driver, driver);
	return 0;
}
