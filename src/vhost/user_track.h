/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account of a split ring that another process serves: which requests are in flight. The rings alone do not tell:
 * each shows only its last `size` entries, and requests end in any order. Who looks in time, before more than `size`
 * are new in either, can keep count:
 *
 *   available ring   ... 3 0 1 4 2 3 | 0 ...      each entry opens its head's request,
 *   used ring        ... 0 3 1 2 | 4 ...          each here closes it: what is open is in flight
 *
 * Who looks too late has lost count, until both indices are the same: then nothing is in flight.
 *
 * No lock: the caller's. The rings are guest RAM and written by others meanwhile; nothing there is believed to be in
 * bounds. Only a guest that breaks its own rings is wrong about them.
 */
#pragma once

#include "base/base.h"
#define TRACK_MAX 1024 /* entries of a ring, at most */

struct track {
	const uint8_t *avail; /* struct vring_avail; NULL: nothing is tracked */
	const uint8_t *used;  /* struct vring_used */
	uint16_t size;
	uint16_t avail_seen, used_seen;
	bool lost;
	uint64_t order; /* of the next request */
	/* By head: times it was offered less times it was used, which is 1 while it is in flight; and when, last. */
	int16_t turns[TRACK_MAX];
	uint64_t open[TRACK_MAX];
};

/* Begins, with rings that are empty so far: nothing is in flight. */
void track_begin(struct track *t, const void *avail, const void *used, uint16_t size);
void track_end(struct track *t);
/* Catches up. True: something is in flight, or was since the last time. */
bool track_look(struct track *t);
/*
 * The back end is dead; what it had not finished is put into the available ring again, oldest first, from the
 * used index on, so that one that begins at the used index does just these, and then what was offered since. The
 * driver does not read what it wrote there. 0, -ENODATA: the account was lost.
 */
MUST_CHECK int track_rewind(struct track *t, uint8_t *avail);
