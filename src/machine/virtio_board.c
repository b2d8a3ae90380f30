// SPDX-License-Identifier: Apache-2.0
#include "machine/virtio_board.h"

#include <errno.h>
#include <stdlib.h>

#include "backend/terminal.h"
#include "dev/virtio/balloon.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "dev/virtio/vhost.h"
#include "dev/virtio/vhost_user.h"
#include "dev/virtio/vsock.h"
#include "machine/wiring.h"
#include "vhost/vdpa.h"
#include "virtio/mmio.h"
#include "virtio/pci.h"

struct boot_mmio virtio_board_place(unsigned i)
{
	static const uint8_t gsi[VIRTIO_MMIO_MAX] = VIRTIO_MMIO_GSIS;

	return (struct boot_mmio){VIRTIO_MMIO_BASE + i * PAGE_SIZE, gsi[i]};
}

static int connect_mmio(struct machine *m, struct virtio_slot *s, unsigned i, struct err *e)
{
	const struct boot_mmio *place = &m->hardware.mmio[i];
	int rc;

	if ((rc = irq_init(&s->irq, e)) < 0 ||
	    (rc = kvm_connect_irq(&m->kvm, s->irq.fd, place->gsi, e)) < 0)
		return rc;
	return virtio_mmio_create(&s->mmio, s->dev, &m->mmio, place->base, &s->irq, e);
}

/* The device is the slot's now, whatever becomes of it. */
static int connect(struct machine *m, struct virtio_dev *dev, struct err *e)
{
	unsigned i = m->n_virtio++;
	struct virtio_slot *s = &m->virtio[i];

	*s = (struct virtio_slot){.dev = dev, .irq.fd = -1};
	return m->hardware.pci ? virtio_pci_create(&s->pci, dev, &m->pci, &m->msi, e)
			       : connect_mmio(m, s, i, e);
}

static int create_disks(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct virtio_dev *dev = NULL;
	int rc = 0;

	for (unsigned i = 0; i < c->n_disks && rc == 0; i++) {
		struct disk_config disk = c->disk[i];
		if (disk.queues == 0)
			disk.queues = MIN(c->cpus, 4u);
		if ((rc = blk_create(&dev, &disk, &m->virtio_host, e)) == 0)
			rc = connect(m, dev, e);
	}
	return rc;
}

static int create_nets(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct virtio_dev *dev = NULL;
	int rc = 0;

	for (unsigned i = 0; i < c->n_nets && rc == 0; i++)
		if ((rc = net_create(&dev, &c->net[i], &m->virtio_host, e)) == 0)
			rc = connect(m, dev, e);
	return rc;
}

static int create_vdpas(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct virtio_dev *dev = NULL;
	int rc = 0;

	for (unsigned i = 0; i < c->n_vdpas && rc == 0; i++) {
		struct vdpa_place place = {.name = c->vdpa[i].id,
					   .path = c->vdpa[i].path,
					   .mem = &m->ram,
					   .loop = &m->loop};
		struct vhost *v;

		if ((rc = vdpa_create(&v, &place, e)) == 0 &&
		    (rc = vhost_dev_create(&dev, v, c->vdpa[i].id, &m->virtio_host, e)) == 0)
			rc = connect(m, dev, e);
	}
	return rc;
}

static void on_quit_key(void *arg)
{
	machine_stop(arg, OUTCOME_ENDED);
}

static int create_console(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct virtio_dev *dev = NULL;
	int rc;

	if (c->n_consoles == 0)
		return 0;
	rc = console_create(&dev, c->console, c->n_consoles, (struct console_quit){on_quit_key, m},
			    &m->virtio_host, e);
	if (rc < 0)
		return rc;
	console_set_tap(dev, doctor_see, &m->doctor.ear[DOCTOR_CONSOLE]);
	if (c->console[0].kind == CONSOLE_STDIO)
		m->console = dev;
	virtio_board_resized(m);
	return connect(m, dev, e);
}

void virtio_board_resized(struct machine *m)
{
	unsigned cols, rows;

	if (m->console && terminal_size(&cols, &rows))
		console_resized(m->console, cols, rows);
}

