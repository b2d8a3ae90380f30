// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "chardev_fake.h"

static char dir[32];
static struct sockaddr_un addr;

static void setup(struct fake *f)
{
	strcpy(dir, "/tmp/chardev-XXXXXX");
	CHECK(mkdtemp(dir) != NULL);
	addr.sun_family = AF_UNIX;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/serial", dir);
	fake_init(f);
}

static void start(struct fake *f)
{
	CHECK_EQ(0, chardev_open_socket(&f->c, &f->loop, addr.sun_path, &f->e));
	fake_start(f);
}

static void teardown(struct fake *f)
{
	fake_fini(f);
	unlink(addr.sun_path);
	CHECK_EQ(0, rmdir(dir));
}

static int client(struct fake *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK_EQ(0, connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	if (f)
		fake_settle(f, 5);
	return fd;
}

/* Reads while it turns the loop. */
static size_t take(struct fake *f, int fd, uint8_t *buf, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while (n < size) {
		fake_settle(f, 2);
		got = recv(fd, buf + n, size - n, MSG_DONTWAIT);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return n;
}

TEST(socket_client_gets_output_and_gives_input)
{
	struct fake f;
	uint8_t buf[16];
	int fd;

	setup(&f);
	start(&f);
	fd = client(&f);
	fake_write(&f, "login: ");
	CHECK_EQ(7, take(&f, fd, buf, sizeof(buf)));
	CHECK_EQ(5, write(fd, "root\r", 5));
	fake_settle(&f, 5);
	CHECK_EQ(5, f.n);
	CHECK_EQ(0, memcmp(f.got, "root\r", 5));
	CHECK(!fake_step(&f, 20));
	close(fd);
	teardown(&f);
}

TEST(socket_late_client_sees_the_last_64_kib)
{
	struct fake f;
	static uint8_t buf[2 * CHARDEV_RING];
	size_t sent;
	int fd;

	setup(&f);
	start(&f);
	for (sent = 0; sent < 200000; sent++) {
		uint8_t b = pattern(sent);
		chardev_write(f.c, &b, 1);
	}
	CHECK(!chardev_congested(f.c)); /* nobody is there to be waited for */
	CHECK_EQ(sent - CHARDEV_RING, chardev_dropped(f.c));
	fd = client(&f);
	CHECK_EQ(CHARDEV_RING, take(&f, fd, buf, sizeof(buf)));
	for (size_t i = 0; i < CHARDEV_RING; i++)
		CHECK_EQ(pattern(sent - CHARDEV_RING + i), buf[i]);
	close(fd);
	teardown(&f);
}

TEST(socket_client_that_leaves_is_normal_and_the_next_gets_what_follows)
{
	struct fake f;
	uint8_t buf[16];
	int fd;

	setup(&f);
	start(&f);
	for (unsigned i = 0; i < 3; i++) {
		fd = client(&f);
		fake_write(&f, "one");
		CHECK_EQ(3, take(&f, fd, buf, sizeof(buf)));
		CHECK_EQ(2, write(fd, "in", 2));
		fake_settle(&f, 5);
		CHECK_EQ(2 * (i + 1), f.n);
		close(fd);
		fake_settle(&f, 5);
		CHECK(!fake_step(&f, 10));
	}
	fake_write(&f, "while away");
	fd = client(&f);
	CHECK_EQ(10, take(&f, fd, buf, sizeof(buf)));
	close(fd);
	teardown(&f);
}

TEST(socket_client_that_leaves_unnoticed_loses_nothing_for_the_next)
{
	struct fake f;
	uint8_t buf[16];
	int fd;

	setup(&f);
	start(&f);
	fd = client(&f);
	close(fd); /* the loop has not run: the write finds it out (EPIPE, and no SIGPIPE) */
	fake_write(&f, "hello");
	fd = client(&f);
	CHECK_EQ(5, take(&f, fd, buf, sizeof(buf)));
	close(fd);
	teardown(&f);
}

TEST(socket_second_client_waits_for_the_first_to_leave)
{
	struct fake f;
	uint8_t buf[16];
	int first, second;

	setup(&f);
	start(&f);
	first = client(&f);
	second = client(&f);
	CHECK(!fake_step(&f, 20));
	fake_write(&f, "to one");
	CHECK_EQ(6, take(&f, first, buf, sizeof(buf)));
	CHECK_EQ(0, take(&f, second, buf, sizeof(buf)));
	close(first);
	fake_settle(&f, 5);
	fake_write(&f, "to two");
	CHECK_EQ(6, take(&f, second, buf, sizeof(buf)));
	close(second);
	teardown(&f);
}

TEST(socket_input_of_a_client_that_has_gone_is_still_delivered)
{
	struct fake f;
	int fd, lowest;

	setup(&f);
	start(&f);
	f.room = 2;
	fd = client(NULL);
	lowest = dup(fd), close(lowest); /* what accept() will get */
	fake_settle(&f, 5);
	CHECK_EQ(8, write(fd, "poweroff", 8));
	close(fd);
	fake_settle(&f, 5);
	CHECK_EQ(2, f.n);
	CHECK(!fake_step(&f, 20));
	fake_write(&f, "po"); /* the guest's echo: finds nobody */
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 5);
	CHECK_EQ(8, f.n);
	CHECK(!fake_step(&f, 20));
	CHECK_EQ(-1, fcntl(lowest, F_GETFD)); /* and its descriptor is closed */
	teardown(&f);
}

TEST(socket_input_that_nobody_takes_does_not_keep_the_next_client_out)
{
	struct fake f;
	uint8_t buf[16];
	int fd;

	setup(&f);
	start(&f);
	f.room = 0;
	fd = client(&f);
	CHECK_EQ(3, write(fd, "old", 3));
	fake_settle(&f, 5);
	close(fd);
	fake_settle(&f, 5);
	CHECK(!fake_step(&f, 20));
	fd = client(&f);
	CHECK_EQ(3, write(fd, "new", 3));
	fake_write(&f, "hello");
	CHECK_EQ(5, take(&f, fd, buf, sizeof(buf)));
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 5);
	CHECK_EQ(3, f.n);
	CHECK_EQ(0, memcmp(f.got, "new", 3));
	close(fd);
	teardown(&f);
}

