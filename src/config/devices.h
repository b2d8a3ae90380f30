/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that a user asked for: pure data, part of struct vm_config. Strings are owned by it and NULL
 * where not given; numbers are 0 where not given, unless a comment says otherwise.
 */
#pragma once

#include "base/base.h"

/* Bounds that the user meets. */
#define CONFIG_MAX_PCI_DEVICES  31 /* one root bus has 32 slots, and the host bridge takes one */
#define CONFIG_MAX_MMIO_DEVICES 16
#define CONFIG_MAX_QUEUE_SIZE   1024
#define CONFIG_MAX_DISK_QUEUES  16
#define CONFIG_MAX_NET_QUEUES   8 /* pairs */
#define CONFIG_MAX_CONSOLES     8 /* ports of one virtio console */
#define CONFIG_MAX_HOSTFWDS     64
#define CONFIG_MAX_VHOST_QUEUES 60
#define FS_TAG_MAX              36 /* virtio_fs_config */
#define DISK_SERIAL_MAX         20 /* VIRTIO_BLK_ID_BYTES */

/* A token bucket (backend/ratelimit.h); Firecracker's names. size 0: no limit. */
struct bucket_config {
	uint64_t size;           /* tokens it holds, and that are refilled in refill_ms */
	uint64_t one_time_burst; /* extra tokens at the start */
	uint64_t refill_ms;
};

struct limit_config {
	struct bucket_config bandwidth; /* a token is a byte */
	struct bucket_config ops;       /* a token is a request or a packet */
};

enum disk_engine { DISK_ENGINE_AUTO, DISK_ENGINE_IO_URING, DISK_ENGINE_THREADS };
enum overlay_kind { OVERLAY_NONE, OVERLAY_FILE, OVERLAY_TEMPORARY };

struct disk_config {
	char *id;     /* name in messages; default: disk0, disk1, ... */
	char *path;   /* raw image or block device */
	char *serial; /* GET_ID, at most 20 bytes; default: the id */
	bool readonly;
	bool direct;   /* O_DIRECT */
	bool no_flush; /* flushes are ignored: for a disk that may be lost. Never the default */
	bool no_discard;
	bool no_lock;
	enum overlay_kind overlay; /* writes go there, the image is only read */
	char *overlay_path;        /* OVERLAY_FILE */
	enum disk_engine engine;
	unsigned queues;     /* 0: one for each vCPU, at most 4 */
	unsigned queue_size; /* 0: 256 */
	bool packed;
	bool root;      /* the kernel's command line gets root= */
	char *partuuid; /* root=PARTUUID=... */
	struct limit_config limit;
};

enum net_kind { NET_TAP, NET_USER, NET_PASST };

/* One port forwarded by user networking, from the host to the guest. Addresses as text; NULL: any, the guest's */
struct hostfwd_config {
	bool udp;
	char *host_addr, *guest_addr;
	uint16_t host_port, guest_port;
};

struct net_config {
	char *id; /* default: net0, net1, ... */
	enum net_kind kind;
	char *tap;    /* NET_TAP: interface name; NULL, and no fd: a new one, named by the kernel */
	int fd;       /* NET_TAP: an inherited descriptor of a tap; -1: none */
	char *socket; /* NET_PASST: path of passt's Unix socket */
	bool has_mac; /* default: a random, locally administered one */
	uint8_t mac[6];
	unsigned mtu;        /* 0: not told to the guest */
	unsigned queues;     /* pairs; 0: 1 */
	unsigned queue_size; /* 0: 256 */
	bool no_offload;     /* no checksum and segmentation offloads */
	bool packed;
	bool vhost; /* NET_TAP: the host's kernel carries the frames (vhost-net) */
	/* NET_USER */
	struct hostfwd_config *hostfwd;
	unsigned n_hostfwds;
	bool restricted; /* no way out: only hostfwd */
	struct limit_config rx_limit, tx_limit;
};

enum console_kind { CONSOLE_STDIO, CONSOLE_PTY, CONSOLE_FILE, CONSOLE_SOCKET, CONSOLE_NONE };

/* One port of the virtio console. The first is hvc0; others are /dev/vportNpM, by name. */
struct console_config {
	enum console_kind kind;
	char *path;      /* CONSOLE_FILE, CONSOLE_SOCKET */
	char *name;      /* NULL: none. /sys/class/virtio-ports/.../name in the guest */
	bool is_console; /* a terminal (hvcN), not a stream: the first one */
};

struct vsock_config {
	uint32_t cid; /* of the guest, from 3 on; 0: no vsock */
	char *socket; /* the host's side, Firecracker's convention (docs/vsock.md) */
};

struct balloon_config {
	bool enabled;
	uint64_t target; /* bytes to take from the guest at the start */
	bool deflate_on_oom;
	unsigned stats_interval_s; /* 0: no statistics */
	bool free_page_reporting;
};

/*
 * A device that is elsewhere, and says itself what it is: of the host's, by VFIO (passthru/kernel.h) or vDPA
 * (vhost/vdpa.h), or in another process (passthru/user.h).
 */
struct elsewhere_config {
	char *id; /* name in messages; default: vfio0, vdpa0, vfio-user0, ... */
	char *path; /* VFIO: "0000:03:00.0", "03:00.0", or an mdev's directory in sysfs; /dev/vhost-vdpa-N; a socket */
};

/*
 * A virtio device in another process (vhost/user.h): --vhost-user, and --fs, which is one of the kind VIRTIO_ID_FS. Which
 * of the members count depends on the kind: vhost_user_check().
 */
struct vhost_user_config {
	char *id;           /* default: vhost-user0, ..., or fs0, ... */
	char *socket;       /* the back end's */
	uint32_t device_id; /* VIRTIO_ID_...; 0: not given */
	char *tag;          /* file system: what the guest mounts, at most FS_TAG_MAX bytes */
	bool has_mac;       /* network */
	uint8_t mac[6];
	unsigned
		queues; /* network: 1, a pair; file system, SCSI: of requests; 0: one for each vCPU, at most 4 */
	unsigned queue_size;  /* 0: 256 */
	unsigned config_size; /* bytes, of a kind that is not known here */
};

struct rng_config {
	bool enabled;
	struct limit_config limit;
};
