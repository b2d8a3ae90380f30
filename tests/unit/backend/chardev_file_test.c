// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include "base/log.h"
#include "chardev_fake.h"

static char dir[32], path[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/chardev-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/log", dir);
}

static void remove_dir(void)
{
	unlink(path);
	CHECK_EQ(0, rmdir(dir));
}

TEST(file_is_created_readable_by_all_and_gets_every_byte)
{
	struct fake f;
	struct stat st;
	char buf[16] = "";
	mode_t mask = umask(0);
	int fd;

	make_dir();
	fake_init(&f);
	CHECK_EQ(0, chardev_open_file(&f.c, &f.loop, path, &f.e));
	umask(mask);
	fake_start(&f);
	fake_write(&f, "he");
	fake_write(&f, "llo");
	CHECK(!chardev_congested(f.c));
	fake_settle(&f, 0);
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	CHECK_EQ(0, stat(path, &st));
	CHECK_EQ(0644, st.st_mode & 07777);
	fd = open(path, O_RDONLY);
	CHECK_EQ(5, read(fd, buf, sizeof(buf)));
	CHECK_STR("hello", buf);
	close(fd);
	remove_dir();
}

TEST(file_that_exists_is_emptied)
{
	struct fake f;
	struct stat st;
	FILE *old;

	make_dir();
	old = fopen(path, "w");
	fputs("something old", old);
	fclose(old);
	fake_init(&f);
	CHECK_EQ(0, chardev_open_file(&f.c, &f.loop, path, &f.e));
	fake_fini(&f);
	CHECK_EQ(0, stat(path, &st));
	CHECK_EQ(0, st.st_size);
	remove_dir();
}

static void refuse(const char *name, int code)
{
	struct fake f;

	fake_init(&f);
	CHECK_EQ(-code, chardev_open_file(&f.c, &f.loop, name, &f.e));
	CHECK_HAS(f.e.text, name);
	fake_fini(&f);
}

TEST(file_refuses_what_cannot_be_written)
{
	refuse("/tmp", EISDIR);
	refuse("/nonexistent/log", ENOENT);
}

TEST(file_that_is_a_fifo_without_reader_is_an_error_not_a_wait)
{
	make_dir();
	CHECK_EQ(0, mkfifo(path, 0600));
	refuse(path, ENXIO);
	remove_dir();
}

TEST(file_on_a_full_disk_loses_output_and_goes_on)
{
	struct fake f;
	enum log_level level = log_level;

	log_level = LOG_ERROR; /* it complains, as it should */
	fake_init(&f);
	CHECK_EQ(0, chardev_open_file(&f.c, &f.loop, "/dev/full", &f.e));
	fake_start(&f);
	fake_write(&f, "hello");
	fake_write(&f, "again");
	CHECK_EQ(10, chardev_dropped(f.c));
	CHECK(!chardev_congested(f.c));
	fake_fini(&f);
	log_level = level;
}
