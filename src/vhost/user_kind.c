// SPDX-License-Identifier: Apache-2.0
/*
 * The kinds of devices (virtio 1.2, chapter 5): what a front end has to know of them. Whose the configuration space is
 * differs: a network card's, a file system's and a SCSI host's are the front end's by custom, a disk's is the back
 * end's.
 */
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stddef.h>

#include "vhost/user_impl.h"

#define BIT(n)      (1ULL << (n))
#define BITS(a, b)  ((BIT(b) - BIT(a)) | BIT(b)) /* from a to b */
#define ANY_FEATURE (BITS(0, 23) | BITS(50, 63)) /* the device's own, chapter 6 */

/*
 * Of the offers of a network back end, those that need no control queue (there is none: it would be ours), and no
 * field of the configuration space.
 */
#define NET_FEATURES                                             \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | \
	 BITS(VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_HOST_UFO) | BIT(VIRTIO_NET_F_MRG_RXBUF))
#define BLK_CONFIG                                    \
	offsetof(struct virtio_blk_config, unused1) + \
		3 /* up to WRITE_ZEROES' fields, in any header */

static const struct user_kind kinds[] = {
	{
		.id = VIRTIO_ID_BLOCK,
		.each = 1,
		.config_len = BLK_CONFIG,
		.count_at = offsetof(struct virtio_blk_config, num_queues),
		.count_len = 2,
		.features = BITS(0, VIRTIO_BLK_F_WRITE_ZEROES),
		.resume = USER_RESUME_TRACKED,
	},
	{
		.id = VIRTIO_ID_NET,
		.each = 2,
		.config_len = offsetof(struct virtio_net_config, speed),
		.own_config = true,
		.features = NET_FEATURES,
		.resume = USER_RESUME_LOSSY,
	},
	{
		.id = VIRTIO_ID_FS, /* 5.11.2: the queue of urgent requests comes first */
		.fixed = 1,
		.each = 1,
		.config_len = 40, /* 5.11.4: tag[36], num_request_queues */
		.own_config = true,
		.count_at = 36,
		.count_len = 4,
		.features = ANY_FEATURE & ~BIT(0), /* no notification queue */
	},
	{
		.id = VIRTIO_ID_SCSI, /* 5.6.2: control and event queues */
		.fixed = 2,
		.each = 1,
		.config_len = 36, /* 5.6.4 */
		.own_config = true,
		.count_at = 0,
		.count_len = 4,
		.features = ANY_FEATURE,
	},
};

static const struct user_kind unknown = {.each = 1, .features = ANY_FEATURE};

const struct user_kind *user_kind_of(uint32_t device_id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].id == device_id)
			return &kinds[i];
	return &unknown;
}
