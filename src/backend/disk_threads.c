// SPDX-License-Identifier: Apache-2.0
/*
 * Engine: a few threads that make blocking calls. They are started when there is work for them, and then wait
 * for more. Reads that the page cache can answer are done at once by the caller: a detour by another thread would
 * take ten times as long.
 *
 * Lock: the engine's own, taken last; not held during a call.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "backend/disk_impl.h"
#include "base/io.h"

#define THREADS_MAX 4
#define STACK_LEN   (256 * KIB)

struct threads {
	struct disk *disk;
	struct disk_list batch; /* submitted, not committed; the caller's lock */
	unsigned n_batch;
	struct disk_list now; /* finished without a thread, or cancelled; the caller's lock */

	pthread_mutex_t lock;
	pthread_cond_t work, finished;
	struct disk_list todo, done;
	unsigned n_todo, n_idle;
	bool stop;

	pthread_t thread[THREADS_MAX];
	unsigned n_threads;
};

static void on_event(void *arg, uint32_t events)
{
	struct disk *d = arg;

	(void)events;
	d->ready(d->arg);
}

/* Lock held. The eventfd is watched edge-triggered: it is written when there was nothing to reap before. */
static void add_done(struct threads *t, struct disk_request *r)
{
	bool first = t->done.head == NULL;
	uint64_t one = 1;

	disk_list_add(&t->done, r);
	pthread_cond_signal(&t->finished);
	if (first && write(t->disk->source.fd, &one, sizeof(one)) < 0)
		return; /* its counter is full: an event is there */
}

static void *worker(void *arg)
{
	struct threads *t = arg;
	struct disk_request *r;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		t->n_idle++;
		while (!t->todo.head && !t->stop)
			pthread_cond_wait(&t->work, &t->lock);
		t->n_idle--;
		r = disk_list_take(&t->todo);
		if (!r)
			break;
		t->n_todo--;
		pthread_mutex_unlock(&t->lock);
		disk_do(t->disk, r);
		pthread_mutex_lock(&t->lock);
		add_done(t, r);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* Signals are for other threads. Failing is fine while there is one. */
static void start_thread(struct threads *t)
{
	pthread_attr_t attr;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_LEN);
	if (pthread_create(&t->thread[t->n_threads], &attr, worker, t) == 0)
		t->n_threads++;
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void threads_submit(struct disk *d, struct disk_request *r)
{
	struct threads *t = d->engine;

	if (r->op == DISK_READ && disk_read_now(d, r)) {
		disk_list_add(&t->now, r);
		return;
	}
	disk_list_add(&t->batch, r);
	t->n_batch++;
}

static void threads_commit(struct disk *d)
{
	struct threads *t = d->engine;
	struct disk_request *r;

	if (t->n_batch == 0)
		return;
	pthread_mutex_lock(&t->lock);
	disk_list_move(&t->todo, &t->batch);
	t->n_todo += t->n_batch;
	for (unsigned n = t->n_todo; n > t->n_idle && n > 0 && t->n_threads < THREADS_MAX; n--)
		start_thread(t);
	for (unsigned n = MIN(t->n_batch, (unsigned)THREADS_MAX); n > 0; n--)
		pthread_cond_signal(&t->work);
	t->n_batch = 0;
	/* The host has no thread for us at all: slow, but right. */
	while (t->n_threads == 0 && (r = disk_list_take(&t->todo)) != NULL) {
		t->n_todo--;
		disk_do(d, r);
		add_done(t, r);
	}
	pthread_mutex_unlock(&t->lock);
}

static unsigned threads_reap(struct disk *d)
{
	struct threads *t = d->engine;
	struct disk_list done = {0};
	struct disk_request *r;
	unsigned n = 0;

	disk_list_move(&done, &t->now);
	pthread_mutex_lock(&t->lock);
	disk_list_move(&done, &t->done);
	pthread_mutex_unlock(&t->lock);
	for (; (r = disk_list_take(&done)) != NULL; n++)
		disk_finish(d, r);
	return n;
}

static void threads_cancel(struct disk *d)
{
	struct threads *t = d->engine;

	disk_list_fail(&t->now, &t->batch, -ECANCELED);
	t->n_batch = 0;
	pthread_mutex_lock(&t->lock);
	disk_list_fail(&t->now, &t->todo, -ECANCELED);
	t->n_todo = 0;
	pthread_mutex_unlock(&t->lock);
}

static void threads_wait(struct disk *d)
{
	struct threads *t = d->engine;

	if (t->now.head)
		return;
	pthread_mutex_lock(&t->lock);
	while (!t->done.head)
		pthread_cond_wait(&t->finished, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static int threads_open(struct disk *d, struct err *e)
{
	struct threads *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, ENOMEM, "out of memory");
	t->disk = d;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->finished, NULL);
	d->engine = t;
	d->source = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.fn = on_event,
		.arg = d,
	};
	if (d->source.fd < 0)
		return err_sys(e, "eventfd");
	if (loop_add(d->loop, &d->source, EPOLLIN | EPOLLET) < 0)
		return err_set(e, ENOSPC, "epoll_ctl failed");
	return 0;
}

static void threads_close(struct disk *d)
{
	struct threads *t = d->engine;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->n_threads; i++)
		pthread_join(t->thread[i], NULL);
	pthread_cond_destroy(&t->finished);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	if (d->source.fd >= 0)
		loop_remove(d->loop, &d->source);
	fd_close(&d->source.fd);
	free(t);
	d->engine = NULL;
}

const struct disk_engine_ops disk_threads_ops = {
	.name = "threads",
	.open = threads_open,
	.close = threads_close,
	.submit = threads_submit,
	.commit = threads_commit,
	.reap = threads_reap,
	.cancel = threads_cancel,
	.wait = threads_wait,
};
