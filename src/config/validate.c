// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "config/device.h"
#include "config/text.h"

/* What a device is called in a message: its id, or before config_complete() gave it one, its path or "?". */
static struct shown disk_label(const struct disk_config *d)
{
	return show(d->id ? d->id : d->path ? d->path : "?");
}

static struct shown net_label(const struct net_config *n)
{
	return show(n->id ? n->id : "?");
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

static int check_machine(const struct vm_config *c, struct err *e)
{
	bool wants_path = c->serial.kind == SERIAL_FILE || c->serial.kind == SERIAL_SOCKET;

	if (!c->kernel || !*c->kernel)
		return err_set(e, EINVAL,
			       "no kernel is named: --kernel FILE, or --config FILE with "
			       "boot-source.kernel_image_path");
	if (c->initrd && !*c->initrd)
		return err_set(e, EINVAL, "the initrd's file name is empty");
	if (c->cpus < 1 || c->cpus > CONFIG_MAX_CPUS)
		return err_set(e, EINVAL, "%u vCPUs: 1 to %u are possible", c->cpus,
			       CONFIG_MAX_CPUS);
	if (c->memory < CONFIG_MIN_MEMORY || c->memory > CONFIG_MAX_MEMORY || c->memory % MIB)
		return err_set(e, EINVAL,
			       "%llu bytes of memory: whole MiB from 32M to 8T are possible",
			       (unsigned long long)c->memory);
	if (wants_path && (!c->serial.path || !*c->serial.path))
		return err_set(e, EINVAL, "the serial port's file or socket is not named");
	return 0;
}

static int check_count(const struct vm_config *c, struct err *e)
{
	unsigned n = config_virtio_devices(c) + c->n_vfios + c->n_vfio_users;
	bool pci = c->transport == TRANSPORT_PCI;
	unsigned max = pci ? CONFIG_MAX_PCI_DEVICES : CONFIG_MAX_MMIO_DEVICES;

	if (n > max)
		return err_set(e, EINVAL,
			       "%u devices: at most %u are possible with the %s transport", n, max,
			       pci ? "pci" : "mmio");
	if (n > 0 && pci && config_pci_off(c))
		return err_set(e, EINVAL,
			       "the transport is pci, but the kernel's command line says pci=off: "
			       "the guest would have no devices");
	return 0;
}

/* Two disks on one file: fine while nobody writes. An overlay's file is written, its disk's is not. */
static int check_two_files(const struct disk_config *a, const struct disk_config *b, struct err *e)
{
	bool a_writes = !a->readonly && a->overlay == OVERLAY_NONE;
	bool b_writes = !b->readonly && b->overlay == OVERLAY_NONE;
	const char *twice = NULL;

	if (same(a->path, b->path) && (a_writes || b_writes) && !(a->no_lock && b->no_lock))
		twice = a->path;
	if (same(a->overlay_path, b->overlay_path) || same(a->overlay_path, b->path))
		twice = a->overlay_path;
	if (same(b->overlay_path, a->path))
		twice = b->overlay_path;
	if (!twice)
		return 0;
	return err_set(e, EINVAL, "disks '%s' and '%s' both use '%s', and one of them writes",
		       disk_label(a).text, disk_label(b).text, show(twice).text);
}

static int check_two_disks(const struct disk_config *a, const struct disk_config *b, struct err *e)
{
	if (same(a->id, b->id))
		return err_set(e, EINVAL, "two disks have the id '%s'", a->id);
	if (a->root && b->root)
		return err_set(e, EINVAL, "two disks are the root disk: '%s' and '%s'",
			       disk_label(a).text, disk_label(b).text);
	return check_two_files(a, b, e);
}

static int check_disks(const struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < c->n_disks; i++) {
		rc = disk_check(&c->disk[i], e);
		if (rc < 0)
			return err_wrap(e, rc, "disk '%s': ", disk_label(&c->disk[i]).text);
		for (unsigned k = 0; rc == 0 && k < i; k++)
			rc = check_two_disks(&c->disk[k], &c->disk[i], e);
	}
	return rc;
}

