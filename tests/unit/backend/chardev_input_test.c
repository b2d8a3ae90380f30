// SPDX-License-Identifier: Apache-2.0
/* Standard streams of every kind. The keys of a terminal are in chardev_keys_test.c. */
#include <pthread.h>
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>

#include "chardev_fake.h"

#define MUCH (10u * 1024 * 1024)

struct writer {
	int fd;
	size_t len;
};

static void *write_pattern(void *arg)
{
	struct writer *w = arg;
	uint8_t buf[5000];

	for (size_t at = 0; at < w->len;) {
		size_t n = MIN(sizeof(buf), w->len - at);
		for (size_t i = 0; i < n; i++)
			buf[i] = pattern(at + i);
		ssize_t done = write(w->fd, buf, n);
		if (done <= 0)
			break;
		at += (size_t)done;
	}
	close(w->fd);
	return NULL;
}

static void check_pattern(const struct fake *f, size_t len)
{
	CHECK_EQ(len, f->n);
	for (size_t i = 0; i < len; i++)
		if (f->got[i] != pattern(i))
			CHECK_EQ(i, -1);
}

TEST(ten_megabytes_through_a_pipe_arrive_whole_and_in_order_in_pieces_that_fit)
{
	struct fake f;
	int in[2];
	struct writer w = {.len = MUCH};
	pthread_t thread;

	fake_init(&f);
	make_pipe(in);
	w.fd = in[1];
	fake_open_stdio(&f, in[0], -1);
	f.room = 16;
	fake_start(&f);
	pthread_create(&thread, NULL, write_pattern, &w);
	while (f.n < w.len && fake_step(&f, 5000)) {
		if (f.room == 0) { /* the guest's interrupt handler read it all */
			f.room = 16;
			chardev_resume_input(f.c);
		}
	}
	pthread_join(thread, NULL);
	CHECK_EQ(16, f.biggest);
	check_pattern(&f, w.len);
	fake_settle(&f, 10);
	CHECK(!fake_step(&f, 20)); /* the end of input is not served again and again */
	fake_fini(&f);
	close(in[0]);
}

TEST(no_wakeups_while_the_guest_takes_no_input_even_after_the_writer_has_gone)
{
	struct fake f;
	int in[2];

	fake_init(&f);
	make_pipe(in);
	fake_open_stdio(&f, in[0], -1);
	close(in[0]); /* or the pipe would stay open at that end */
	f.room = 3;
	fake_start(&f);
	CHECK_EQ(6, write(in[1], "abcdef", 6));
	fake_settle(&f, 10);
	CHECK_EQ(3, f.n);
	close(in[1]); /* HUP: epoll reports it to everybody who is still registered */
	f.wakeups = 0;
	CHECK(!fake_step(&f, 50));
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 10);
	CHECK_EQ(6, f.n);
	CHECK_EQ(0, memcmp(f.got, "abcdef", 6));
	CHECK(f.wakeups < 4);
	fake_fini(&f);
}

TEST(resume_without_need_costs_nothing)
{
	struct fake f;
	int in[2];

	fake_init(&f);
	make_pipe(in);
	fake_open_stdio(&f, in[0], -1);
	fake_start(&f);
	fake_settle(&f, 0);
	chardev_resume_input(f.c);
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	close(in[0]), close(in[1]);
}

TEST(regular_file_as_input_is_fed_as_room_permits_without_spinning)
{
	struct fake f;
	FILE *file = tmpfile();
	size_t len = 100000;

	for (size_t i = 0; i < len; i++)
		fputc(pattern(i), file);
	rewind(file);
	fake_init(&f);
	fake_open_stdio(&f, fileno(file), -1);
	f.room = 0;
	fake_start(&f);
	fake_settle(&f, 0);
	f.wakeups = 0;
	CHECK(!fake_step(&f, 50));
	while (f.n < len) {
		f.room = 7;
		chardev_resume_input(f.c);
		CHECK(fake_step(&f, 1000));
	}
	check_pattern(&f, len);
	fake_settle(&f, 0);
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	fclose(file);
}

