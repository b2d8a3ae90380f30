// SPDX-License-Identifier: Apache-2.0
/* What the front end has to say about a device that is not its: some of the configuration space. */
#include "dev/virtio/vhost_user.h"

#include <linux/virtio_net.h>
#include <linux/virtio_scsi.h>
#include <string.h>
#include <sys/random.h>

#include "dev/virtio/vhost.h"
#include "vhost/user.h"

#define QUEUE_SIZE 256

union own {
	struct virtio_net_config net;
	struct virtio_scsi_config scsi;
	char tag[FS_TAG_MAX]; /* virtio 1.2, 5.11.4; the number of queues after it is vhost/user.c's */
};

static void fill_net(union own *own, const struct vhost_user_config *c)
{
	uint8_t *mac = own->net.mac;

	own->net.status = VIRTIO_NET_S_LINK_UP;
	if (c->has_mac) {
		memcpy(mac, c->mac, sizeof(c->mac));
		return;
	}
	/* Without entropy an address of zeros and the bits below: still a valid one. */
	if (getrandom(mac, sizeof(own->net.mac), 0) < 0)
		memset(mac, 0, sizeof(own->net.mac));
	mac[0] = (uint8_t)((mac[0] & ~1) | 2); /* not a group's; locally administered */
}

/* 5.6.4. Limits that any SCSI back end can meet. */
static void fill_scsi(union own *own, uint16_t queue_size)
{
	own->scsi = (struct virtio_scsi_config){
		.seg_max = queue_size - 2u,
		.max_sectors = 0xffff,
		.cmd_per_lun = MIN(queue_size, 128u),
		.event_info_size = sizeof(struct virtio_scsi_event),
		.sense_size = VIRTIO_SCSI_SENSE_DEFAULT_SIZE,
		.cdb_size = VIRTIO_SCSI_CDB_DEFAULT_SIZE,
		.max_target = 255,
		.max_lun = 16383,
	};
}

int vhost_user_dev_create(struct virtio_dev **out, const struct vhost_user_config *config,
			  unsigned queues, const struct virtio_host *host, struct err *e)
{
	union own own = {0};
	struct vhost_user_setup s = {
		.name = config->id,
		.path = config->socket,
		.device_id = config->device_id,
		.queues = config->queues,
		.queues_default = queues,
		.queue_size = (uint16_t)(config->queue_size ? config->queue_size : QUEUE_SIZE),
		.config_len = config->config_size,
		.config = &own,
		.own_len = sizeof(own),
		.mem = host->mem,
	};
	struct vhost *v;
	int rc;

	if (config->device_id == VIRTIO_ID_NET) {
		fill_net(&own, config);
		s.queues = s.queues_default = 1;
		s.own_features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS;
	} else if (config->device_id == VIRTIO_ID_SCSI) {
		fill_scsi(&own, s.queue_size);
	} else if (config->device_id == VIRTIO_ID_FS) {
		memcpy(own.tag, config->tag, strnlen(config->tag, FS_TAG_MAX));
	}
	rc = vhost_user_create(&v, &s, e);
	return rc < 0 ? rc : vhost_dev_create(out, v, config->id, host, e);
}
