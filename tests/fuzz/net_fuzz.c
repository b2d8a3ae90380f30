// SPDX-License-Identifier: Apache-2.0
/*
 * A driver of a network device that writes anything into its memory, rings included, and a host that sends frames of
 * any length meanwhile. The first byte is what the driver accepted; then come operations of four bytes. Nothing may
 * crash or spin, and after a reset the device must work for a driver that behaves.
 */
#include <stdlib.h>
#include <string.h>

#include "dev/virtio/net_impl.h"
#include "fake/netdev.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM    (256 * KIB)
#define SIZE   16 /* entries of a queue */
#define QUEUES 5  /* two pairs and control */

/* Queue i: descriptors, available ring, used ring, in a page of its own; buffers behind. */
#define DESC(i)  ((uint64_t)(i)*4096)
#define AVAIL(i) (DESC(i) + 1024)
#define USED(i)  (DESC(i) + 2048)
#define BUFFERS  DESC(QUEUES)

struct rig {
	struct gmem mem;
	struct loop loop;
	struct virtio_host host;
	struct virtio_dev *dev;
	struct fake_netdev *back;
};

static void must(bool cond)
{
	if (!cond)
		abort();
}

static void *at(struct rig *r, uint64_t gpa)
{
	void *host = gmem_slice(&r->mem, gpa, 1);

	must(host != NULL);
	return host;
}

static void set_address(struct rig *r, unsigned q, enum virtio_queue_field low, uint64_t gpa)
{
	virtio_queue_set(r->dev, q, low, (uint32_t)gpa);
	virtio_queue_set(r->dev, q, low + 1, 0);
}

