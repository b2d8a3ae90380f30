// SPDX-License-Identifier: Apache-2.0
#include "virtio/vq_impl.h"

int vq_packed_enable(struct vq *q)
{
	(void)q;
	return -EINVAL;
}
int vq_packed_pop(struct vq *q, struct vq_chain *c)
{
	(void)q, (void)c;
	return -EINVAL;
}
void vq_packed_unpop(struct vq *q, const struct vq_chain *c)
{
	(void)q, (void)c;
}
void vq_packed_stage(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	(void)q, (void)c, (void)written;
}
void vq_packed_publish(struct vq *q)
{
	(void)q;
}
bool vq_packed_wants_interrupt(struct vq *q)
{
	(void)q;
	return false;
}
void vq_packed_kicks_off(struct vq *q)
{
	(void)q;
}
bool vq_packed_kicks_on(struct vq *q)
{
	(void)q;
	return false;
}
unsigned vq_packed_pending(const struct vq *q)
{
	(void)q;
	return 0;
}
