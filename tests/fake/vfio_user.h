/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of the vfio-user protocol, for tests: small, and plain to read. It serves one device to one client at a time,
 * in the thread that calls vfu_serve(). What a device is: a struct vfu_device, by whoever uses this. `mangle` may spoil
 * each reply before it goes.
 */
#pragma once

#include <stddef.h>
#include <sys/un.h>

#include "passthru/user_wire.h"

#define VU_REGIONS   9
#define VU_IRQS      5
#define VU_VECTORS   64
#define VU_FDS       64
#define VU_MAPS      8
#define VU_DOORBELLS 16

struct vfu_doorbell {
	uint64_t off;
	unsigned len;
	int fd;        /* eventfd */
	int shadow_fd; /* a file that gets the value at shadow_off; -1: none */
	uint64_t shadow_off;
};

struct vfu_region {
	uint64_t size;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_... */
	int fd;         /* with _MMAP: the file, at offset 0 */
	struct vfio_region_sparse_mmap_area area[4];
	unsigned n_areas;
	struct vfu_doorbell doorbell[VU_DOORBELLS];
	unsigned n_doorbells;
};

struct vfu_device {
	uint32_t flags;
	struct vfu_region region[VU_REGIONS];
	struct vfio_irq_info irq[VU_IRQS]; /* flags, count */
	void (*read)(void *arg, unsigned region, uint64_t off, void *data, unsigned len);
	void (*write)(void *arg, unsigned region, uint64_t off, const void *data, unsigned len);
	void (*reset)(void *arg);
	void *arg;
};

/* A reply, before it is sent. */
struct vfu_reply {
	struct user_header h; /* its size is what is said; `len` is what is sent */
	uint8_t payload[8192];
	size_t len;
	int fd[VU_FDS];
	unsigned n_fds;
	bool own_fds;    /* they are closed afterwards */
	unsigned pieces; /* > 0: sent in pieces of so many bytes */
};

enum vfu_verdict {
	VU_SEND,
	VU_SILENT, /* as if it had not come */
	VU_CLOSE,  /* hangs up */
};

struct vfu_map {
	uint64_t addr, size;
	uint8_t *host; /* NULL: by message */
};

struct vfu_server {
	struct vfu_device *dev;
	bool twin;            /* offer a second socket where the client can have one */
	unsigned max_msg_fds; /* 0: 16 */
	enum vfu_verdict (*mangle)(void *arg, struct vfu_server *s, struct vfu_reply *r);
	void *mangle_arg;
	/* One connection. */
	int fd, command_fd; /* -1: none; the second is the twin's, or the same */
	uint16_t next_id;
	struct vfu_map map[VU_MAPS];
	unsigned n_maps;
	int irq[VU_IRQS][VU_VECTORS]; /* eventfds; -1: none */
	unsigned served;              /* commands */
};

/* A socket that listens, or -errno. */
int vfu_listen(const char *path);
/* Serves commands of a client at `fd`, a connected socket, until it hangs up. Takes the descriptor. */
void vfu_serve(struct vfu_server *s, int fd);
/* The same step by step: begin, then a command each time that `fd` is readable until < 0, then end. */
void vfu_begin(struct vfu_server *s, int fd);
int vfu_command(struct vfu_server *s);
void vfu_end(struct vfu_server *s);

/* Guest memory at `addr`, all of [addr, addr + len); NULL: not mapped. */
void *vfu_dma(struct vfu_server *s, uint64_t addr, uint64_t len);
/* By message. 0 or -errno; also what the client says of it. */
int vfu_dma_read(struct vfu_server *s, uint64_t addr, void *data, uint32_t len);
int vfu_dma_write(struct vfu_server *s, uint64_t addr, const void *data, uint32_t len);
/* Sends any message; fds are not taken. 0 or -errno. */
int vfu_send(int fd, const struct user_header *h, const void *payload, size_t len, const int *fds,
	     unsigned n_fds);
/* Raises an interrupt, if the client wants it. */
void vfu_interrupt(struct vfu_server *s, unsigned kind, unsigned vector);
