// SPDX-License-Identifier: Apache-2.0
/* Opening, locks, and size changes. */
#include "backend/disk_rig.h"

#include <signal.h>
#include <sys/wait.h>

/* ---- opening ---- */

static void refused(struct rig *g, const char *part)
{
	CHECK(rig_try_open(g) < 0);
	CHECK_HAS(g->e.text, part);
	CHECK_HAS(g->e.text, g->config.path);
	CHECK(strchr(g->e.text, '\n') == NULL);
}

TEST(what_is_no_disk_is_refused_with_its_name)
{
	struct rig g;

	rig_init(&g, DISK_ENGINE_AUTO);
	g.config.path = g.dir;
	refused(&g, "directory");
	g.config.readonly = true;
	refused(&g, "directory");
	g.config.path = g.other;
	refused(&g, "No such file");
	CHECK_EQ(0, mkfifo(g.other, 0600));
	refused(&g, "FIFO");
	g.config.readonly = false;
	refused(&g, "FIFO");
	g.config.path = (char *)"/dev/null";
	refused(&g, "character device");
	g.config.path = g.image;
	CHECK_EQ(0, truncate(g.image, 0));
	refused(&g, "empty");
	CHECK_EQ(0, truncate(g.image, 511));
	refused(&g, "truncate -s");
	rig_fini(&g);
}

TEST(the_rest_of_a_sector_is_left_out)
{
	struct rig g;

	rig_init(&g, DISK_ENGINE_AUTO);
	CHECK_EQ(0, truncate(g.image, 1025));
	rig_open(&g);
	CHECK_EQ(1024, disk_size(g.d));
	rig_fini(&g);
}

TEST(a_second_opener_is_refused_at_once)
{
	struct rig a, b;

	rig_init(&a, DISK_ENGINE_THREADS);
	rig_init(&b, DISK_ENGINE_THREADS);
	rig_open(&a);
	b.config.path = a.image;
	refused(&b, "another process");
	b.config.readonly = true;
	refused(&b, "another process");
	b.config.no_lock = true;
	rig_open(&b);
	rig_close(&b);
	rig_close(&a);
	b.config.no_lock = b.config.readonly = false;
	rig_open(&b); /* the lock went with its owner */
	rig_fini(&b);
	rig_fini(&a);
}

TEST(the_lock_is_gone_when_its_owner_is)
{
	for
		EACH_ENGINE(i)
		{
			struct rig g;
			int tell[2];
			pid_t pid;
			char c;

			rig_init(&g, engines[i]);
			for (unsigned round = 0; round < 10; round++) {
				rig_open(&g);
				rig_fill(&g, 0, 4096, 1);
				rig_close(&g);
			}
			for (unsigned round = 0; round < 10; round++) {
				CHECK_EQ(0, pipe(tell));
				pid = fork();
				if (pid == 0) {
					if (rig_try_open(&g) == 0)
						rig_fill(&g, 0, 4096, 2);
					_exit(write(tell[1], "", g.d != NULL) == 1 ? pause() : 1);
				}
				close(tell[1]);
				CHECK_EQ(1, read(tell[0], &c, 1)); /* it has the lock */
				close(tell[0]);
				kill(pid, SIGKILL);
				CHECK_EQ(pid, waitpid(pid, NULL, 0));
			}
			rig_fini(&g);
		}
}

TEST(readers_share_but_not_with_a_writer)
{
	struct rig a, b, c;

	rig_init(&a, DISK_ENGINE_THREADS);
	rig_init(&b, DISK_ENGINE_THREADS);
	rig_init(&c, DISK_ENGINE_THREADS);
	b.config.path = c.config.path = a.image;
	a.config.readonly = b.config.readonly = true;
	rig_open(&a);
	rig_open(&b);
	CHECK(disk_readonly(a.d));
	CHECK(!disk_can_discard(a.d));
	CHECK(rig_holds(&b, 0, 4096, RIG_PATTERN));
	refused(&c, "another process");
	rig_fini(&b);
	rig_fini(&c);
	rig_fini(&a);
}

TEST(a_read_only_descriptor_cannot_write)
{
	for
		EACH_ENGINE(i)
		{
			static uint8_t data[512];
			struct rig g;

			rig_init(&g, engines[i]);
			g.config.readonly = true;
			rig_open(&g);
			CHECK_EQ(-EBADF, rig_do(&g, DISK_WRITE, 0, data, 512));
			CHECK_EQ(-EBADF, rig_do(&g, DISK_WRITE_ZEROES, 0, NULL, 512));
			CHECK_EQ(-EBADF, rig_do(&g, DISK_DISCARD, 0, NULL, 512));
			CHECK(rig_holds(&g, 0, 512, RIG_PATTERN));
			rig_fini(&g);
		}
}

/* ---- size changes ---- */

static void changed(void *arg)
{
	(*(unsigned *)arg)++;
}

TEST(truncate_by_another_is_noticed_our_own_writes_are_not)
{
	for
		EACH_ENGINE(i)
		{
			unsigned changes = 0;
			struct rig g;
			int fd;

			rig_init(&g, engines[i]);
			rig_open(&g);
			disk_watch(g.d, changed, &changes);
			rig_fill(&g, 0, 65536, 3);
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			CHECK(!rig_turn(&g, 0));
			CHECK_EQ(0, changes);
			fd = open(g.image, O_WRONLY);
			CHECK_EQ(0, ftruncate(fd, 2 * RIG_SIZE));
			close(fd);
			CHECK(rig_turn(&g, 5000));
			CHECK_EQ(1, changes);
			CHECK(disk_rescan(g.d));
			CHECK_EQ(2 * RIG_SIZE, disk_size(g.d));
			CHECK(!rig_turn(&g, 0));
			rig_fini(&g);
		}
}
