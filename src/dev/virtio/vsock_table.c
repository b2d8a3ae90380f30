// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/vsock_table.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t key_of(uint32_t guest_port, uint32_t host_port)
{
	return (uint64_t)host_port << 32 | guest_port;
}

int vsock_table_init(struct vsock_table *t)
{
	*t = (struct vsock_table){
		.conn = calloc(VSOCK_CONNS, sizeof(*t->conn)), /* pages never used never exist */
		.key = calloc(VSOCK_CONNS, sizeof(*t->key)),
		.next_port = VSOCK_FIRST_HOST_PORT,
		.last = &t->first,
	};
	return t->conn && t->key ? 0 : -ENOMEM;
}

void vsock_table_fini(struct vsock_table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		vsock_conn_close(&t->conn[i]);
	free(t->conn);
	free(t->key);
	*t = (struct vsock_table){0};
}

static bool give_up_a_dead_one(struct vsock_table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->conn[i].state == VSOCK_DEAD && t->conn[i].owed == 0) {
			vsock_table_free(t, &t->conn[i]);
			return true;
		}
	return false;
}

static struct vsock_conn *free_slot(struct vsock_table *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->conn[i].state == VSOCK_FREE)
			return &t->conn[i];
	return t->n < VSOCK_CONNS ? &t->conn[t->n++] : NULL;
}

/* The lowest that is free: as long as connections are few they all have large buffers. */
struct vsock_conn *vsock_table_slot(struct vsock_table *t)
{
	struct vsock_conn *c = free_slot(t);

	if (!c && give_up_a_dead_one(t))
		c = free_slot(t);
	if (c)
		c->buffer = c - t->conn < VSOCK_LARGE ? VSOCK_CONN_BUFFER : VSOCK_CONN_BUFFER_SMALL;
	return c;
}

void vsock_table_key(struct vsock_table *t, const struct vsock_conn *c)
{
	t->key[c - t->conn] = key_of(c->guest_port, c->host_port);
}

struct vsock_conn *vsock_table_find(const struct vsock_table *t, uint32_t guest_port,
				    uint32_t host_port)
{
	uint64_t key = key_of(guest_port, host_port);

	for (unsigned i = 0; i < t->n; i++)
		if (t->key[i] == key && vsock_conn_known(&t->conn[i]))
			return &t->conn[i];
	return NULL;
}

void vsock_table_free(struct vsock_table *t, struct vsock_conn *c)
{
	vsock_conn_close(c);
	t->key[c - t->conn] = 0;
	while (t->n > 0 && t->conn[t->n - 1].state == VSOCK_FREE)
		t->n--;
}

static bool port_used(const struct vsock_table *t, uint32_t host_port)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->key[i] >> 32 == host_port)
			return true;
	return false;
}

/* Bounded: a table in which every port of a row of VSOCK_CONNS + 1 is used has that many entries. */
uint32_t vsock_table_port(struct vsock_table *t)
{
	uint32_t port;

	do {
		port = t->next_port++;
		if (t->next_port == UINT32_MAX) /* stands for "any" */
			t->next_port = VSOCK_FIRST_HOST_PORT;
	} while (port_used(t, port));
	return port;
}

void vsock_table_enqueue(struct vsock_table *t, struct vsock_conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next = NULL;
	*t->last = c;
	t->last = &c->next;
}

struct vsock_conn *vsock_table_dequeue(struct vsock_table *t)
{
	struct vsock_conn *c = t->first;

	t->first = c->next;
	if (!t->first)
		t->last = &t->first;
	c->queued = false;
	return c;
}

/* Bounded by the table: each is in the queue once. */
struct vsock_conn *vsock_table_ready(struct vsock_table *t)
{
	while (t->first && !vsock_conn_ready(t->first))
		vsock_table_dequeue(t);
	return t->first;
}
