// SPDX-License-Identifier: Apache-2.0
#include "backend/disk_rig.h"

#include <pthread.h>
#include <unistd.h>
#include <stdatomic.h>

/*
 * A disk that hangs: the engine's threads stop after their call; io_uring reads from a pipe that is empty. Until
 * hang_end().
 */
struct hang {
	int pipe[2], image;
	atomic_uint calls;
};

static ssize_t hanging(void *arg, enum disk_op op, ssize_t result)
{
	struct hang *h = arg;
	char c;

	(void)op;
	h->calls++;
	CHECK_EQ(0, read(h->pipe[0], &c, 1)); /* its end */
	return result;
}

static void hang_begin(struct hang *h, struct rig *g)
{
	*h = (struct hang){.image = -1};
	CHECK_EQ(0, pipe(h->pipe));
	if (g->config.engine == DISK_ENGINE_IO_URING) {
		h->image = dup(g->d->file.fd);
		CHECK(dup2(h->pipe[0], g->d->file.fd) >= 0);
	} else {
		g->d->file.fault = hanging;
		g->d->file.fault_arg = h;
	}
}

static void hang_end(struct hang *h)
{
	close(h->pipe[1]);
}

static void hang_fini(struct hang *h, struct rig *g)
{
	if (h->image >= 0)
		dup2(h->image, g->d->file.fd);
	close(h->image);
	close(h->pipe[0]);
	g->d->file.fault = NULL;
}

struct canceller {
	struct rig *g;
	pthread_mutex_t lock;
};

static void *cancel(void *arg)
{
	struct canceller *c = arg;

	pthread_mutex_lock(&c->lock);
	disk_cancel(c->g->d, &c->lock);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Of `n` requests that hang the first `begun` are in the kernel's, or a thread's, hands. */
static void cancel_while_hanging(enum disk_engine engine, unsigned begun, unsigned n)
{
	bool uring = engine == DISK_ENGINE_IO_URING;
	struct pending p[20], flush[2];
	struct canceller c = {.lock = PTHREAD_MUTEX_INITIALIZER};
	static uint8_t data[512];
	pthread_t thread;
	bool cancelling;
	struct hang h;
	struct rig g;

	rig_init(&g, engine);
	rig_open(&g);
	hang_begin(&h, &g);
	memset(data, 0x77, sizeof(data));
	for (unsigned i = 0; i < n; i++) {
		rig_submit(&g, &p[i], uring ? DISK_READ : DISK_WRITE, i * 512, data, 512);
		if (i + 1 == begun || !uring)
			disk_commit(g.d);
	}
	for (unsigned i = 0; i < 2; i++)
		rig_submit(&g, &flush[i], DISK_FLUSH, 0, NULL, 0);
	while (!uring && h.calls < begun)
		usleep(1000); /* lets the others have the lock */
	c.g = &g;
	CHECK_EQ(0, pthread_create(&thread, NULL, cancel, &c));
	do { /* the lock is there to be had while the disk hangs */
		pthread_mutex_lock(&c.lock);
		cancelling = g.d->cancelling && g.d->in_flight == begun;
		pthread_mutex_unlock(&c.lock);
		usleep(1000); /* lets the others have the lock */
	} while (!cancelling);
	for (unsigned i = begun; i < n; i++)
		CHECK(p[i].done == 1 && p[i].error == -ECANCELED);
	for (unsigned i = 0; i < 2; i++)
		CHECK(flush[i].done == 1 && flush[i].error == -ECANCELED);
	hang_end(&h);
	pthread_join(thread, NULL);
	for (unsigned i = 0; i < begun; i++)
		CHECK(p[i].done == 1 && p[i].error == (uring ? -EIO : 0));
	hang_fini(&h, &g);
	CHECK(rig_holds(&g, 512 * begun, 512 * (n - begun), RIG_PATTERN));
	CHECK_EQ(0, rig_do(&g, DISK_WRITE, 0, data, 512));
	CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
	rig_fini(&g);
}

TEST(cancel_waits_only_for_what_has_begun_and_without_the_lock)
{
	alarm(200);
	cancel_while_hanging(DISK_ENGINE_IO_URING, 3, 20);
	cancel_while_hanging(DISK_ENGINE_THREADS, 4, 20);
	alarm(0);
}

TEST(cancel_ends_what_was_not_even_committed)
{
	for
		EACH_ENGINE(i)
		{
			pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
			static struct pending p[300];
			static uint8_t data[512];
			struct rig g;

			rig_init(&g, engines[i]);
			rig_open(&g);
			for (unsigned n = 0; n < 300; n++)
				rig_submit(&g, &p[n], n % 5 ? DISK_WRITE : DISK_FLUSH, n * 512,
					   n % 5 ? data : NULL, n % 5 ? 512 : 0);
			pthread_mutex_lock(&lock);
			disk_cancel(g.d, &lock);
			for (unsigned n = 0; n < 300; n++)
				CHECK(p[n].done == 1 && p[n].error == -ECANCELED);
			CHECK(rig_holds(&g, 0, RIG_SIZE, RIG_PATTERN));
			CHECK_EQ(0, rig_do(&g, DISK_WRITE, 0, data, 512));
			CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
			rig_fini(&g);
		}
}

/* io_uring_enter() fails: the ring's descriptor is another file. */
TEST(a_ring_that_takes_nothing_fails_its_requests_and_may_recover)
{
	static struct pending p[400];
	static uint8_t data[512];
	struct rig g;
	int ring, null, fd;

	rig_init(&g, DISK_ENGINE_IO_URING);
	rig_open(&g);
	fd = g.d->source.fd;
	ring = dup(fd);
	null = open("/dev/null", O_RDWR);
	CHECK(dup2(null, fd) >= 0);
	alarm(200);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned n = 0; n < 400; n++)
			rig_submit(&g, &p[n], n % 5 ? DISK_WRITE : DISK_FLUSH, n * 512,
				   n % 5 ? data : NULL, n % 5 ? 512 : 0);
		disk_drain(g.d);
		for (unsigned n = 0; n < 400; n++)
			CHECK(p[n].done == 1 && p[n].error == -EIO);
	}
	alarm(0);
	CHECK(dup2(ring, fd) >= 0);
	CHECK(rig_holds(&g, 0, RIG_SIZE, RIG_PATTERN));
	for (unsigned n = 0; n < 300; n++)
		CHECK_EQ(0, rig_do(&g, DISK_WRITE, n * 512, data, 512));
	CHECK_EQ(0, rig_do(&g, DISK_FLUSH, 0, NULL, 0));
	close(ring);
	close(null);
	rig_fini(&g);
}
