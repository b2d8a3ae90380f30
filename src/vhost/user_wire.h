/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the vhost-user protocol on a Unix stream socket, in the machine's byte order (QEMU's
 * docs/interop/vhost-user.rst, "Message Specification"):
 *
 *   | request, 32 bits | flags, 32 bits | size, 32 bits | payload, `size` bytes |    + descriptors (SCM_RIGHTS)
 *
 * No state, no locks. Sockets are non-blocking; what has to wait does so until a deadline.
 */
#pragma once

#include "base/base.h"
#include "mem/gmem.h"

#define VU_VERSION    1u
#define VU_VERSION_OF 3u /* mask */
#define VU_REPLY      (1u << 2)
#define VU_NEED_REPLY (1u << 3)

#define VU_MAX_FDS    8 /* the protocol's own limit */
#define VU_CONFIG_MAX 256
#define VU_PAYLOAD_MAX \
	(12 + VU_CONFIG_MAX)      /* the longest of any message that is sent or awaited here */
#define VU_F_PROTOCOL   30        /* VHOST_USER_F_PROTOCOL_FEATURES, among the device's features */
#define VU_NO_FD        (1u << 8) /* SET_VRING_KICK and CALL: no descriptor comes with it */
#define VU_MAX_QUEUE_ID 0xffu

enum vu_request {
	VU_GET_FEATURES = 1,
	VU_SET_FEATURES = 2,
	VU_SET_OWNER = 3,
	VU_SET_MEM_TABLE = 5,
	VU_SET_VRING_NUM = 8,
	VU_SET_VRING_ADDR = 9,
	VU_SET_VRING_BASE = 10,
	VU_GET_VRING_BASE = 11,
	VU_SET_VRING_KICK = 12,
	VU_SET_VRING_CALL = 13,
	VU_GET_PROTOCOL_FEATURES = 15,
	VU_SET_PROTOCOL_FEATURES = 16,
	VU_GET_QUEUE_NUM = 17,
	VU_SET_VRING_ENABLE = 18,
	VU_SET_BACKEND_REQ_FD = 21,
	VU_GET_CONFIG = 24,
	VU_SET_CONFIG = 25,
	VU_GET_INFLIGHT_FD = 31,
	VU_SET_INFLIGHT_FD = 32,
	VU_RESET_DEVICE = 34,
	VU_SET_STATUS = 39,
};

/* What a back end may ask, on its own channel. */
enum vu_backend_request {
	VU_BACKEND_IOTLB = 1,
	VU_BACKEND_CONFIG_CHANGE = 2,
	VU_BACKEND_HOST_NOTIFIER = 3,
};

/* Bits of the protocol features. */
enum vu_protocol_feature {
	VU_PROTOCOL_MQ = 0,
	VU_PROTOCOL_REPLY_ACK = 3,
	VU_PROTOCOL_BACKEND_REQ = 5,
	VU_PROTOCOL_CONFIG = 9,
	VU_PROTOCOL_INFLIGHT_SHMFD = 12,
	VU_PROTOCOL_RESET_DEVICE = 13,
	VU_PROTOCOL_STATUS = 16,
};

struct vu_header {
	uint32_t request, flags, size;
};

struct vu_vring_state {
	uint32_t index, num;
};

struct vu_vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log; /* user addresses: inside a region of the memory table */
};

struct vu_memory {
	uint32_t n, padding;
	struct {
		uint64_t guest, size, user, offset;
	} region[GMEM_MAX_REGIONS];
};

struct vu_config {
	uint32_t offset, size, flags;
	uint8_t data[VU_CONFIG_MAX];
};

struct vu_inflight {
	uint64_t size, offset;
	uint16_t n_queues, queue_size;
	uint8_t padding[4];
};

struct vu_msg {
	struct vu_header h;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_memory memory;
		struct vu_config config;
		struct vu_inflight inflight;
		uint8_t bytes[VU_PAYLOAD_MAX];
	};
	int fd[VU_MAX_FDS]; /* owned by whoever received it, lent by who sends it */
	unsigned n_fds;
};

/*
 * Sends a message whole, its descriptors with the first byte; deadlines are of clock_ms(). 0; -ETIMEDOUT, -EPIPE, -errno.
 */
MUST_CHECK int vu_send(int sock, const struct vu_msg *m, int64_t deadline_ms);

/*
 * Receives one. 0: *m is filled in, its descriptors are the caller's (vu_close_fds()). -ECONNRESET: the other side
 * has hung up; -EPROTO: what came is no message of this version, or is longer than any, or has more descriptors
 * than any; -ETIMEDOUT. Then no descriptor is left, and where in the stream the other side is, nobody knows.
 */
MUST_CHECK int vu_receive(int sock, struct vu_msg *m, int64_t deadline_ms);
void vu_close_fds(struct vu_msg *m);
