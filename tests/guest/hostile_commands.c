/* SPDX-License-Identifier: Apache-2.0 */
/* What each device that is no disk is told, in rings that are as they should be: commands, packets, page frames. */
#include "hostile.h"

#define CTRL_QUEUE 2 /* net, without MQ; console: 2 to the driver, 3 from it */

static void put(unsigned at, uint64_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		subject_data[at + i] = (uint8_t)(value >> (8 * i));
}

static void set_all(uint8_t byte)
{
	mem_fill(subject_data, byte, SUBJECT_DATA);
}

static bool answered(struct subject *s, unsigned queue)
{
	uint32_t id, len;

	return ring_take_soon(&s->q[queue], &id, &len);
}

/*
 * Buffers of `len` bytes, all at NARROW, for queue `queue` to fill; what `send` makes the device say does not reach
 * beyond them, nor do the lengths that it tells.
 */
#define NARROW 0x4000

static enum verdict narrow(struct subject *s, unsigned queue, uint32_t len,
			   void (*send)(struct subject *s))
{
	struct desc d = {(uint64_t)subject_data + NARROW, len, DESC_WRITE, 0};
	const uint8_t *after = subject_data + NARROW + len;
	uint32_t id, written;

	mem_fill(subject_data + NARROW, 0xc5, 0x1000);
	for (unsigned i = 0; i < HOSTILE_SIZE; i++)
		ring_add(&s->q[queue], &d, 1);
	vdev_kick(s->d, (uint16_t)queue);
	send(s);
	if (!ring_take_soon(&s->q[queue], &id, &written))
		return WEDGED;
	do
		if (written > len)
			return FAIL;
	while (ring_take(&s->q[queue], &id, &written));
	return *after == 0xc5 && mem_same(after, after + 1, 0xf00) ? subject_judge(s) : FAIL;
}

/* ---- network ---- */

/* All commands of class a and `b` bytes of ones. The answers are for the device to choose; that there is one is not. */
static enum verdict net_class(struct subject *s, uint64_t a, uint64_t b)
{
	for (unsigned cmd = 0; cmd < 256; cmd += cmd < 8 ? 1 : 31) {
		set_all(0xff);
		put(0, a, 1);
		put(1, cmd, 1);
		subject_send(s, CTRL_QUEUE, 2 + (uint32_t)b, 1);
		if (!answered(s, CTRL_QUEUE))
			return WEDGED;
	}
	return subject_judge(s);
}

/* Class and command in a; the data is the number b, in 8 bytes. It must not be obeyed. */
static enum verdict net_refused(struct subject *s, uint64_t a, uint64_t b)
{
	put(0, a, 2);
	put(2, b, 8);
	put(SUBJECT_DATA / 2, 0x55, 1);
	subject_send(s, CTRL_QUEUE, a >> 16 ? (uint32_t)(a >> 16) : 10, 1);
	if (!answered(s, CTRL_QUEUE))
		return WEDGED;
	return ((volatile uint8_t *)subject_data)[SUBJECT_DATA / 2] == 1 ? subject_judge(s) : FAIL;
}

static enum verdict net_no_answer(struct subject *s, uint64_t a, uint64_t b)
{
	(void)b;
	subject_send(s, CTRL_QUEUE, (uint32_t)a, 0);
	return answered(s, CTRL_QUEUE) ? subject_judge(s) : WEDGED;
}

/* A frame of a bytes, header included, each of them b. */
static enum verdict net_frame(struct subject *s, uint64_t a, uint64_t b)
{
	set_all((uint8_t)b);
	subject_send(s, 1, (uint32_t)a, 0);
	return answered(s, 1) ? subject_judge(s) : WEDGED;
}

/* Receive buffers of a bytes each while answers come. */
static enum verdict net_narrow(struct subject *s, uint64_t a, uint64_t b)
{
	(void)b;
	return narrow(s, 0, (uint32_t)a, subject_ask_net);
}