TEST(socket_client_that_leaves_is_noticed_though_nobody_takes_its_input)
{
	struct fake f;
	int fd;

	setup(&f);
	start(&f);
	f.room = 0;
	fd = client(&f);
	CHECK_EQ(3, write(fd, "old", 3));
	fake_settle(&f, 5);
	close(fd);
	fake_settle(&f, 5); /* no output finds it out */
	fd = client(&f);
	CHECK_EQ(3, write(fd, "new", 3));
	f.room = 100;
	chardev_resume_input(f.c);
	fake_settle(&f, 5);
	CHECK_EQ(3, f.n);
	CHECK_EQ(0, memcmp(f.got, "new", 3));
	close(fd);
	teardown(&f);
}

TEST(socket_client_that_ends_its_input_still_reads)
{
	struct fake f;
	uint8_t buf[16];
	int fd;

	setup(&f);
	start(&f);
	fd = client(&f);
	CHECK_EQ(2, write(fd, "ls", 2));
	shutdown(fd, SHUT_WR);
	fake_settle(&f, 5);
	CHECK_EQ(2, f.n);
	CHECK(!fake_step(&f, 20));
	fake_write(&f, "files");
	CHECK_EQ(5, take(&f, fd, buf, sizeof(buf)));
	close(fd);
	fake_settle(&f, 5);
	CHECK(!fake_step(&f, 20));
	fd = client(&f); /* the place is free again */
	fake_write(&f, "hello");
	CHECK_EQ(5, take(&f, fd, buf, sizeof(buf)));
	close(fd);
	teardown(&f);
}

