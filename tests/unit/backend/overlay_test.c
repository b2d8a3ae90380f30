// SPDX-License-Identifier: Apache-2.0
#include "backend/overlay_rig.h"

#include <signal.h>
#include <sys/wait.h>

static const enum overlay_kind kinds[] = {OVERLAY_FILE, OVERLAY_TEMPORARY};

TEST(writes_go_to_the_overlay_and_never_to_the_base)
{
	for (unsigned k = 0; k < 2; k++) {
		struct over o;

		over_init(&o, kinds[k]);
		rig_open(&o.g);
		CHECK(!disk_readonly(o.g.d));
		CHECK(rig_holds(&o.g, 0, RIG_SIZE, RIG_PATTERN));
		rig_fill(&o.g, 8192, 4096, 0x11);
		rig_fill(&o.g, RIG_SIZE - 512, 512, 0x22);
		CHECK(rig_holds(&o.g, 8192, 4096, 0x11));
		CHECK(rig_holds(&o.g, 0, 8192, RIG_PATTERN));
		CHECK(rig_holds(&o.g, 12288, RIG_SIZE - 12288 - 512, RIG_PATTERN));
		CHECK(rig_holds(&o.g, RIG_SIZE - 512, 512, 0x22));
		CHECK_EQ(0, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
		rig_close(&o.g);
		o.g.config.overlay = OVERLAY_NONE;
		rig_open(&o.g);
		CHECK(rig_holds(&o.g, 0, RIG_SIZE, RIG_PATTERN));
		over_fini(&o);
	}
}

/* Every alignment of start and end within clusters, against a model in memory. */
TEST(any_mix_of_requests_reads_as_a_plain_disk_would)
{
	for (unsigned k = 0; k < 2; k++) {
		uint8_t *model = malloc(RIG_SIZE), *data = malloc(RIG_SIZE);
		uint32_t x = 12345;
		struct over o;

		over_init(&o, kinds[k]);
		rig_open(&o.g);
		for (uint64_t i = 0; i < RIG_SIZE; i++)
			model[i] = rig_byte(i);
		for (unsigned n = 0; n < 300; n++) {
			uint64_t at, len;

			x = x * 1664525 + 1013904223;
			at = (x >> 8) % (RIG_SIZE / 512) * 512;
			x = x * 1664525 + 1013904223;
			len = ((x >> 8) % 40 + 1) * 512;
			len = MIN(len, RIG_SIZE - at);
			if (n % 5 == 4) {
				memset(model + at, 0, len);
				CHECK_EQ(0, rig_do(&o.g, DISK_WRITE_ZEROES, at, NULL, len));
			} else {
				memset(model + at, (int)n, len);
				rig_fill(&o.g, at, len, (uint8_t)n);
			}
		}
		if (kinds[k] == OVERLAY_FILE)
			reopen_after_kill(&o);
		CHECK_EQ(0, rig_do(&o.g, DISK_READ, 0, data, RIG_SIZE));
		CHECK(memcmp(model, data, RIG_SIZE) == 0);
		free(model);
		free(data);
		over_fini(&o);
	}
}

TEST(discarded_sectors_are_zero_or_unchanged)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 0, 16384, 0x33);
	CHECK_EQ(0, rig_do(&o.g, DISK_DISCARD, 4096, NULL, 32768));
	CHECK(rig_holds(&o.g, 0, 4096, 0x33));
	CHECK(rig_holds(&o.g, 4096, 12288, 0));
	CHECK(rig_holds(&o.g, 16384, 32768, RIG_PATTERN));
	over_fini(&o);
}

TEST(a_kill_loses_no_completed_write)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 512, 512, 0x44);
	rig_fill(&o.g, 100 * CLUSTER, 3 * CLUSTER, 0x55);
	reopen_after_kill(&o);
	CHECK(rig_holds(&o.g, 0, 512, RIG_PATTERN));
	CHECK(rig_holds(&o.g, 512, 512, 0x44));
	CHECK(rig_holds(&o.g, 1024, 99 * CLUSTER, RIG_PATTERN));
	CHECK(rig_holds(&o.g, 100 * CLUSTER, 3 * CLUSTER, 0x55));
	over_fini(&o);
}

/* Writes sector after sector, each with its number, and says so once it is completed. Ends by being killed. */
static void write_until_killed(struct over *o, int tell)
{
	uint64_t sector[64];

	if (rig_try_open(&o->g) < 0)
		_exit(1);
	for (uint64_t n = 0;; n++) {
		for (unsigned i = 0; i < 64; i++)
			sector[i] = n;
		if (rig_do(&o->g, DISK_WRITE, n * 7 % (RIG_SIZE / 512) * 512, sector, 512) < 0 ||
		    write(tell, &n, sizeof(n)) != sizeof(n))
			_exit(2);
	}
}

