/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kinds of ring share; only the files vq*.c include it. */
#pragma once

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "virtio/vq.h"

/* Rings are little-endian, and so is the only machine this is for. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian");

/*
 * Copies descriptor `i` of a table in guest RAM, of either kind (both are 16 bytes), into our own memory.
 * Volatile, because the guest may write to it meanwhile: the compiler must not go back for a second look.
 * An indirect table may lie at any address.
 */
static inline void vq_copy_desc(void *desc, const uint8_t *table, unsigned i)
{
	typedef uint64_t __attribute__((aligned(1))) word;
	const volatile word *from = (const volatile word *)(table + 16u * i);
	uint64_t copy[2] = {from[0], from[1]};

	memcpy(desc, copy, sizeof(copy));
}

static inline bool vq_misaligned(uint64_t address, unsigned align)
{
	return address & (align - 1);
}

/* Adds one buffer to the chain; makes the chain bad where the request cannot be carried out. */
void vq_chain_add(const struct vq *q, struct vq_chain *c, uint64_t gpa, uint32_t len, bool write);
/*
 * Finds the indirect table at [gpa, gpa + len) and its number of entries. NULL: the driver may not use any,
 * or this is none, or it is longer than the longest chain we take (2.7.5.3.1, 2.8.19): the ring is broken.
 */
const uint8_t *vq_indirect_table(const struct vq *q, uint64_t gpa, uint32_t len, unsigned *n);

int vq_split_enable(struct vq *q);
int vq_split_pop(struct vq *q, struct vq_chain *c);
void vq_split_unpop(struct vq *q);
void vq_split_stage(struct vq *q, const struct vq_chain *c, uint32_t written);
void vq_split_publish(struct vq *q);
bool vq_split_wants_interrupt(struct vq *q);
void vq_split_kicks_off(struct vq *q);
bool vq_split_kicks_on(struct vq *q);
unsigned vq_split_pending(const struct vq *q);

int vq_packed_enable(struct vq *q);
int vq_packed_pop(struct vq *q, struct vq_chain *c);
void vq_packed_unpop(struct vq *q, const struct vq_chain *c);
void vq_packed_stage(struct vq *q, const struct vq_chain *c, uint32_t written);
void vq_packed_publish(struct vq *q);
bool vq_packed_wants_interrupt(struct vq *q);
void vq_packed_kicks_off(struct vq *q);
bool vq_packed_kicks_on(struct vq *q);
unsigned vq_packed_pending(const struct vq *q);
