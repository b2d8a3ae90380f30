// SPDX-License-Identifier: Apache-2.0
#include "vhost/user_track.h"

#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdatomic.h>
#include <string.h>

/* The indices and entries are the guest's memory: aligned, little-endian, and read once each. */
static uint16_t load16(const uint8_t *at)
{
	return atomic_load_explicit((const _Atomic uint16_t *)at, memory_order_acquire);
}

static uint16_t avail_index(const struct track *t)
{
	return load16(t->avail + offsetof(struct vring_avail, idx));
}

static uint16_t used_index(const struct track *t)
{
	return load16(t->used + offsetof(struct vring_used, idx));
}

static uint16_t avail_entry(const struct track *t, uint16_t i)
{
	return load16(t->avail + offsetof(struct vring_avail, ring) + i % t->size * 2u);
}

/* Only the lower half of the 32 bits can be a head. */
static uint16_t used_entry(const struct track *t, uint16_t i)
{
	return load16(t->used + offsetof(struct vring_used, ring) +
		      i % t->size * sizeof(struct vring_used_elem));
}

void track_begin(struct track *t, const void *avail, const void *used, uint16_t size)
{
	memset(t, 0, sizeof(*t));
	if (size == 0 || size > TRACK_MAX)
		return;
	t->avail = avail;
	t->used = used;
	t->size = size;
}

void track_end(struct track *t)
{
	t->avail = NULL;
}

/* Opens what is offered since, then closes what is used since: a head comes in both rings in turn. */
static bool count(struct track *t, uint16_t avail, uint16_t used)
{
	if ((uint16_t)(avail - t->avail_seen) > t->size ||
	    (uint16_t)(used - t->used_seen) > t->size)
		return false;
	/*
	 * A head that was used and offered again since the last time is in both: in flight before, in flight after.
	 * Which it is shows only in the sum, so opening and closing add up first.
	 */
	for (; t->avail_seen != avail; t->avail_seen++) {
		uint16_t head = avail_entry(t, t->avail_seen);
		if (head >= t->size)
			return false;
		t->turns[head]++;
		t->open[head] = ++t->order;
	}
	for (; t->used_seen != used; t->used_seen++) {
		uint16_t head = used_entry(t, t->used_seen);
		if (head >= t->size)
			return false;
		t->turns[head]--;
	}
	return true;
}

bool track_look(struct track *t)
{
	uint16_t used, avail;
	bool busy;

	if (!t->avail)
		return false;
	used = used_index(t); /* first: what is used by now was offered by then */
	avail = avail_index(t);
	busy = avail != used || avail != t->avail_seen || used != t->used_seen;
	if (t->lost || !count(t, avail, used)) {
		t->lost = avail != used;
		t->avail_seen = avail;
		t->used_seen = used;
		memset(t->turns, 0, sizeof(t->turns));
	}
	return busy;
}

/* The heads in flight, oldest first. Their number, or -ENODATA where that is not what the indices say. */
static int in_flight(const struct track *t, uint16_t head[TRACK_MAX])
{
	uint16_t expected = (uint16_t)(t->avail_seen - t->used_seen);
	unsigned n = 0;

	for (uint16_t i = 0; i < t->size; i++) {
		unsigned at = n;

		if (t->turns[i] != 0 && t->turns[i] != 1)
			return -ENODATA;
		if (t->turns[i] == 0)
			continue;
		for (; at > 0 && t->open[head[at - 1]] > t->open[i]; at--)
			head[at] = head[at - 1];
		head[at] = i;
		n++;
	}
	return n == expected ? (int)n : -ENODATA;
}

int track_rewind(struct track *t, uint8_t *avail)
{
	uint16_t head[TRACK_MAX];
	int n;

	track_look(t);
	n = t->lost ? -ENODATA : in_flight(t, head);
	for (int i = 0; i < n; i++) {
		uint16_t slot = (uint16_t)(t->used_seen + i) % t->size;

		memcpy(avail + offsetof(struct vring_avail, ring) + slot * 2u, &head[i], 2);
	}
	return MIN(n, 0);
}
