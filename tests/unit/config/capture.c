// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../test.h"

void capture_start(struct capture *c, int fd)
{
	fflush(NULL);
	c->fd = fd;
	c->saved = dup(fd);
	c->memory = memfd_create("captured", MFD_CLOEXEC);
	CHECK(c->saved >= 0 && c->memory >= 0);
	CHECK(dup2(c->memory, fd) == fd);
}

void capture_end(struct capture *c)
{
	ssize_t n;

	fflush(NULL);
	dup2(c->saved, c->fd);
	close(c->saved);
	n = pread(c->memory, c->text, sizeof(c->text) - 1, 0);
	close(c->memory);
	CHECK(n >= 0);
	c->text[n] = '\0';
}

void temp_file(char path[32], const void *bytes, size_t len)
{
	int fd;

	strcpy(path, "/tmp/toyvmm-test-XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK(write(fd, bytes, len) == (ssize_t)len);
	close(fd);
}

char *tree_file(const char *path)
{
	char full[4096];
	const char *here = strstr(__FILE__, "tests/unit/");
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(full, sizeof(full), "%.*s%s", (int)(here - __FILE__), __FILE__, path);
	f = fopen(full, "re");
	if (!f)
		fail_msg("%s: run the tests in the tree's root", full);
	CHECK(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	return text;
}