/* A wildcard address takes the port on all of the host's. */
static bool same_port(const struct hostfwd_config *a, const struct hostfwd_config *b)
{
	return a->udp == b->udp && a->host_port == b->host_port &&
	       (!a->host_addr || !b->host_addr || same(a->host_addr, b->host_addr));
}

static int check_forwards(const struct net_config *a, const struct net_config *b, struct err *e)
{
	for (unsigned i = 0; i < a->n_hostfwds; i++)
		for (unsigned k = 0; k < (a == b ? i : b->n_hostfwds); k++)
			if (same_port(&a->hostfwd[i], &b->hostfwd[k]))
				return err_set(e, EINVAL, "port %u of the host is forwarded twice",
					       a->hostfwd[i].host_port);
	return 0;
}

static int check_two_nets(const struct net_config *a, const struct net_config *b, struct err *e)
{
	if (same(a->id, b->id))
		return err_set(e, EINVAL, "two network interfaces have the id '%s'", a->id);
	if (a->has_mac && b->has_mac && memcmp(a->mac, b->mac, 6) == 0)
		return err_set(e, EINVAL, "'%s' and '%s' have the same MAC address",
			       net_label(a).text, net_label(b).text);
	if (same(a->tap, b->tap) || same(a->socket, b->socket) || (a->fd >= 0 && a->fd == b->fd))
		return err_set(e, EINVAL, "'%s' and '%s' use the same tap, fd or socket",
			       net_label(a).text, net_label(b).text);
	return check_forwards(a, b, e);
}

static int check_nets(const struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < c->n_nets; i++) {
		const struct net_config *n = &c->net[i];

		rc = net_check(n, e);
		if (rc < 0)
			return err_wrap(e, rc, "network interface '%s': ", net_label(n).text);
		rc = check_forwards(n, n, e);
		for (unsigned k = 0; rc == 0 && k < i; k++)
			rc = check_two_nets(&c->net[k], n, e);
	}
	return rc;
}

static int check_vdpas(const struct vm_config *c, struct err *e)
{
	for (unsigned i = 0; i < c->n_vdpas; i++) {
		const struct elsewhere_config *v = &c->vdpa[i];
		int rc = vdpa_check(v, e);

		if (rc < 0)
			return err_wrap(e, rc, "vdpa '%s': ", show(v->id ? v->id : "?").text);
		for (unsigned k = 0; k < i; k++) {
			if (same(c->vdpa[k].id, v->id))
				return err_set(e, EINVAL, "two vDPA devices have the id '%s'",
					       v->id);
			if (same(c->vdpa[k].path, v->path))
				return err_set(e, EINVAL, "two vDPA devices are '%s'",
					       show(v->path).text);
		}
	}
	return 0;
}

static int check_two_consoles(const struct console_config *a, const struct console_config *b,
			      struct err *e)
{
	if (a->kind == CONSOLE_STDIO && b->kind == CONSOLE_STDIO)
		return err_set(e, EINVAL, "two consoles want the terminal (stdio)");
	if (same(a->name, b->name))
		return err_set(e, EINVAL, "two consoles have the name '%s'", a->name);
	if (same(a->path, b->path))
		return err_set(e, EINVAL, "two consoles use '%s'", show(a->path).text);
	return 0;
}

static int check_consoles(const struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < c->n_consoles; i++) {
		const struct console_config *con = &c->console[i];

		rc = console_check(con, e);
		if (rc < 0)
			return err_wrap(e, rc, "console %u: ", i);
		if (con->kind == CONSOLE_STDIO && c->serial.kind == SERIAL_STDIO)
			return err_set(
				e, EINVAL,
				"the serial port and a console both want the terminal (stdio)");
		if (same(con->path, c->serial.path))
			return err_set(e, EINVAL, "the serial port and a console both use '%s'",
				       show(con->path).text);
		for (unsigned k = 0; rc == 0 && k < i; k++)
			rc = check_two_consoles(&c->console[k], con, e);
	}
	return rc;
}

static int check_two_vhost_users(const struct vhost_user_config *a,
				 const struct vhost_user_config *b, struct err *e)
{
	if (same(a->id, b->id))
		return err_set(e, EINVAL, "two vhost-user devices have the id '%s'", a->id);
	if (same(a->socket, b->socket))
		return err_set(
			e, EINVAL,
			"two vhost-user devices use the socket '%s': one back end serves one",
			show(a->socket).text);
	if (same(a->tag, b->tag))
		return err_set(e, EINVAL, "two file systems have the tag '%s'", show(a->tag).text);
	return 0;
}

