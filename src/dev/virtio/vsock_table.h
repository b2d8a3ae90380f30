/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of a vsock device: a fixed table, found by their ports, and the queue of those that have
 * something to send, which take turns. A slot of the table is not touched before it is first used.
 */
#pragma once

#include "dev/virtio/vsock_conn.h"

#define VSOCK_CONNS           1024
#define VSOCK_LARGE           128 /* of them have a large buffer: 16 MiB; the others, small ones, 14 MiB */
#define VSOCK_FIRST_HOST_PORT 0x40000000u /* of connections that a host's program makes */

struct vsock_table {
	struct vsock_conn *conn; /* VSOCK_CONNS */
	uint64_t *key;           /* ports of each */
	unsigned n;              /* slots from here on are free */
	uint32_t next_port;
	struct vsock_conn *first, **last; /* with something to send; some may have no more */
};

MUST_CHECK int vsock_table_init(struct vsock_table *t); /* 0 or -ENOMEM */
/* Closes all. Accepts one that is all zeroes. */
void vsock_table_fini(struct vsock_table *t);

/*
 * A free slot, for vsock_conn_client() or vsock_conn_accept(); NULL: full. It may be that of a connection that the
 * guest has forgotten, and whose last bytes no program has read yet: they are lost then.
 */
struct vsock_conn *vsock_table_slot(struct vsock_table *t);
/* To be called once its ports are known. */
void vsock_table_key(struct vsock_table *t, const struct vsock_conn *c);
/* The connection between these ports, or NULL. */
struct vsock_conn *vsock_table_find(const struct vsock_table *t, uint32_t guest_port,
				    uint32_t host_port);
void vsock_table_free(struct vsock_table *t, struct vsock_conn *c);
/* A host's port that no connection uses. */
uint32_t vsock_table_port(struct vsock_table *t);

/* Puts it at the end of the queue, unless it is there already. */
void vsock_table_enqueue(struct vsock_table *t, struct vsock_conn *c);
/* The first of the queue that is ready to send; it stays there. NULL: none. */
struct vsock_conn *vsock_table_ready(struct vsock_table *t);
/* Takes out the first. */
struct vsock_conn *vsock_table_dequeue(struct vsock_table *t);
