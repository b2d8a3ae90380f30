/* SPDX-License-Identifier: Apache-2.0 */
/* A vsock device with a driver that a test plays packet by packet, and Unix sockets in a directory of its own. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev/virtio/vsock_impl.h"
#include "fake/driver.h"

#include "../test.h"

#define CID      7
#define GPORT    52u
#define HPORT    1000u
#define RX_DATA  4096u /* payload that fits into a receive buffer */
#define RX_BUFS  FAKE_QUEUE_SIZE
#define HDR      ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define OP(name) VIRTIO_VSOCK_OP_##name
#define NO_RCV   VIRTIO_VSOCK_SHUTDOWN_RCV
#define NO_SEND  VIRTIO_VSOCK_SHUTDOWN_SEND

struct rig {
	struct fake_driver f;
	struct virtio_dev *dev;
	struct err e;
	char dir[32], path[64], port_path[64]; /* the last: of HPORT */
	uint64_t tx, rx[RX_BUFS];
	unsigned rx_next; /* buffer that will be used next; they are used in order */
	/* What the guest says about itself in each header. */
	uint32_t buf_alloc, fwd_cnt;
};

static inline struct vsock *rig_vsock(struct rig *r)
{
	return container_of(r->dev, struct vsock, base);
}

static inline void rig_paths(struct rig *r)
{
	*r = (struct rig){.buf_alloc = 65536};
	strcpy(r->dir, "/tmp/vsock-XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL);
	snprintf(r->path, sizeof(r->path), "%s/v", r->dir);
	snprintf(r->port_path, sizeof(r->port_path), "%s/v_%u", r->dir, HPORT);
	fake_init(&r->f);
}

static inline void rig_rx_buffers(struct rig *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		fake_add(&r->f, VSOCK_RX, &(struct fake_seg){r->rx[i], HDR + RX_DATA, true}, 1);
	fake_kick(&r->f, VSOCK_RX);
}

static inline void rig_create(struct rig *r)
{
	struct vsock_config config = {.cid = CID, .socket = r->path};

	CHECK_EQ(0, vsock_create(&r->dev, &config, &r->f.host, &r->e));
}

/* No receive buffers yet. */
static inline void rig_attach(struct rig *r)
{
	fake_attach(&r->f, r->dev, 0);
	r->rx_next = 0;
}

static inline void rig_init(struct rig *r)
{
	rig_paths(r);
	rig_create(r);
	rig_attach(r);
	r->tx = fake_alloc(&r->f, HDR + 256 * KIB);
	for (unsigned i = 0; i < RX_BUFS; i++)
		r->rx[i] = fake_alloc(&r->f, HDR + RX_DATA);
	rig_rx_buffers(r, RX_BUFS);
}

static inline void rig_fini(struct rig *r)
{
	fake_fini(&r->f);
	unlink(r->port_path);
	CHECK_EQ(0, rmdir(r->dir)); /* nothing else was left behind */
}

/* Lets the device work until it has nothing to do. An event that comes again and again fails the test. */
static inline void rig_settle(struct rig *r)
{
	unsigned turns = 0;

	while (fake_turn(&r->f, 0))
		CHECK(++turns < 20000);
}

/* A guest's header, from GPORT to HPORT. */
static inline struct virtio_vsock_hdr rig_hdr(struct rig *r, uint16_t op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = CID,
		.dst_cid = 2,
		.src_port = GPORT,
		.dst_port = HPORT,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = r->buf_alloc,
		.fwd_cnt = r->fwd_cnt,
	};
}

/* Sends a header as it is, with `len` bytes behind it; false: the device left it in the queue. */
static inline bool rig_send_raw(struct rig *r, const struct virtio_vsock_hdr *hdr, const void *data,
				uint32_t len)
{
	uint8_t *at = fake_host(&r->f, r->tx);
	struct fake_seg seg[2] = {{r->tx, HDR, false}, {r->tx + HDR, len, false}};
	uint16_t head;
	uint32_t written;

	memcpy(at, hdr, HDR);
	if (len)
		memcpy(at + HDR, data, len);
	fake_add(&r->f, VSOCK_TX, seg, len ? 2 : 1);
	fake_kick(&r->f, VSOCK_TX);
	if (!fake_used(&r->f, VSOCK_TX, &head, &written))
		return false;
	CHECK_EQ(0, written);
	return true;
}

static inline void rig_send(struct rig *r, struct virtio_vsock_hdr hdr, const void *data,
			    uint32_t len)
{
	hdr.len = len;
	CHECK(rig_send_raw(r, &hdr, data, len));
}

