// SPDX-License-Identifier: Apache-2.0
/*
 * vfio-user-nvme [--doorbells message|shadow|eventfd] [--once] SOCKET DISK
 *
 * Serves DISK, a file or a block device, as an NVMe controller to vfio-user clients at SOCKET, one after the other.
 * "vfio-user-nvme: ready" tells that it listens.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vfio_user/nvme.h"

static int usage(void)
{
	fprintf(stderr, "usage: vfio-user-nvme [--doorbells message|shadow|eventfd] [--once] "
			"SOCKET DISK\n");
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
	while (rc == 0 && poll(p, 2, -1) >= 0) {
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

int main(int argc, char **argv)
{
	static struct nvme n;
	int doorbells = NVME_BY_MESSAGE, disk, listener, client, i = 1;
	bool once = false;
	off_t size;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--once") == 0)
			once = true;
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
