// SPDX-License-Identifier: Apache-2.0
/* Standard input is a terminal: toyvmm's own keys, and what is read ahead on their account. */
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "chardev_fake.h"

static void open_terminal(struct fake *f, int *user, int *tty)
{
	struct termios raw;

	CHECK_EQ(0, openpty(user, tty, NULL, NULL, NULL));
	CHECK_EQ(0, tcgetattr(*tty, &raw));
	cfmakeraw(&raw);
	CHECK_EQ(0, tcsetattr(*tty, TCSANOW, &raw));
	fake_init(f);
	fake_open_stdio(f, *tty, *tty);
}

TEST(ctrl_a_x_on_a_terminal_calls_quit)
{
	struct fake f;
	int user, tty;

	open_terminal(&f, &user, &tty);
	fake_start(&f);
	CHECK_EQ(4, write(user, "ls\001x", 4));
	fake_settle(&f, 20);
	CHECK_EQ(1, f.quits);
	CHECK_EQ(2, f.n);
	CHECK_EQ(0, fcntl(tty, F_GETFL) & O_NONBLOCK);
	fake_fini(&f);
	close(user), close(tty);
}

TEST(ctrl_a_h_on_a_terminal_shows_the_keys)
{
	struct fake f;
	int user, tty;
	uint8_t buf[512];
	size_t n;

	open_terminal(&f, &user, &tty);
	fake_start(&f);
	CHECK_EQ(2, write(user, "\001h", 2));
	fake_settle(&f, 20);
	n = drain(user, buf, sizeof(buf) - 1);
	buf[n] = '\0';
	CHECK_HAS((char *)buf, "quit toyvmm");
	CHECK_EQ(0, f.n);
	fake_fini(&f);
	close(user), close(tty);
}

TEST(two_bytes_for_one_key_wait_for_room)
{
	struct fake f;
	int user, tty;

	open_terminal(&f, &user, &tty);
	f.room = 1;
	fake_start(&f);
	CHECK_EQ(3, write(user, "\001zq", 3));
	for (unsigned i = 0; i < 3; i++) {
		fake_settle(&f, 20);
		CHECK_EQ(i + 1, f.n);
		f.room = 1;
		chardev_resume_input(f.c);
	}
	CHECK_EQ(0, memcmp(f.got, "\001zq", 3));
	CHECK_EQ(1, f.biggest);
	fake_fini(&f);
	close(user), close(tty);
}

/* ---- keys while the guest takes no input ---- */

TEST(ctrl_a_x_calls_quit_while_the_guest_takes_no_input)
{
	struct fake f;
	int user, tty;

	open_terminal(&f, &user, &tty);
	f.room = 0;
	fake_start(&f);
	CHECK_EQ(3, write(user, "ls\001", 3));
	fake_settle(&f, 20);
	CHECK_EQ(0, f.quits);
	CHECK_EQ(1, write(user, "x", 1));
	fake_settle(&f, 20);
	CHECK_EQ(1, f.quits);
	CHECK_EQ(0, f.n);
	f.wakeups = 0;
	CHECK(!fake_step(&f, 50));
	fake_fini(&f);
	close(user), close(tty);
}

TEST(keys_typed_while_the_guest_takes_no_input_wait_and_arrive_in_order)
{
	struct fake f;
	int user, tty;

	open_terminal(&f, &user, &tty);
	f.room = 0;
	fake_start(&f);
	for (const char *key = "roo\001ztpw\001a\r"; *key; key++) {
		CHECK_EQ(1, write(user, key, 1));
		fake_settle(&f, 5);
	}
	CHECK_EQ(0, f.n);
	while (f.n < 10) {
		f.room = 3;
		chardev_resume_input(f.c);
		CHECK(fake_step(&f, 1000));
	}
	CHECK_EQ(10, f.n);
	CHECK_EQ(0, memcmp(f.got, "roo\001ztpw\001\r", 10));
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 20);
	CHECK_EQ(1, write(user, "q", 1)); /* and it goes on as ever */
	fake_settle(&f, 20);
	CHECK_EQ(11, f.n);
	fake_fini(&f);
	close(user), close(tty);
}

/* Pastes without waiting what the terminal takes; how much that was. */
static size_t paste(int user, size_t len)
{
	size_t n = 0;

	CHECK_EQ(0, fcntl(user, F_SETFL, O_NONBLOCK));
	for (; n < len; n++) {
		uint8_t byte = 'a' + n % 23;
		if (write(user, &byte, 1) != 1)
			break;
	}
	return n;
}

TEST(more_than_is_read_ahead_waits_in_the_kernel_without_wakeups_and_is_not_lost)
{
	struct fake f;
	int user, tty, left;
	size_t sent;

	open_terminal(&f, &user, &tty);
	f.room = 0;
	fake_start(&f);
	fake_settle(&f, 20);
	sent = paste(user, CHARDEV_AHEAD + 3000);
	fake_settle(&f, 20);
	CHECK_EQ(CHARDEV_AHEAD + 3000, sent);
	CHECK_EQ(0, ioctl(tty, FIONREAD, &left));
	CHECK_EQ(3000, left);
	CHECK(!fake_step(&f, 50)); /* readable, but nobody asks */
	while (f.n < sent) {
		f.room = 16;
		chardev_resume_input(f.c);
		CHECK(fake_step(&f, 1000));
	}
	CHECK_EQ(sent, f.n);
	for (size_t i = 0; i < sent; i++)
		CHECK_EQ('a' + i % 23, f.got[i]);
	fake_fini(&f);
	close(user), close(tty);
}

/* The place of a Ctrl-A that has not come out yet is kept free. */
TEST(a_ctrl_a_at_the_end_of_what_is_read_ahead_is_not_lost)
{
	for (size_t before = CHARDEV_AHEAD - 2; before <= CHARDEV_AHEAD; before++) {
		struct fake f;
		int user, tty;

		open_terminal(&f, &user, &tty);
		f.room = 0;
		fake_start(&f);
		fake_settle(&f, 20);
		CHECK_EQ(before, paste(user, before));
		fake_settle(&f, 20);
		CHECK_EQ(3, write(user, "\001zq", 3));
		fake_settle(&f, 20);
		f.room = SIZE_MAX;
		chardev_resume_input(f.c);
		fake_settle(&f, 20);
		CHECK_EQ(before + 3, f.n);
		CHECK_EQ('a', f.got[0]);
		CHECK_EQ(0, memcmp(f.got + before, "\001zq", 3));
		fake_fini(&f);
		close(user), close(tty);
	}
}

TEST(a_terminal_that_vanishes_while_input_is_held_costs_nothing_and_loses_no_key)
{
	struct fake f;
	int user, tty;

	open_terminal(&f, &user, &tty);
	f.room = 0;
	fake_start(&f);
	CHECK_EQ(2, write(user, "ls", 2));
	fake_settle(&f, 20);
	close(user);
	fake_settle(&f, 20);
	CHECK(!fake_step(&f, 50));
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 20);
	CHECK_EQ(2, f.n);
	CHECK(!fake_step(&f, 50));
	fake_fini(&f);
	close(tty);
}