static int check_vhost_users(const struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < c->n_vhost_users; i++) {
		const struct vhost_user_config *v = &c->vhost_user[i];

		rc = vhost_user_check(v, e);
		if (rc < 0)
			return err_wrap(e, rc,
					"vhost-user device '%s': ", show(v->id ? v->id : "?").text);
		for (unsigned k = 0; rc == 0 && k < i; k++)
			rc = check_two_vhost_users(&c->vhost_user[k], v, e);
	}
	return rc;
}

static int check_small(const struct vm_config *c, struct err *e)
{
	int rc = vsock_check(&c->vsock, e);

	if (rc < 0)
		return err_wrap(e, rc, "vsock: ");
	/* What a balloon gives back is replaced when the guest wants it again; the device would keep the old pages. */
	if (c->balloon.enabled && c->n_vdpas > 0)
		return err_set(e, EINVAL,
			       "a balloon is not possible with vDPA: the guest's memory is locked");
	if (c->balloon.enabled && c->balloon.target >= c->memory)
		return err_set(e, EINVAL,
			       "a balloon of %llu MiB would take all of the guest's %llu MiB",
			       (unsigned long long)(c->balloon.target / MIB),
			       (unsigned long long)(c->memory / MIB));
	return 0;
}

/* The device writes to the pages that it was given at the start, whatever the guest's memory is by then. */
static int check_vfios(const struct vm_config *c, struct err *e)
{
	if (c->n_vfios == 0)
		return 0;
	if (c->transport != TRANSPORT_PCI)
		return err_set(
			e, EINVAL,
			"a device of the host's (--vfio) needs the PCI bus: --transport pci");
	if (c->balloon.enabled)
		return err_set(e, EINVAL,
			       "--balloon and --vfio contradict each other: a device of the host's "
			       "needs all of the guest's memory in its place");
	for (unsigned i = 0; i < c->n_vfios; i++)
		for (unsigned k = 0; k < i; k++) {
			if (same(c->vfio[k].id, c->vfio[i].id))
				return err_set(e, EINVAL,
					       "two devices of the host have the id '%s'",
					       c->vfio[i].id);
			if (same(c->vfio[k].path, c->vfio[i].path))
				return err_set(e, EINVAL, "'%s' and '%s' are the same device, '%s'",
					       c->vfio[k].id ? c->vfio[k].id : "?",
					       c->vfio[i].id ? c->vfio[i].id : "?",
					       show(c->vfio[i].path).text);
		}
	return 0;
}

static int check_vfio_users(const struct vm_config *c, struct err *e)
{
	if (c->n_vfio_users && c->transport != TRANSPORT_PCI)
		return err_set(e, EINVAL, "a vfio-user device needs the PCI bus: --transport pci");
	for (unsigned i = 0; i < c->n_vfio_users; i++)
		for (unsigned k = 0; k < i; k++) {
			if (same(c->vfio_user[k].id, c->vfio_user[i].id))
				return err_set(e, EINVAL, "two vfio-user devices have the id '%s'",
					       c->vfio_user[i].id);
			if (same(c->vfio_user[k].path, c->vfio_user[i].path))
				return err_set(e, EINVAL,
					       "two vfio-user devices have the socket '%s'",
					       show(c->vfio_user[i].path).text);
		}
	return 0;
}

int config_validate(const struct vm_config *c, struct err *e)
{
	int rc;

	if ((rc = check_machine(c, e)) < 0 || (rc = check_count(c, e)) < 0 ||
	    (rc = check_disks(c, e)) < 0 || (rc = check_nets(c, e)) < 0 ||
	    (rc = check_vdpas(c, e)) < 0 || (rc = check_consoles(c, e)) < 0 ||
	    (rc = check_vfios(c, e)) < 0 || (rc = check_vfio_users(c, e)) < 0 ||
	    (rc = check_vhost_users(c, e)) < 0)
		return rc;
	return check_small(c, e);
}