static void attach(struct rig *r, uint64_t features)
{
	uint64_t f = (features & r->dev->offered) | 1ULL << VIRTIO_F_VERSION_1;
	uint8_t status =
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;

	virtio_set_status(r->dev, 0);
	virtio_accept(r->dev, 0, (uint32_t)f);
	virtio_accept(r->dev, 1, (uint32_t)(f >> 32));
	virtio_set_status(r->dev, status);
	must(virtio_status(r->dev) == status);
	for (unsigned i = 0; i < QUEUES; i++) {
		virtio_queue_set(r->dev, i, VQ_FIELD_SIZE, SIZE);
		set_address(r, i, VQ_FIELD_DESC_LO, DESC(i));
		set_address(r, i, VQ_FIELD_DRIVER_LO, AVAIL(i));
		set_address(r, i, VQ_FIELD_DEVICE_LO, USED(i));
		virtio_queue_set(r->dev, i, VQ_FIELD_ENABLE, 1);
	}
	virtio_set_status(r->dev, status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void setup(struct rig *r, uint64_t features)
{
	struct net_config config = {.fd = -1, .queues = 2, .packed = true};
	struct err e;

	memset(r, 0, sizeof(*r));
	must(gmem_create(&r->mem, RAM, false, &e) == 0);
	must(loop_init(&r->loop, &e) == 0);
	r->host = (struct virtio_host){.mem = &r->mem, .loop = &r->loop};
	r->back = fake_netdev_open(&r->loop, ~0ULL & 0xffffff);
	config.has_mac = true;
	must(net_create_on(&r->dev, &config, &r->back->base, &r->host, &e) == 0);
	attach(r, features);
}

static void kick(struct rig *r, unsigned queue)
{
	pthread_mutex_lock(&r->dev->lock);
	if (virtio_queue_ready(r->dev, queue))
		r->dev->ops->kick(r->dev, queue);
	pthread_mutex_unlock(&r->dev->lock);
}

/* A descriptor of either kind of ring (packed: offered in the first lap), with an address that is mostly RAM. */
static void write_desc(struct rig *r, unsigned q, const uint8_t *op)
{
	uint64_t addr = BUFFERS + (op[2] & 0x3f) * 3000u;
	uint32_t len = op[3] < 0x20 ? op[3] : op[3] * 97u;
	uint16_t flags = op[2] >> 6 | (op[3] & 0x80 ? VRING_DESC_F_INDIRECT : 0);
	uint8_t *to = at(r, DESC(q) + 16u * (op[1] % SIZE));
	struct vring_desc split = {addr, len, flags, (uint16_t)((op[1] + 1) % SIZE)};
	struct vring_packed_desc packed = {addr, len, op[1] % SIZE,
					   flags | 1u << VRING_PACKED_DESC_F_AVAIL};

	if (virtio_has(r->dev, VIRTIO_F_RING_PACKED))
		memcpy(to, &packed, sizeof(packed));
	else
		memcpy(to, &split, sizeof(split));
}

static void offer(struct rig *r, unsigned q, const uint8_t *op)
{
	uint16_t idx, head = op[1] % (SIZE + 1);

	memcpy(&idx, at(r, AVAIL(q) + 2), 2);
	memcpy(at(r, AVAIL(q) + 4 + 2u * (idx % SIZE)), &head, 2);
	idx = (uint16_t)(idx + 1 + (op[2] == 0xff ? op[3] : 0));
	memcpy(at(r, AVAIL(q) + 2), &idx, 2);
}

static void forget_sent(struct rig *r)
{
	for (unsigned i = 0; i < r->back->n_out; i++) {
		must(r->back->out[i].len >= NETDEV_HEADER + 14);
		must(r->back->out[i].len <= NETDEV_MAX_FRAME);
		free(r->back->out[i].data);
	}
	r->back->n_out = 0;
}

static void operate(struct rig *r, const uint8_t *op, uint64_t features)
{
	unsigned q = (op[0] >> 4) % QUEUES;

	switch (op[0] & 0x0f) {
	case 0:
	case 1:
	case 2:
		write_desc(r, q, op);
		break;
	case 3:
	case 4:
		offer(r, q, op);
		break;
	case 5:
	case 6:
		kick(r, q);
		break;
	case 7:
	case 8:
		fake_netdev_offer(r->back, op[1], op[2] * 257u + op[3]);
		r->back->base.front.readable(r->back->base.front.arg, q % 2);
		break;
	case 9:
		r->back->full = op[1] & 1;
		forget_sent(r);
		r->back->base.front.writable(r->back->base.front.arg, q % 2);
		break;
	case 10:
		r->back->base.front.link(r->back->base.front.arg, op[1] & 1);
		break;
	case 11:
		if (op[1] == 0)
			attach(r, features);
		break;
	default: /* a byte of rings or buffers */
		*(uint8_t *)at(r, (op[1] << 8 | op[2]) * 2u + (op[0] >> 4 & 1)) = op[3];
	}
}

/* One frame each way, as any driver does it. */
static void check_alive(struct rig *r)
{
	struct vring_desc rx = {BUFFERS, 2000, VRING_DESC_F_WRITE, 0}, tx = {BUFFERS, 100, 0, 0};
	struct vring_used_elem used;

	memset(at(r, 0), 0, BUFFERS);
	r->back->full = false;
	forget_sent(r);
	attach(r, 0);
	memcpy(at(r, DESC(0)), &rx, sizeof(rx));
	memcpy(at(r, DESC(1)), &tx, sizeof(tx));
	*(uint16_t *)at(r, AVAIL(0) + 2) = *(uint16_t *)at(r, AVAIL(1) + 2) = 1;
	kick(r, 1);
	must(r->back->n_out == 1 && r->back->out[0].len == 100);
	must(fake_netdev_offer(r->back, 1, 60));
	kick(r, 0);
	memcpy(&used, at(r, USED(0) + 4), sizeof(used));
	must(*(uint16_t *)at(r, USED(0) + 2) == 1 && used.len == NETDEV_HEADER + 60);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t bit[8] = {
		VIRTIO_NET_F_MRG_RXBUF,      VIRTIO_NET_F_CSUM,
		VIRTIO_NET_F_GUEST_TSO4,     VIRTIO_NET_F_MQ,
		VIRTIO_F_RING_PACKED,        VIRTIO_RING_F_EVENT_IDX,
		VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS};
	uint64_t features = NET_BIT(VIRTIO_NET_F_CTRL_VQ) | NET_BIT(VIRTIO_NET_F_CTRL_RX) |
			    NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR) | NET_BIT(VIRTIO_NET_F_GUEST_CSUM);
	struct rig r;

	if (size == 0)
		return 0;
	for (unsigned i = 0; i < 8; i++)
		if (data[0] >> i & 1)
			features |= NET_BIT(bit[i]);
	setup(&r, features);
	for (size_t i = 1; i + 4 <= size && i < 4096; i += 4)
		operate(&r, data + i, features);
	check_alive(&r);
	virtio_destroy(r.dev);
	loop_fini(&r.loop);
	gmem_destroy(&r.mem);
	return 0;
}