TEST(socket_client_that_stops_reading_blocks_nobody)
{
	struct fake f;
	uint8_t buf[4096] = {0};
	int fd;

	setup(&f);
	start(&f);
	fd = client(&f);
	for (unsigned i = 0; i < 300; i++)
		chardev_write(f.c, buf, sizeof(buf));
	CHECK(chardev_dropped(f.c) > 0);
	CHECK(chardev_congested(f.c));
	close(fd);
	fake_settle(&f, 5);
	CHECK(!chardev_congested(f.c));
	CHECK_EQ(1, f.drained);
	teardown(&f);
}

TEST(socket_file_goes_at_the_end)
{
	struct fake f;
	struct stat st;

	setup(&f);
	start(&f);
	CHECK_EQ(0, stat(addr.sun_path, &st));
	chardev_destroy(f.c);
	f.c = NULL;
	CHECK_EQ(-1, stat(addr.sun_path, &st));
	teardown(&f);
}

TEST(socket_file_of_somebody_else_stays)
{
	struct fake f;
	struct stat st;

	setup(&f);
	start(&f);
	unlink(addr.sun_path);
	close(open(addr.sun_path, O_CREAT | O_WRONLY, 0600));
	chardev_destroy(f.c);
	f.c = NULL;
	CHECK_EQ(0, stat(addr.sun_path, &st));
	teardown(&f);
}

TEST(socket_of_a_dead_process_is_replaced)
{
	struct fake f;
	int dead, fd;

	setup(&f);
	dead = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(0, bind(dead, (struct sockaddr *)&addr, sizeof(addr)));
	close(dead);
	start(&f);
	fd = client(&f);
	close(fd);
	teardown(&f);
}

static void refuse(struct fake *f, const char *path, int code, const char *why)
{
	CHECK_EQ(-code, chardev_open_socket(&f->c, &f->loop, path, &f->e));
	CHECK_HAS(f->e.text, why);
	f->c = NULL;
}

TEST(socket_in_use_is_refused_and_left_alone)
{
	struct fake f, other;
	int fd;

	setup(&f);
	start(&f);
	fake_init(&other);
	refuse(&other, addr.sun_path, EADDRINUSE, "in use");
	fake_fini(&other);
	fake_settle(&f, 5);
	fd = client(&f);
	fake_write(&f, "hello");
	close(fd);
	teardown(&f);
}

TEST(socket_with_a_full_queue_is_in_use_too)
{
	struct fake f;
	int live, fds[8], n = 0;

	setup(&f);
	live = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_EQ(0, bind(live, (struct sockaddr *)&addr, sizeof(addr)));
	CHECK_EQ(0, listen(live, 0));
	do
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	while (connect(fds[n++], (struct sockaddr *)&addr, sizeof(addr)) == 0 && n < 8);
	refuse(&f, addr.sun_path, EADDRINUSE, "in use");
	while (n > 0)
		close(fds[--n]);
	close(live);
	teardown(&f);
}

TEST(socket_refuses_bad_paths)
{
	struct fake f;
	char longest[sizeof(addr.sun_path) + 1];
	FILE *file;

	setup(&f);
	refuse(&f, "", ENAMETOOLONG, "1 to 107 bytes");
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(addr.sun_path)] = '\0';
	refuse(&f, longest, ENAMETOOLONG, "1 to 107 bytes");
	refuse(&f, "/nonexistent/socket", ENOENT, "/nonexistent/socket");
	refuse(&f, dir, EEXIST, "is not a socket");
	file = fopen(addr.sun_path, "w");
	fclose(file);
	refuse(&f, addr.sun_path, EEXIST, "is not a socket");
	CHECK_EQ(0, access(addr.sun_path, F_OK)); /* and it is still there */
	teardown(&f);
}

TEST(socket_path_of_the_longest_length_works)
{
	struct fake f;
	size_t len;

	setup(&f);
	len = strlen(addr.sun_path);
	memset(addr.sun_path + len, 'x', sizeof(addr.sun_path) - 1 - len);
	addr.sun_path[sizeof(addr.sun_path) - 1] = '\0';
	start(&f);
	close(client(&f));
	teardown(&f);
}
