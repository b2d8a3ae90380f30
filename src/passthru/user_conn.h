/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a vfio-user server: requests with their replies, and the server's own commands, which may come at any
 * time, on the same socket or on a second one (the protocol's twin socket). One thread at a time may use it: the
 * caller's lock. Setting it up needs nobody but the caller; only then does the loop look at it (user.c).
 *
 * A connection that has broken stays so: `broken` says how, and all that comes after fails with -EIO.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "mem/gmem.h"
#include "passthru/user_wire.h"
#include "passthru/vfio.h"

enum user_broken {
	USER_WHOLE,
	USER_CLOSED,  /* the other side has gone: it may come again */
	USER_CORRUPT, /* it does not keep to the protocol, or is silent */
};

struct user_conn {
	struct user_socket main, twin;
	const struct gmem *ram;
	uint16_t next_id;
	unsigned deadline_ms; /* how long a reply may take */
	int64_t until_ms;     /* of clock_ms(): and all of them together; 0: no such limit */
	enum user_broken broken;
	char why[160];
	struct log_limit limit;
	/* What the server can take. */
	unsigned max_fds;
	uint64_t max_xfer;
	uint64_t page; /* of DMA mappings */
	uint64_t max_maps;
	unsigned n_mapped; /* regions of RAM, from the first on */
};

/* A request, and what its reply must be like. */
struct user_request {
	uint16_t command;
	const void *head, *data; /* the payload: one after the other */
	size_t head_len, data_len;
	const int *fd;
	unsigned n_fds;
	size_t min, max; /* bytes of the reply's payload */
	unsigned max_fds;
};

/* Takes the descriptor. -ENOMEM. */
int user_conn_init(struct user_conn *c, int fd, const struct gmem *ram, unsigned deadline_ms);
void user_conn_fini(struct user_conn *c);
/* Keeps the first reason. Wakes whoever waits for the socket. -EIO. */
int user_conn_break(struct user_conn *c, enum user_broken how, const char *why);

/*
 * Sends, and waits for the reply; *reply is its payload, until user_conn_done(). 0; -EIO with `broken` set; else the
 * server's own -errno, and nothing to be done with.
 */
int user_conn_call(struct user_conn *c, const struct user_request *r, const void **reply,
		   size_t *len);
void user_conn_done(struct user_conn *c);
/* For requests whose reply is nothing. */
int user_conn_tell(struct user_conn *c, const struct user_request *r);

/* Serves what commands are there, some of them. 0, or -EIO: it has broken. */
int user_conn_serve(struct user_conn *c);

/* user_version.c: the first exchange. -errno with a text. */
int user_conn_negotiate(struct user_conn *c, struct err *e);
/* What the server says of itself, JSON without a NUL at its end. -EPROTO with a text. */
int user_parse_version(struct user_conn *c, const char *text, size_t len, int *twin, struct err *e);

/* user_dma.c */
int user_map_ram(struct user_conn *c, struct err *e);
void user_unmap_ram(struct user_conn *c);
/* A DMA_READ or DMA_WRITE of the server's: 0, or -EIO: it has broken. */
int user_serve_dma(struct user_conn *c, struct user_socket *s);

/* A failure of setting up: the server's error, or how the connection broke. */
int user_conn_err(struct user_conn *c, int rc, const char *what, struct err *e);
