// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/pci_impl.h"

#define VENDOR_ID 0x1af4
#define DEVICE_ID 0x1040 /* + virtio device ID, 4.1.2.1 */
#define REVISION  1      /* 0 would be a device with the interface from before virtio 1.0 */
/*
 * QEMU's, which the drivers of other systems know (the Windows ones list it). 4.1.2.1 asks for 0x40 or higher,
 * again so that no old driver takes the device for its own.
 */
#define SUBSYSTEM_ID 0x1100

#define DATA_AT offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)

/* Configuration space: the window into BAR 0 (4.1.4.9), which works wherever the BAR is, or is not. */

static uint32_t window_word(const struct virtio_pci *p, unsigned field)
{
	uint32_t value;

	memcpy(&value, &p->pci.config[p->window + field], sizeof(value));
	return value;
}

/* Where the driver has put the window; false: nowhere. */
static bool window_place(const struct virtio_pci *p, uint32_t *off, uint32_t *len)
{
	*off = window_word(p, VIRTIO_PCI_CAP_OFFSET);
	*len = window_word(p, VIRTIO_PCI_CAP_LENGTH);
	return p->pci.config[p->window + VIRTIO_PCI_CAP_BAR] == 0 &&
	       (*len == 1 || *len == 2 || *len == 4) && *off % *len == 0 &&
	       *off < VIRTIO_PCI_BAR_LEN; /* aligned: then its end is inside as well */
}

static bool touches_window(const struct virtio_pci *p, unsigned off, unsigned len)
{
	unsigned data = p->window + DATA_AT;

	return off < data + 4 && data < off + len;
}

/* The PCI bus's lock is held. */
static void config_read(struct pci_dev *d, unsigned off, void *data, unsigned len)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at, size;

	if (touches_window(p, off, len) && window_place(p, &at, &size))
		virtio_pci_bar_ops.read(p, at, &d->config[p->window + DATA_AT], size);
	pci_config_read(d, off, data, len);
}

/*
 * A device whose bus master bit is 0 must not access memory (PCI 3.0, 6.2.2). The bit is not needed here to begin
 * with: not every driver sets it, and what the device touches is checked anyway. But when it falls the device is
 * reset: Linux clears it before it starts another kernel by kexec, and does so without a word to the virtio
 * driver, whose buffers would be written into the new kernel's memory. A driver that goes on begins with a reset.
 */
static void follow_master(struct virtio_pci *p)
{
	bool master = p->pci.config[PCI_COMMAND] & PCI_COMMAND_MASTER;

	if (p->master && !master)
		virtio_set_status(p->dev, 0);
	p->master = master;
}

static void config_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct virtio_pci *p = container_of(d, struct virtio_pci, pci);
	uint32_t at, size;

	bool msix = msix_enabled(p->msix);

	follow_master(p);
	msix_config_written(p->msix, off, len);
	if (msix != msix_enabled(p->msix))
		virtio_vectors_changed(p->dev);
	if (touches_window(p, off, len) && window_place(p, &at, &size))
		virtio_pci_bar_ops.write(p, at, &d->config[p->window + DATA_AT], size);
	virtio_pci_update_line(p);
}

static const struct pci_ops config_ops = {
	.config_read = config_read,
	.config_written = config_written,
};

/*
 * Drivers go by the device ID; the class is for people (lspci) and for firmware that lists disks. As in QEMU, but
 * for disks, which are no SCSI controllers: "mass storage, other". 0x00ff: "unclassified", where PCI has no class.
 */
static uint32_t class_code(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET:
		return 0x020000; /* Ethernet */
	case VIRTIO_ID_BLOCK:
		return 0x018000;
	case VIRTIO_ID_CONSOLE:
	case VIRTIO_ID_VSOCK:
		return 0x078000; /* communication, other */
	default:
		return 0x00ff00; /* entropy, balloon */
	}
}

