/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request and response over one TCP connection, one byte each way at a time: how long the way there and back takes.
 * rr listen PORT | rr ADDRESS PORT SECONDS
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int serve(struct sockaddr_in *a)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd, one = 1;
	char byte;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)a, sizeof(*a)) < 0 || listen(listener, 1) < 0) {
		perror("rr");
		return 1;
	}
	for (;;) {
		fd = accept(listener, NULL, NULL);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (read(fd, &byte, 1) == 1 && write(fd, &byte, 1) == 1)
			;
		close(fd);
	}
}

static int ask(struct sockaddr_in *a, double seconds)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	unsigned long n = 0;
	double start;
	char byte = 'x';

	if (connect(fd, (struct sockaddr *)a, sizeof(*a)) < 0) {
		perror("rr");
		return 1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	start = now();
	while (now() - start < seconds) {
		if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			return 1;
		n++;
	}
	printf("%lu %.3f\n", n, (now() - start) * 1e6 / (double)n);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	if (argc < 3)
		return 2;
	a.sin_port = htons((uint16_t)atoi(argv[2]));
	if (!strcmp(argv[1], "listen"))
		return serve(&a);
	inet_pton(AF_INET, argv[1], &a.sin_addr);
	return ask(&a, argc > 3 ? atof(argv[3]) : 3);
}
