/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are no disks: how each is started, and how one sees that it does its work. */
#include "hostile.h"

#define CANARY        0xc5
#define HOST_CID      2
#define VSOCK_HEADER  44
#define NET_HEADER    12
#define FRAME_LEN     42
#define NOBODY        999 /* a port of the host where nobody listens */
#define VSOCK_REQUEST 1
#define VSOCK_RST     3

uint8_t subject_data[SUBJECT_DATA] __attribute__((aligned(4096)));
uint8_t subject_canary[4096] __attribute__((aligned(4096)));

bool subject_start(struct subject *s, uint64_t without, int but)
{
	struct vdev *d = s->d;

	pool_reset();
	if (!vdev_start(s->h->witness, 0, HOSTILE_SIZE) ||
	    !vdev_negotiate(d, vdev_offered(d) & ~without))
		return false;
	s->n = vdev_queues(d);
	CHECK(s->n <= SUBJECT_QUEUES);
	for (uint16_t i = 0; i < s->n; i++)
		if ((int)i != but && !vdev_add_ring(d, &s->q[i], i, HOSTILE_SIZE))
			return false;
	vdev_go(d);
	return true;
}

bool subject_receives(const struct subject *s, unsigned queue)
{
	switch (s->d->id) {
	case VIRTIO_NET:
	case VIRTIO_CONSOLE:
		return queue % 2 == 0 && !(s->d->id == VIRTIO_NET && queue == 2);
	case VIRTIO_VSOCK:
		return queue != 1;
	case VIRTIO_BALLOON:
		return queue >= 3;
	default:
		return true;
	}
}

void subject_send(struct subject *s, unsigned queue, uint32_t len, uint32_t answer)
{
	struct desc d[2] = {
		{(uint64_t)subject_data, len, 0, 0},
		{(uint64_t)subject_data + SUBJECT_DATA / 2, answer, DESC_WRITE, 0},
	};

	ring_add(&s->q[queue], len ? d : d + 1, (len > 0) + (answer > 0));
	vdev_kick(s->d, (uint16_t)queue);
}

void subject_set_canary(void)
{
	mem_fill(subject_canary, CANARY, sizeof(subject_canary));
}

/* Each byte is the one before, and the first is right. */
static bool is_canary_alive(void)
{
	return subject_canary[0] == CANARY &&
	       mem_same(subject_canary, subject_canary + 1, sizeof(subject_canary) - 1);
}

/* One thread serves all devices in turn: when the witness has answered twice, this one had its turn. */
enum verdict subject_judge(struct subject *s)
{
	if (!hostile_witness(s->h) || !hostile_witness(s->h))
		return WEDGED;
	if (!is_canary_alive())
		return FAIL;
	return vdev_status(s->d) & S_NEEDS_RESET ? REJECT : PASS;
}

/* ---- what each of them does ---- */

static void put(unsigned at, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		subject_data[at + i] = (uint8_t)(value >> (8 * i));
}

/* Asks who has 10.0.2.2, libslirp's address. */
void subject_ask_net(struct subject *s)
{
	static const uint8_t arp[FRAME_LEN] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0,  1, 8, 6, 0, 1, 8, 0,  6, 4, 0,
		1,    2,    0,    0,    0,    0,    1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};

	mem_fill(subject_data, 0, NET_HEADER);
	mem_copy(subject_data + NET_HEADER, arp, FRAME_LEN);
	subject_send(s, 1, NET_HEADER + FRAME_LEN, 0);
}

static bool net_works(struct subject *s)
{
	struct desc rx = {(uint64_t)subject_data + 0x8000, 2048, DESC_WRITE, 0};
	uint32_t id, len;

	ring_add(&s->q[0], &rx, 1);
	vdev_kick(s->d, 0);
	subject_ask_net(s);
	return ring_take_soon(&s->q[1], &id, &len) && ring_take_soon(&s->q[0], &id, &len) &&
	       len >= NET_HEADER + FRAME_LEN;
}

static bool rng_works(struct subject *s)
{
	uint32_t id, len;

	subject_send(s, 0, 0, 64);
	return ring_take_soon(&s->q[0], &id, &len) && len == 64;
}

static bool console_works(struct subject *s)
{
	uint32_t id, len;

	mem_fill(subject_data, 0, 1);
	subject_send(s, 1, 1, 0);
	return ring_take_soon(&s->q[1], &id, &len);
}

static bool balloon_works(struct subject *s)
{
	uint32_t id, len;

	put(0, (uint64_t)subject_data / 4096 + 8, 4); /* a page of our own */
	subject_data[0x8000] = 1;
	subject_send(s, 0, 4, 0);
	return ring_take_soon(&s->q[0], &id, &len) &&
	       ((volatile uint8_t *)subject_data)[0x8000] == 0;
}

/* A connection to nobody is refused. */
static bool vsock_works(struct subject *s)
{
	struct desc rx = {(uint64_t)subject_data + 0x8000, 4096, DESC_WRITE, 0};
	uint32_t id, len;

	mem_fill(subject_data, 0, VSOCK_HEADER);
	put(0, vdev_config64(s->d, 0), 8);
	put(8, HOST_CID, 8);
	put(16, 1024, 4);
	put(20, NOBODY, 4);
	put(28, 1, 2); /* stream */
	put(30, VSOCK_REQUEST, 2);
	put(36, 65536, 4);
	ring_add(&s->q[0], &rx, 1);
	vdev_kick(s->d, 0);
	subject_send(s, 1, VSOCK_HEADER, 0);
	return ring_take_soon(&s->q[0], &id, &len) && len == VSOCK_HEADER &&
	       subject_data[0x8000 + 30] == VSOCK_RST;
}

bool subject_works(struct subject *s, uint64_t without)
{
	if (!subject_start(s, without, -1))
		return false;
	switch (s->d->id) {
	case VIRTIO_NET:
		return net_works(s);
	case VIRTIO_RNG:
		return rng_works(s);
	case VIRTIO_CONSOLE:
		return console_works(s);
	case VIRTIO_BALLOON:
		return balloon_works(s);
	case VIRTIO_VSOCK:
		return vsock_works(s);
	default:
		return true;
	}
}
