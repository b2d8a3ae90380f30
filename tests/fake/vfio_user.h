/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of the vfio-user protocol, for tests: small, and plain to read. It serves one device to one client at a time,
 * in the thread that calls vfuser_serve(). What a device is: a struct vfuser_device, by whoever uses this. `mangle` may spoil
 * each reply before it goes.
 */
#pragma once

#include <stddef.h>
#include <sys/un.h>

#include "passthru/user_wire.h"

#define VFUSER_REGIONS   9
#define VFUSER_IRQS      5
#define VFUSER_VECTORS   64
#define VFUSER_FDS       64
#define VFUSER_MAPS      8
#define VFUSER_DOORBELLS 16

struct vfuser_doorbell {
	uint64_t off;
	unsigned len;
	int fd;        /* eventfd */
	int shadow_fd; /* a file that gets the value at shadow_off; -1: none */
	uint64_t shadow_off;
};

struct vfuser_region {
	uint64_t size;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_... */
	int fd;         /* with _MMAP: the file, at offset 0 */
	struct vfio_region_sparse_mmap_area area[4];
	unsigned n_areas;
	struct vfuser_doorbell doorbell[VFUSER_DOORBELLS];
	unsigned n_doorbells;
};

struct vfuser_device {
	uint32_t flags;
	struct vfuser_region region[VFUSER_REGIONS];
	struct vfio_irq_info irq[VFUSER_IRQS]; /* flags, count */
	void (*read)(void *arg, unsigned region, uint64_t off, void *data, unsigned len);
	void (*write)(void *arg, unsigned region, uint64_t off, const void *data, unsigned len);
	void (*reset)(void *arg);
	void *arg;
};

/* A reply, before it is sent. */
struct vfuser_reply {
	struct user_header h; /* its size is what is said; `len` is what is sent */
	uint8_t payload[8192];
	size_t len;
	int fd[VFUSER_FDS];
	unsigned n_fds;
	bool own_fds;    /* they are closed afterwards */
	unsigned pieces; /* > 0: sent in pieces of so many bytes */
};

enum vfuser_verdict {
	VFUSER_SEND,
	VFUSER_SILENT, /* as if it had not come */
	VFUSER_CLOSE,  /* hangs up */
	VFUSER_CUT,    /* hangs up after it */
};

struct vfuser_map {
	uint64_t addr, size;
	uint8_t *host; /* NULL: by message */
};

struct vfuser_server {
	struct vfuser_device *dev;
	bool twin;            /* offer a second socket where the client can have one */
	unsigned max_msg_fds; /* 0: 16 */
	enum vfuser_verdict (*mangle)(void *arg, struct vfuser_server *s, struct vfuser_reply *r);
	void *mangle_arg;
	/* One connection. */
	int fd, command_fd; /* -1: none; the second is the twin's, or the same */
	uint16_t next_id;
	struct vfuser_map map[VFUSER_MAPS];
	unsigned n_maps;
	int irq[VFUSER_IRQS][VFUSER_VECTORS]; /* eventfds; -1: none */
	unsigned served;                      /* commands */
};

/* A socket that listens, or -errno. */
int vfuser_listen(const char *path);
/* Serves commands of a client at `fd`, a connected socket, until it hangs up. Takes the descriptor. */
void vfuser_serve(struct vfuser_server *s, int fd);
/* The same step by step: begin, then a command each time that `fd` is readable until < 0, then end. */
void vfuser_begin(struct vfuser_server *s, int fd);
int vfuser_command(struct vfuser_server *s);
void vfuser_end(struct vfuser_server *s);

/* Guest memory at `addr`, all of [addr, addr + len); NULL: not mapped. */
void *vfuser_dma(struct vfuser_server *s, uint64_t addr, uint64_t len);
/* By message. 0 or -errno; also what the client says of it. */
int vfuser_dma_read(struct vfuser_server *s, uint64_t addr, void *data, uint32_t len);
int vfuser_dma_write(struct vfuser_server *s, uint64_t addr, const void *data, uint32_t len);
/* Sends any message; fds are not taken. 0 or -errno. */
int vfuser_send(int fd, const struct user_header *h, const void *payload, size_t len,
		const int *fds, unsigned n_fds);
/* Raises an interrupt, if the client wants it. */
void vfuser_interrupt(struct vfuser_server *s, unsigned kind, unsigned vector);