TEST(a_file_without_end_leaves_the_loop_to_others_in_between)
{
	struct fake f;
	int zero = open("/dev/zero", O_RDONLY);

	fake_init(&f);
	fake_open_stdio(&f, zero, -1);
	f.room = 1 << 20;
	fake_start(&f);
	CHECK(fake_step(&f, 100));
	CHECK(f.n > 0 && f.n < 1 << 20);
	fake_settle(&f, 0);
	CHECK_EQ(1 << 20, f.n);
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
	close(zero);
}

TEST(dev_null_and_directory_as_input_are_its_end)
{
	static const char *const paths[] = {"/dev/null", "/"};

	for (unsigned i = 0; i < 2; i++) {
		struct fake f;
		int in = open(paths[i], O_RDONLY);

		fake_init(&f);
		fake_open_stdio(&f, in, -1);
		fake_start(&f);
		fake_settle(&f, 10);
		CHECK_EQ(0, f.n);
		CHECK(!fake_step(&f, 20));
		fake_fini(&f);
		close(in);
	}
}

TEST(sockets_as_standard_streams_stay_blocking_and_work)
{
	struct fake f;
	int s[2];
	uint8_t buf[8];

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	fake_init(&f);
	fake_open_stdio(&f, s[0], s[0]);
	close(s[0]);
	fake_start(&f);
	CHECK_EQ(2, write(s[1], "in", 2));
	fake_settle(&f, 10);
	CHECK_EQ(2, f.n);
	fake_write(&f, "out");
	CHECK_EQ(3, drain(s[1], buf, sizeof(buf)));
	close(s[1]);
	fake_settle(&f, 10);
	fake_write(&f, "lost");
	CHECK_EQ(4, chardev_dropped(f.c));
	CHECK(!fake_step(&f, 20));
	fake_fini(&f);
}

TEST(full_socket_as_output_does_not_block)
{
	struct fake f;
	int s[2];
	uint8_t buf[4096] = {0};

	CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	fake_init(&f);
	fake_open_stdio(&f, -1, s[0]);
	close(s[0]);
	fake_start(&f);
	for (unsigned i = 0; i < 200; i++)
		chardev_write(f.c, buf, sizeof(buf)); /* hangs here if it does */
	CHECK(chardev_dropped(f.c) > 0);
	close(s[1]);
	fake_fini(&f);
}

TEST(a_pipe_passes_every_byte_escape_keys_included)
{
	struct fake f;
	int in[2];

	fake_init(&f);
	make_pipe(in);
	fake_open_stdio(&f, in[0], -1);
	fake_start(&f);
	CHECK_EQ(6, write(in[1], "\001x\001h\001\001", 6));
	fake_settle(&f, 10);
	CHECK_EQ(6, f.n);
	CHECK_EQ(0, memcmp(f.got, "\001x\001h\001\001", 6));
	CHECK_EQ(0, f.quits);
	fake_fini(&f);
	close(in[0]), close(in[1]);
}

/* A master is /dev/ptmx: opening that again gives another pty, so it is used as it is, after
 * poll(2). */
TEST(streams_that_cannot_be_reopened_work_and_never_block)
{
	struct fake f;
	int master, tty;
	struct termios raw;
	uint8_t buf[4096] = {0};

	CHECK_EQ(0, openpty(&master, &tty, NULL, NULL, NULL));
	CHECK_EQ(0, tcgetattr(tty, &raw));
	cfmakeraw(&raw);
	CHECK_EQ(0, tcsetattr(tty, TCSANOW, &raw));
	fake_init(&f);
	fake_open_stdio(&f, master, master);
	fake_start(&f);
	CHECK_EQ(2, write(tty, "in", 2));
	fake_settle(&f, 20);
	CHECK_EQ(2, f.n);
	fake_write(&f, "out");
	CHECK_EQ(3, drain(tty, buf, sizeof(buf)));
	CHECK_EQ(0, memcmp(buf, "out", 3));
	for (unsigned i = 0; i < 40; i++)
		chardev_write(f.c, buf, 4001); /* hangs here if it blocks */
	CHECK_EQ(0, fcntl(master, F_GETFL) & O_NONBLOCK);
	close(tty);
	fake_fini(&f);
	close(master);
}
