/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of character back end share; only the files chardev*.c include it. A kind embeds
 * struct chardev, opens its descriptors and says how to read and write them; queueing, flow
 * control, input and the event loop are chardev.c's.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "backend/chardev.h"
#include "backend/ring.h"

struct chardev_ops {
	/* Bytes read, 0 at the end, -EAGAIN for none now, or -errno. Loop thread, no lock held. */
	ssize_t (*read)(struct chardev *c, uint8_t *buf, size_t len);
	/* Optional, the front end has no room: takes input that may be for us into memory of its
	 * own, bounded, for read() to hand out later. False: no more now. Loop thread, no lock. */
	bool (*read_ahead)(struct chardev *c);
	/* Bytes taken, -EAGAIN for none now, or -errno: the reader is gone. Any thread, lock held.
	 */
	ssize_t (*write)(struct chardev *c, const uint8_t *data, size_t len);
	/* Optional: the peer has gone (EPOLLHUP, or a failed write), input has ended. Lock held. */
	void (*hangup)(struct chardev *c);
	void (*input_ended)(struct chardev *c);
	/* Optional: registers further sources of the kind's own. */
	int (*start)(struct chardev *c, struct err *e);
	/* Closes what the kind opened, in.fd and out.fd included. */
	void (*close)(struct chardev *c);
};

/* A descriptor and what epoll was last told about it; 0: not registered. fd -1: there is none. */
struct chardev_port {
	struct loop_source source;
	uint32_t armed;
};

struct chardev {
	const struct chardev_ops *ops;
	struct loop *loop;
	struct chardev_front front; /* set before the loop runs */

	pthread_mutex_t lock; /* guards everything below */
	struct chardev_port in,
		out;               /* of a duplex descriptor both have the fd, `in` is registered */
	struct chardev_port kick;  /* eventfd: chardev_resume_input() to the loop thread */
	struct chardev_port timer; /* while congested, or when a writable descriptor took nothing */
	uint32_t idle_events; /* what a duplex port waits for when it wants neither in nor out */

	bool want_in, want_out;
	bool input_over;
	bool input_held; /* room() said 0, or is being asked */

	struct ring ring;
	bool reader;      /* somebody takes output now; if not, the ring keeps it */
	bool discard;     /* nobody will ever take output */
	bool congested;   /* chardev_congested() said so, drained() is owed */
	bool stopped;     /* the reader took nothing for a second */
	int64_t taken_ms; /* when the reader last took something, or was first late */
};

/* `c` is the first member of a zeroed object from calloc(); on failure the caller frees that. */
int chardev_init(struct chardev *c, const struct chardev_ops *ops, struct loop *loop,
		 struct err *e);
void chardev_set_fds(struct chardev *c, int in, int out);

/* Lock held. Brings epoll in line with want_in and want_out. */
void chardev_arm(struct chardev *c);
/* Lock held. A reader came (gets what waits), or left. In the loop thread chardev_settle() must
 * follow. */
void chardev_set_reader(struct chardev *c, bool reader);
/* Calls front.drained if chardev_congested() is not true any more. Loop thread, no lock held. */
void chardev_settle(struct chardev *c);
/* Reads on: a new client, new input. Loop thread, no lock held. */
void chardev_pump(struct chardev *c);
