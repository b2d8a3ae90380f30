/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hostile suite: a driver that breaks the rules, one way a case. It runs against a disk, with a second disk
 * as the witness that the rest of the machine goes on, and says a verdict for each case:
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
