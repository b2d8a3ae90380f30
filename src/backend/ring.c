// SPDX-License-Identifier: Apache-2.0
#include "backend/ring.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ring_init(struct ring *r, size_t size)
{
	*r = (struct ring){.size = size};
	r->data = malloc(size); /* not calloc: pages that are never used never exist */
	return r->data ? 0 : -ENOMEM;
}

void ring_fini(struct ring *r)
{
	free(r->data);
	*r = (struct ring){0};
}

void ring_put(struct ring *r, const uint8_t *data, size_t len)
{
	size_t end, first;

	if (len > r->size) { /* only its end can stay */
		r->dropped += len - r->size;
		data += len - r->size;
		len = r->size;
	}
	if (len > r->size - r->used) {
		size_t over = len - (r->size - r->used);
		r->dropped += over;
		ring_take(r, over);
	}
	end = (r->start + r->used) % r->size;
	first = MIN(len, r->size - end);
	memcpy(r->data + end, data, first);
	memcpy(r->data, data + first, len - first);
	r->used += len;
}

size_t ring_peek(const struct ring *r, const uint8_t **data)
{
	*data = r->data + r->start;
	return MIN(r->used, r->size - r->start);
}

void ring_take(struct ring *r, size_t len)
{
	assert(len <= r->used);
	r->used -= len;
	/* An empty ring starts at the front again, so that a quiet console stays in one page. */
	r->start = r->used ? (r->start + len) % r->size : 0;
}
