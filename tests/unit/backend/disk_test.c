// SPDX-License-Identifier: Apache-2.0
#include "backend/disk_rig.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

TEST(reads_writes_and_flushes)
{
	for
		EACH_ENGINE(i)
		{
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			CHECK_EQ(RIG_SIZE, disk_size(g.d));
			CHECK_EQ(DISK_SECTOR, disk_block_size(g.d));
			CHECK(rig_holds(&g, 0, RIG_SIZE, RIG_PATTERN));
			rig_fill(&g, 512, 1024, 0xaa);
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			CHECK(rig_holds(&g, 0, 512, RIG_PATTERN));
			CHECK(rig_holds(&g, 512, 1024, 0xaa));
			CHECK(rig_holds(&g, 1536, 4096, RIG_PATTERN));
			rig_fini(&g);
		}
}

TEST(several_buffers_are_one_request)
{
	for
		EACH_ENGINE(i)
		{
			static uint8_t a[512], b[1024], c[512];
			struct pending p;
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			p = (struct pending){.r = {.op = DISK_READ, .offset = 2048, .len = 2048}};
			p.r.done = pending_done;
			p.iov[0] = (struct iovec){a, 512};
			p.iov[1] = (struct iovec){b, 1024};
			p.iov[2] = (struct iovec){c, 512};
			p.r.iov = p.iov;
			p.r.n_iov = 3;
			disk_submit(g.d, &p.r);
			CHECK_EQ(0, rig_wait(&g, &p));
			CHECK_EQ(rig_byte(2048 + 511), a[511]);
			CHECK_EQ(rig_byte(2048 + 512), b[0]);
			CHECK_EQ(rig_byte(2048 + 2047), c[511]);
			rig_fini(&g);
		}
}

/* Small ones that the page cache has, one that is too long for that, and all of them where the file cannot tell. */
TEST(reads_are_the_same_with_and_without_the_ring)
{
	for (unsigned no_nowait = 0; no_nowait < 2; no_nowait++) {
		static const unsigned len[4] = {512, 4096, 128 * KIB, 4096};
		static uint8_t data[4][128 * KIB];
		static struct pending p[4];
		struct rig g;

		rig_init(&g, DISK_ENGINE_AUTO);
		rig_open(&g);
		g.d->file.no_nowait = no_nowait;
		memset(data, 0, sizeof(data));
		for (unsigned n = 0; n < 4; n++)
			rig_submit(&g, &p[n], DISK_READ, n * 1536, data[n], len[n]);
		for (unsigned n = 0; n < 4; n++) {
			CHECK_EQ(0, rig_wait(&g, &p[n]));
			CHECK_EQ(1, p[n].done);
			CHECK_EQ(rig_byte(n * 1536), data[n][0]);
			CHECK_EQ(rig_byte(n * 1536 + len[n] - 1), data[n][len[n] - 1]);
		}
		rig_fini(&g);
	}
}

TEST(many_more_requests_than_the_ring_holds)
{
	for
		EACH_ENGINE(i)
		{
			static struct pending p[1000];
			static uint8_t data[1000][512];
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			for (unsigned n = 0; n < 1000; n++)
				rig_submit(&g, &p[n], DISK_READ, n * 512, data[n], 512);
			for (unsigned n = 0; n < 1000; n++) {
				CHECK_EQ(0, rig_wait(&g, &p[n]));
				CHECK_EQ(rig_byte(n * 512), data[n][0]);
			}
			rig_fini(&g);
		}
}

TEST(drain_needs_no_loop)
{
	for
		EACH_ENGINE(i)
		{
			static struct pending p[300];
			static uint8_t data[300][512];
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			for (unsigned n = 0; n < 300; n++)
				rig_submit(&g, &p[n], DISK_WRITE, n * 512, data[n], 512);
			disk_drain(g.d);
			for (unsigned n = 0; n < 300; n++)
				CHECK(p[n].done == 1 && p[n].error == 0);
			CHECK_EQ(0, g.readies);
			CHECK_EQ(0, disk_reap(g.d));
			rig_fini(&g);
		}
}

static void *drain(void *arg)
{
	disk_drain(((struct rig *)arg)->d);
	return NULL;
}

