// SPDX-License-Identifier: Apache-2.0
#include "dev/virtio/vsock_conn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "backend/vsock_unix.h"
#include "base/io.h"

#define BIT(op)   (1u << (VIRTIO_VSOCK_OP_##op))
#define NO_RCV    VIRTIO_VSOCK_SHUTDOWN_RCV
#define NO_SEND   VIRTIO_VSOCK_SHUTDOWN_SEND
#define SHUT_BOTH (NO_RCV | NO_SEND)

/* ---- the end of a connection ---- */

static void drop_output(struct vsock_conn *c)
{
	c->forwarded += (uint32_t)c->out.used;
	ring_take(&c->out, c->out.used);
}

/* The guest is through with it, or has to be (`rst`). What it has sent so far still reaches the program. */
static void die(struct vsock_conn *c, bool rst)
{
	c->state = VSOCK_DEAD;
	c->owed = rst ? BIT(RST) : 0;
	c->deadline_ms = 0;
	c->readable = false;
	if (c->out.used == 0)
		fd_close(&c->fd);
}

/* It ends at once, for whatever is wrong with it. */
static void abort_conn(struct vsock_conn *c, bool rst)
{
	drop_output(c);
	die(c, rst);
}

/* The host's side will not do `what` any more: the guest is told, and asked to confirm the end. */
static void host_shut(struct vsock_conn *c, uint8_t what, int64_t now_ms)
{
	if (what & NO_RCV)
		drop_output(c);
	if (c->state == VSOCK_DEAD && what & NO_RCV)
		fd_close(&c->fd);
	if (c->state != VSOCK_OPEN || (c->host_shut & what) == what)
		return;
	c->host_shut |= what;
	c->owed |= BIT(SHUTDOWN);
	if (c->host_shut == SHUT_BOTH) {
		fd_close(&c->fd);
		c->state = VSOCK_CLOSING;
		c->deadline_ms = now_ms + VSOCK_CLOSE_MS;
	}
}

void vsock_conn_close(struct vsock_conn *c)
{
	if (c->state == VSOCK_FREE)
		return;
	fd_close(&c->fd);
	ring_fini(&c->out);
	*c = (struct vsock_conn){
		.fd = -1, .next = c->next, .queued = c->queued, .buffer = c->buffer};
}

bool vsock_conn_done(const struct vsock_conn *c)
{
	return c->state == VSOCK_DEAD && c->owed == 0 && c->fd < 0;
}

void vsock_conn_forget(struct vsock_conn *c)
{
	if (c->state == VSOCK_DEAD)
		die(c, false);
	else if (c->state != VSOCK_FREE && c->state != VSOCK_LINE)
		abort_conn(c, false);
}

void vsock_conn_expire(struct vsock_conn *c, int64_t now_ms)
{
	if (c->deadline_ms == 0 || now_ms < c->deadline_ms)
		return;
	/* A REQUEST that never found a buffer is one the guest knows nothing of. */
	abort_conn(c, vsock_conn_known(c));
}

/* ---- its beginning ---- */

static void start(struct vsock_conn *c, enum vsock_state state, int fd)
{
	*c = (struct vsock_conn){.state = state,
				 .fd = fd,
				 .next = c->next,
				 .queued = c->queued,
				 .buffer = c->buffer};
}

void vsock_conn_client(struct vsock_conn *c, int fd, int64_t now_ms)
{
	start(c, VSOCK_LINE, fd);
	c->deadline_ms = now_ms + VSOCK_LINE_MS;
}

void vsock_conn_request(struct vsock_conn *c, uint32_t guest_port, uint32_t host_port,
			int64_t now_ms)
{
	c->state = VSOCK_REQUESTED;
	c->guest_port = guest_port;
	c->host_port = host_port;
	c->owed = BIT(REQUEST);
	c->deadline_ms = now_ms + VSOCK_REQUEST_MS;
}

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t under_way = c->sent - c->peer_forwarded; /* wraps, as the counters do */

	return under_way < c->peer_buffer ? c->peer_buffer - under_way : 0;
}

static void take_credit(struct vsock_conn *c, const struct virtio_vsock_hdr *hdr)
{
	c->peer_buffer = hdr->buf_alloc;
	c->peer_forwarded = hdr->fwd_cnt;
	if (vsock_conn_credit(c) > 0) /* asking again and again would not make its buffer larger */
		c->credit_asked = false;
}

