/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of what is printed: the text that went to a descriptor meanwhile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct capture {
	int fd, saved, memory;
	char text[16384];
};

void capture_start(struct capture *c, int fd); /* STDOUT_FILENO or STDERR_FILENO */
void capture_end(struct capture *c);           /* fills text */

/* A file of these bytes in a place of its own; remove it by unlink(). */
void temp_file(char path[32], const void *bytes, size_t len);

/* The whole of a file of this source tree, as a string to free(). Fails the test if it is not
 * there. */
char *tree_file(const char *path);