/* As a virtio reset does, on a vCPU's thread, while the loop's waits for something else. */
TEST(another_thread_than_the_one_that_submitted_can_drain)
{
	for
		EACH_ENGINE(i)
	for (unsigned direct = 0; direct < 2; direct++) {
		static struct pending p[200];
		uint8_t *data = aligned_alloc(4096, 200 * 4096);
		pthread_t thread;
		struct rig g;

		rig_init(&g, engines[i]);
		g.config.direct = direct;
		if (rig_try_open(&g) == 0) {
			for (unsigned n = 0; n < 200; n++)
				rig_submit(&g, &p[n], n % 3 == 2 ? DISK_WRITE : DISK_READ, n * 4096,
					   data + n * 4096, 4096);
			disk_commit(g.d);
			CHECK_EQ(0, pthread_create(&thread, NULL, drain, &g));
			pthread_join(thread, NULL);
			for (unsigned n = 0; n < 200; n++)
				CHECK(p[n].done == 1 && p[n].error == 0);
		}
		free(data);
		rig_fini(&g);
	}
}

TEST(zeros_and_discarded_sectors)
{
	for
		EACH_ENGINE(i)
		{
			struct pending p;
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			CHECK(disk_can_discard(g.d));
			CHECK_EQ(0, rig_do(&g, DISK_WRITE_ZEROES, 4096, NULL, 8192));
			CHECK(rig_holds(&g, 4096, 8192, 0));
			CHECK(rig_holds(&g, 12288, 4096, RIG_PATTERN));
			rig_submit(&g, &p, DISK_WRITE_ZEROES, 512, NULL, 512);
			p.r.may_unmap = true;
			CHECK_EQ(0, rig_wait(&g, &p));
			CHECK(rig_holds(&g, 512, 512, 0));
			CHECK_EQ(0, rig_do(&g, DISK_DISCARD, 65536, NULL, 65536));
			CHECK(rig_holds(&g, 65536, 65536, 0));
			CHECK_EQ(0, rig_do(&g, DISK_DISCARD, 0, NULL, 0));
			CHECK_EQ(RIG_SIZE, disk_size(g.d));
			CHECK(!disk_rescan(g.d));
			rig_fini(&g);
		}
}

/* ---- faults: what goes wrong below is never a success ---- */

struct fault {
	enum disk_op op;
	ssize_t result; /* -errno; 0; or SHORT */
	unsigned after, times;
	unsigned seen;
};

#define SHORT 1000000

static ssize_t inject(void *arg, enum disk_op op, ssize_t result)
{
	struct fault *f = arg;

	if (op != f->op || f->seen++ < f->after || f->seen > f->after + f->times)
		return result;
	return f->result == SHORT ? result / 2 : f->result;
}

/* What the request says when its first, or third, call fails once or for ever. */
static int with_fault(enum disk_engine engine, struct fault f)
{
	static uint8_t data[8192];
	struct rig g;
	int rc = 0;

	rig_init(&g, engine);
	rig_open(&g);
	g.d->file.fault = inject;
	g.d->file.fault_arg = &f;
	memset(data, 0x77, sizeof(data));
	for (unsigned n = 0; n <= f.after && rc == 0; n++)
		rc = rig_do(&g, f.op, n * 8192, f.op <= DISK_WRITE ? data : NULL, 8192);
	CHECK(f.seen > f.after);
	g.d->file.fault = NULL;
	if (rc == 0 && f.op == DISK_READ)
		for (unsigned n = 0; n < 8192; n++)
			CHECK_EQ(rig_byte(f.after * 8192 + n), data[n]);
	if (rc == 0 && (f.op == DISK_WRITE || f.op == DISK_WRITE_ZEROES))
		CHECK(rig_holds(&g, 0, 8192 * (f.after + 1), f.op == DISK_WRITE ? 0x77 : 0));
	rig_fini(&g);
	return rc;
}

TEST(errors_are_the_requests_errors_first_or_later)
{
	static const int errors[] = {EIO, ENOSPC, EDQUOT, EFBIG, ENOMEM};

	for
		EACH_ENGINE(i)
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE_ZEROES; op++)
		for (unsigned e = 0; e < ARRAY_SIZE(errors); e++)
			for (unsigned after = 0; after < 3; after += 2)
				CHECK_EQ(-errors[e],
					 with_fault(engines[i],
						    (struct fault){op, -errors[e], after, 1, 0}));
}

TEST(interruptions_are_repeated_but_not_for_ever)
{
	static const int errors[] = {EINTR, EAGAIN};

	for
		EACH_ENGINE(i)
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE_ZEROES; op++)
		for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
			struct fault f = {op, -errors[e], 0, 3, 0};

			CHECK_EQ(0, with_fault(engines[i], f));
			f.times = UINT32_MAX;
			CHECK_EQ(-errors[e], with_fault(engines[i], f));
		}
}

TEST(short_transfers_are_continued)
{
	for
		EACH_ENGINE(i)
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE; op++)
		for (unsigned after = 0; after < 3; after += 2)
			CHECK_EQ(0, with_fault(engines[i], (struct fault){op, SHORT, after, 8, 0}));
}

