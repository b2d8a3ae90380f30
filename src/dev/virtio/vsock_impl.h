/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the vsock device, for its own files and its tests. */
#pragma once

#include "backend/vsock_unix.h"
#include "dev/virtio/vsock.h"
#include "dev/virtio/vsock_table.h"

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES }; /* 5.10.2 */

#define VSOCK_QUEUE_SIZE 256
#define VSOCK_RST_MAX    64  /* RSTs for connections that there are not, waiting for a buffer */
#define VSOCK_TICK_MS    250 /* how often deadlines are looked at, while there are any */

/* A packet that belongs to no connection is answered by a RST with its addresses swapped. */
struct vsock_rst {
	uint64_t cid; /* that it was sent to */
	uint32_t guest_port, host_port;
	uint16_t type;
};

struct vsock {
	struct virtio_dev base;
	struct virtio_vsock_config config;
	struct vsock_unix host;
	struct loop_source timer;
	bool ticking;
	struct vsock_table table;
	bool clients_held; /* no slot, or no descriptor, for the next client */

	struct vsock_rst rst[VSOCK_RST_MAX]; /* a queue */
	unsigned rst_first, n_rst;
	bool tx_held; /* packets wait in the tx queue: rst[] was full */

	struct iovec iov[VSOCK_QUEUE_SIZE];
	struct iovec part[VSOCK_QUEUE_SIZE]; /* of iov: the payload */
};

/* After anything has happened to a connection: what follows for the rest of the device. It may be free then. */
void vsock_settle(struct vsock *v, struct vsock_conn *c);

/* Serve a queue as far as it goes: 0, or -EINVAL: the driver broke the ring. */
MUST_CHECK int vsock_take_packets(struct vsock *v); /* tx, to their connections */
MUST_CHECK int vsock_send_packets(struct vsock *v); /* rx, from the connections and rst[] */
