/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kinds of ring share; only the files vq*.c include it. */
#pragma once

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio/vq.h"

/* A descriptor of either kind, in our own memory. */
struct vq_desc {
	uint64_t addr; /* guest-physical */
	uint32_t len;
	bool next, write, indirect;
};

/* Adds one buffer to the chain; sets c->bad where the request cannot be carried out. */
void vq_chain_add(const struct vq *q, struct vq_chain *c, const struct vq_desc *d);
/* The request is bad: it keeps its place in the ring, but no buffers. */
void vq_chain_refuse(struct vq_chain *c);

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