TEST(twenty_real_kills_lose_no_completed_write)
{
	for (unsigned round = 0; round < 20; round++) {
		uint64_t n = 0, acknowledged = 0, sector[64];
		struct over o;
		int tell[2];
		pid_t pid;

		over_init(&o, OVERLAY_FILE);
		CHECK_EQ(0, pipe(tell));
		pid = fork();
		if (pid == 0)
			write_until_killed(&o, tell[1]);
		close(tell[1]);
		while (acknowledged < 20 + round * 13 && read(tell[0], &n, sizeof(n)) == sizeof(n))
			acknowledged = n + 1;
		kill(pid, SIGKILL);
		CHECK_EQ(pid, waitpid(pid, NULL, 0));
		while (read(tell[0], &n, sizeof(n)) == sizeof(n)) /* what it said meanwhile */
			acknowledged = n + 1;
		close(tell[0]);
		CHECK(acknowledged >= 20 + round * 13);
		rig_open(&o.g); /* no stale lock */
		for (n = acknowledged - MIN(acknowledged, 2048ULL); n < acknowledged; n++) {
			CHECK_EQ(0, rig_do(&o.g, DISK_READ, n * 7 % (RIG_SIZE / 512) * 512, sector,
					   512));
			CHECK(sector[0] == n || sector[0] >= acknowledged);
			CHECK_EQ(sector[0], sector[63]);
		}
		over_fini(&o);
	}
}

TEST(a_power_cut_loses_no_flushed_write_and_shows_no_garbage)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 0, CLUSTER, 0x66);
	CHECK_EQ(0, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
	rig_fill(&o.g, 8 * CLUSTER, CLUSTER, 0x77); /* never flushed */
	reopen_after_power_cut(&o, 8 * CLUSTER, CLUSTER);
	CHECK(rig_holds(&o.g, 0, CLUSTER, 0x66));
	CHECK(rig_holds(&o.g, CLUSTER, RIG_SIZE - CLUSTER, RIG_PATTERN));
	/* A kill after that: the dropped bit does not come back. */
	reopen_after_kill(&o);
	CHECK(rig_holds(&o.g, 8 * CLUSTER, CLUSTER, RIG_PATTERN));
	rig_fill(&o.g, 8 * CLUSTER, 512, 0x88); /* copied up anew */
	CHECK(rig_holds(&o.g, 8 * CLUSTER + 512, CLUSTER - 512, RIG_PATTERN));
	over_fini(&o);
}

TEST(an_orderly_end_makes_everything_durable)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 5 * CLUSTER, CLUSTER, 0x99);
	rig_close(&o.g);
	rig_open(&o.g);
	reopen_after_power_cut(&o, 0, 0);
	CHECK(rig_holds(&o.g, 5 * CLUSTER, CLUSTER, 0x99));
	over_fini(&o);
}

TEST(even_without_flushes_in_between)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	o.g.config.no_flush = true;
	rig_open(&o.g);
	rig_fill(&o.g, 5 * CLUSTER, CLUSTER, 0x99);
	rig_close(&o.g);
	rig_open(&o.g);
	reopen_after_power_cut(&o, 0, 0);
	CHECK(rig_holds(&o.g, 5 * CLUSTER, CLUSTER, 0x99));
	over_fini(&o);
}

/* ---- order of what reaches the disk ---- */

struct journal {
	char ops[64];
	unsigned n;
};

static ssize_t record(void *arg, enum disk_op op, ssize_t result)
{
	struct journal *j = arg;

	if (j->n < sizeof(j->ops) - 1)
		j->ops[j->n++] = op == DISK_WRITE ? 'w' : op == DISK_FLUSH ? 's' : '?';
	return result;
}

TEST(a_flush_syncs_the_data_before_it_notes_that_it_is_there)
{
	struct journal j = {0};
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	overlay_file(o.g.d->overlay)->fault = record;
	overlay_file(o.g.d->overlay)->fault_arg = &j;
	rig_fill(&o.g, 0, CLUSTER, 1); /* data, pending */
	CHECK_EQ(0, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
	CHECK_EQ(0, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0)); /* nothing new to note */
	rig_fill(&o.g, 0, CLUSTER, 2);                     /* data only */
	CHECK_STR("ww"
		  "sws"
		  "s"
		  "w",
		  j.ops);
	overlay_file(o.g.d->overlay)->fault = NULL;
	over_fini(&o);
}

struct nth_fault {
	enum disk_op op;
	unsigned n;
	int error;
};

static ssize_t fail_nth(void *arg, enum disk_op op, ssize_t result)
{
	struct nth_fault *f = arg;

	return op == f->op && f->n-- == 0 ? f->error : result;
}

TEST(a_write_that_fails_at_any_step_fails_and_leaves_the_old_data)
{
	/* Data, head copied up, tail copied up, pending bitmap. */
	for (unsigned step = 0; step < 4; step++) {
		struct nth_fault f = {DISK_WRITE, step, -ENOSPC};
		static uint8_t data[512];
		struct over o;

		over_init(&o, OVERLAY_FILE);
		rig_open(&o.g);
		overlay_file(o.g.d->overlay)->fault = fail_nth;
		overlay_file(o.g.d->overlay)->fault_arg = &f;
		CHECK_EQ(-ENOSPC, rig_do(&o.g, DISK_WRITE, 1024, data, 512));
		CHECK(rig_holds(&o.g, 0, 8192, RIG_PATTERN));
		rig_fill(&o.g, 1024, 512, 0xab);
		CHECK(rig_holds(&o.g, 1024, 512, 0xab));
		CHECK(rig_holds(&o.g, 1536, 8192, RIG_PATTERN));
		overlay_file(o.g.d->overlay)->fault = NULL;
		over_fini(&o);
	}
}

