// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <termios.h>

#include "chardev_fake.h"

/* Opens one; the name is what it printed. */
static void open_pty(struct fake *f, char name[64])
{
	int saved = dup(STDOUT_FILENO), p[2], rc;
	char line[96] = "";

	fake_init(f);
	fflush(stdout);
	CHECK_EQ(0, pipe(p));
	dup2(p[1], STDOUT_FILENO);
	rc = chardev_open_pty(&f->c, &f->loop, "console 2", &f->e);
	dup2(saved, STDOUT_FILENO);
	CHECK_EQ(0, rc);
	CHECK(read(p[0], line, sizeof(line) - 1) > 0);
	CHECK_EQ(1, sscanf(line, "console 2: %63s\n", name));
	CHECK_EQ('\n', line[strlen(line) - 1]);
	close(p[0]), close(p[1]), close(saved);
	fake_start(f);
	fake_settle(f, 5);
}

static size_t take(struct fake *f, int fd, uint8_t *buf, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t n = 0;
	ssize_t got;

	while (n < size) {
		fake_settle(f, 2);
		if (poll(&p, 1, 20) != 1 || (got = read(fd, buf + n, size - n)) <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

TEST(pty_is_raw_and_carries_both_ways)
{
	struct fake f;
	char name[64];
	uint8_t buf[64];
	struct termios mode;
	int fd;

	open_pty(&f, name);
	fd = open(name, O_RDWR | O_NOCTTY);
	CHECK(fd >= 0);
	CHECK_EQ(0, tcgetattr(fd, &mode));
	CHECK_EQ(0, mode.c_lflag & (ICANON | ECHO | ISIG));
	CHECK_EQ(0, mode.c_oflag & OPOST);
	fake_settle(&f, 5);
	fake_write(&f, "login: ");
	CHECK_EQ(7, take(&f, fd, buf, sizeof(buf)));
	CHECK_EQ(6, write(fd, "a\001x\003\r\n", 6)); /* no key is ours here */
	fake_settle(&f, 5);
	CHECK_EQ(6, f.n);
	CHECK_EQ(0, memcmp(f.got, "a\001x\003\r\n", 6));
	close(fd);
	fake_fini(&f);
}

TEST(pty_without_reader_keeps_the_last_64_kib_and_never_wakes)
{
	struct fake f;
	char name[64];
	static uint8_t buf[2 * CHARDEV_RING];
	size_t sent, got;
	int fd;

	open_pty(&f, name);
	for (sent = 0; sent < 200000; sent++) {
		uint8_t b = pattern(sent);
		chardev_write(f.c, &b, 1);
	}
	CHECK(!chardev_congested(f.c));
	CHECK(!fake_step(&f, 50));
	fd = open(name, O_RDWR | O_NOCTTY);
	got = take(&f, fd, buf, sizeof(buf));
	CHECK_EQ(CHARDEV_RING, got);
	for (size_t i = 0; i < got; i++)
		CHECK_EQ(pattern(sent - CHARDEV_RING + i), buf[i]);
	close(fd);
	fake_fini(&f);
}

TEST(pty_reader_may_leave_and_come_back)
{
	struct fake f;
	char name[64];
	uint8_t buf[64];

	open_pty(&f, name);
	for (unsigned i = 0; i < 3; i++) {
		int fd = open(name, O_RDWR | O_NOCTTY);
		fake_settle(&f, 5);
		fake_write(&f, "hello");
		CHECK_EQ(5, take(&f, fd, buf, sizeof(buf)));
		close(fd);
		fake_settle(&f, 5);
		CHECK(!fake_step(&f, 20)); /* no HUP for ever */
	}
	fake_fini(&f);
}

TEST(pty_output_while_the_reader_is_away_waits_for_the_next)
{
	struct fake f;
	char name[64];
	static uint8_t buf[2 * CHARDEV_RING];
	size_t sent;

	open_pty(&f, name);
	close(open(name, O_RDWR | O_NOCTTY));
	fake_settle(&f, 5);
	for (sent = 0; sent < 200000; sent++) {
		uint8_t b = pattern(sent);
		chardev_write(f.c, &b, 1);
	}
	int fd = open(name, O_RDWR | O_NOCTTY);
	CHECK_EQ(CHARDEV_RING, take(&f, fd, buf, sizeof(buf)));
	CHECK_EQ(pattern(sent - CHARDEV_RING), buf[0]);
	close(fd);
	fake_fini(&f);
}

TEST(pty_slow_reader_loses_nothing_when_the_sender_waits)
{
	struct fake f;
	char name[64];
	static uint8_t buf[4096];
	size_t sent = 0, got = 0, want = 400000;
	bool held = false;
	int fd;

	open_pty(&f, name);
	fd = open(name, O_RDWR | O_NOCTTY);
	fake_settle(&f, 5);
	while (got < want) {
		size_t n;
		while (sent < want && !held) {
			uint8_t b = pattern(sent++);
			chardev_write(f.c, &b, 1);
			held = chardev_congested(f.c);
		}
		n = take(&f, fd, buf, sizeof(buf));
		CHECK(n > 0);
		for (size_t i = 0; i < n; i++)
			CHECK_EQ(pattern(got + i), buf[i]);
		got += n;
		held = held && !f.drained;
		f.drained = 0;
	}
	CHECK_EQ(0, chardev_dropped(f.c));
	close(fd);
	fake_fini(&f);
}
