/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller with one namespace (NVM Express 1.4), whose disk is a file or a block device: enough for a real
 * driver. Registers, queues and doorbells in nvme.c, admin commands in nvme_admin.c, reads and writes in nvme_io.c;
 * nvme_server.c gives it to a vfio-user client. One thread, one command at a time.
 */
#pragma once

#include "fake/vfio_user.h"

#define NVME_PAGE       4096u
#define NVME_BLOCK      512u
#define NVME_PAIRS      9 /* of queues, the admin's included */
#define NVME_ENTRIES    1024
#define NVME_MDTS       5 /* a transfer has at most 2^5 pages */
#define NVME_PAGES      ((1u << NVME_MDTS) + 1)
#define NVME_BAR0       0x4000u
#define NVME_DOORBELLS  0x1000u
#define NVME_MSIX_TABLE 0x2000u
#define NVME_MSIX_PBA   0x3000u

/* A command, 64 bytes (figure 105), and its completion, 16 (figure 122). */
struct nvme_command {
	uint8_t opcode, flags;
	uint16_t id;
	uint32_t nsid, reserved[2];
	uint64_t metadata, prp1, prp2;
	uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sq_id, id, status; /* bit 0 of status: the phase */
};

/* Status codes (figure 126), as they stand in a completion above the phase. */
enum nvme_status {
	NVME_OK = 0x00,
	NVME_BAD_OPCODE = 0x4001, /* "do not retry" is bit 14 */
	NVME_BAD_FIELD = 0x4002,
	NVME_TRANSFER_ERROR = 0x04,
	NVME_INTERNAL_ERROR = 0x06,
	NVME_BAD_NAMESPACE = 0x400b,
	NVME_BAD_RANGE = 0x4080,
	NVME_BAD_QUEUE = 0x4101,
	NVME_BAD_SIZE = 0x4102,
	NVME_WRITE_FAULT = 0x280,
	NVME_READ_ERROR = 0x281,
	NVME_LATER = 0xffff, /* no completion now */
};

struct nvme_sq {
	uint64_t base;
	uint16_t size, head, tail, cq; /* size 0: there is none */
};

struct nvme_cq {
	uint64_t base;
	uint16_t size, head, tail, vector;
	bool phase, interrupts;
};

/* How doorbells come, other than by message. */
enum nvme_doorbells {
	NVME_BY_MESSAGE,
	NVME_BY_SHADOW, /* an eventfd, and the value in a file: libvfio-user's shadow ioeventfds */
	NVME_BY_EVENTFD, /* an eventfd; the driver leaves the value in its own memory (Doorbell Buffer Config) */
};

struct nvme {
	struct vfuser_device dev;
	struct vfuser_server server;
	enum nvme_doorbells doorbells;
	int disk;
	uint64_t blocks;
	uint8_t config[256];
	uint32_t cc, csts, aqa;
	uint64_t asq, acq;
	struct nvme_sq sq[NVME_PAIRS];
	struct nvme_cq cq[NVME_PAIRS];
	uint64_t shadow, events; /* Doorbell Buffer Config: guest-physical; 0: not set */
	int kick, values;        /* eventfd and file of the doorbells; -1: none */
};

void nvme_init(struct nvme *n, int disk, uint64_t size, enum nvme_doorbells doorbells);
/* The doorbells' eventfd was written. */
void nvme_kicked(struct nvme *n);

/* A status; *result is dword 0 of the completion. */
uint16_t nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result);
uint16_t nvme_io(struct nvme *n, const struct nvme_command *c);

/* The pages that a command names with its PRPs, as memory of ours. Entries, or -1. */
int nvme_pages(struct nvme *n, const struct nvme_command *c, size_t len,
	       struct iovec iov[NVME_PAGES]);