TEST(a_transfer_of_nothing_is_an_error)
{
	for
		EACH_ENGINE(i)
	for (enum disk_op op = DISK_READ; op <= DISK_WRITE; op++)
		for (unsigned after = 0; after < 3; after += 2)
			CHECK_EQ(-EIO, with_fault(engines[i], (struct fault){op, 0, after, 1, 0}));
}

TEST(zeros_are_written_where_the_file_system_has_no_call_for_it)
{
	static const int errors[] = {EOPNOTSUPP, EINVAL, ENOSYS};

	for
		EACH_ENGINE(i)
	for (unsigned e = 0; e < ARRAY_SIZE(errors); e++) {
		struct fault f = {DISK_WRITE_ZEROES, -errors[e], 0, 1, 0};
		struct rig g;

		rig_init(&g, engines[i]);
		rig_open(&g);
		g.d->file.fault = inject;
		g.d->file.fault_arg = &f;
		CHECK_EQ(0, rig_do(&g, DISK_WRITE_ZEROES, 512, NULL, 300 * 512));
		CHECK(f.seen > 3); /* in pieces of a bounded size */
		CHECK(rig_holds(&g, 0, 512, RIG_PATTERN));
		CHECK(rig_holds(&g, 512, 300 * 512, 0));
		CHECK(rig_holds(&g, 301 * 512, 512, RIG_PATTERN));
		rig_fini(&g);
	}
}

TEST(discard_that_is_not_there_says_so)
{
	for
		EACH_ENGINE(i)
	CHECK_EQ(-EOPNOTSUPP,
		 with_fault(engines[i], (struct fault){DISK_DISCARD, -EOPNOTSUPP, 0, 1, 0}));
}

