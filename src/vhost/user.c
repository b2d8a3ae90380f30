// SPDX-License-Identifier: Apache-2.0
#include "vhost/user.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "vhost/user_impl.h"

#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS  1000
#define SAMPLE_MS      1 /* between two looks at the rings; a ring of 256 holds that many requests */
#define SAMPLES_IDLE   16 /* looks without anything: then the doorbells are waited for */

/* What the thread has found, to be told with no lock held. */
struct news {
	bool config_changed, gone;
	char why[256];
};

/* ---- the thread: what is to be done ---- */

/* Nobody can find out what the dead one had in hand. */
static void give_up(struct user *u, struct news *news)
{
	news->gone = true;
	snprintf(news->why, sizeof(news->why), "its back end is gone: %s",
		 u->why[0] ? u->why : "no reason");
}

static void on_lost(struct user *u, struct news *news)
{
	if (!u->started) {
		log_debug("%s: the back end is gone: %s", u->config.name, u->why);
	} else if (user_can_resume(u)) {
		log_limited(&u->log, "%s: the back end is gone: %s; waiting for one at '%s'",
			    u->config.name, u->why, u->config.path);
		u->waiting = true;
		u->retry_ms = RETRY_FIRST_MS;
	} else {
		give_up(u, news);
	}
	u->why[0] = '\0';
}

/*
 * One that died half-way through this may have worked on a ring already: what is in flight is found out each time.
 */
static void try_again(struct user *u, struct news *news)
{
	struct err e = {0};
	int rc = user_connect(u, &e);

	if (rc == 0 && !user_can_resume(u)) {
		user_lose(u, NULL);
		u->waiting = false;
		give_up(u, news);
		return;
	}
	if (rc == 0) {
		if ((rc = user_negotiate(u, false, &e)) == 0)
			rc = user_give_rings(u, true, &e);
		if (rc < 0)
			log_limited(&u->log, "%s", e.text);
	}
	if (rc < 0) {
		user_lose(u, NULL);
		u->why[0] = '\0';
		if (!user_can_resume(u)) {
			u->waiting = false;
			give_up(u, news);
			return;
		}
		u->retry_ms = MIN(2 * u->retry_ms, RETRY_LAST_MS);
		return;
	}
	u->waiting = false;
	log_limited(&u->log, "%s: a back end is there again", u->config.name);
}

static void fetch_config(struct user *u, struct news *news)
{
	bool changed = true;

	/* A new back end's is fetched already; the driver is told in any case. */
	if (user_fetch_config(u, &changed) == 0)
		news->config_changed = true;
}

/* One round. The lock is held. `retry`: it is time to look for a new back end. */
static void act(struct user *u, bool retry, struct news *news)
{
	user_check_peer(u);
	user_serve(u);
	if (u->sock < 0 && u->why[0])
		on_lost(u, news);
	if (u->waiting && retry)
		try_again(u, news);
	if (u->sock >= 0 && u->config_dirty)
		fetch_config(u, news);
}

/* ---- the thread: when ---- */

struct watch {
	struct pollfd fd[3 + VHOST_MAX_QUEUES]; /* wake, connection, channel, doorbells */
	nfds_t n;
	int timeout_ms;
	unsigned idle; /* looks at the rings in a row that found nothing */
};

static bool look_at_rings(struct user *u)
{
	bool busy = false;

	for (unsigned i = 0; i < u->base.n_queues; i++)
		busy |= track_look(&u->track[i]);
	return busy;
}

/*
 * While requests are about, the rings are looked at often enough to keep count. Once all is quiet the doorbells are
 * waited for; the back end reads them, this only sees that they ring.
 */
static void plan_tracking(struct user *u, struct watch *w)
{
	bool tracked = false;

	for (unsigned i = 0; i < u->base.n_queues; i++)
		tracked |= u->track[i].avail != NULL;
	if (!tracked || !u->started || u->waiting)
		return;
	w->idle = look_at_rings(u) ? 0 : w->idle + 1;
	if (w->idle < SAMPLES_IDLE) {
		w->timeout_ms = SAMPLE_MS;
		return;
	}
	for (unsigned i = 0; i < u->base.n_queues; i++)
		if (u->ring[i].enabled)
			w->fd[w->n++] = (struct pollfd){.fd = u->ring[i].kick, .events = POLLIN};
}

static void plan(struct user *u, struct watch *w)
{
	w->n = 0;
	w->fd[w->n++] = (struct pollfd){.fd = u->wake, .events = POLLIN};
	w->fd[w->n++] = (struct pollfd){.fd = u->sock, .events = POLLIN};
	w->fd[w->n++] = (struct pollfd){.fd = u->request_fd, .events = POLLIN};
	w->timeout_ms = u->waiting ? (int)u->retry_ms : -1;
	plan_tracking(u, w);
}

static void tell(struct user *u, const struct news *news)
{
	if (news->config_changed && u->base.config_changed)
		u->base.config_changed(u->base.arg);
	if (news->gone && u->base.gone)
		u->base.gone(u->base.arg, news->why);
}

