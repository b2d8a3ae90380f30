// SPDX-License-Identifier: Apache-2.0
/*
 * Input of a character back end: read from the host what the front end has room for, and no more.
 * Only a kind with keys of its own (stdio on a terminal) reads ahead while input is held.
 */
#include "backend/chardev_impl.h"

#include <errno.h>
#include <sys/eventfd.h>

#define CHUNK  512 /* bytes read at once, at most */
#define ROUNDS 64  /* reads before the loop's other sources get their turn */

static void kick(struct chardev *c)
{
	eventfd_write(c->kick.source.fd, 1);
}

static void want_in(struct chardev *c, bool want)
{
	pthread_mutex_lock(&c->lock);
	c->want_in = want && !c->input_over;
	chardev_arm(c);
	pthread_mutex_unlock(&c->lock);
}

/*
 * What the front end can take; if nothing, how to wait is settled too. `input_held` is set before
 * it is asked: when room comes between its "none" and our next step, chardev_resume_input() already
 * knows that we wait for it.
 */
static size_t room(struct chardev *c)
{
	size_t n;
	bool over;

	pthread_mutex_lock(&c->lock);
	over = c->input_over || c->in.source.fd < 0 || !c->front.room || !c->front.receive;
	c->input_held = !over;
	pthread_mutex_unlock(&c->lock);
	if (over || (n = c->front.room(c->front.arg)) == 0) {
		want_in(c, !over && c->ops->read_ahead && c->ops->read_ahead(c));
		return 0;
	}
	pthread_mutex_lock(&c->lock);
	c->input_held = false;
	pthread_mutex_unlock(&c->lock);
	return n;
}

static void input_ended(struct chardev *c)
{
	pthread_mutex_lock(&c->lock);
	c->input_over = true;
	c->want_in = false;
	if (c->ops->input_ended)
		c->ops->input_ended(c);
	chardev_arm(c);
	pthread_mutex_unlock(&c->lock);
}

void chardev_pump(struct chardev *c)
{
	uint8_t buf[CHUNK];

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t len = MIN(room(c), sizeof(buf));
		ssize_t n;

		if (len == 0)
			return;
		n = c->ops->read(c, buf, len);
		if (n == -EINTR)
			continue;
		if (n == -EAGAIN) {
			want_in(c, true);
			return;
		}
		if (n <= 0) {
			input_ended(c);
			return;
		}
		c->front.receive(c->front.arg, buf, (size_t)n);
	}
	kick(c); /* more, after the others */
}

void chardev_resume_input(struct chardev *c)
{
	pthread_mutex_lock(&c->lock);
	if (c->input_held) {
		c->input_held = false;
		kick(c);
	}
	pthread_mutex_unlock(&c->lock);
}