void vsock_conn_accept(struct vsock_conn *c, int fd, const struct virtio_vsock_hdr *hdr)
{
	start(c, VSOCK_OPEN, fd);
	c->guest_port = hdr->src_port;
	c->host_port = hdr->dst_port;
	c->owed = BIT(RESPONSE);
	take_credit(c, hdr);
}

bool vsock_conn_known(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN || c->state == VSOCK_CLOSING ||
	       (c->state == VSOCK_REQUESTED && !(c->owed & BIT(REQUEST)));
}

/* ---- guest to host ---- */

/* After bytes have gone to the program: what follows from an empty buffer, and news for the guest. */
static void after_output(struct vsock_conn *c)
{
	uint32_t used = c->received - c->told; /* of what we promised, as the guest knows it */
	uint32_t news = c->forwarded - c->told;

	if (c->out.used == 0 && c->state == VSOCK_DEAD) {
		fd_close(&c->fd);
		return;
	}
	if (c->out.used == 0 && c->guest_shut & NO_SEND && c->fd >= 0)
		shutdown(c->fd, SHUT_WR);
	/* Not for every few bytes. Once all have gone, `news` is `used`: the guest does not wait in vain. */
	if (c->state == VSOCK_OPEN && !(c->guest_shut & NO_SEND) && used > c->buffer / 2 &&
	    news >= c->buffer / 4)
		c->owed |= BIT(CREDIT_UPDATE);
}

/* Bytes that the program took. It may have gone, or have shut down its reading. */
static size_t write_host(struct vsock_conn *c, struct iovec *iov, unsigned n, int64_t now_ms)
{
	ssize_t put = vsock_unix_write(c->fd, iov, n);

	if (put < 0 && put != -EAGAIN)
		host_shut(c, NO_RCV, now_ms);
	return put < 0 ? 0 : (size_t)put;
}

static void flush(struct vsock_conn *c, int64_t now_ms)
{
	while (c->out.used > 0) {
		const uint8_t *data;
		size_t len = ring_peek(&c->out, &data), put;
		struct iovec iov = {(void *)(uintptr_t)data, len};

		put = write_host(c, &iov, 1, now_ms);
		if (put == 0)
			break;
		ring_take(&c->out, put);
		c->forwarded += (uint32_t)put;
	}
	after_output(c);
}

/* What is left of a payload after its first `skip` bytes waits. It fits: the credit was checked. */
static bool keep(struct vsock_conn *c, const struct iovec *iov, unsigned n, size_t skip)
{
	if (!c->out.data && ring_init(&c->out, c->buffer) < 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		size_t gone = MIN(skip, iov[i].iov_len);

		ring_put(&c->out, (const uint8_t *)iov[i].iov_base + gone, iov[i].iov_len - gone);
		skip -= gone;
	}
	return true;
}

static void receive_data(struct vsock_conn *c, uint32_t len, struct iovec *iov, unsigned n,
			 int64_t now_ms)
{
	size_t put = 0;

	if (c->guest_shut & NO_SEND || len > c->buffer - c->out.used) {
		abort_conn(c,
			   true); /* it had said it would not, or more than we promised to take */
		return;
	}
	c->received += len;
	if (len > 0 && c->out.used == 0 && !(c->host_shut & NO_RCV))
		put = write_host(c, iov, n, now_ms);
	if (c->host_shut & NO_RCV) /* nobody reads it any more; the guest has been told */
		put = len;
	c->forwarded += (uint32_t)put;
	if (put < len && !keep(c, iov, n, put))
		abort_conn(c, true);
	else
		after_output(c);
}

static void receive_shutdown(struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= flags & SHUT_BOTH; /* 5.10.6.5: what was said stays said */
	if (c->guest_shut == SHUT_BOTH) {
		die(c, true);
		return;
	}
	if (c->guest_shut & NO_RCV) {
		c->readable = false;
		shutdown(c->fd, SHUT_RD);
	}
	after_output(c);
}

static void receive_response(struct vsock_conn *c, int64_t now_ms)
{
	c->state = VSOCK_OPEN;
	c->deadline_ms = 0;
	c->readable = true; /* it may have come with the line, and its event have gone */
	/* A program that wrote all it had and left does not need the answer; what it wrote is delivered. */
	if (!vsock_unix_write_ok(c->fd, c->host_port))
		host_shut(c, NO_RCV, now_ms);
}