TEST(a_base_that_cannot_be_read_fails_reads_and_copies)
{
	struct nth_fault f = {DISK_READ, 0, -EIO};
	static uint8_t data[512];
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	o.g.d->file.fault = fail_nth;
	o.g.d->file.fault_arg = &f;
	CHECK_EQ(-EIO, rig_do(&o.g, DISK_READ, 0, data, 512));
	f.n = 0;
	CHECK_EQ(-EIO, rig_do(&o.g, DISK_WRITE, 512, data, 512));
	CHECK(rig_holds(&o.g, 0, 8192, RIG_PATTERN));
	over_fini(&o);
}

TEST(a_failed_flush_is_never_forgotten_by_an_overlay)
{
	/* The sync of the data, and the sync of the bitmap. */
	for (unsigned step = 0; step < 2; step++) {
		struct nth_fault f = {DISK_FLUSH, step, -EIO};
		struct over o;

		over_init(&o, OVERLAY_FILE);
		rig_open(&o.g);
		rig_fill(&o.g, 0, 512, 1);
		overlay_file(o.g.d->overlay)->fault = fail_nth;
		overlay_file(o.g.d->overlay)->fault_arg = &f;
		CHECK_EQ(-EIO, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
		CHECK_EQ(-EIO, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
		over_fini(&o);
	}
}

TEST(a_bitmap_that_could_not_be_written_is_written_by_the_next_flush)
{
	struct nth_fault f = {DISK_WRITE, 0, -ENOSPC};
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 0, CLUSTER, 0xcd);
	overlay_file(o.g.d->overlay)->fault = fail_nth;
	overlay_file(o.g.d->overlay)->fault_arg = &f;
	CHECK_EQ(-ENOSPC, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
	CHECK_EQ(0, rig_do(&o.g, DISK_FLUSH, 0, NULL, 0));
	overlay_file(o.g.d->overlay)->fault = NULL;
	reopen_after_power_cut(&o, 0, 0);
	CHECK(rig_holds(&o.g, 0, CLUSTER, 0xcd));
	over_fini(&o);
}

/* ---- several at once ---- */

TEST(requests_on_one_cluster_at_once_keep_each_others_data)
{
	static uint8_t data[8][512];
	static struct pending p[64][8];
	struct over o;

	over_init(&o, OVERLAY_TEMPORARY);
	rig_open(&o.g);
	for (unsigned s = 0; s < 8; s++)
		memset(data[s], (int)(0xa0 + s), 512);
	for (unsigned c = 0; c < 64; c++)
		for (unsigned s = 0; s < 7; s++) /* the eighth sector is copied up */
			rig_submit(&o.g, &p[c][s], DISK_WRITE, c * CLUSTER + s * 512, data[s], 512);
	disk_drain(o.g.d);
	for (unsigned c = 0; c < 64; c++) {
		for (unsigned s = 0; s < 7; s++) {
			CHECK(p[c][s].done == 1 && p[c][s].error == 0);
			CHECK(rig_holds(&o.g, c * CLUSTER + s * 512, 512, (int)(0xa0 + s)));
		}
		CHECK(rig_holds(&o.g, c * CLUSTER + 7 * 512, 512, RIG_PATTERN));
	}
	over_fini(&o);
}

TEST(a_read_at_once_is_right_or_not_done)
{
	struct over o;

	over_init(&o, OVERLAY_FILE);
	rig_open(&o.g);
	rig_fill(&o.g, 4096, 4096, 0x12);
	for (uint64_t at = 0; at < 12288; at += 512)
		for (uint64_t len = 512; len <= 12288 - at; len += 512) {
			static uint8_t data[12288];
			struct iovec iov = {data, len};
			struct disk_request r = {
				.op = DISK_READ, .offset = at, .len = len, .iov = &iov, .n_iov = 1};
			bool mixed = at / 4096 != (at + len - 1) / 4096;

			memset(data, 0x5a, sizeof(data));
			if (!overlay_read_now(o.g.d->overlay, &r))
				continue;
			CHECK(!mixed);
			for (uint64_t i = 0; i < len; i++)
				CHECK_EQ((at + i) / 4096 == 1 ? 0x12 : rig_byte(at + i), data[i]);
		}
	over_fini(&o);
}

TEST(many_machines_share_one_base)
{
	struct over a, b;

	over_init(&a, OVERLAY_FILE);
	over_init(&b, OVERLAY_FILE);
	b.g.config.path = a.g.image;
	rig_open(&a.g);
	rig_open(&b.g);
	rig_fill(&a.g, 0, 4096, 1);
	rig_fill(&b.g, 0, 4096, 2);
	CHECK(rig_holds(&a.g, 0, 4096, 1));
	CHECK(rig_holds(&b.g, 0, 4096, 2));
	over_fini(&b);
	over_fini(&a);
}
