/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of bytes that always takes what is put: when it is full the oldest bytes go and are
 * counted. Invariant: start < size, used <= size. No lock: the owner's.
 */
#pragma once

#include "base/base.h"

struct ring {
	uint8_t *data;
	size_t size;
	size_t start, used;
	uint64_t dropped;
};

MUST_CHECK int ring_init(struct ring *r, size_t size); /* 0 or -ENOMEM */
void ring_fini(struct ring *r);

void ring_put(struct ring *r, const uint8_t *data, size_t len);
/* The oldest bytes that lie together; the result is 0 only when the ring is empty. */
size_t ring_peek(const struct ring *r, const uint8_t **data);
/* Forgets the oldest `len` bytes, which were taken; len <= used. */
void ring_take(struct ring *r, size_t len);
