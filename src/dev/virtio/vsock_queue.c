// SPDX-License-Identifier: Apache-2.0
/*
 * The packets of the vsock device. Those of the guest are taken from tx, judged, and given to their
 * connection; when rx has buffers, the connections that have something to send take turns.
 */
#include <errno.h>

#include "base/clock.h"
#include "dev/virtio/vsock_impl.h"

#define HDR_LEN          sizeof(struct virtio_vsock_hdr)
#define HOST_CID         2
#define PACKETS_PER_KICK VSOCK_QUEUE_SIZE

/* `iov` without its first `skip` bytes, and `len` bytes at most. The number of parts. */
static unsigned window(struct iovec *to, const struct iovec *iov, unsigned n, size_t skip,
		       size_t len)
{
	unsigned parts = 0;

	for (unsigned i = 0; i < n && len > 0; i++) {
		size_t gone = MIN(skip, iov[i].iov_len);
		size_t part = MIN(len, iov[i].iov_len - gone);

		skip -= gone;
		len -= part;
		if (part > 0)
			to[parts++] = (struct iovec){(uint8_t *)iov[i].iov_base + gone, part};
	}
	return parts;
}

/* ---- tx: from the guest ---- */

/* There is room: vsock_take_packets() saw to it. */
static void owe_rst(struct vsock *v, const struct virtio_vsock_hdr *hdr)
{
	if (hdr->op == VIRTIO_VSOCK_OP_RST) /* never a RST for a RST */
		return;
	v->rst[(v->rst_first + v->n_rst++) % VSOCK_RST_MAX] = (struct vsock_rst){
		.cid = hdr->dst_cid,
		.guest_port = hdr->src_port,
		.host_port = hdr->dst_port,
		.type = hdr->type,
	};
}

/* The guest connects: to a program of the host that listens, or else it is refused. */
static void accept_guest(struct vsock *v, const struct virtio_vsock_hdr *hdr)
{
	struct vsock_conn *c = vsock_table_slot(&v->table);
	int fd = c ? vsock_unix_connect(&v->host, hdr->dst_port) : -EMFILE;

	if (fd < 0) {
		owe_rst(v, hdr);
		return;
	}
	vsock_conn_accept(c, fd, hdr);
	vsock_table_key(&v->table, c);
	if (vsock_unix_add(&v->host, fd, (uint32_t)(c - v->table.conn)) < 0) {
		vsock_table_free(&v->table, c);
		owe_rst(v, hdr);
		return;
	}
	vsock_settle(v, c);
}

/* The header is our copy, and the payload is as long as it says. */
static void packet(struct vsock *v, const struct virtio_vsock_hdr *hdr,
		   const struct vq_chain *chain)
{
	struct vsock_conn *c = vsock_table_find(&v->table, hdr->src_port, hdr->dst_port);
	unsigned n;

	if (!c && hdr->op == VIRTIO_VSOCK_OP_REQUEST) {
		accept_guest(v, hdr);
	} else if (!c) {
		owe_rst(v, hdr);
	} else {
		n = window(v->part, chain->iov, chain->n_out, HDR_LEN, hdr->len);
		vsock_conn_receive(c, hdr, v->part, n, clock_ms());
		vsock_settle(v, c);
	}
}

static void judge_packet(struct vsock *v, const struct vq_chain *chain)
{
	struct virtio_vsock_hdr hdr;

	if (chain->bad || vq_copy_out(chain, 0, &hdr, HDR_LEN) < HDR_LEN) {
		log_limited(&v->base.log, "vsock: a packet without a header is dropped");
	} else if (hdr.src_cid != v->config.guest_cid) {
		/* 5.10.6.4.1: no address of the guest's, so there is nobody to answer */
		log_limited(&v->base.log, "vsock: a packet from a foreign CID is dropped");
	} else if (hdr.dst_cid != HOST_CID || hdr.type != VIRTIO_VSOCK_TYPE_STREAM) {
		owe_rst(v, &hdr);
	} else if (hdr.len > chain->out_len - HDR_LEN) {
		log_limited(&v->base.log, "vsock: a packet shorter than it says is refused");
		hdr.op = VIRTIO_VSOCK_OP_INVALID; /* ends the connection, if there is one */
		hdr.len = 0;
		packet(v, &hdr, chain);
	} else {
		packet(v, &hdr, chain);
	}
}