/* One virtio structure capability (4.1.4); its offset in configuration space, or -ENOSPC. */
static int add_structure(struct virtio_pci *p, uint8_t type, uint32_t off, uint32_t len)
{
	struct virtio_pci_notify_cap c = {
		.cap =
			{
				.cap_vndr = PCI_CAP_ID_VNDR,
				.cap_len = sizeof(c.cap),
				.cfg_type = type,
				.bar = 0,
				.offset = off,
				.length = len,
			},
		.notify_off_multiplier = VIRTIO_PCI_NOTIFY_BY,
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		c.cap.cap_len = sizeof(c);
	return pci_add_cap(&p->pci, &c, c.cap.cap_len);
}

/* Bar, offset, length and data are the driver's to write. */
static int add_window(struct virtio_pci *p)
{
	struct virtio_pci_cfg_cap c = {
		.cap =
			{
				.cap_vndr = PCI_CAP_ID_VNDR,
				.cap_len = sizeof(c),
				.cfg_type = VIRTIO_PCI_CAP_PCI_CFG,
			},
	};
	int at = pci_add_cap(&p->pci, &c, sizeof(c));

	if (at < 0)
		return at;
	p->window = (unsigned)at;
	p->pci.writable[p->window + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(&p->pci.writable[p->window + VIRTIO_PCI_CAP_OFFSET], 0xff,
	       sizeof(c) - VIRTIO_PCI_CAP_OFFSET);
	return 0;
}

static int add_caps(struct virtio_pci *p, struct err *e)
{
	const struct {
		uint8_t type;
		uint32_t off, len;
	} structure[] = {
		{VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_COMMON,
		 sizeof(struct virtio_pci_common_cfg)},
		{VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_ISR_AT, 1},
		{VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_NOTIFY,
		 p->dev->n_queues * VIRTIO_PCI_NOTIFY_BY},
		/* 4.1.4.6: only where there is a configuration. Longer than it: a driver may read on. */
		{VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_DEVICE, VIRTIO_PCI_PAGE},
	};
	int rc = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(structure) && rc >= 0; i++)
		if (structure[i].type != VIRTIO_PCI_CAP_DEVICE_CFG || p->dev->config_len > 0)
			rc = add_structure(p, structure[i].type, structure[i].off,
					   structure[i].len);
	if (rc >= 0)
		rc = add_window(p);
	return rc < 0 ? err_set(e, -rc, "%s: no room for PCI capabilities", p->pci.name) : 0;
}

static int allocate(struct virtio_pci *p, struct err *e)
{
	unsigned n = p->dev->n_queues;

	if (n > VIRTIO_PCI_MAX_QUEUES)
		return err_set(e, EINVAL, "%s: %u queues are too many for PCI", p->dev->ops->name,
			       n);
	p->doorbell = calloc(n, sizeof(*p->doorbell));
	p->vector = malloc((n + 1) * sizeof(*p->vector));
	if (!p->doorbell || !p->vector)
		return err_set(e, ENOMEM, "%s: out of memory", p->dev->ops->name);
	for (unsigned i = 0; i < n; i++)
		p->doorbell[i] = (struct bus_doorbell){
			.off = VIRTIO_PCI_NOTIFY + i * VIRTIO_PCI_NOTIFY_BY,
			.fd = p->dev->queue[i].doorbell.fd,
		};
	memset(p->vector, 0xff, (n + 1) * sizeof(*p->vector)); /* VIRTIO_MSI_NO_VECTOR */
	return 0;
}

static void fill_in(struct virtio_pci *p)
{
	pci_dev_init(&p->pci, p->dev->ops->name,
		     (struct pci_id){
			     .vendor = VENDOR_ID,
			     .device = (uint16_t)(DEVICE_ID + p->dev->ops->id),
			     .subsystem_vendor = VENDOR_ID,
			     .subsystem = SUBSYSTEM_ID,
			     .class_code = class_code(p->dev->ops->id),
			     .revision = REVISION,
			     .intx = true,
		     });
	p->pci.ops = &config_ops;
	/* Reading the ISR status changes it: not prefetchable. */
	p->pci.bar[0] = (struct pci_bar){
		.name = p->dev->ops->name,
		.size = VIRTIO_PCI_BAR_LEN,
		.is_64 = true,
		.ops = &virtio_pci_bar_ops,
		.dev = p,
		.doorbell = p->doorbell,
		.n_doorbells = p->dev->n_queues,
	};
}

int virtio_pci_create(struct virtio_pci **out, struct virtio_dev *dev, struct pci_bus *bus,
		      const struct msi_router *router, struct err *e)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));
	int rc;

	if (!p)
		return err_set(e, ENOMEM, "%s: out of memory", dev->ops->name);
	p->dev = dev;
	pthread_mutex_init(&p->lock, NULL);
	if ((rc = allocate(p, e)) < 0)
		goto fail;
	fill_in(p);
	if ((rc = msix_create(&p->msix, &p->pci, router, dev->n_queues + 1, 0, VIRTIO_PCI_MSIX,
			      VIRTIO_PCI_PBA, e)) < 0 ||
	    (rc = add_caps(p, e)) < 0)
		goto fail;
	virtio_attach(dev, (struct virtio_transport){virtio_pci_interrupt, virtio_pci_eventfd,
						     virtio_pci_reset, p});
	if ((rc = pci_add(bus, &p->pci, e)) < 0)
		goto fail;
	*out = p;
	return 0;
fail:
	virtio_pci_destroy(p);
	return rc;
}

void virtio_pci_destroy(struct virtio_pci *p)
{
	if (!p)
		return;
	virtio_attach(p->dev, (struct virtio_transport){0});
	msix_destroy(p->msix);
	pthread_mutex_destroy(&p->lock);
	free(p->vector);
	free(p->doorbell);
	free(p);
}
