// SPDX-License-Identifier: Apache-2.0
/*
 * vfio-user-nvme [--doorbells message|shadow|eventfd] [--once] [--page] SOCKET DISK
 *
 * Serves DISK, a file or a block device, as an NVMe controller to vfio-user clients at SOCKET, one after the other.
 * "vfio-user-nvme: ready" tells that it listens. With --page there is a page of memory in BAR 2, and SIGUSR1 makes its file
 * empty: what no server should do.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfio_user/nvme.h"

static int usage(void)
{
	fprintf(stderr, "usage: vfio-user-nvme [--doorbells message|shadow|eventfd] [--once] "
			"[--page] SOCKET DISK\n");
	return 2;
}

static int failed(const char *what)
{
	perror(what);
	return 1;
}

/* Until the client hangs up: what it says, and the doorbells that KVM rings. */
static void serve_client(struct nvme *n, int client)
{
	struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = n->kick, .events = POLLIN}};
	int rc = 0;

	vfuser_begin(&n->server, client);
	while (rc == 0) {
		if (poll(p, 2, -1) < 0) /* a signal */
			continue;
		if (p[1].revents & POLLIN)
			nvme_kicked(n);
		if (p[0].revents)
			rc = vfuser_command(&n->server);
	}
	n->dev.reset(n); /* its memory is going: nothing must be looked for there */
	vfuser_end(&n->server);
}

static int doorbells_named(const char *name)
{
	static const char *const names[] = {"message", "shadow", "eventfd"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return -1;
}

static volatile sig_atomic_t page = -1;

static void on_cut(int signal)
{
	(void)signal;
	(void)!ftruncate(page, 0);
}

static int add_page(struct nvme *n)
{
	const struct sigaction cut = {.sa_handler = on_cut, .sa_flags = SA_RESTART};
	const uint32_t value = 0x600df00d;

	page = memfd_create("page", MFD_CLOEXEC);
	if (page < 0 || ftruncate(page, NVME_PAGE) < 0 ||
	    pwrite(page, &value, sizeof(value), 0) != sizeof(value))
		return -1;
	n->dev.region[VFIO_PCI_BAR2_REGION_INDEX] =
		(struct vfuser_region){.size = NVME_PAGE,
				       .flags = VFIO_REGION_INFO_FLAG_READ |
						VFIO_REGION_INFO_FLAG_WRITE |
						VFIO_REGION_INFO_FLAG_MMAP,
				       .fd = page};
	return sigaction(SIGUSR1, &cut, NULL);
}

int main(int argc, char **argv)
{
	static struct nvme n;
	int doorbells = NVME_BY_MESSAGE, disk, listener, client, i = 1;
	bool once = false, with_page = false;
	off_t size;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--once") == 0)
			once = true;
		else if (strcmp(argv[i], "--page") == 0)
			with_page = true;
		else if (strcmp(argv[i], "--doorbells") == 0 && i + 1 < argc)
			doorbells = doorbells_named(argv[++i]);
		else
			return usage();
	}
	if (argc - i != 2 || doorbells < 0)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	disk = open(argv[i + 1], O_RDWR | O_CLOEXEC);
	size = disk < 0 ? -1 : lseek(disk, 0, SEEK_END);
	if (size < 0)
		return failed(argv[i + 1]);
	nvme_init(&n, disk, (uint64_t)size, (enum nvme_doorbells)doorbells);
	if (with_page && add_page(&n) < 0)
		return failed("page");
	listener = vfuser_listen(argv[i]);
	if (listener < 0)
		return failed(argv[i]);
	printf("vfio-user-nvme: ready\n");
	fflush(stdout);
	do {
		client = accept(listener, NULL, NULL);
		if (client >= 0)
			serve_client(&n, client);
	} while (!once);
	return 0;
}
