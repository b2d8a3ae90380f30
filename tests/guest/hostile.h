/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile suite: a driver that breaks the rules, one way a case. It runs against a disk, or, where there are any,
 * against all devices that are no disks, with a second disk as the witness that the rest of the machine goes on. It
 * says a verdict for each case:
 *
 *   PASS    the device did what the specification asks, or the request came back as an error
 *   REJECT  the device refused: DEVICE_NEEDS_RESET, or a register that did not take the value
 *   FAIL    the device did something it must not do, or does not work after a reset
 *   WEDGED  the device, or the witness, does not answer any more
 *   SKIP    the case does not apply here (the transport, a feature that is not offered)
 */
#pragma once

#include "lib_virtio.h"

enum verdict { PASS, REJECT, FAIL, WEDGED, SKIP };

struct hostile {
	struct vdev *disk;    /* writable */
	struct vdev *witness; /* read-only */
	uint64_t ram_end;     /* guest-physical, below 3 GiB */
};

struct hostile_case {
	const char *name;
	enum verdict (*run)(struct hostile *h, uint64_t a, uint64_t b);
	uint64_t a, b; /* whatever the function wants */
};

/* Ends with a case without a name. */
extern const struct hostile_case hostile_ring[], hostile_queue[], hostile_state[], hostile_blk[],
	hostile_pci[], hostile_mmio[];

/* What became of a chain that was just offered and rung for. */
enum outcome { ANSWERED, NEEDS_RESET, NOTHING };
enum outcome hostile_outcome(struct hostile *h, uint32_t *id, uint32_t *len);
/* ANSWERED or NEEDS_RESET: good. NOTHING: WEDGED. */
enum verdict hostile_judge(struct hostile *h);
/* Reads a sector of the witness and compares. */
bool hostile_witness(struct hostile *h);
/* Starts the disk anew and reads a sector. */
bool hostile_recovers(struct hostile *h, uint64_t features);

#define HOSTILE_SIZE 16 /* entries of the ring */

/* Counts a verdict and says it. */
void hostile_say(enum verdict v, const char *device, const char *name, uint64_t a, uint64_t b);

/* ---- the devices that are no disks: hostile_devices.c, hostile_subject.c, hostile_commands.c ---- */

#define SUBJECT_QUEUES 12
#define SUBJECT_DATA   0x10000

struct subject {
	struct hostile *h;
	struct vdev *d;
	const char *name;
	uint16_t n; /* queues */
	struct ring q[SUBJECT_QUEUES];
};

struct subject_case {
	const char *name;
	enum verdict (*run)(struct subject *s, uint64_t a, uint64_t b);
	uint64_t a, b;
};

/* Memory for requests; and memory that no device may write to: it is looked at after each case. */
extern uint8_t subject_data[SUBJECT_DATA], subject_canary[4096];

void subject_set_canary(void);

/* Starts it with all its queues but `but` (-1: none) and all it offers but what is in `without`. */
bool subject_start(struct subject *s, uint64_t without, int but);
/* Does it do its work? Starts it anew. */
bool subject_works(struct subject *s, uint64_t without);
/* Does the driver give it memory by this queue to write into? */
bool subject_receives(const struct subject *s, unsigned queue);
/* A frame that is answered. */
void subject_ask_net(struct subject *s);
/* After a case: REJECT, PASS, or what is wrong. */
enum verdict subject_judge(struct subject *s);
/* `len` bytes of subject_data by queue `queue`, and `answer` bytes for it to write; rings the doorbell. */
void subject_send(struct subject *s, unsigned queue, uint32_t len, uint32_t answer);

/* All cases of one device, of which `without` is not negotiated: packed rings, for one. */
void hostile_device(struct subject *s, uint64_t without);
/* Commands of its own: a list that ends with a case without a name; NULL: there are none. */
const struct subject_case *hostile_commands(const struct subject *s);
