/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TEST(name) { ... } defines and registers one unit test; its name is the specification. One program
 * holds all of them, run by cmocka under ASan and UBSan: build/unit [--list | name-part].
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void test_register(const char *file, const char *name, void (*fn)(void **state));

#define TEST(test_name)                                                     \
	static void test_##test_name(void **state);                         \
	__attribute__((constructor)) static void register_##test_name(void) \
	{                                                                   \
		test_register(__FILE__, #test_name, test_##test_name);      \
	}                                                                   \
	static void test_##test_name(__attribute__((unused)) void **state)

#define CHECK(cond)              assert_true(cond)
#define CHECK_EQ(expected, got)  assert_int_equal(expected, got)
#define CHECK_STR(expected, got) assert_string_equal(expected, got)
/* Fails unless `part` occurs in `text`: for error messages. */
#define CHECK_HAS(text, part) check_has(text, part, __FILE__, __LINE__)
void check_has(const char *text, const char *part, const char *file, int line);

/* How many descriptors this process has open (and one more): for tests that none is left. */
unsigned test_open_fds(void);
