// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct CMUnitTest tests[4096];
static size_t n_tests;
static char names[sizeof(tests) / sizeof(tests[0])][160];

void test_register(const char *file, const char *name, void (*fn)(void **state))
{
	const char *base = strstr(file, "tests/unit/");

	if (n_tests == sizeof(tests) / sizeof(tests[0]))
		abort();
	base = base ? base + strlen("tests/unit/") : file;
	snprintf(names[n_tests], sizeof(names[0]), "%.*s: %s", (int)strcspn(base, "."), base, name);
	tests[n_tests].name = names[n_tests];
	tests[n_tests++].test_func = fn;
}

void check_has(const char *text, const char *part, const char *file, int line)
{
	if (strstr(text, part))
		return;
	print_error("%s:%d: \"%s\" has no \"%s\"\n", file, line, text, part);
	fail();
}

unsigned test_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
}

int main(int argc, char **argv)
{
	size_t kept = 0;

	qsort(tests, n_tests, sizeof(tests[0]), by_name);
	for (size_t i = 0; i < n_tests; i++)
		if (argc < 2 || !strcmp(argv[1], "--list") || strstr(tests[i].name, argv[1]))
			tests[kept++] = tests[i];
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < kept; i++)
			puts(tests[i].name);
		return 0;
	}
	if (kept == 0) {
		fprintf(stderr, "no unit test matches\n");
		return 1;
	}
	return _cmocka_run_group_tests("unit", tests, kept, NULL, NULL) ? 1 : 0;
}
