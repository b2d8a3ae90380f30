// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a list of steps between a driver and programs of the host: packets with any header in any
 * shape of buffers, receive buffers of any size, clients that write any bytes, programs that read, stop,
 * half-close and go, resets, and turns of the event loop. At the end the counters of every connection must
 * fit together, and after a reset a connection must work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev/virtio/vsock_impl.h"
#include "fake/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CID     3
#define HDR     ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define CLIENTS 8
#define PACKETS (64 * KIB)

struct in {
	const uint8_t *at, *end;
};

struct world {
	struct fake_driver f;
	struct vsock *v;
	char dir[32], path[64], port_path[64];
	int listener, client[CLIENTS];
	uint64_t tx, rx;
	uint32_t seen_port; /* a host's port that the guest was told of */
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static uint8_t byte(struct in *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static uint32_t word(struct in *in)
{
	uint32_t w = byte(in);

	return w < 0x80 ? w
			: (w << 24 | (uint32_t)byte(in) << 16 | (uint32_t)byte(in) << 8 | byte(in));
}

static int sock(const char *path, bool listening)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(a.sun_path, path);
	if (listening) {
		must(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0);
	} else if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void set_up(struct world *w)
{
	struct vsock_config config = {.cid = CID, .socket = w->path};
	struct virtio_dev *dev;
	struct err e;

	*w = (struct world){.seen_port = VSOCK_FIRST_HOST_PORT};
	strcpy(w->dir, "/tmp/vsock-fuzz-XXXXXX");
	must(mkdtemp(w->dir) != NULL);
	snprintf(w->path, sizeof(w->path), "%s/v", w->dir);
	snprintf(w->port_path, sizeof(w->port_path), "%s/v_1", w->dir);
	fake_init(&w->f);
	must(vsock_create(&dev, &config, &w->f.host, &e) == 0);
	w->v = container_of(dev, struct vsock, base);
	fake_attach(&w->f, dev, 1ULL << VIRTIO_RING_F_EVENT_IDX);
	w->tx = fake_alloc(&w->f, PACKETS);
	w->rx = fake_alloc(&w->f, PACKETS);
	w->listener = sock(w->port_path, true);
	for (unsigned i = 0; i < CLIENTS; i++)
		w->client[i] = -1;
}

static void tear_down(struct world *w)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (w->client[i] >= 0)
			close(w->client[i]);
	close(w->listener);
	unlink(w->port_path);
	fake_fini(&w->f);
	must(rmdir(w->dir) == 0);
}

static void turns(struct world *w, unsigned max)
{
	while (max-- > 0 && fake_turn(&w->f, 0))
		;
}

/* A header with one thing or another wrong, or none. */
static struct virtio_vsock_hdr header(struct world *w, struct in *in)
{
	uint8_t how = byte(in);
	struct virtio_vsock_hdr h = {
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = byte(in) & 3,
		.dst_port = how & 1 ? 1 : w->seen_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = byte(in) % 9,
		.buf_alloc = how & 2 ? 65536 : word(in),
		.fwd_cnt = how & 4 ? 0 : word(in),
		.flags = how & 8 ? 0 : byte(in),
	};

