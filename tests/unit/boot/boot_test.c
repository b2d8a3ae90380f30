// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <sys/stat.h>

#include "boot/file.h"

static void refuses_path(const char *path, int code, const char *part)
{
	struct boot_test t;

	boot_test_init(&t, RAM);
	CHECK_EQ(-code, boot_test_path(&t, path));
	CHECK_HAS(t.e.text, "kernel '");
	CHECK_HAS(t.e.text, path);
	CHECK_HAS(t.e.text, part);
	CHECK(!strchr(t.e.text, '\n'));
	boot_test_fini(&t);
}

TEST(refuses_what_is_no_file_without_waiting_for_it)
{
	char fifo[] = "/tmp/toyvmm-test-XXXXXX";
	struct memfile empty = memfile("", 0);

	refuses_path("/nonexistent/vmlinux", ENOENT, "open: No such file or directory");
	refuses_path("/", EISDIR, "is a directory");
	refuses_path(empty.path, EINVAL, "is empty");
	refuses_path("/dev/zero", EINVAL, "not a regular file");
	CHECK(mkdtemp(fifo) != NULL);
	CHECK_EQ(0, rmdir(fifo));
	CHECK_EQ(0, mkfifo(fifo, 0600));
	refuses_path(fifo, EINVAL, "not a regular file");
	unlink(fifo);
	close(empty.fd);
}

TEST(a_very_long_path_leaves_room_for_the_reason)
{
	static char path[4000];
	struct boot_test t;

	memset(path, 'd', sizeof(path) - 1);
	boot_test_init(&t, RAM);
	CHECK_EQ(-ENAMETOOLONG, boot_test_path(&t, path));
	CHECK_HAS(t.e.text, "File name too long");
	boot_test_fini(&t);
}

static void looks_like(const char *magic, size_t len, size_t offset, const char *part)
{
	uint8_t file[4096] = {0};
	struct err e;

	memcpy(file + offset, magic, len);
	CHECK_EQ(-ENOEXEC, load_once(file, sizeof(file), &e));
	CHECK_HAS(e.text, part);
}

TEST(says_what_a_file_that_is_no_kernel_looks_like)
{
	looks_like("ARM\x64", 4, 0x38, "aarch64");
	looks_like("RSC\x05", 4, 0x38, "RISC-V");
	looks_like("MZ", 2, 0, "EFI");
	looks_like("070701", 6, 0, "cpio");
	looks_like("#!/bin/sh", 9, 0, "script");
	looks_like("\x27\x05\x19\x56", 4, 0, "U-Boot");
	looks_like("\xd0\x0d\xfe\xed", 4, 0, "devicetree");
	looks_like("!<arch>\n", 8, 0, "Debian package");
	looks_like("PK\x03\x04", 4, 0, "zip");
	looks_like("QFI\xfb", 4, 0, "qcow2");
	looks_like("hsqs", 4, 0, "squashfs");
	looks_like("\x53\xef", 2, 0x438, "ext4");
	looks_like("\x55\xaa", 2, 0x1fe, "boot sector");
	looks_like("", 1, 0, "neither an ELF kernel");
}

TEST(recognises_text)
{
	struct err e;

	CHECK_EQ(-ENOEXEC, load_once("hello\n", 6, &e));
	CHECK_HAS(e.text, "text file");
	CHECK_EQ(-ENOEXEC, load_once("x", 1, &e));
	CHECK_HAS(e.text, "text file");
	CHECK_EQ(-ENOEXEC, load_once("\x7f"
				     "EL",
				     3, &e));
	CHECK_EQ(-ENOEXEC, load_once("\x01", 1, &e));
	CHECK_HAS(e.text, "neither");
}

TEST(no_prefix_of_a_bzimage_crashes)
{
	static struct tiny_bz b;
	struct err e;

	tiny_bz(&b, "unknown compression", 20);
	for (size_t len = 1; len < b.len; len += 3)
		CHECK(load_once(b.bytes, len, &e) < 0);
	CHECK_EQ(0, load_once(b.bytes, b.len, &e));
}

TEST(bytes_in_memory_are_read_no_further_than_they_go)
{
	uint8_t bytes[10] = "0123456789", buf[11];
	struct boot_file f = {.fd = -1, .data = bytes, .size = sizeof(bytes)};
	struct boot_test t;

	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_file_read(&f, buf, 10, 0, &t.e));
	CHECK_EQ(-EIO, boot_file_read(&f, buf, 11, 0, &t.e));
	CHECK_EQ(-EIO, boot_file_read(&f, buf, 1, 10, &t.e));
	CHECK_EQ(0, boot_file_place(&f, &t.m, LOAD, 1, 9, &t.e));
	CHECK_EQ('9', ram_byte(&t, LOAD + 8));
	CHECK_EQ(-EIO, boot_file_place(&f, &t.m, LOAD, 1, 10, &t.e));
	boot_test_fini(&t);
}

TEST(a_file_that_shrinks_is_a_read_error)
{
	struct memfile f = memfile("0123456789", 10);
	struct boot_file file;
	struct boot_test t;
	char buf[10];

	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_file_open(&file, f.path, &t.e));
	CHECK_EQ(0, boot_file_read(&file, buf, 10, 0, &t.e));
	CHECK_EQ(0, boot_file_read(&file, buf, 0, 10, &t.e));
	CHECK_EQ(-EIO, boot_file_read(&file, buf, 10, 1, &t.e));
	CHECK_EQ(-EIO, boot_file_read(&file, buf, 1, UINT64_MAX, &t.e));
	CHECK_EQ(0, ftruncate(f.fd, 9));
	CHECK_EQ(-EIO, boot_file_read(&file, buf, 10, 0, &t.e));
	CHECK_EQ(-EIO, boot_file_place(&file, &t.m, LOAD, 0, 10, &t.e));
	CHECK_HAS(t.e.text, "cannot be loaded");
	CHECK_EQ(-EFAULT, boot_file_place(&file, &t.m, RAM - 8, 0, 9, &t.e));
	boot_file_close(&file);
	boot_test_fini(&t);
	close(f.fd);
}