static void *run(void *arg)
{
	struct user *u = arg;
	struct watch w = {0};
	bool ending = false;

	while (!ending) {
		struct news news = {0};
		uint64_t count;
		int n;

		pthread_mutex_lock(&u->lock);
		plan(u, &w);
		pthread_mutex_unlock(&u->lock);
		n = poll(w.fd, w.n, w.timeout_ms);
		if (n > 0 && w.fd[0].revents && read(u->wake, &count, sizeof(count)) < 0)
			n = 0; /* somebody was faster: nothing */
		if (n > 0)
			w.idle = 0;
		pthread_mutex_lock(&u->lock);
		ending = u->ending;
		if (!ending)
			act(u, n == 0, &news);
		pthread_mutex_unlock(&u->lock);
		tell(u, &news);
	}
	return NULL;
}

/* Signals are for the main thread. */
static int start_thread(struct user *u, struct err *e)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&u->thread, NULL, run, u);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	u->has_thread = rc == 0;
	return rc == 0 ? 0 : err_set(e, rc, "%s: thread: %s", u->config.name, strerror(rc));
}

static void wake(struct user *u)
{
	uint64_t one = 1;

	if (write_full(u->wake, &one, sizeof(one)) < 0)
		return; /* it is awake */
}

/* ---- struct vhost_ops ---- */

static int connect_if_needed(struct user *u, struct err *e)
{
	int rc;

	user_check_peer(u);
	if (u->sock >= 0)
		return 0;
	rc = user_connect(u, e);
	return rc < 0 ? rc : user_negotiate(u, false, e);
}

static int user_start(struct vhost *v, uint64_t features, const struct vhost_ring *ring,
		      struct err *e)
{
	struct user *u = user_of(v);
	int rc;

	pthread_mutex_lock(&u->lock);
	u->features = features;
	memcpy(u->ring, ring, v->n_queues * sizeof(*ring));
	rc = connect_if_needed(u, e);
	if (rc == 0)
		rc = user_give_rings(u, false, e);
	u->started = rc == 0;
	u->waiting = false;
	if (rc < 0) {
		u->features = 0;
		fd_close(&u->inflight.fd);
	}
	pthread_mutex_unlock(&u->lock);
	wake(u);
	return rc;
}

/* Where the connection is lost, the next back end is told. */
static int user_set_call(struct vhost *v, unsigned queue, int fd)
{
	struct user *u = user_of(v);
	int rc = 0;

	pthread_mutex_lock(&u->lock);
	u->ring[queue].call = fd;
	if (u->sock >= 0)
		rc = user_send_call(u, queue);
	if (rc < 0 && u->sock < 0)
		rc = 0; /* the thread sees to the loss */
	pthread_mutex_unlock(&u->lock);
	return rc;
}

static void user_stop(struct vhost *v)
{
	struct user *u = user_of(v);

	pthread_mutex_lock(&u->lock);
	user_take_rings(u);
	u->started = u->waiting = false;
	u->features = 0;
	pthread_mutex_unlock(&u->lock);
	wake(u);
}

static int user_config_read(struct vhost *v, unsigned off, void *data, unsigned len)
{
	struct user *u = user_of(v);

	pthread_mutex_lock(&u->lock);
	memcpy(data, u->space + off, len);
	pthread_mutex_unlock(&u->lock);
	return 0;
}

static int user_config_write(struct vhost *v, unsigned off, const void *data, unsigned len)
{
	struct user *u = user_of(v);
	struct vu_msg m = {
		.h = {VU_SET_CONFIG, 0, 12 + len},
		.config = {.offset = off, .size = len},
	};
	int rc = -EPERM;

	pthread_mutex_lock(&u->lock);
	if (user_speaks(u, VU_PROTOCOL_CONFIG)) {
		memcpy(m.config.data, data, len);
		rc = user_order(u, &m);
		if (rc == 0)
			memcpy(u->space + off, data, len);
	}
	pthread_mutex_unlock(&u->lock);
	return rc;
}

static void user_destroy(struct vhost *v)
{
	struct user *u = user_of(v);

	if (u->has_thread) {
		pthread_mutex_lock(&u->lock);
		u->ending = true;
		pthread_mutex_unlock(&u->lock);
		wake(u);
		pthread_join(u->thread, NULL);
	}
	user_fini(u);
	free(u);
}

static const struct vhost_ops user_ops = {
	.start = user_start,
	.set_call = user_set_call,
	.stop = user_stop,
	.config_read = user_config_read,
	.config_write = user_config_write,
	.destroy = user_destroy,
};

int vhost_user_create(struct vhost **out, const struct vhost_user_setup *config, struct err *e)
{
	struct user *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return err_set(e, ENOMEM, "%s: out of memory", config->name);
	if ((rc = user_init(u, config, e)) < 0 || (rc = user_connect(u, e)) < 0 ||
	    (rc = user_negotiate(u, true, e)) < 0 || (rc = start_thread(u, e)) < 0) {
		user_destroy(&u->base);
		return rc;
	}
	u->base.ops = &user_ops;
	u->config_dirty = false;
	*out = &u->base;
	return 0;
}
