// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"

TEST(err_set_returns_the_negative_code_and_keeps_the_text)
{
	struct err e;

	CHECK_EQ(-EINVAL, err_set(&e, EINVAL, "disk %d: bad", 3));
	CHECK_STR("disk 3: bad", e.text);
}

TEST(err_sys_adds_what_errno_says)
{
	struct err e;

	errno = ENOENT;
	CHECK_EQ(-ENOENT, err_sys(&e, "kernel '%s'", "x"));
	CHECK_STR("kernel 'x': No such file or directory", e.text);
}

TEST(err_wrap_puts_context_in_front)
{
	struct err e;

	err_set(&e, EIO, "short read");
	CHECK_EQ(-EIO, err_wrap(&e, -EIO, "disk '%s': ", "a.img"));
	CHECK_STR("disk 'a.img': short read", e.text);
}

TEST(err_text_is_cut_not_overrun)
{
	char longer[2000];
	struct err e;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	err_set(&e, EINVAL, "%s", longer);
	CHECK_EQ(sizeof(e.text) - 1, strlen(e.text));
	errno = EIO;
	err_sys(&e, "%s", longer);
	err_wrap(&e, -EIO, "%s", longer);
	CHECK_EQ(sizeof(e.text) - 1, strlen(e.text));
}

TEST(pread_full_says_eio_at_an_early_end)
{
	int fd = memfd_create("t", MFD_CLOEXEC);
	char buf[8];

	CHECK_EQ(5, write(fd, "12345", 5));
	CHECK_EQ(0, pread_full(fd, buf, 5, 0));
	CHECK_EQ(-EIO, pread_full(fd, buf, 6, 0));
	CHECK_EQ(-EIO, pread_full(fd, buf, 1, 5));
	CHECK_EQ(0, pread_full(fd, buf, 0, 5));
	fd_close(&fd);
	CHECK_EQ(-1, fd);
	fd_close(&fd);
	CHECK_EQ(-EBADF, pread_full(fd, buf, 1, 0));
}

/* Runs fn with standard error going to a file; gives what was printed. */
static void capture(void (*fn)(void), char *text, size_t size)
{
	int file = memfd_create("stderr", MFD_CLOEXEC), saved = dup(STDERR_FILENO);
	ssize_t n;

	dup2(file, STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	n = pread(file, text, size - 1, 0);
	text[n < 0 ? 0 : n] = 0;
	close(file);
	close(saved);
}

static void say_long(void)
{
	char longer[3000];

	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	log_warn("%s", longer);
}

TEST(log_line_is_whole_and_bounded)
{
	char text[4096];

	capture(say_long, text, sizeof(text));
	CHECK_HAS(text, "toyvmm: yyy");
	CHECK(strlen(text) < 1024);
	CHECK_EQ('\n', text[strlen(text) - 1]);
}

static void flood(void)
{
	struct log_limit limit = {0};

	for (int i = 0; i < 100000; i++)
		log_limited(&limit, "bad descriptor %d", i);
	limit.window_start_s -= LOG_INTERVAL_S;
	log_limited(&limit, "later");
}

TEST(flood_is_limited_and_the_rest_counted)
{
	char text[8192];
	unsigned lines = 0;

	capture(flood, text, sizeof(text));
	for (char *p = text; *p; p++)
		lines += *p == '\n';
	CHECK_EQ(LOG_BURST + 2, lines);
	CHECK_HAS(text, "99990 more of these left out");
	CHECK_HAS(text, "later");
}