TEST(a_failed_sync_is_never_forgotten)
{
	for
		EACH_ENGINE(i)
		{
			struct fault f = {DISK_FLUSH, -EIO, 1, 1, 0};
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			g.d->file.fault = inject;
			g.d->file.fault_arg = &f;
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			CHECK_EQ(-EIO, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			rig_fill(&g, 0, 512, 1);
			CHECK_EQ(-EIO, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			CHECK_EQ(-EIO, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			rig_fini(&g);
		}
}

/*
 * Linux tells one of two syncs that run side by side of a page that was lost, and the other that all is well: so
 * there is never more than one.
 */
TEST(flushes_meanwhile_wait_for_the_next_sync_and_share_what_it_says)
{
	for
		EACH_ENGINE(i)
		{
			struct fault f = {DISK_FLUSH, -EIO, 1, 1, 0};
			struct pending flush[4];
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			g.d->file.fault = inject;
			g.d->file.fault_arg = &f;
			for (unsigned n = 0; n < 4; n++)
				rig_submit(&g, &flush[n], DISK_FLUSH, 0, NULL, 0);
			CHECK_EQ(0, rig_wait(&g, &flush[0]));
			for (unsigned n = 1; n < 4; n++)
				CHECK_EQ(-EIO, rig_wait(&g, &flush[n]));
			CHECK_EQ(2, f.seen);
			CHECK_EQ(-EIO, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			for (unsigned n = 0; n < 4; n++)
				rig_submit(&g, &flush[n], DISK_FLUSH, 0, NULL, 0);
			disk_drain(g.d);
			for (unsigned n = 0; n < 4; n++)
				CHECK_EQ(1, flush[n].done);
			rig_fini(&g);
		}
}

TEST(no_flush_syncs_nothing)
{
	for
		EACH_ENGINE(i)
		{
			struct fault f = {DISK_WRITE, -EIO, 0, 1, 0};
			struct rig g;

			rig_init(&g, engines[i]);
			g.config.no_flush = true;
			rig_open(&g);
			g.d->file.fault = inject;
			g.d->file.fault_arg = &f;
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			rig_fini(&g);
		}
}

TEST(a_shrunk_image_is_an_io_error_not_zeros)
{
	for
		EACH_ENGINE(i)
		{
			static uint8_t data[8192];
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			CHECK_EQ(0, truncate(g.image, 4096));
			CHECK_EQ(-EIO, rig_do(&g, DISK_READ, 0, data, 8192));
			CHECK_EQ(-EIO, rig_do(&g, DISK_READ, 65536, data, 512));
			CHECK_EQ(0, rig_do(&g, DISK_READ, 0, data, 4096));
			CHECK(disk_rescan(g.d));
			CHECK_EQ(4096, disk_size(g.d));
			CHECK(!disk_rescan(g.d));
			rig_fini(&g);
		}
}

/* In a child: limits are the process's. */
TEST(the_file_size_limit_is_an_error_of_the_request)
{
	for
		EACH_ENGINE(i)
		{
			struct rlimit limit = {65536, 65536};
			struct rig g;
			int status;
			pid_t pid;

			rig_init(&g, engines[i]);
			pid = fork();
			if (pid == 0) {
				static uint8_t data[4096];
				int rc;

				signal(SIGXFSZ, SIG_IGN);
				setrlimit(RLIMIT_FSIZE, &limit);
				rig_open(&g);
				rc = rig_do(&g, DISK_WRITE, 131072, data, 4096);
				_exit(rc == -EFBIG && rig_do(&g, DISK_WRITE, 0, data, 4096) == 0
					      ? 0
					      : 1);
			}
			CHECK_EQ(pid, waitpid(pid, &status, 0));
			CHECK_EQ(0, status);
			rig_fini(&g);
		}
}

/* From now on this process's kernel has no io_uring. */
static void take_io_uring_away(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ARRAY_SIZE(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(2);
}

static int without_io_uring(struct rig *g)
{
	take_io_uring_away();
	if (rig_try_open(g) == 0 || !strstr(g->e.text, "io_uring"))
		return 3;
	g->config.engine = DISK_ENGINE_AUTO;
	if (rig_try_open(g) < 0 || g->d->ops != &disk_threads_ops)
		return 4;
	return rig_holds(g, 0, 4096, RIG_PATTERN) ? 0 : 5;
}

TEST(without_io_uring_threads_are_used_unless_it_was_asked_for)
{
	struct rig g;
	int status;
	pid_t pid;

	rig_init(&g, DISK_ENGINE_IO_URING);
	pid = fork();
	if (pid == 0)
		_exit(without_io_uring(&g));
	CHECK_EQ(pid, waitpid(pid, &status, 0));
	CHECK_EQ(0, status);
	rig_fini(&g);
}

TEST(io_uring_is_the_engine_where_there_is_one)
{
	struct rig g;

	rig_init(&g, DISK_ENGINE_AUTO);
	rig_open(&g);
	CHECK(g.d->ops == &disk_uring_ops);
	rig_fini(&g);
}

/* ---- O_DIRECT ---- */

TEST(direct_serves_any_alignment)
{
	for
		EACH_ENGINE(i)
		{
			uint8_t *data = aligned_alloc(4096, 16384);
			struct rig g;

			rig_init(&g, engines[i]);
			g.config.direct = true;
			if (rig_try_open(&g) < 0) { /* tmpfs of an older kernel */
				CHECK_HAS(g.e.text, "direct");
				free(data);
				rig_fini(&g);
				continue;
			}
			CHECK(g.d->file.direct_fd >= 0);
			memset(data, 0xcc, 16384);
			CHECK_EQ(0, rig_do(&g, DISK_WRITE, 8192, data, 8192));
			CHECK_EQ(0, rig_do(&g, DISK_WRITE, 16384 + 512, data + 1, 512));
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			CHECK(rig_holds(&g, 0, 8192, RIG_PATTERN));
			CHECK(rig_holds(&g, 8192, 8192, 0xcc));
			CHECK(rig_holds(&g, 16384, 512, RIG_PATTERN));
			CHECK(rig_holds(&g, 16384 + 512, 512, 0xcc));
			CHECK_EQ(0, rig_do(&g, DISK_READ, 16384, data, 4096));
			CHECK_EQ(0xcc, data[512]);
			CHECK_EQ(rig_byte(16384 + 1024), data[1024]);
			free(data);
			rig_fini(&g);
		}
}

TEST(only_what_is_aligned_goes_by_o_direct)
{
	struct disk_file f = {.fd = 0, .direct_fd = 1, .mem_align = 512, .offset_align = 4096};
	struct iovec iov = {(void *)0x10000, 4096};
	struct disk_request r = {.op = DISK_READ, .len = 4096, .iov = &iov, .n_iov = 1};
	struct disk_call c;

	disk_call_next(&f, &r, &c);
	CHECK(c.direct);
	iov.iov_base = (void *)0x10001;
	disk_call_next(&f, &r, &c);
	CHECK(!c.direct);
	iov.iov_base = (void *)0x10200;
	r.offset = 512;
	disk_call_next(&f, &r, &c);
	CHECK(!c.direct);
	r.offset = 4096;
	disk_call_next(&f, &r, &c);
	CHECK(c.direct);
	iov.iov_len = r.len = 512;
	disk_call_next(&f, &r, &c);
	CHECK(!c.direct);
}
