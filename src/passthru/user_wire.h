/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vfio-user protocol (QEMU's docs/interop/vfio-user.rst, version 0.0) as bytes, and one socket that carries it.
 * A message is a header and a payload; file descriptors travel beside it (SCM_RIGHTS). All numbers are in the host's
 * byte order. Structures that the protocol shares with the kernel's VFIO are those of linux/vfio.h.
 */
#pragma once

#include <linux/vfio.h>
#include <sys/uio.h>

#include "base/base.h"

enum user_command {
	USER_VERSION = 1,
	USER_DMA_MAP = 2,
	USER_DMA_UNMAP = 3,
	USER_GET_INFO = 4,
	USER_GET_REGION_INFO = 5,
	USER_GET_REGION_IO_FDS = 6,
	USER_GET_IRQ_INFO = 7,
	USER_SET_IRQS = 8,
	USER_REGION_READ = 9,
	USER_REGION_WRITE = 10,
	USER_DMA_READ = 11, /* server to client, as the next one */
	USER_DMA_WRITE = 12,
	USER_RESET = 13,
};

/* user_header.flags */
#define USER_TYPE_MASK 0xfu
#define USER_COMMAND   0u
#define USER_REPLY     1u
#define USER_NO_REPLY  (1u << 4)
#define USER_ERROR     (1u << 5) /* in a reply: `error` is an errno, or 0 */

struct user_header {
	uint16_t id; /* chosen by who sends the command; the reply has the same */
	uint16_t command;
	uint32_t size; /* of the message, this header included */
	uint32_t flags;
	uint32_t error;
};

/* Then JSON with a NUL at its end, or nothing. */
struct user_version {
	uint16_t major, minor;
};

/* struct vfio_device_info as it once was: the protocol has no capabilities here. */
struct user_device_info {
	uint32_t argsz, flags, num_regions, num_irqs;
};

struct user_dma_map {
	uint32_t argsz, flags;
	uint64_t offset; /* in the file */
	uint64_t addr;   /* that the device uses */
	uint64_t size;
};
#define USER_DMA_CAN_READ  1u
#define USER_DMA_CAN_WRITE 2u

struct user_dma_unmap {
	uint32_t argsz, flags;
	uint64_t addr, size;
};

/* REGION_READ and _WRITE; then the data, in a read's reply and a write's command. */
struct user_region_access {
	uint64_t offset;
	uint32_t region, count;
};

/* DMA_READ and _WRITE; then the data, likewise. */
struct user_dma_access {
	uint64_t addr, count;
};

/* GET_REGION_IO_FDS; in a reply `count` of one of the next two follow, which differ in their lengths. */
struct user_io_fds {
	uint32_t argsz, flags, index, count;
};

/* As the specification has it. */
struct user_io_fd {
	uint64_t offset, size;
	uint32_t fd_index, type, flags, padding;
	uint64_t match;
};

/* As libvfio-user has it (include/vfio-user.h). */
struct user_io_fd_shadow {
	uint64_t offset, size;
	uint32_t fd_index, type, flags, shadow_fd_index;
	uint64_t shadow_offset, match;
};

#define USER_IO_FD_EVENT  0u
#define USER_IO_FD_REGION 1u
#define USER_IO_FD_SHADOW 2u
#define USER_IO_FD_MATCH  1u /* of flags: KVM_IOEVENTFD_FLAG_DATAMATCH */
#define USER_IO_FD_PIO    2u

#define USER_FDS_MAX  32              /* descriptors in one message to us */
#define USER_XFER_MAX (1024 * 1024ul) /* bytes of data in one message to us */
#define USER_MSG_MAX  (sizeof(struct user_header) + sizeof(struct user_dma_access) + USER_XFER_MAX)

struct user_socket {
	int fd;       /* -1: none; non-blocking */
	size_t got;   /* bytes of the message in buf */
	uint8_t *buf; /* USER_MSG_MAX bytes */
	int rx_fd[USER_FDS_MAX];
	unsigned n_rx_fds;
	const char *why; /* what was wrong with it, after -EPROTO */
};

/* Takes the descriptor, whatever becomes of it. -ENOMEM. */
int user_socket_init(struct user_socket *s, int fd);
void user_socket_fini(struct user_socket *s);

/*
 * Goes on with receiving a message, never waits. 1: a whole one is there, until user_socket_next(); 0: not yet;
 * -ECONNRESET: the other side is gone; -EPROTO: what it sends is no message.
 */
int user_socket_receive(struct user_socket *s);
const struct user_header *user_socket_header(const struct user_socket *s);
const void *user_socket_payload(const struct user_socket *s, size_t *len);
/* Takes the message's i-th descriptor; -1: there is none. */
int user_socket_take_fd(struct user_socket *s, unsigned i);
/* Done with the message; descriptors that were not taken are closed. */
void user_socket_next(struct user_socket *s);

/*
 * Sends one message, at most USER_IOV_MAX pieces, and waits until `deadline_ms` of clock_ms() for room. 0,
 * -ETIMEDOUT, or -ECONNRESET.
 */
#define USER_IOV_MAX 3
int user_socket_send(const struct user_socket *s, const struct iovec *iov, unsigned n_iov,
		     const int *fd, unsigned n_fds, int64_t deadline_ms);

/* Waits until one of the sockets (NULL, or without a descriptor: not waited for) has something. 0 or -ETIMEDOUT. */
int user_socket_wait(const struct user_socket *a, const struct user_socket *b, int64_t deadline_ms);
