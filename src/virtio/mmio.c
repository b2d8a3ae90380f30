// SPDX-License-Identifier: Apache-2.0
#include "virtio/mmio.h"

#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC     0x74726976 /* "virt" */
#define VERSION   2          /* 1 was the interface before virtio 1.0 */
#define VENDOR_ID 0x1af4     /* no list says what is right here: the same as over PCI */

/*
 * A driver selects, then reads or writes what it selected (a feature word, a queue). Two vCPUs that do this at
 * once get each other's selection, as from any device; what they select is checked at each use.
 */
struct virtio_mmio {
	struct virtio_dev *dev;
	struct bus *bus;
	uint64_t base;
	const struct irq *irq;
	struct bus_doorbell *doorbell; /* one a queue */

	_Atomic uint32_t device_features_sel, driver_features_sel, queue_sel;
	_Atomic uint32_t interrupt_status; /* VIRTIO_MMIO_INT_... */
};

/* The registers that are fields of the selected queue; false: this is none. */
static bool queue_field(uint64_t off, enum virtio_queue_field *field)
{
	static const struct {
		uint16_t off;
		uint16_t field;
	} map[] = {
		{VIRTIO_MMIO_QUEUE_NUM, VQ_FIELD_SIZE},
		{VIRTIO_MMIO_QUEUE_READY, VQ_FIELD_ENABLE},
		{VIRTIO_MMIO_QUEUE_DESC_LOW, VQ_FIELD_DESC_LO},
		{VIRTIO_MMIO_QUEUE_DESC_HIGH, VQ_FIELD_DESC_HI},
		{VIRTIO_MMIO_QUEUE_AVAIL_LOW, VQ_FIELD_DRIVER_LO},
		{VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VQ_FIELD_DRIVER_HI},
		{VIRTIO_MMIO_QUEUE_USED_LOW, VQ_FIELD_DEVICE_LO},
		{VIRTIO_MMIO_QUEUE_USED_HIGH, VQ_FIELD_DEVICE_HI},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (map[i].off == off) {
			*field = map[i].field;
			return true;
		}
	return false;
}

/* Write-only registers and those that there are not read as 0. */
static uint32_t reg_read(struct virtio_mmio *p, uint64_t off)
{
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return p->dev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR_ID;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return virtio_offered(p->dev, p->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return virtio_queue_get(p->dev, p->queue_sel, VQ_FIELD_MAX);
	case VIRTIO_MMIO_QUEUE_READY:
		return virtio_queue_get(p->dev, p->queue_sel, VQ_FIELD_ENABLE);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return p->interrupt_status;
	case VIRTIO_MMIO_STATUS:
		return virtio_status(p->dev);
	case VIRTIO_MMIO_SHM_LEN_LOW: /* 4.2.2: a region that there is not is 2^64-1 long, */
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW: /* and lies at 2^64-1 */
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return virtio_generation(p->dev);
	default:
		return 0;
	}
}

static void reg_write(struct virtio_mmio *p, uint64_t off, uint32_t value)
{
	enum virtio_queue_field field;

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		p->device_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_accept(p->dev, p->driver_features_sel, value);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		p->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		p->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: /* the host's kernel did not take it: value is the queue */
		virtio_kick(p->dev, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		p->interrupt_status &= ~value;
		break;
	case VIRTIO_MMIO_STATUS:
		/* Only zero resets, not a value whose low byte happens to be zero. */
		if (value <= UINT8_MAX)
			virtio_set_status(p->dev, (uint8_t)value);
		break;
	default:
		if (queue_field(off, &field))
			virtio_queue_set(p->dev, p->queue_sel, field, value);
	}
}

/*
 * 4.2.2.2: registers are accessed by aligned 32-bit reads and writes. Others get 0 and do nothing: of another
 * width here, at another offset because no register has it.
 */
#define REG_LEN 4

static void mmio_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct virtio_mmio *p = dev;
	uint32_t value;

	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_config_read(p->dev, off - VIRTIO_MMIO_CONFIG, data, len);
		return;
	}
	memset(data, 0, len);
	if (len != REG_LEN)
		return;
	value = reg_read(p, off);
	memcpy(data, &value, sizeof(value));
}

static void mmio_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct virtio_mmio *p = dev;
	uint32_t value;

	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_config_write(p->dev, off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len == REG_LEN) {
		memcpy(&value, data, sizeof(value));
		reg_write(p, off, value);
	}
}

static const struct bus_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/*
 * The bit is set before the edge, and an edge is sent even where the bit is set already: the driver may have read
 * the status for the last one and be about to acknowledge it. Device's lock held.
 */
static void mmio_interrupt(void *arg, int queue)
{
	struct virtio_mmio *p = arg;

	p->interrupt_status |=
		queue == VIRTIO_CONFIG_CHANGED ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
	irq_raise(p->irq);
}

static void mmio_reset(void *arg)
{
	struct virtio_mmio *p = arg;

	p->interrupt_status = 0;
	p->device_features_sel = p->driver_features_sel = p->queue_sel = 0;
}

int virtio_mmio_create(struct virtio_mmio **out, struct virtio_dev *dev, struct bus *mmio,
		       uint64_t base, const struct irq *irq, struct err *e)
{
	struct virtio_mmio *p = calloc(1, sizeof(*p));
	struct bus_doorbell *doorbell = calloc(dev->n_queues, sizeof(*doorbell));
	int rc;

	if (!p || !doorbell) {
		free(p);
		free(doorbell);
		return err_set(e, ENOMEM, "%s: out of memory", dev->ops->name);
	}
	*p = (struct virtio_mmio){
		.dev = dev, .bus = mmio, .base = base, .irq = irq, .doorbell = doorbell};
	for (unsigned i = 0; i < dev->n_queues; i++)
		doorbell[i] = (struct bus_doorbell){
			.off = VIRTIO_MMIO_QUEUE_NOTIFY,
			.len = REG_LEN,
			.match = true,
			.value = i,
			.fd = dev->queue[i].doorbell.fd,
		};
	virtio_attach(dev, (struct virtio_transport){
				   .interrupt = mmio_interrupt, .reset = mmio_reset, .arg = p});
	rc = bus_add(mmio,
		     (struct bus_region){
			     .base = base,
			     .last = base + VIRTIO_MMIO_LEN - 1,
			     .name = dev->ops->name,
			     .ops = &mmio_ops,
			     .dev = p,
			     .doorbell = doorbell,
			     .n_doorbells = dev->n_queues,
		     },
		     e);
	if (rc < 0) {
		virtio_attach(dev, (struct virtio_transport){0});
		free(doorbell);
		free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void virtio_mmio_destroy(struct virtio_mmio *p)
{
	if (!p)
		return;
	bus_remove(p->bus, p->base);
	virtio_attach(p->dev, (struct virtio_transport){0});
	free(p->doorbell);
	free(p);
}
