/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of network back end share; only the files netdev*.c and fakes include it. A kind embeds
 * struct netdev and says how a frame is sent and received; waiting for its descriptors in the event loop, and
 * what happens when the other side goes, are netdev.c's.
 *
 * Locks: netdev's lock is taken inside the device's, and is never held while a function of the front is called.
 */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "backend/netdev.h"

struct netdev_ops {
	int (*start)(struct netdev *n, struct err *e);
	/* Device's lock held: the functions of netdev.h with the same names. The first two are optional. */
	void (*set_features)(struct netdev *n, uint64_t features);
	void (*set_queues)(struct netdev *n, unsigned pairs);
	ssize_t (*send)(struct netdev *n, unsigned queue, const struct iovec *iov, unsigned n_iov);
	ssize_t (*receive)(struct netdev *n, unsigned queue, const struct iovec *iov,
			   unsigned n_iov);
	void (*want_readable)(struct netdev *n, unsigned queue, bool on);
	/* Optional. Loop thread, netdev's lock held: sends what an earlier send kept. True: all of it. */
	bool (*flush)(struct netdev *n);
	/* Optional. netdev's lock held: the other side has hung up; has it left something to receive()? */
	bool (*unread)(struct netdev *n);
	/* Optional. Loop thread, no lock: the other side has gone. Once. */
	void (*gone)(struct netdev *n);
	/* Frees what is the kind's, then the object; netdev_fini() does the common part. */
	void (*close)(struct netdev *n);
};

/* One descriptor: a queue pair's. */
struct netdev_port {
	struct netdev *dev;
	unsigned queue;
	struct loop_source source; /* fd -1: there is none */
	bool in_loop;
	bool hung; /* out of the loop until readable() is wanted: a hang-up would be told again and again */
	bool want_in, want_out;
	uint32_t armed; /* what epoll was last told */
};

struct netdev {
	const struct netdev_ops *ops;
	struct loop *loop;
	struct netdev_front front;
	uint64_t features;
	char name[64]; /* for messages */

	pthread_mutex_t lock; /* guards everything below */
	struct netdev_port *port;
	unsigned n_ports;
	bool gone, told; /* the other side has gone; the front was told */
};

/* `n` is the first member of a zeroed object; on failure the caller frees that and nothing else. */
int netdev_init(struct netdev *n, const struct netdev_ops *ops, struct loop *loop, const char *name,
		unsigned n_ports, struct err *e);
/* Removes the ports from the loop and closes them. */
void netdev_fini(struct netdev *n);

/* For ops: all ports into the loop; one port out and in again; readable() on and off. */
int netdev_start_ports(struct netdev *n, struct err *e);
void netdev_watch(struct netdev_port *p, bool on);
void netdev_want_port(struct netdev *n, unsigned queue, bool on);
/* The next writable() of that queue is asked for. */
void netdev_want_writable(struct netdev *n, unsigned queue);
/* Lock held: the other side has gone. `why` is logged; the rest happens in the loop thread. */
void netdev_lose(struct netdev *n, const char *why);

/* The kinds. `name` is for messages. */
int netdev_open_tap(struct netdev **out, const struct net_config *config, struct loop *loop,
		    const char *name, struct err *e);
int netdev_open_passt(struct netdev **out, const struct net_config *config, struct loop *loop,
		      const char *name, struct err *e);
int netdev_open_user(struct netdev **out, const struct net_config *config, struct loop *loop,
		     const char *name, struct err *e);

/*
 * Frames over a connected stream socket, each after its length, 32 bits, big-endian. Takes the descriptor over,
 * on failure too. `pid`: of a process that is to end and be reaped with it; 0: none.
 */
int netdev_open_stream(struct netdev **out, int fd, pid_t pid, struct loop *loop, const char *name,
		       struct err *e);