/* 5.10.6.1: goes on while rx is full, as long as there is room for what may have to be answered. */
int vsock_take_packets(struct vsock *v)
{
	struct vq *q = virtio_vq(&v->base, VSOCK_TX);
	struct vq_chain chain = {.iov = v->iov, .iov_max = ARRAY_SIZE(v->iov)};
	int rc;

	vq_kicks_off(q);
	for (unsigned n = 0; n < PACKETS_PER_KICK; n++) {
		if (v->n_rst == VSOCK_RST_MAX) {
			v->tx_held = true;
			return 0;
		}
		rc = vq_pop(q, &chain);
		if (rc < 0 || (rc == 0 && !vq_kicks_on(q)))
			return rc;
		if (rc == 0)
			continue;
		judge_packet(v, &chain);
		vq_push(q, &chain, 0);
	}
	virtio_kick_again(&v->base, VSOCK_TX);
	return 0;
}

/* ---- rx: to the guest ---- */

static uint32_t send_rst(struct vsock *v, const struct vq_chain *chain)
{
	struct vsock_rst *r = &v->rst[v->rst_first];
	struct virtio_vsock_hdr hdr = {
		.src_cid = r->cid,
		.dst_cid = v->config.guest_cid,
		.src_port = r->host_port,
		.dst_port = r->guest_port,
		.type = r->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};

	v->rst_first = (v->rst_first + 1) % VSOCK_RST_MAX;
	v->n_rst--;
	vq_copy_in(chain, 0, &hdr, HDR_LEN);
	return HDR_LEN;
}

/* One packet of the connection whose turn it is. Bytes written; 0: it turned out to have none. */
static uint32_t send_packet(struct vsock *v, const struct vq_chain *chain)
{
	struct vsock_conn *c = vsock_table_dequeue(&v->table);
	struct virtio_vsock_hdr hdr = {
		.src_cid = HOST_CID,
		.dst_cid = v->config.guest_cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
	};
	bool any = vsock_conn_packet(c, &hdr);

	if (!any) {
		size_t room = MIN(chain->in_len - HDR_LEN, VSOCK_PACKET_MAX);
		unsigned n = window(v->part, chain->iov + chain->n_out, chain->n_in, HDR_LEN,
				    MIN(room, vsock_conn_credit(c)));

		hdr.len = vsock_conn_read(c, &hdr, v->part, n, clock_ms());
		any = hdr.len > 0;
	}
	vsock_settle(v, c); /* to the end of the queue, if it has more */
	if (any)
		vq_copy_in(chain, 0, &hdr, HDR_LEN);
	return any ? (uint32_t)HDR_LEN + hdr.len : 0;
}

/* One buffer of the guest, and what is to be sent next. */
static void use_buffer(struct vsock *v, struct vq *q, const struct vq_chain *chain)
{
	uint32_t written;

	if (chain->in_len <= HDR_LEN) { /* a bad one has 0 */
		log_limited(&v->base.log, "vsock: a receive buffer without room is of no use");
		vq_push(q, chain, 0);
		return;
	}
	written = v->n_rst > 0 ? send_rst(v, chain) : send_packet(v, chain);
	if (written > 0)
		vq_push(q, chain, written);
	else
		vq_unpop(q, chain);
}

/*
 * The sockets' input waits in the kernel while the guest has no buffer. Then, and only then, the guest is to
 * ring when it offers one.
 */
int vsock_send_packets(struct vsock *v)
{
	struct vq *q = virtio_vq(&v->base, VSOCK_RX);
	struct vq_chain chain = {.iov = v->iov, .iov_max = ARRAY_SIZE(v->iov)};
	int rc;

	vq_kicks_off(q);
	for (unsigned n = 0; n < PACKETS_PER_KICK; n++) {
		if (v->n_rst == 0 && !vsock_table_ready(&v->table))
			return 0;
		rc = vq_pop(q, &chain);
		if (rc < 0 || (rc == 0 && !vq_kicks_on(q)))
			return rc;
		if (rc > 0)
			use_buffer(v, q, &chain);
	}
	virtio_kick_again(&v->base, VSOCK_RX);
	return 0;
}