static const struct subject_case net_commands[] = {
	{"commands of class 0 (RX)", net_class, 0, 1},
	{"commands of class 1 (MAC)", net_class, 1, 6},
	{"commands of class 1, much data", net_class, 1, 4096},
	{"commands of class 2 (VLAN)", net_class, 2, 2},
	{"commands of class 3 (announce)", net_class, 3, 0},
	{"commands of class 4 (pairs)", net_class, 4, 2},
	{"commands of class 5 (offloads)", net_class, 5, 8},
	{"commands of class 6", net_class, 6, 8},
	{"commands of class 255", net_class, 255, 1},
	{"table of 2^32-1 addresses", net_refused, 1, 0xffffffff},
	{"table of 2^30 addresses", net_refused, 1, 0x40000000},
	{"second table of 2^32-1 addresses", net_refused, 1, 0xffffffff00000000},
	{"command of one byte", net_refused, 1 << 16, 0},
	{"no pairs", net_refused, 4 | 4 << 16, 0},
	{"65535 pairs", net_refused, 4 | 4 << 16, 0xffff},
	{"all offloads", net_refused, 5, ~0ULL},
	{"command without an answer", net_no_answer, 3, 0},
	{"command of nothing and no answer", net_no_answer, 1, 0},
	{"frame of a byte", net_frame, 1, 0},
	{"frame of half a header", net_frame, 6, 0},
	{"frame of a header", net_frame, 12, 0},
	{"frame of a header of ones", net_frame, 12, 0xff},
	{"frame without its last address byte", net_frame, 25, 0},
	{"frame of addresses alone", net_frame, 26, 0},
	{"frame of ones", net_frame, 72, 0xff},
	{"frame of 1526 ones", net_frame, 1526, 0xff},
	{"frame of 65535 bytes", net_frame, 65535, 0x45},
	{"frame of 64 KiB", net_frame, 65536, 0},
	{"receive buffers of a byte", net_narrow, 1, 0},
	{"receive buffers of 11 bytes", net_narrow, 11, 0},
	{"receive buffers of 12 bytes", net_narrow, 12, 0},
	{"receive buffers of 13 bytes", net_narrow, 13, 0},
	{0},
};

/* ---- console ---- */

/* Control messages: event a for ports around b. */
static enum verdict console_control(struct subject *s, uint64_t a, uint64_t b)
{
	if (s->n < 4)
		return SKIP;
	for (unsigned i = 0; i < 16; i++) {
		put(0, b + i % 4, 4);
		put(4, a, 2);
		put(6, i & 4 ? 0xffff : i & 1, 2);
		subject_send(s, 3, i == 15 ? 7 : 8, 0);
		if (!answered(s, 3))
			return WEDGED;
	}
	return subject_judge(s);
}

static void console_ready(struct subject *s)
{
	put(0, 0, 4);
	put(4, 0, 2); /* DEVICE_READY */
	put(6, 1, 2);
	subject_send(s, 3, 8, 0);
}

/* What there is is announced, and there are only buffers of a bytes. */
static enum verdict console_narrow(struct subject *s, uint64_t a, uint64_t b)
{
	(void)b;
	return s->n < 4 ? SKIP : narrow(s, 2, (uint32_t)a, console_ready);
}

static enum verdict console_emergency(struct subject *s, uint64_t a, uint64_t b)
{
	uint64_t at = (s->d->mmio ? s->d->base + 0x100 : s->d->config) + 8;

	(void)b;
	for (uint64_t i = 0; i < a; i++)
		mmio_write32(at, 0);
	return subject_judge(s);
}

static const struct subject_case console_commands[] = {
	{"DEVICE_READY", console_control, 0, 0},
	{"PORT_ADD from the driver", console_control, 1, 0},
	{"PORT_READY before it was added", console_control, 3, 0},
	{"PORT_READY of port 2^32-4", console_control, 3, 0xfffffffc},
	{"PORT_OPEN of port 2^31", console_control, 6, 0x80000000},
	{"PORT_NAME from the driver", console_control, 7, 0},
	{"event 65535", console_control, 0xffff, 0},
	{"event 65535 of port 2^32-1", console_control, 0xffff, 0xffffffff},
	{"control buffers of a byte", console_narrow, 1, 0},
	{"control buffers of 7 bytes", console_narrow, 7, 0},
	{"control buffers of 8 bytes", console_narrow, 8, 0},
	{"10000 emergency writes", console_emergency, 10000, 0},
	{0},
};

/* ---- vsock ---- */

#define HEADER 44

static void vsock_header(struct subject *s, unsigned op, uint32_t len)
{
	mem_fill(subject_data, 0, HEADER);
	put(0, vdev_config64(s->d, 0), 8);
	put(8, 2, 8);
	put(16, 1024, 4);
	put(20, 999, 4);
	put(24, len, 4);
	put(28, 1, 2);
	put(30, op, 2);
	put(36, 0xffffffff, 4);
}

/* Packets of all operations; field at offset a of the header is b, in 4 bytes (a 0: as it should be). */
static enum verdict vsock_packets(struct subject *s, uint64_t a, uint64_t b)
{
	for (unsigned op = 0; op < 20; op++) {
		vsock_header(s, op == 19 ? 0xffff : op, 0);
		if (a)
			put((unsigned)a, b, 4);
		subject_send(s, 1, HEADER + op % 3, 0);
		if (!answered(s, 1))
			return WEDGED;
	}
	return subject_judge(s);
}

/* A packet of a bytes in all that says that it has b bytes of payload. */
static enum verdict vsock_length(struct subject *s, uint64_t a, uint64_t b)
{
	vsock_header(s, 5, (uint32_t)b);
	subject_send(s, 1, (uint32_t)a, 0);
	return answered(s, 1) ? subject_judge(s) : WEDGED;
}

