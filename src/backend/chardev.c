// SPDX-License-Identifier: Apache-2.0
/* What all character back ends share: set-up, output, flow control. Input is in chardev_input.c. */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#define STOPPED_MS 1000 /* a reader that took nothing for so long holds nobody back any more */
#define RETRY_MS   20   /* the descriptor said it was writable and took nothing: ask again later */
#define FLUSH_MS   1000 /* what chardev_destroy() gives the reader */

/* ---- epoll ---- */

static int port_set(struct loop *loop, struct chardev_port *p, uint32_t events)
{
	int rc = 0;

	if (p->source.fd < 0 || p->armed == events)
		return 0;
	if (events == 0) /* epoll reports HUP and ERR even to who waits for nothing: leave it */
		loop_remove(loop, &p->source);
	else if (p->armed == 0)
		rc = loop_add(loop, &p->source, events);
	else
		rc = loop_modify(loop, &p->source, events);
	if (rc == 0)
		p->armed = events;
	return rc;
}

void chardev_arm(struct chardev *c)
{
	uint32_t in = c->want_in ? EPOLLIN : 0;
	uint32_t out = c->want_out ? EPOLLOUT : 0;
	int rc;

	if (c->in.source.fd == c->out.source.fd) {
		rc = port_set(c->loop, &c->in, in | out ? in | out : c->idle_events);
	} else {
		rc = port_set(c->loop, &c->in, in);
		/* epoll_ctl(2): a regular file, /dev/null. Its read() never waits: chardev_pump()
		 * will do. */
		if (rc == 0 || rc == -EPERM)
			rc = port_set(c->loop, &c->out, out);
	}
	if (rc < 0)
		log_warn("serial or console: cannot wait for the host's side (errno %d)", -rc);
}

/* ---- output; the lock is held ---- */

static void output_failed(struct chardev *c)
{
	chardev_set_reader(c, false);
	if (c->ops->hangup)
		c->ops->hangup(c);
	else
		c->discard = true; /* EPIPE, EIO: it does not come back */
}

/* How much of it the host took at once. */
static size_t offer(struct chardev *c, const uint8_t *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = c->ops->write(c, data + done, len - done);
		if (n == -EINTR)
			continue;
		if (n < 0 && n != -EAGAIN)
			output_failed(c);
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static bool flush(struct chardev *c)
{
	const uint8_t *data;
	size_t len, n = 0, taken = 0;

	while (c->reader && (len = ring_peek(&c->ring, &data)) > 0) {
		n = offer(c, data, len);
		ring_take(&c->ring, n);
		taken += n;
		if (n < len)
			break;
	}
	if (taken) {
		c->taken_ms = clock_ms();
		c->stopped = false;
	}
	if (c->discard && c->ring.used) {
		c->ring.dropped += c->ring.used;
		ring_take(&c->ring, c->ring.used);
	}
	c->want_out = c->reader && c->ring.used > 0;
	return taken > 0;
}

void chardev_set_reader(struct chardev *c, bool reader)
{
	c->reader = reader;
	c->stopped = false;
	c->taken_ms = clock_ms();
	flush(c);
	chardev_arm(c);
}

void chardev_write(struct chardev *c, const uint8_t *data, size_t len)
{
	size_t n = 0;

	pthread_mutex_lock(&c->lock);
	if (c->reader && c->ring.used == 0)
		n = offer(c, data, len);
	if (c->discard) {
		c->ring.dropped += c->ops->write ? len - n : 0; /* "none" is not a loss */
	} else if (n < len) {
		bool first = c->ring.used == 0;
		ring_put(&c->ring, data + n, len - n);
		if (first && c->reader) { /* from now on the reader is late */
			c->taken_ms = clock_ms();
			c->want_out = true;
			chardev_arm(c);
		}
	}
	pthread_mutex_unlock(&c->lock);
}

/* Output waits, but not for EPOLLOUT: output_ready() has armed the timer. */
static bool retry_pending(const struct chardev *c)
{
	return c->reader && c->ring.used > 0 && !c->want_out;
}

bool chardev_congested(struct chardev *c)
{
	bool congested, slow;

	pthread_mutex_lock(&c->lock);
	slow = c->reader && !c->stopped && c->ring.used > c->ring.size / 2;
	/* One timer for both: a retry is nearer, and timer_fired() then waits for the rest. */
	if (!c->congested && slow &&
	    (retry_pending(c) || timer_arm(c->timer.source.fd, STOPPED_MS) == 0))
		c->congested = true;
	congested = c->congested;
	pthread_mutex_unlock(&c->lock);
	return congested;
}

/* ---- the loop's side ---- */

void chardev_settle(struct chardev *c)
{
	bool drained;

	pthread_mutex_lock(&c->lock);
	drained = c->congested && (!c->reader || c->stopped || c->ring.used <= c->ring.size / 4);
	if (drained) /* the timer is left to fire once: a retry of output_ready() may depend on it
		      */
		c->congested = false;
	pthread_mutex_unlock(&c->lock);
	if (drained && c->front.drained)
		c->front.drained(c->front.arg);
}

static void output_ready(struct chardev *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->want_out && !flush(c) && c->want_out) {
		/* Writable, yet it takes nothing: a tty with room for one byte that needs two
		 * (ONLCR). */
		c->want_out = false;
		timer_arm(c->timer.source.fd, RETRY_MS);
	}
	chardev_arm(c);
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
}