static inline void rig_op(struct rig *r, uint16_t op)
{
	rig_send(r, rig_hdr(r, op), NULL, 0);
}

/* The next packet to the guest, if there is one; its buffer is offered again. */
static inline bool rig_get(struct rig *r, struct virtio_vsock_hdr *hdr, void *data)
{
	uint64_t at = r->rx[r->rx_next];
	uint16_t head;
	uint32_t len;

	rig_settle(r);
	if (!fake_used(&r->f, VSOCK_RX, &head, &len))
		return false;
	CHECK(len >= HDR && len <= HDR + RX_DATA);
	memcpy(hdr, fake_host(&r->f, at), HDR);
	CHECK_EQ(len - HDR, hdr->len);
	CHECK_EQ(CID, hdr->dst_cid);
	if (data)
		memcpy(data, (uint8_t *)fake_host(&r->f, at) + HDR, hdr->len);
	r->rx_next = (r->rx_next + 1) % RX_BUFS;
	fake_add(&r->f, VSOCK_RX, &(struct fake_seg){at, HDR + RX_DATA, true}, 1);
	fake_kick(&r->f, VSOCK_RX);
	return true;
}

static inline struct virtio_vsock_hdr rig_expect(struct rig *r, uint16_t op)
{
	struct virtio_vsock_hdr hdr;

	CHECK(rig_get(r, &hdr, NULL));
	CHECK_EQ(op, hdr.op);
	return hdr;
}

static inline void rig_expect_nothing(struct rig *r)
{
	struct virtio_vsock_hdr hdr;

	CHECK(!rig_get(r, &hdr, NULL));
}

/* A RST from where the guest's packet went to. */
static inline void rig_expect_rst(struct rig *r)
{
	struct virtio_vsock_hdr hdr = rig_expect(r, OP(RST));

	CHECK_EQ(2, hdr.src_cid);
	CHECK_EQ(HPORT, hdr.src_port);
	CHECK_EQ(GPORT, hdr.dst_port);
}

static inline int unix_sock(const char *path, bool listening)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(fd >= 0);
	strcpy(a.sun_path, path);
	if (listening) {
		CHECK_EQ(0, bind(fd, (struct sockaddr *)&a, sizeof(a)));
		CHECK_EQ(0, listen(fd, 4096));
	} else {
		CHECK_EQ(0, connect(fd, (struct sockaddr *)&a, sizeof(a)));
	}
	return fd;
}

static inline void put(int fd, const char *text)
{
	CHECK_EQ(strlen(text), send(fd, text, strlen(text), MSG_NOSIGNAL));
}

/* Bytes that are there; 0: end of file; -1: none yet; -2: the connection was cut off. */
static inline ssize_t take(struct rig *r, int fd, void *buf, size_t len)
{
	ssize_t n;

	rig_settle(r);
	n = recv(fd, buf, len, MSG_DONTWAIT);
	if (n >= 0)
		return n;
	CHECK(errno == EAGAIN || errno == ECONNRESET);
	return errno == EAGAIN ? -1 : -2;
}

static inline bool nothing_to_take(struct rig *r, int fd)
{
	char c;

	return take(r, fd, &c, 1) == -1;
}

static inline bool at_end(struct rig *r, int fd)
{
	char c;
	ssize_t n = take(r, fd, &c, 1);

	return n == 0 || n == -2;
}

static inline void expect_text(struct rig *r, int fd, const char *text)
{
	char buf[128] = "";

	CHECK_EQ(strlen(text), take(r, fd, buf, sizeof(buf) - 1));
	CHECK_STR(text, buf);
}

/* A connection that the guest made to a program at HPORT: the program's end. */
static inline int rig_guest_connects(struct rig *r)
{
	int l = unix_sock(r->port_path, true), fd;

	rig_op(r, OP(REQUEST));
	rig_expect(r, OP(RESPONSE));
	fd = accept(l, NULL, NULL);
	CHECK(fd >= 0);
	close(l);
	unlink(r->port_path);
	return fd;
}

/* A client that has asked for GPORT; the REQUEST that the guest got is in *req. */
static inline int rig_host_asks(struct rig *r, struct virtio_vsock_hdr *req)
{
	int fd = unix_sock(r->path, false);

	put(fd, "CONNECT 52\n");
	*req = rig_expect(r, OP(REQUEST));
	CHECK_EQ(GPORT, req->dst_port);
	CHECK_EQ(2, req->src_cid);
	return fd;
}

static inline uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i * 131 + (i >> 8) * 7);
}