static void receive_open(struct vsock_conn *c, const struct virtio_vsock_hdr *hdr,
			 struct iovec *iov, unsigned n, int64_t now_ms)
{
	switch (hdr->op) {
	case VIRTIO_VSOCK_OP_RW:
		receive_data(c, hdr->len, iov, n, now_ms);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		receive_shutdown(c, hdr->flags);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->owed |= BIT(CREDIT_UPDATE);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	default:
		abort_conn(c, true);
	}
}

void vsock_conn_receive(struct vsock_conn *c, const struct virtio_vsock_hdr *hdr, struct iovec *iov,
			unsigned n, int64_t now_ms)
{
	take_credit(c, hdr);
	if (hdr->op == VIRTIO_VSOCK_OP_RST) {
		/* One that answers to, or follows, its own SHUTDOWN is no accident. */
		if (c->guest_shut & NO_SEND)
			die(c, false);
		else
			abort_conn(c, false);
	} else if (c->state == VSOCK_OPEN) {
		receive_open(c, hdr, iov, n, now_ms);
	} else if (c->state == VSOCK_REQUESTED) {
		if (hdr->op == VIRTIO_VSOCK_OP_RESPONSE)
			receive_response(c, now_ms);
		else
			abort_conn(c, true);
	} else if (hdr->op ==
		   VIRTIO_VSOCK_OP_SHUTDOWN) { /* CLOSING; what else comes was under way */
		c->guest_shut |= hdr->flags & SHUT_BOTH;
		if (c->guest_shut == SHUT_BOTH)
			die(c, true);
	}
}

/* ---- host to guest ---- */

void vsock_conn_event(struct vsock_conn *c, uint32_t events, int64_t now_ms)
{
	if (c->fd < 0)
		return;
	if (events & EPOLLOUT)
		flush(c, now_ms);
	if (events & EPOLLHUP) {
		c->hung_up = true;
		/* Where input is still to be read the end comes after it, in vsock_conn_read(). */
		if (c->guest_shut & NO_RCV)
			host_shut(c, SHUT_BOTH, now_ms);
		else if (c->host_shut & NO_SEND || c->state == VSOCK_DEAD)
			host_shut(c, NO_RCV, now_ms);
	}
	if (c->state == VSOCK_OPEN || c->state == VSOCK_REQUESTED)
		c->readable = !(c->guest_shut & NO_RCV) && !(c->host_shut & NO_SEND);
}

bool vsock_conn_ready(struct vsock_conn *c)
{
	if (c->state == VSOCK_OPEN && c->readable && vsock_conn_credit(c) == 0 &&
	    !c->credit_asked) {
		c->credit_asked = true;
		c->owed |= BIT(CREDIT_REQUEST);
	}
	return c->owed || (c->state == VSOCK_OPEN && c->readable && vsock_conn_credit(c) > 0);
}

static void fill(struct vsock_conn *c, struct virtio_vsock_hdr *hdr, uint16_t op)
{
	hdr->op = op;
	hdr->flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut : 0;
	hdr->buf_alloc = c->buffer;
	hdr->fwd_cnt = c->told = c->forwarded;
	c->owed &= (uint16_t)~BIT(CREDIT_UPDATE); /* every packet is one */
}

/* The order matters: a RESPONSE before anything else, a RST instead of all (die() left nothing else). */
bool vsock_conn_packet(struct vsock_conn *c, struct virtio_vsock_hdr *hdr)
{
	static const uint8_t order[] = {
		VIRTIO_VSOCK_OP_RST,           VIRTIO_VSOCK_OP_REQUEST,
		VIRTIO_VSOCK_OP_RESPONSE,      VIRTIO_VSOCK_OP_SHUTDOWN,
		VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		if (!(c->owed >> order[i] & 1))
			continue;
		c->owed &= (uint16_t) ~(1u << order[i]);
		fill(c, hdr, order[i]);
		return true;
	}
	return false;
}

uint32_t vsock_conn_read(struct vsock_conn *c, struct virtio_vsock_hdr *hdr, struct iovec *iov,
			 unsigned n, int64_t now_ms)
{
	ssize_t got = vsock_unix_read(c->fd, iov, n);

	if (got > 0) {
		c->sent += (uint32_t)got;
		fill(c, hdr, VIRTIO_VSOCK_OP_RW);
		return (uint32_t)got;
	}
	c->readable = false;
	if (got == 0)
		host_shut(c, c->hung_up ? SHUT_BOTH : NO_SEND, now_ms);
	else if (got != -EAGAIN)
		abort_conn(c, true); /* the program closed it with bytes unread: ECONNRESET */
	return 0;
}