/* The reader is late: has it stopped? */
static void timer_fired(void *arg, uint32_t events)
{
	struct chardev *c = arg;
	uint64_t times;

	(void)events;
	if (read(c->timer.source.fd, &times, sizeof(times)) < 0)
		return; /* disarmed meanwhile */
	pthread_mutex_lock(&c->lock);
	flush(c);
	chardev_arm(c);
	if (c->congested && c->reader) {
		int64_t left = c->taken_ms + STOPPED_MS - clock_ms();
		c->stopped = left <= 0;
		if (!c->stopped)
			timer_arm(c->timer.source.fd, (unsigned)left);
	}
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
}

static void in_ready(void *arg, uint32_t events)
{
	struct chardev *c = arg;
	bool pump;

	if (events & EPOLLOUT)
		output_ready(c);
	pthread_mutex_lock(&c->lock);
	if ((events & (EPOLLHUP | EPOLLERR)) && c->ops->hangup)
		c->ops->hangup(c);
	pump = c->want_in;
	pthread_mutex_unlock(&c->lock);
	chardev_settle(c);
	if (pump && (events & ~(uint32_t)EPOLLOUT))
		chardev_pump(c);
}

static void out_ready(void *arg, uint32_t events)
{
	(void)events; /* HUP and ERR show in what write() says */
	output_ready(arg);
}

static void kicked(void *arg, uint32_t events)
{
	struct chardev *c = arg;
	uint64_t times;

	(void)events;
	if (read(c->kick.source.fd, &times, sizeof(times)) == sizeof(times))
		chardev_pump(c);
}

/* ---- life ---- */

int chardev_init(struct chardev *c, const struct chardev_ops *ops, struct loop *loop, struct err *e)
{
	struct loop_source none = {.fd = -1, .arg = c};
	int rc;

	c->ops = ops;
	c->loop = loop;
	c->in.source = c->out.source = c->kick.source = c->timer.source = none;
	c->in.source.fn = in_ready;
	c->out.source.fn = out_ready;
	c->kick.source.fn = kicked;
	c->timer.source.fn = timer_fired;
	pthread_mutex_init(&c->lock, NULL);
	if (ring_init(&c->ring, CHARDEV_RING) < 0)
		return err_set(e, ENOMEM, "out of memory");
	c->kick.source.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (c->kick.source.fd < 0)
		return err_sys(e, "eventfd");
	c->timer.source.fd = timer_open();
	if (c->timer.source.fd < 0)
		return err_sys(e, "timerfd");
	if ((rc = port_set(loop, &c->kick, EPOLLIN)) < 0 ||
	    (rc = port_set(loop, &c->timer, EPOLLIN)) < 0)
		return err_set(e, -rc, "epoll_ctl failed (errno %d)", -rc);
	return 0;
}

void chardev_set_fds(struct chardev *c, int in, int out)
{
	c->in.source.fd = in;
	c->out.source.fd = out;
}

int chardev_start(struct chardev *c, struct chardev_front front, struct err *e)
{
	int rc;

	c->front = front;
	rc = c->ops->start ? c->ops->start(c, e) : 0;
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	c->want_in = c->ops->read && front.room && front.receive;
	c->input_held = true;
	chardev_arm(c);
	pthread_mutex_unlock(&c->lock);
	chardev_resume_input(c); /* for what epoll will not announce: a regular file */
	return 0;
}

void chardev_detach(struct chardev *c)
{
	pthread_mutex_lock(&c->lock);
	c->front = (struct chardev_front){0};
	c->want_in = false;
	chardev_arm(c);
	pthread_mutex_unlock(&c->lock);
}

uint64_t chardev_dropped(struct chardev *c)
{
	uint64_t dropped;

	pthread_mutex_lock(&c->lock);
	dropped = c->ring.dropped;
	pthread_mutex_unlock(&c->lock);
	return dropped;
}

struct loop *chardev_loop(const struct chardev *c)
{
	return c->loop;
}

/* The loop does not run any more. The last lines of a guest are those that matter. */
static void flush_at_end(struct chardev *c)
{
	int64_t end = clock_ms() + FLUSH_MS, left;

	flush(c);
	while (c->want_out && !c->stopped && (left = end - clock_ms()) > 0) {
		struct pollfd p = {.fd = c->out.source.fd, .events = POLLOUT};
		poll(&p, 1, (int)left);
		if (!flush(c) && c->want_out)
			poll(NULL, 0, RETRY_MS);
	}
}

void chardev_destroy(struct chardev *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->ring.data)
		flush_at_end(c);
	pthread_mutex_unlock(&c->lock);
	port_set(c->loop, &c->in, 0);
	if (c->out.source.fd != c->in.source.fd)
		port_set(c->loop, &c->out, 0);
	port_set(c->loop, &c->kick, 0);
	port_set(c->loop, &c->timer, 0);
	fd_close(&c->kick.source.fd);
	fd_close(&c->timer.source.fd);
	ring_fini(&c->ring);
	c->ops->close(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
