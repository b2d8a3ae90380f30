/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network back end in memory: frames that wait for the guest, frames that the guest sent, and a line that can be
 * full. Nothing of it is in an event loop: who uses it calls the front's functions.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/netdev_impl.h"

#define FAKE_FRAMES 64

struct fake_frame {
	uint8_t *data; /* header included */
	size_t len;
};

struct fake_netdev {
	struct netdev base;
	struct fake_frame in[FAKE_FRAMES], out[FAKE_FRAMES];
	unsigned n_in, next_in, n_out;
	bool full; /* sending is -EAGAIN */
	int error; /* the next receive() fails with this, once */
	int dead;  /* every receive() fails with this */
	bool want_readable[8];
	unsigned queues;
	uint64_t accepted;
	unsigned receives, last_queue;
	bool *closed;
};

static inline struct fake_netdev *fake_netdev_of(struct netdev *n)
{
	return container_of(n, struct fake_netdev, base);
}

static inline int fake_netdev_start(struct netdev *n, struct err *e)
{
	(void)n;
	(void)e;
	return 0;
}

static inline void fake_netdev_set_features(struct netdev *n, uint64_t features)
{
	fake_netdev_of(n)->accepted = features;
}

static inline void fake_netdev_set_queues(struct netdev *n, unsigned pairs)
{
	fake_netdev_of(n)->queues = pairs;
}

static inline ssize_t fake_netdev_send(struct netdev *n, unsigned queue, const struct iovec *iov,
				       unsigned n_iov)
{
	struct fake_netdev *f = fake_netdev_of(n);
	struct fake_frame *frame = &f->out[f->n_out];
	size_t at = 0;

	if (f->full || f->n_out == FAKE_FRAMES)
		return -EAGAIN;
	frame->len = 0;
	for (unsigned i = 0; i < n_iov; i++)
		frame->len += iov[i].iov_len;
	frame->data = malloc(frame->len); /* exactly: a read too far is seen */
	for (unsigned i = 0; i < n_iov; at += iov[i++].iov_len)
		memcpy(frame->data + at, iov[i].iov_base, iov[i].iov_len);
	f->last_queue = queue;
	f->n_out++;
	return (ssize_t)frame->len;
}

static inline ssize_t fake_netdev_receive(struct netdev *n, unsigned queue, const struct iovec *iov,
					  unsigned n_iov)
{
	struct fake_netdev *f = fake_netdev_of(n);
	const struct fake_frame *frame = &f->in[f->next_in];
	size_t done = 0;
	int error = f->error;

	f->receives++;
	f->last_queue = queue;
	f->error = 0;
	if (error || f->dead)
		return error ? error : f->dead;
	if (f->next_in == f->n_in)
		return -EAGAIN;
	for (unsigned i = 0; i < n_iov && done < frame->len; i++) {
		size_t part = MIN(iov[i].iov_len, frame->len - done);
		memcpy(iov[i].iov_base, frame->data + done, part);
		done += part;
	}
	f->next_in++;
	return (ssize_t)done;
}

static inline void fake_netdev_want_readable(struct netdev *n, unsigned queue, bool on)
{
	fake_netdev_of(n)->want_readable[queue] = on;
}

static inline void fake_netdev_forget(struct fake_netdev *f)
{
	for (unsigned i = 0; i < f->n_in; i++)
		free(f->in[i].data);
	for (unsigned i = 0; i < f->n_out; i++)
		free(f->out[i].data);
	f->n_in = f->next_in = f->n_out = 0;
}

static inline void fake_netdev_close(struct netdev *n)
{
	struct fake_netdev *f = fake_netdev_of(n);

	fake_netdev_forget(f);
	if (f->closed)
		*f->closed = true;
	netdev_fini(n);
	free(f);
}

static const struct netdev_ops fake_netdev_ops = {
	.start = fake_netdev_start,
	.set_features = fake_netdev_set_features,
	.set_queues = fake_netdev_set_queues,
	.send = fake_netdev_send,
	.receive = fake_netdev_receive,
	.want_readable = fake_netdev_want_readable,
	.close = fake_netdev_close,
};

/* `features`: offloads that it can do. */
static inline struct fake_netdev *fake_netdev_open(struct loop *loop, uint64_t features)
{
	struct fake_netdev *f = calloc(1, sizeof(*f));
	struct err e;

	if (!f || netdev_init(&f->base, &fake_netdev_ops, loop, "net0", 1, &e) < 0)
		abort();
	f->base.features = features;
	return f;
}

/* A frame for the guest: a header of zeros, and `len` bytes that can be told apart. False: no room. */
static inline bool fake_netdev_offer(struct fake_netdev *f, uint8_t seed, size_t len)
{
	struct fake_frame *frame;

	if (f->next_in == f->n_in && f->n_in > 0) {
		for (unsigned i = 0; i < f->n_in; i++)
			free(f->in[i].data);
		f->n_in = f->next_in = 0;
	}
	if (f->n_in == FAKE_FRAMES)
		return false;
	frame = &f->in[f->n_in++];
	frame->len = NETDEV_HEADER + len;
	frame->data = calloc(1, frame->len);
	for (size_t i = 0; i < len; i++)
		frame->data[NETDEV_HEADER + i] = (uint8_t)(seed + i * 7 + (i >> 8));
	return true;
}
