/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the vfio-user client share: user.c (the device), user_info.c and user_io_fds.c
 * (what it has), user_region_io.c, user_irq.c, user_again.c (a new server).
 */
#pragma once

#include <pthread.h>

#include "passthru/user.h"
#include "passthru/user_conn.h"

#define USER_AREAS_MAX     USER_FDS_MAX
#define USER_DOORBELLS_MAX 256 /* of a region */

/*
 * A doorbell with a value: it is put into a file of the server's, then the server is woken. KVM cannot do that (yet), so
 * that the guest's write comes to us; but it need not wait for the server.
 */
struct user_shadow {
	uint64_t off;
	unsigned len;
	bool match;
	uint64_t value;
	int kick;
	int file; /* its offset `at` */
	uint64_t at;
};

struct user_region {
	struct user_shadow *shadow;
	unsigned n_shadows;
};

/* What a server has told about its device. */
struct user_info {
	uint32_t flags;
	struct vfio_region region[VFIO_PCI_NUM_REGIONS];
	struct user_region more[VFIO_PCI_NUM_REGIONS];
	struct vfio_irq irq[VFIO_PCI_NUM_IRQS];
	uint8_t identity[64]; /* the configuration space's header, but for what changes in use */
};

/* A doorbell of a server that has gone: KVM still rings it, and the new server's is rung by us. */
struct user_relay {
	struct loop_source source; /* .fd belongs to the region's doorbell */
	int to;
};

enum user_state {
	USER_UP,
	USER_AWAY, /* the server closed the connection */
	USER_DEAD,
};

struct user_device {
	struct vfio_device base;
	struct vfio_user_host host;
	char *path;
	pthread_mutex_t lock; /* all below, but where it says otherwise */
	enum user_state state;
	struct user_conn conn;
	struct user_region more[VFIO_PCI_NUM_REGIONS];
	uint8_t identity[64];
	uint16_t pci_command; /* as it was last written */
	int *irq[VFIO_PCI_NUM_IRQS]; /* the eventfds that are set, `count` of each kind; -1: none; not ours */
	int unmask;                  /* INTx's; not ours */
	bool watched;                /* the loop looks at the sockets: main, twin */
	/* Loop thread. */
	struct loop_source main, twin;
	struct user_relay *relay;
	unsigned n_relays;
	/* The wait for a new server (user_again.c). The thread's own, until it has ended. */
	struct user_again *again; /* NULL: there is none */
};

static inline struct user_device *user_of(struct vfio_device *v)
{
	return container_of(v, struct user_device, base);
}

/*
 * user_info.c: asks everything. The areas are mapped: anywhere, or at the places of `old`'s, which must then be the same
 * but for their content. -errno with a text; *info then holds what there was, for user_info_fini().
 */
int user_info_read(struct user_info *info, struct user_conn *c, const struct vfio_region *old,
		   struct err *e);
void user_info_fini(struct user_info *info, bool unmap);
void user_regions_fini(struct vfio_region *region, struct user_region *more, bool unmap);

/* user_io_fds.c: doorbells of a region. */
int user_io_fds_read(struct vfio_region *r, struct user_region *more, struct user_conn *c,
		     unsigned index, struct err *e);
/* Puts the value into the file and wakes the server. 0 or -errno. */
int user_shadow_ring(const struct user_shadow *s, const void *data);

/* user_region_io.c: one access by message; `len` at most 8 bytes. 0 or -errno. */
int user_conn_read(struct user_conn *c, unsigned index, uint64_t off, void *data, unsigned len);
int user_conn_write(struct user_conn *c, unsigned index, uint64_t off, const void *data,
		    unsigned len);

/* user_irq.c; lock held. As the op. */
int user_irqs_init(struct user_device *u);
void user_irqs_fini(struct user_device *u);
int user_set_irqs(struct user_device *u, uint32_t flags, unsigned index, unsigned start,
		  unsigned count, const int *fd);
/* Gives a new server what was set. */
int user_irqs_again(struct user_device *u, struct user_conn *c);

/* user.c: version, what there is, RAM, a reset: all that the server and we have to say before the device is used. */
int user_setup(struct user_conn *c, struct user_info *info, const struct vfio_region *old,
	       struct err *e);
/* Loop thread: looks at the sockets of the connection. 0 or -errno. */
int user_watch(struct user_device *u);
/* Loop thread, no lock: the device is dead. */
void user_die(struct user_device *u, const char *why);

/* user_again.c. Loop thread, no lock: starts the wait for a new server. 0 or -errno. */
int user_again_start(struct user_device *u);
/* Ends it, if there is one. */
void user_again_stop(struct user_device *u);
void user_relays_fini(struct user_device *u);