	if (how & 0x10)
		((uint8_t *)&h)[byte(in) % HDR] ^= byte(in);
	return h;
}

static void packet(struct world *w, struct in *in)
{
	struct virtio_vsock_hdr h = header(w, in);
	uint32_t len = word(in) % (PACKETS - HDR), first = byte(in);
	uint8_t shape = byte(in);

	h.len = shape & 1 ? word(in) : len;
	first = MIN(shape & 2 ? first : HDR, HDR + len);
	memcpy(fake_host(&w->f, w->tx), &h, HDR);
	if (first == 0 || first == HDR + len)
		fake_add(&w->f, VSOCK_TX, &(struct fake_seg){w->tx, HDR + len, shape & 0x80}, 1);
	else
		fake_add(&w->f, VSOCK_TX,
			 (struct fake_seg[]){{w->tx, first, false},
					     {w->tx + first, HDR + len - first, shape & 0x40}},
			 2);
	fake_kick(&w->f, VSOCK_TX);
}

static void offer(struct world *w, struct in *in)
{
	uint32_t len = word(in) % PACKETS + 1;

	fake_add(&w->f, VSOCK_RX, &(struct fake_seg){w->rx, len, true}, 1);
	fake_kick(&w->f, VSOCK_RX);
}

static void look_at_used(struct world *w)
{
	struct virtio_vsock_hdr h;
	uint16_t head;
	uint32_t len;

	for (unsigned i = 0; i < FAKE_QUEUE_SIZE && fake_used(&w->f, VSOCK_RX, &head, &len); i++) {
		must(len == 0 || (len >= HDR && len <= PACKETS));
		memcpy(&h, fake_host(&w->f, w->rx), HDR);
		if (len && h.op == VIRTIO_VSOCK_OP_REQUEST)
			w->seen_port = h.src_port;
	}
	while (fake_used(&w->f, VSOCK_TX, &head, &len))
		must(len == 0);
}

static void reset(struct world *w)
{
	virtio_set_status(&w->v->base, 0);
	for (unsigned i = 0; i < w->v->table.n; i++)
		must(w->v->table.conn[i].state == VSOCK_FREE ||
		     w->v->table.conn[i].state == VSOCK_LINE ||
		     w->v->table.conn[i].state == VSOCK_DEAD);
	w->f.next = w->rx + PACKETS; /* the rings of before may be overwritten */
	fake_attach(&w->f, &w->v->base, 0);
}

static void client(struct world *w, struct in *in)
{
	static const char line[] = "CONNECT 1\nhello";
	uint8_t what = byte(in);
	int *fd = &w->client[what % CLIENTS];
	uint8_t buf[4096];

	if (*fd < 0)
		*fd = what & 8 ? sock(w->path, false)
			       : accept4(w->listener, NULL, NULL, SOCK_NONBLOCK);
	if (*fd < 0)
		return;
	switch (what >> 4) {
	case 0 ... 4:
		(void)!send(*fd, line, 10 + byte(in) % 6u, MSG_NOSIGNAL);
		break;
	case 5 ... 8: {
		size_t n = byte(in);

		n = MIN(n, (size_t)(in->end - in->at));
		(void)!send(*fd, in->at, n, MSG_NOSIGNAL);
		in->at += n;
		break;
	}
	case 9 ... 11:
		(void)!recv(*fd, buf, sizeof(buf), 0);
		break;
	case 12 ... 13:
		shutdown(*fd, byte(in) % 3);
		break;
	default:
		close(*fd);
		*fd = -1;
	}
}

static void expire(struct world *w)
{
	for (unsigned i = 0; i < w->v->table.n; i++) {
		vsock_conn_expire(&w->v->table.conn[i], INT64_MAX);
		vsock_settle(w->v, &w->v->table.conn[i]);
	}
}

static void check(const struct world *w)
{
	const struct vsock_table *t = &w->v->table;

	must(w->v->n_rst <= VSOCK_RST_MAX && t->n <= VSOCK_CONNS);
	for (unsigned i = 0; i < t->n; i++) {
		const struct vsock_conn *c = &t->conn[i];

		must(c->out.used <= c->buffer);
		must((uint32_t)(c->received - c->forwarded) == c->out.used);
		must(c->state != VSOCK_FREE || c->out.data == NULL);
		must(!vsock_conn_done(c));
	}
}

static void step(struct world *w, struct in *in)
{
	uint8_t op = byte(in);

	if (op < 0x60)
		packet(w, in);
	else if (op < 0xa0)
		client(w, in);
	else if (op < 0xc8)
		offer(w, in);
	else if (op < 0xf0)
		turns(w, op & 15);
	else if (op < 0xf8)
		look_at_used(w);
	else if (op < 0xfc)
		expire(w);
	else if (op < 0xfe)
		fake_offer(&w->f, byte(in) & 1, word(in) & 0xffff);
	else
		reset(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct in in = {data, data + size};
	struct virtio_vsock_hdr h = {.src_cid = CID,
				     .dst_cid = 2,
				     .dst_port = 77,
				     .type = VIRTIO_VSOCK_TYPE_STREAM,
				     .op = VIRTIO_VSOCK_OP_REQUEST};
	struct world w;
	uint16_t head;
	uint32_t len;

	set_up(&w);
	for (unsigned i = 0; i < 256 && in.at < in.end; i++) {
		step(&w, &in);
		check(&w);
	}
	reset(&w);
	memcpy(fake_host(&w.f, w.tx), &h, HDR);
	fake_add(&w.f, VSOCK_RX, &(struct fake_seg){w.rx, 4096, true}, 1);
	fake_add(&w.f, VSOCK_TX, &(struct fake_seg){w.tx, HDR, false}, 1);
	fake_kick(&w.f, VSOCK_TX);
	must(fake_used(&w.f, VSOCK_RX, &head, &len) && len == HDR);
	memcpy(&h, fake_host(&w.f, w.rx), HDR);
	must(h.op == VIRTIO_VSOCK_OP_RST && h.src_port == 77);
	tear_down(&w);
	return 0;
}
