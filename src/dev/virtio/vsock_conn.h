/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of a vsock device (virtio 1.2, 5.10.6): its state, and the credit of both directions.
 *
 *   host connects ----> LINE --CONNECT--> REQUESTED --RESPONSE--> OPEN --host closed--> CLOSING
 *   guest connects -------------------------------------------->  |                        |
 *                          RST, time-out, or both sides shut down v                        v
 *                                                                DEAD --all is sent--> FREE
 *
 * Nothing is sent from here: a packet that is due is a bit of `owed`, and the device asks for the next one
 * (vsock_conn_packet, then vsock_conn_read) when the guest has a buffer for it. So no reply needs memory.
 *
 * Credit (5.10.6.3). Guest to host: we promise `buffer` bytes, as many as the table said. What the host's program does not take
 * at once waits in `out`, and counts as forwarded once it has gone; so the guest stops when the program does,
 * and a guest that sends more than was promised is cut off. Host to guest: what the guest promised is the
 * most that is read from the socket; the rest waits in the kernel.
 *
 * DEAD: the guest no longer knows the connection, or is owed a RST and then no longer does. Bytes that it had
 * sent before it closed still go to the host's program.
 *
 * No locks: the device's. Time is in milliseconds of CLOCK_MONOTONIC.
 */
#pragma once

#include <linux/virtio_vsock.h>
#include <sys/uio.h>

#include "backend/ring.h"
#include "base/base.h"

/* Bytes from the guest that wait for a slow program, at most: of one connection of few, and of one of many. */
#define VSOCK_CONN_BUFFER       (128 * KIB)
#define VSOCK_CONN_BUFFER_SMALL (16 * KIB)
#define VSOCK_PACKET_MAX        (64 * KIB) /* payload of one packet to the guest; Linux's limit, too */

#define VSOCK_LINE_MS    60000 /* for a client to write its CONNECT line: it may be a person */
#define VSOCK_REQUEST_MS 10000 /* for the guest to answer a REQUEST */
#define VSOCK_CLOSE_MS   8000  /* for the guest to confirm that a connection ends, as in Linux */

enum vsock_state {
	VSOCK_FREE,
	VSOCK_LINE,      /* a client of the host has not said yet what it wants */
	VSOCK_REQUESTED, /* the guest is asked */
	VSOCK_OPEN,
	VSOCK_CLOSING, /* the host's side has gone, the guest has been told and has not confirmed */
	VSOCK_DEAD,
};

struct vsock_conn {
	enum vsock_state state;
	int fd; /* the host's side; -1: gone */
	uint32_t guest_port, host_port;
	int64_t deadline_ms; /* 0: none */
	uint32_t buffer;     /* VSOCK_CONN_BUFFER, or ..._SMALL: its slot's */

	uint16_t owed;     /* packets to send: bits 1 << VIRTIO_VSOCK_OP_... */
	uint8_t host_shut; /* VIRTIO_VSOCK_SHUTDOWN_...: what the host's side will not do any more */
	uint8_t guest_shut; /* the same of the guest */
	bool hung_up;       /* nothing can be written to the host's side; it may have left input */
	bool readable;      /* no read has found the socket empty since its last event */

	/* Guest to host. received - forwarded == out.used. The counters run freely. */
	struct ring out; /* memory: from the first byte on that had to wait */
	uint32_t received, forwarded;
	uint32_t told; /* forwarded, as the guest last saw it */

	/* Host to guest. */
	uint32_t sent, peer_forwarded, peer_buffer;
	bool credit_asked; /* and no answer yet */

	/* The owner's: */
	struct vsock_conn *next; /* in the queue of those with something to send */
	bool queued, want_out;
};

/* A client has connected; it owns `fd` from here on. */
void vsock_conn_client(struct vsock_conn *c, int fd, int64_t now_ms);
/* It has asked for a port of the guest. */
void vsock_conn_request(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port,
			int64_t now_ms);
/* The guest's REQUEST, which the host's program behind `fd` has accepted. */
void vsock_conn_accept(struct vsock_conn *c, int fd, const struct virtio_vsock_hdr *hdr);

/* Is a packet of the guest with these ports meant for it? */
MUST_CHECK bool vsock_conn_known(const struct vsock_conn *c);
/* A packet of the guest; `iov` is its payload of hdr->len bytes, in guest memory. */
void vsock_conn_receive(struct vsock_conn *c, const struct virtio_vsock_hdr *hdr, struct iovec *iov,
			unsigned n, int64_t now_ms);
/* An event of the socket: EPOLLIN and so on. Not in VSOCK_LINE. */
void vsock_conn_event(struct vsock_conn *c, uint32_t events, int64_t now_ms);
/* Ends what has taken too long. */
void vsock_conn_expire(struct vsock_conn *c, int64_t now_ms);
/* The guest has forgotten all connections (reset). A client that has not asked for one yet stays. */
void vsock_conn_forget(struct vsock_conn *c);
/* Frees everything; VSOCK_FREE afterwards. */
void vsock_conn_close(struct vsock_conn *c);

/* Nothing is left to do: close it. */
MUST_CHECK bool vsock_conn_done(const struct vsock_conn *c);
/* Is there something to send? Asks for credit where that is what it lacks. */
MUST_CHECK bool vsock_conn_ready(struct vsock_conn *c);
/* The next packet without payload, if one is owed: its op, flags and credit in *hdr. */
MUST_CHECK bool vsock_conn_packet(struct vsock_conn *c, struct virtio_vsock_hdr *hdr);
/* Bytes of payload that the guest has promised to take. */
MUST_CHECK uint32_t vsock_conn_credit(const struct vsock_conn *c);
/*
 * Reads payload, of no more than vsock_conn_credit() bytes, straight into the guest's buffers, and says so in
 * *hdr. Bytes; 0: there is none now, and the state may have changed.
 */
MUST_CHECK uint32_t vsock_conn_read(struct vsock_conn *c, struct virtio_vsock_hdr *hdr,
				    struct iovec *iov, unsigned n, int64_t now_ms);