/* Requests that have to be refused, and no buffer for the refusals: in the end the device takes no more. */
static enum verdict vsock_unanswered(struct subject *s, uint64_t a, uint64_t b)
{
	unsigned taken = 0;
	uint32_t id, len;

	(void)b;
	vsock_header(s, 1, 0);
	for (unsigned i = 0; i < a; i++) {
		subject_send(s, 1, HEADER, 0);
		if (!hostile_witness(s->h))
			return WEDGED;
		taken += ring_take(&s->q[1], &id, &len);
		if (i + 1 >= taken + HOSTILE_SIZE)
			break;
	}
	return subject_judge(s);
}

static void vsock_refused(struct subject *s)
{
	for (unsigned i = 0; i < 3; i++) {
		vsock_header(s, 5, 0);
		subject_send(s, 1, HEADER, 0);
		if (!answered(s, 1))
			return;
	}
}

static enum verdict vsock_narrow(struct subject *s, uint64_t a, uint64_t b)
{
	(void)b;
	return narrow(s, 0, (uint32_t)a, vsock_refused);
}

static const struct subject_case vsock_commands[] = {
	{"all operations without a connection", vsock_packets, 0, 0},
	{"a foreign source", vsock_packets, 0, 1},
	{"the upper half of the source", vsock_packets, 4, 0xffffffff},
	{"another destination", vsock_packets, 8, 3},
	{"the upper half of the destination", vsock_packets, 12, 1},
	{"port 0 of the host", vsock_packets, 20, 0},
	{"port 2^32-1 of the host", vsock_packets, 20, 0xffffffff},
	{"type 2 (SEQPACKET)", vsock_packets, 28, 2},
	{"all flags", vsock_packets, 32, 0xffffffff},
	{"no buffer at all", vsock_packets, 36, 0},
	{"more forwarded than sent", vsock_packets, 40, 0x80000000},
	{"length 2^32-1", vsock_packets, 24, 0xffffffff},
	{"payload shorter than it says", vsock_length, HEADER + 10, 11},
	{"payload longer than it says", vsock_length, HEADER + 4000, 10},
	{"half a header", vsock_length, 22, 0},
	{"a header without its last byte", vsock_length, HEADER - 1, 0},
	{"receive buffers of a byte", vsock_narrow, 1, 0},
	{"receive buffers of a header less a byte", vsock_narrow, HEADER - 1, 0},
	{"receive buffers of a header", vsock_narrow, HEADER, 0},
	{"receive buffers of a header and a byte", vsock_narrow, HEADER + 1, 0},
	{"100 refusals and no buffer for them", vsock_unanswered, 100, 0},
	{0},
};

/* ---- balloon ---- */

/* Page frames a, a + 1, ... (b: each the same) by queue 0, then by queue 1. */
static enum verdict balloon_frames(struct subject *s, uint64_t a, uint64_t b)
{
	for (unsigned i = 0; i < 64; i++)
		put(4 * i, b ? a : a + i, 4);
	for (unsigned queue = 0; queue < 2; queue++) {
		subject_send(s, queue, 256, 0);
		if (!answered(s, queue))
			return WEDGED;
	}
	set_all(0);
	return subject_judge(s);
}

static enum verdict balloon_end_of_ram(struct subject *s, uint64_t a, uint64_t b)
{
	return balloon_frames(s, s->h->ram_end / 4096 + a, b);
}

/* The pages that the ring lies in: the balloon takes away its own table, and finds zeros. */
static enum verdict balloon_own_ring(struct subject *s, uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	put(0, (uint64_t)s->q[0].desc / 4096, 4);
	put(4, (uint64_t)s->q[0].avail / 4096, 4);
	subject_send(s, 0, 8, 0);
	set_all(0);
	return subject_judge(s);
}

static const struct subject_case balloon_commands[] = {
	{"frames beyond RAM", balloon_end_of_ram, 0, 0},
	{"the last frame, and beyond", balloon_end_of_ram, ~0ULL, 0},
	{"the first frame beyond RAM, again and again", balloon_end_of_ram, 0, 1},
	{"frame 2^32-1", balloon_frames, 0xffffffff, 1},
	{"frames up to 2^32-1", balloon_frames, 0xffffffc0, 0},
	{"frames of the hole", balloon_frames, 0xd0000, 0},
	{"frames of the LAPIC", balloon_frames, 0xfee00, 0},
	{"its own ring", balloon_own_ring, 0, 0},
	{0},
};

const struct subject_case *hostile_commands(const struct subject *s)
{
	switch (s->d->id) {
	case VIRTIO_NET:
		return net_commands;
	case VIRTIO_CONSOLE:
		return console_commands;
	case VIRTIO_VSOCK:
		return vsock_commands;
	case VIRTIO_BALLOON:
		return balloon_commands;
	default:
		return NULL;
	}
}
