// SPDX-License-Identifier: Apache-2.0
/*
 * The input is a geometry (size, ring addresses, features), then the rings' memory, then operations of a device
 * that goes by the rules, mixed with writes of a driver that does not. What must hold: at most `size` chains or
 * descriptors in flight; buffers in RAM, readable ones first, less than 4 GiB in all; no write of ours outside
 * the rings; a broken ring stays broken; a driver that rests does not keep us busy.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/vq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOW       (16 * KIB) /* RAM at 0 */
#define HIGH      (4 * KIB)  /* and at 64 KiB */
#define QUEUE_MAX 32
#define IOV       24
#define STEPS     512

struct fuzz {
	const uint8_t *data;
	size_t left;
	uint8_t *host;
	struct gmem mem;
	struct vq q;
	struct {
		struct vq_chain c;
		struct iovec iov[IOV];
		unsigned seq;
	} flight[QUEUE_MAX];
	unsigned n_flight, seq;
	bool broken;
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static uint8_t byte(struct fuzz *f)
{
	if (f->left == 0)
		return 0;
	f->left--;
	return *f->data++;
}

static uint16_t word(struct fuzz *f)
{
	uint16_t low = byte(f);

	return (uint16_t)(low | byte(f) << 8);
}

static bool in_ram(const struct fuzz *f, const struct iovec *v)
{
	const uint8_t *at = v->iov_base;
	size_t off = (size_t)(at - f->host);

	must(at >= f->host);
	return off < LOW ? v->iov_len <= LOW - off : off + v->iov_len <= LOW + HIGH;
}

static void check_chain(const struct fuzz *f, const struct vq_chain *c)
{
	uint64_t out = 0, in = 0;

	must(c->n_out + c->n_in <= IOV);
	must(c->bad == (c->n_out + c->n_in == 0));
	for (unsigned i = 0; i < c->n_out + c->n_in; i++) {
		must(c->iov[i].iov_len > 0 && in_ram(f, &c->iov[i]));
		*(i < c->n_out ? &out : &in) += c->iov[i].iov_len;
	}
	must(out == c->out_len && in == c->in_len && out + in <= UINT32_MAX);
}

static void pop(struct fuzz *f)
{
	struct vq_chain *c = &f->flight[f->n_flight < QUEUE_MAX ? f->n_flight : 0].c;
	unsigned pending = vq_pending(&f->q);
	struct vq_chain none = {.iov = NULL, .iov_max = 0};
	int rc;

	if (f->n_flight < QUEUE_MAX)
		*c = (struct vq_chain){.iov = f->flight[f->n_flight].iov, .iov_max = IOV};
	else
		c = &none;
	rc = vq_pop(&f->q, c);
	must(rc == 0 || rc == 1 || rc == -EINVAL);
	must(rc != 0 || pending == 0);
	must(!f->broken || rc < 0);
	f->broken = rc < 0;
	if (rc <= 0)
		return;
	must(f->n_flight < f->q.size && f->q.inflight <= f->q.size);
	check_chain(f, c);
	f->flight[f->n_flight++].seq = ++f->seq;
}

static void push(struct fuzz *f, unsigned which, unsigned stage)
{
	uint32_t written;

	if (f->n_flight == 0 || f->broken)
		return;
	which %= f->n_flight;
	written = (uint32_t)f->flight[which].c.in_len;
	if (stage & 1)
		vq_stage(&f->q, &f->flight[which].c, written);
	else
		vq_push(&f->q, &f->flight[which].c, written);
	f->n_flight--;
	for (unsigned i = which; i < f->n_flight; i++) {
		f->flight[i] = f->flight[i + 1];
		f->flight[i].c.iov = f->flight[i].iov;
	}
}

static void unpop(struct fuzz *f)
{
	if (f->broken || f->n_flight == 0 || f->flight[f->n_flight - 1].seq != f->seq)
		return;
	vq_unpop(&f->q, &f->flight[--f->n_flight].c);
	f->seq--;
}

/* The driver writes where rings may be, and moves its index; a broken ring may look whole after that. */
static void scribble(struct fuzz *f)
{
	uint16_t at = word(f) % (LOW + HIGH - 8);
	uint64_t gpa = byte(f) & 1 ? f->q.driver + 2 : at;
	uint16_t value = word(f), *p = gmem_slice(&f->mem, gpa, 2);

	if (p)
		memcpy(p, &value, 2);
	f->broken = false;
}

static void operate(struct fuzz *f)
{
	uint8_t op = byte(f);

	switch (op % 8) {
	case 0:
	case 1:
		pop(f);
		break;
	case 2:
	case 3:
		push(f, op >> 4, op >> 3);
		break;
	case 4:
		unpop(f);
		break;
	case 5:
		vq_publish(&f->q);
		f->broken = false; /* rings may lie in one another: what we write may mend one */
		must(!vq_wants_interrupt(&f->q) || !vq_wants_interrupt(&f->q));
		break;
	case 6:
		vq_kicks_off(&f->q);
		if (!vq_kicks_on(&f->q))
			must(vq_pending(&f->q) == 0);
		f->broken = false;
		break;
	default:
		scribble(f);
	}
	must(f->q.inflight <= f->q.size);
}

/* Serve it as a device does. With rings apart, what we write is nothing new to serve. */
static void run_dry(struct fuzz *f, bool apart)
{
	unsigned n = 0;

	f->broken = false;
	while (f->n_flight)
		push(f, 0, 0);
	do {
		pop(f);
		push(f, 0, 0);
		n++;
	} while (!f->broken && f->q.inflight == 0 && vq_pending(&f->q) && n < 3 * QUEUE_MAX);
	must(!apart || n <= f->q.size + 1u);
}

static uint64_t place(uint16_t addr, uint16_t mask)
{
	switch (addr >> 14) {
	case 0:
	case 1:
		return addr & 0x3fff & mask;
	case 2:
		return 64 * KIB + (addr & 0xfff & mask);
	default:
		return addr * 0x10001ULL;
	}
}

static bool enable(struct fuzz *f)
{
	uint64_t features = (uint64_t)(byte(f) & 7);
	uint16_t addr[3];

	f->q = (struct vq){.max = QUEUE_MAX, .size = word(f) % (QUEUE_MAX + 2)};
	for (unsigned i = 0; i < 3; i++)
		addr[i] = word(f);
	/* In either piece of RAM, at its end too, or anywhere. */
	f->q.desc = place(addr[0], 0xfff0);
	f->q.driver = place(addr[1], 0xfffe);
	f->q.device = place(addr[2], 0xfffc);
	features = (features & 1) << VIRTIO_F_RING_PACKED |
		   (features >> 1 & 1) << VIRTIO_RING_F_EVENT_IDX |
		   (features >> 2 & 1) << VIRTIO_RING_F_INDIRECT_DESC;
	return vq_enable(&f->q, &f->mem, features) == 0;
}

static bool disjoint(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a + a_len <= b || b + b_len <= a;
}

static bool rings_apart(const struct vq *q)
{
	uint64_t driver = q->packed ? 4 : 6 + 2u * q->size,
		 device = q->packed ? 4 : 6 + 8u * q->size;

	/* An indirect table may lie over a ring, too. */
	return !q->indirect && disjoint(q->desc, 16u * q->size, q->driver, driver) &&
	       disjoint(q->desc, 16u * q->size, q->device, device) &&
	       disjoint(q->driver, driver, q->device, device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *f = calloc(1, sizeof(*f));

	must(f != NULL);
	f->data = data;
	f->left = size;
	f->host = calloc(1, LOW + HIGH); /* exactly: a byte beyond is found by the sanitizer */
	must(f->host != NULL);
	f->mem = (struct gmem){.region = {{0, LOW, f->host}, {64 * KIB, HIGH, f->host + LOW}},
			       .n = 2,
			       .memfd = -1};
	if (enable(f)) {
		uint16_t n = word(f) % 1024, *idx = (uint16_t *)f->q.driver_host + 1;

		for (unsigned i = 0; i < n && f->q.desc + i < LOW; i++)
			f->host[f->q.desc + i] = byte(f);
		if (byte(f) & 1 && !f->q.packed) { /* near the wrap of the index */
			f->q.next_avail = f->q.avail_seen = f->q.next_used = 65530;
			*idx = (uint16_t)(65530 + byte(f) % 32);
		}
		for (unsigned i = 0; i < STEPS && f->left; i++)
			operate(f);
		run_dry(f, rings_apart(&f->q));
	}
	free(f->host);
	free(f);
	return 0;
}
