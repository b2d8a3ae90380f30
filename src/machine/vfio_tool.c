// SPDX-License-Identifier: Apache-2.0
#include "machine/vfio_tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config/config.h"

#define VFIO_PCI "vfio-pci"

/* A size as people say it: 4K, 16M, 256. */
static void size_text(char text[24], uint64_t size)
{
	static const struct {
		uint64_t unit;
		const char *name;
	} units[] = {{GIB, "G"}, {MIB, "M"}, {KIB, "K"}, {1, ""}};
	unsigned i = 0;

	while (size % units[i].unit)
		i++;
	snprintf(text, 24, "%llu%s", (unsigned long long)(size / units[i].unit), units[i].name);
}

static void print_bars(const struct host_device *d, FILE *out)
{
	const char *comma = "";

	for (unsigned i = 0; i < HOST_BARS; i++) {
		char size[24];
		if (!d->bar[i].size)
			continue;
		size_text(size, d->bar[i].size);
		fprintf(out, "%s%s%s%s", comma, i == HOST_BARS - 1 ? "rom:" : "", size,
			d->bar[i].io ? "(ports)" : "");
		comma = " ";
	}
	if (!*comma)
		fputs("none", out);
}

static const char *kind(const struct host_device *d)
{
	static const struct {
		unsigned class_code, bits; /* the upper `bits` bits of it count */
		const char *name;
	} kinds[] = {
		{0x010802, 24, "NVMe disk"}, {0x0106, 16, "SATA"},
		{0x01, 8, "storage"},        {0x0200, 16, "Ethernet"},
		{0x02, 8, "network"},        {0x03, 8, "display"},
		{0x04, 8, "multimedia"},     {0x0600, 16, "host bridge"},
		{0x0601, 16, "ISA bridge"},  {0x0604, 16, "PCI bridge"},
		{0x06, 8, "bridge"},         {0x0700, 16, "serial port"},
		{0x0c03, 16, "USB"},         {0x12, 8, "accelerator"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (d->class_code >> (24 - kinds[i].bits) == kinds[i].class_code)
			return kinds[i].name;
	return "other";
}

static void print_device(const struct host_device *d, FILE *out)
{
	char group[16] = "-", msix[16] = "?";

	if (d->group >= 0)
		snprintf(group, sizeof(group), "%d", d->group);
	if (d->config_known)
		snprintf(msix, sizeof(msix), "%u", d->msix);
	fprintf(out, "%-5s %s  %04x:%04x  %-12s %-12s %-5s %-10s ", group, d->bdf, d->vendor,
		d->device, kind(d), d->driver[0] ? d->driver : "-", msix,
		d->reset_methods[0] ? d->reset_methods : "-");
	print_bars(d, out);
	if (d->used_as[0])
		fprintf(out, "  (%s)", d->used_as);
	fputc('\n', out);
}

static int by_group(const void *a, const void *b)
{
	const struct host_device *l = a, *r = b;

	return l->group != r->group ? (l->group > r->group) - (l->group < r->group)
				    : strcmp(l->bdf, r->bdf);
}

int vfio_list(const char *root, FILE *out, struct err *e)
{
	struct host_device *list;
	unsigned n;
	int rc = host_read_all(&list, &n, root, e);

	if (rc < 0)
		return rc;
	qsort(list, n, sizeof(*list), by_group);
	fprintf(out, "%-5s %-12s  %-9s  %-12s %-12s %-5s %-10s %s\n", "GROUP", "DEVICE", "ID",
		"KIND", "DRIVER", "MSI-X", "RESET", "BARS");
	for (unsigned i = 0; i < n; i++)
		print_device(&list[i], out);
	if (n > 0 && list[n - 1].group < 0)
		fputs("\nNo IOMMU groups: nothing can be passed. Enable VT-d or AMD-Vi in the "
		      "firmware; on Intel\nadd intel_iommu=on to the kernel's command line.\n",
		      out);
	free(list);
	return 0;
}

/* ---- check ---- */

/* One item of the report, as those of `toyvmm check`: "  yes  what   detail", and for a "no" the mend. */
static bool item(FILE *out, bool ok, const char *what, const char *fmt, ...) PRINTF_LIKE(4, 5);

static bool item(FILE *out, bool ok, const char *what, const char *fmt, ...)
{
	va_list ap;

	fprintf(out, "  %-3s  %-16s ", ok ? "yes" : "no", what);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
	return ok;
}

static void mend(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void mend(FILE *out, const char *fmt, ...)
{
	va_list ap;

	fputs("         mend: ", out);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
	fputc('\n', out);
}

static bool check_kind(const struct host_device *d, FILE *out)
{
	if (!d->bridge)
		return item(out, true, "kind of device", "%s", kind(d));
	item(out, false, "kind of device", "a bridge");
	mend(out, "pass the devices behind it");
	return false;
}

static bool check_iommu(const struct host_device *d, FILE *out)
{
	if (d->group >= 0)
		return item(out, true, "IOMMU", "group %d", d->group);
	item(out, false, "IOMMU", "the device is in no group: the IOMMU is off, or there is none");
	mend(out, "enable VT-d or AMD-Vi in the firmware; on Intel add intel_iommu=on to the "
		  "kernel's command line");
	return false;
}

static bool check_driver(const struct host_device *d, FILE *out)
{
	if (strcmp(d->driver, VFIO_PCI) == 0)
		return item(out, true, "driver", VFIO_PCI);
	item(out, false, "driver", "%s%s%s%s", d->driver[0] ? d->driver : "none",
	     d->used_as[0] ? ", which uses it as " : "", d->used_as,
	     d->used_as[0] ? ": see that nothing needs it" : "");
	mend(out, "sudo toyvmm vfio bind %s", d->bdf);
	return false;
}

/* All of a group or nothing: its devices can reach each other, or look the same to the IOMMU. */
static bool check_group(const struct vfio_host *h, const struct host_device *d, FILE *out)
{
	struct host_group g;
	bool ok = true;

	if (d->group < 0)
		return true; /* said already */
	host_read_group(&g, h->root, d->group);
	for (unsigned i = 0; i < g.n; i++) {
		struct host_device other;
		struct err ignored;
		if (strcmp(g.member[i], d->bdf) == 0 ||
		    host_read(&other, h->root, g.member[i], &ignored) < 0 || other.bridge ||
		    host_driver_is_harmless(other.driver))
			continue;
		ok = item(out, false, "group", "%s is in it, too, and %s has it", other.bdf,
			  other.driver);
		mend(out, "sudo toyvmm vfio bind %s", other.bdf);
	}
	return ok ? item(out, true, "group", "%u device%s, none that a host's driver has", g.n,
			 g.n == 1 ? "" : "s")
		  : false;
}

static bool check_access(const struct vfio_host *h, const struct host_device *d, FILE *out)
{
	if (h->container != 0) {
		item(out, false, "/dev/vfio/vfio", "%s", strerror(h->container));
		mend(out, h->container == ENOENT ? "sudo modprobe vfio-pci"
						 : "sudo chmod 666 /dev/vfio/vfio");
		return false;
	}
	if (d->group < 0 || strcmp(d->driver, VFIO_PCI) != 0)
		return true; /* there is no file of the group yet */
	if (h->group == 0)
		return item(out, true, "access", "/dev/vfio/%d", d->group);
	item(out, false, "access", "/dev/vfio/%d: %s", d->group, strerror(h->group));
	mend(out, "sudo chown \"$USER\" /dev/vfio/%d", d->group);
	return false;
}

/* All of the guest's memory is pinned while it runs: the device may write any of it at any time. */
static bool check_memory(const struct vfio_host *h, FILE *out)
{
	static const char what[] = "locked memory";
	char limit[24];

	if (h->privileged || h->memlock == UINT64_MAX)
		return item(out, true, what, "as much as the host has");
	size_text(limit, h->memlock);
	if (h->memlock >= CONFIG_DEFAULT_MEMORY)
		return item(out, true, what, "guests up to %s: 'ulimit -l' raises it", limit);
	item(out, false, what, "a limit of %s: too little for a guest", limit);
	mend(out, "'ulimit -l unlimited', where the hard limit allows it; or /etc/security/"
		  "limits.conf");
	return false;
}

static void check_reset(const struct host_device *d, FILE *out)
{
	if (d->reset_methods[0])
		item(out, true, "reset", "%s", d->reset_methods);
	else
		fputs("  -    reset            none: the next user finds the device as the last one "
		      "left it\n",
		      out);
}

int vfio_check(const struct vfio_host *h, const char *bdf, bool *works, FILE *out, struct err *e)
{
	struct host_device d;
	int rc = host_read(&d, h->root, bdf, e);

	if (rc < 0)
		return rc;
	fprintf(out, "%s  %04x:%04x\n", d.bdf, d.vendor, d.device);
	*works = check_kind(&d, out);
	*works &= check_iommu(&d, out);
	*works &= check_driver(&d, out);
	*works &= check_group(h, &d, out);
	*works &= check_access(h, &d, out);
	*works &= check_memory(h, out);
	check_reset(&d, out);
	fputs("  -    BARs             ", out);
	print_bars(&d, out);
	if (d.config_known)
		fprintf(out, "\n  -    interrupts       MSI-X %u, MSI %u\n", d.msix, d.msi);
	else
		fputs("\n  -    interrupts       only root can read them\n", out);
	fprintf(out,
		*works ? "It will work: toyvmm run --vfio %s ...\n"
		       : "%s will not work as it is.\n",
		d.bdf);
	return 0;
}

/* ---- the command ---- */

static int access_error(const char *path)
{
	return access(path, R_OK | W_OK) == 0 ? 0 : errno;
}

static struct vfio_host this_host(const char *bdf)
{
	struct vfio_host h = {.root = "",
			      .container = access_error("/dev/vfio/vfio"),
			      .memlock = UINT64_MAX,
			      .privileged = geteuid() == 0};
	struct host_device d;
	struct rlimit limit;
	struct err ignored;
	char path[HOST_CDEV_LEN], dir[64];

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		h.memlock = limit.rlim_cur;
	if (host_read(&d, "", bdf, &ignored) == 0) {
		snprintf(path, sizeof(path), "/dev/vfio/%d", d.group);
		h.group = access_error(path);
		/* By iommufd neither the group's file nor the container's is needed. */
		snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s", d.bdf);
		if (host_cdev(path, dir) && access_error(path) == 0 &&
		    access_error("/dev/iommu") == 0)
			h.container = h.group = 0;
	}
	return h;
}

static int check(const char *bdf, struct err *e)
{
	struct vfio_host h = this_host(bdf);
	bool works;
	int rc = vfio_check(&h, bdf, &works, stdout, e);

	return rc < 0 ? rc : !works;
}

static int bind(const char *bdf, const char *driver, struct err *e)
{
	struct host_device d;
	int rc = host_bind("", bdf, driver, e);

	if (rc == 0 && (rc = host_read(&d, "", bdf, e)) == 0)
		printf("%s: driver %s\n", bdf, d.driver[0] ? d.driver : "none");
	return rc;
}

int vfio_tool(enum vfio_action action, const char *written, struct err *e)
{
	char bdf[HOST_BDF_LEN];
	int rc = 0;

	if (action != VFIO_LIST && (rc = host_bdf(bdf, written, e)) < 0)
		return rc;
	switch (action) {
	case VFIO_LIST:
		rc = vfio_list("", stdout, e);
		break;
	case VFIO_CHECK:
		rc = check(bdf, e);
		break;
	case VFIO_BIND:
		rc = bind(bdf, VFIO_PCI, e);
		break;
	case VFIO_UNBIND:
		rc = bind(bdf, NULL, e);
		break;
	}
	if (rc >= 0 && (fflush(stdout) != 0 || ferror(stdout)))
		return err_sys(e, "standard output");
	return rc;
}