static int create_rng(struct machine *m, struct err *e)
{
	struct virtio_dev *dev = NULL;
	int rc;

	if (!m->config->rng.enabled)
		return 0;
	rc = rng_create(&dev, &m->config->rng, &m->virtio_host, e);
	return rc < 0 ? rc : connect(m, dev, e);
}

static int create_vsock(struct machine *m, struct err *e)
{
	struct virtio_dev *dev = NULL;
	int rc;

	if (m->config->vsock.cid == 0)
		return 0;
	rc = vsock_create(&dev, &m->config->vsock, &m->virtio_host, e);
	return rc < 0 ? rc : connect(m, dev, e);
}

static int create_balloon(struct machine *m, struct err *e)
{
	struct virtio_dev *dev = NULL;
	int rc;

	if (!m->config->balloon.enabled)
		return 0;
	rc = balloon_create(&dev, &m->config->balloon, &m->virtio_host, e);
	return rc < 0 ? rc : connect(m, dev, e);
}

static int create_vhost_users(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct virtio_dev *dev = NULL;
	int rc = 0;

	for (unsigned i = 0; i < c->n_vhost_users && rc == 0; i++)
		if ((rc = vhost_user_dev_create(&dev, &c->vhost_user[i], MIN(c->cpus, 4u),
						&m->virtio_host, e)) == 0)
			rc = connect(m, dev, e);
	return rc;
}

/* The bus with its bridge, also when there is nothing on it: a PC without one puzzles kernels. */
static int create_pci(struct machine *m, struct err *e)
{
	int rc;

	if (!m->hardware.pci)
		return 0;
	rc = pci_bus_init(&m->pci, &m->mmio, &m->pio, e);
	if (rc < 0)
		return rc;
	m->pci.window32 = PCI_WINDOW_START;
	m->pci.window32_last = PCI_WINDOW_END - 1;
	m->pci.window_io = PORT_PCI_WINDOW;
	m->pci.window_io_last = 0xffff;
	m->pci.window64 = m->hardware.window64;
	m->pci.window64_last = m->hardware.window64_last;
	m->pci.set_intx = wiring_set_intx;
	m->pci.connect_intx = wiring_connect_intx;
	m->pci.intx_arg = m;
	for (unsigned line = 0; line < PCI_INTX_LINES; line++)
		m->pci.interrupt_line[line] = (uint8_t)(GSI_PCI_INTX + line);
	rc = bus_add(&m->pio,
		     (struct bus_region){.name = "PCI configuration",
					 .base = PORT_PCI_CONFIG,
					 .last = PORT_PCI_CONFIG + PCI_PORTS - 1,
					 .ops = &pci_port_ops,
					 .dev = &m->pci},
		     e);
	if (rc < 0)
		return rc;
	return bus_add(&m->mmio,
		       (struct bus_region){.name = "PCI ECAM",
					   .base = PCI_ECAM_BASE,
					   .last = PCI_ECAM_END - 1,
					   .ops = &pci_ecam_ops,
					   .dev = &m->pci},
		       e);
}

int virtio_board_create(struct machine *m, struct err *e)
{
	static int (*const create[])(struct machine * m, struct err * e) = {
		create_pci, create_disks, create_nets,    create_vdpas,       create_console,
		create_rng, create_vsock, create_balloon, create_vhost_users,
	};
	int rc;

	m->virtio_host = (struct virtio_host){.mem = &m->ram, .loop = &m->loop};
	m->virtio = calloc(config_virtio_devices(m->config) + 1, sizeof(*m->virtio));
	if (!m->virtio)
		return err_set(e, ENOMEM, "devices: out of memory");
	for (unsigned i = 0; i < ARRAY_SIZE(create); i++)
		if ((rc = create[i](m, e)) < 0)
			return rc;
	return 0;
}

void virtio_board_destroy(struct machine *m)
{
	for (unsigned i = 0; i < m->n_virtio; i++) {
		struct virtio_slot *s = &m->virtio[i];
		virtio_pci_destroy(s->pci);
		virtio_mmio_destroy(s->mmio);
		virtio_destroy(s->dev);
		irq_fini(&s->irq);
	}
	free(m->virtio);
	m->virtio = NULL;
	m->n_virtio = 0;
}
