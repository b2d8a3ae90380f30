// SPDX-License-Identifier: Apache-2.0
/* What this host has for the back ends of devices: taps, user networking, io_uring, and things for later. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/netdev.h"
#include "base/io.h"
#include "event/loop.h"
#include "machine/check.h"

#define NOBODY (-1L) /* owner or group of a tap: not set */

static int open_error(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

/*
 * Whether this process may change the interfaces of its network namespace. A question that changes nothing: the
 * metric of an interface can be set no more, but the kernel asks for the privilege first (dev_ioctl() in Linux).
 */
static bool may_change_interfaces(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool may;

	if (sock < 0)
		return false;
	may = ioctl(sock, SIOCSIFMETRIC, &r) == 0 || errno != EPERM;
	close(sock);
	return may;
}

/* A number in a file of /sys/class/net/NAME; `otherwise` where there is no such file. */
static long interface_number(const char *name, const char *what, long otherwise)
{
	char path[300], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	f = fopen(path, "re");
	if (!f)
		return otherwise;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return text[0] ? strtol(text, NULL, 0) : otherwise;
}

/* Without the privilege, a tap is for its owner and its group; where neither is set, for all. */
static bool is_my_tap(const char *name)
{
	long flags = interface_number(name, "tun_flags", 0);
	long owner = interface_number(name, "owner", NOBODY);
	long group = interface_number(name, "group", NOBODY);

	return flags & IFF_TAP && (owner == NOBODY || owner == (long)geteuid()) &&
	       (group == NOBODY || group == (long)getegid());
}

static void find_tap(struct check_facts *f)
{
	DIR *dir = opendir("/sys/class/net");
	struct dirent *entry;

	while (dir && !f->tap[0] && (entry = readdir(dir)))
		if (strlen(entry->d_name) < sizeof(f->tap) && is_my_tap(entry->d_name))
			strcpy(f->tap, entry->d_name);
	if (dir)
		closedir(dir);
}

/* Starts it as `--net user` would, and ends it: only that tells whether all it needs is there. */
static int try_user_network(struct err *e)
{
	char id[] = "--net user";
	struct net_config config = {.kind = NET_USER, .id = id, .fd = -1};
	struct loop loop = LOOP_EMPTY;
	struct netdev *net = NULL;
	int rc = loop_init(&loop, e);

	if (rc == 0)
		rc = netdev_open(&net, &config, &loop, e);
	netdev_close(net);
	loop_fini(&loop);
	return rc;
}

static int try_io_uring(void)
{
	struct io_uring ring;
	int rc = io_uring_queue_init(1, &ring, 0);

	if (rc == 0)
		io_uring_queue_exit(&ring);
	return -rc;
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static uint64_t lock_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

/* The nodes are numbered as they come, so that there may be a 1 without a 0. */
static void find_vdpa(struct check_facts *f)
{
	DIR *dir = opendir("/dev");
	struct dirent *entry;

	while (dir && !f->vdpa[0] && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "vhost-vdpa-", 11) == 0 &&
		    strlen(entry->d_name) < sizeof(f->vdpa) - 5)
			snprintf(f->vdpa, sizeof(f->vdpa), "/dev/%.26s", entry->d_name);
	if (dir)
		closedir(dir);
	if (f->vdpa[0])
		f->vdpa_error = access(f->vdpa, R_OK | W_OK) == 0 ? 0 : errno;
}

void check_read_devices(struct check_facts *f)
{
	f->tun = open_error("/dev/net/tun");
	f->may_make_tap = may_change_interfaces();
	find_tap(f);
	f->slirp_rc = try_user_network(&f->slirp_error);
	f->io_uring = try_io_uring();
	f->iommu_groups = count_entries("/sys/kernel/iommu_groups");
	f->vfio = access("/dev/vfio/vfio", R_OK | W_OK) == 0 ? 0 : errno;
	if (access("/dev/iommu", R_OK | W_OK) == 0) /* the other way to a device */
		f->vfio = 0;
	f->memlock = lock_limit();
	f->privileged = geteuid() == 0;
	f->vhost_net = access("/dev/vhost-net", R_OK | W_OK) == 0 ? 0 : errno;
	f->vdpa_devices = count_entries("/sys/bus/vdpa/devices");
	find_vdpa(f);
}
