// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "config/config.h"

/* The value of the first word "name=..." of a kernel's command line, or NULL. What follows "--" is init's. */
static const char *find_word(const char *cmdline, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = cmdline; *p; p += strcspn(p, " ")) {
		p += strspn(p, " ");
		if (strcmp(p, "--") == 0 || strncmp(p, "-- ", 3) == 0)
			return NULL;
		if (strncmp(p, name, len) == 0 && p[len] == '=')
			return p + len + 1;
	}
	return NULL;
}

/* "pci=off", also among others: "pci=nomsi,off". */
bool config_pci_off(const struct vm_config *c)
{
	const char *p = c->cmdline ? find_word(c->cmdline, "pci") : NULL;

	while (p) {
		size_t len = strcspn(p, ", ");

		if (len == 3 && strncmp(p, "off", 3) == 0)
			return true;
		p = p[len] == ',' ? p + len + 1 : find_word(p + len, "pci");
	}
	return false;
}

/* A kernel that looks for no PCI would be left without its devices. */
static void choose_transport(struct vm_config *c)
{
	bool no_pci = config_pci_off(c);

	if (c->transport_given)
		return;
	c->transport = no_pci || c->older_toyvmm ? TRANSPORT_MMIO : TRANSPORT_PCI;
	if (c->transport == TRANSPORT_MMIO)
		log_info("transport: mmio, for %s", no_pci ? "the command line says pci=off"
							   : "the file is an older ToyVMM's");
}

/* One terminal: where the virtio console has it, the serial port gives way unless it was asked for. */
static int choose_console(struct vm_config *c, struct err *e)
{
	bool takes_terminal = false;

	for (unsigned i = 0; i < c->n_consoles; i++) {
		c->console[i].is_console = i == 0;
		takes_terminal |= c->console[i].kind == CONSOLE_STDIO;
	}
	if (!takes_terminal || c->serial.given)
		return 0;
	c->serial.kind = SERIAL_NONE;
	if (c->cmdline || c->console[0].kind != CONSOLE_STDIO)
		return 0;
	c->cmdline = strdup(CONFIG_HVC_CMDLINE);
	return c->cmdline ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* "disk0", or the first number that nobody has: the user may have called another one so. */
static int name_one(char **id, const char *kind, unsigned number,
		    bool (*taken)(const struct vm_config *, const char *),
		    const struct vm_config *c, struct err *e)
{
	char name[32];

	if (*id)
		return 0;
	do
		snprintf(name, sizeof(name), "%s%u", kind, number++);
	while (taken(c, name));
	*id = strdup(name);
	return *id ? 0 : err_set(e, ENOMEM, "out of memory");
}

static bool is_disk(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_disks; i++)
		if (c->disk[i].id && strcmp(c->disk[i].id, name) == 0)
			return true;
	return false;
}

static bool is_net(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_nets; i++)
		if (c->net[i].id && strcmp(c->net[i].id, name) == 0)
			return true;
	return false;
}

static bool is_vfio(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_vfios; i++)
		if (c->vfio[i].id && strcmp(c->vfio[i].id, name) == 0)
			return true;
	return false;
}

static bool is_vdpa(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_vdpas; i++)
		if (c->vdpa[i].id && strcmp(c->vdpa[i].id, name) == 0)
			return true;
	return false;
}

static bool is_vfio_user(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_vfio_users; i++)
		if (c->vfio_user[i].id && strcmp(c->vfio_user[i].id, name) == 0)
			return true;
	return false;
}

static bool is_vhost_user(const struct vm_config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_vhost_users; i++)
		if (c->vhost_user[i].id && strcmp(c->vhost_user[i].id, name) == 0)
			return true;
	return false;
}

static int name_devices(struct vm_config *c, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < c->n_disks; i++) {
		struct disk_config *d = &c->disk[i];

		rc = name_one(&d->id, "disk", i, is_disk, c, e);
		if (rc == 0 && !d->serial && !(d->serial = strndup(d->id, DISK_SERIAL_MAX)))
			rc = err_set(e, ENOMEM, "out of memory");
	}
	for (unsigned i = 0; rc == 0 && i < c->n_nets; i++)
		rc = name_one(&c->net[i].id, "net", i, is_net, c, e);
	for (unsigned i = 0; rc == 0 && i < c->n_vfios; i++)
		rc = name_one(&c->vfio[i].id, "vfio", i, is_vfio, c, e);
	for (unsigned i = 0; rc == 0 && i < c->n_vdpas; i++)
		rc = name_one(&c->vdpa[i].id, "vdpa", i, is_vdpa, c, e);
	for (unsigned i = 0; rc == 0 && i < c->n_vfio_users; i++)
		rc = name_one(&c->vfio_user[i].id, "vfio-user", i, is_vfio_user, c, e);
	for (unsigned i = 0; rc == 0 && i < c->n_vhost_users; i++) {
		struct vhost_user_config *v = &c->vhost_user[i];

		rc = name_one(&v->id, v->device_id == VIRTIO_ID_FS ? "fs" : "vhost-user", 0,
			      is_vhost_user, c, e);
	}
	return rc;
}

int config_complete(struct vm_config *c, struct err *e)
{
	int rc = choose_console(c, e);

	choose_transport(c);
	return rc < 0 ? rc : name_devices(c, e);
}

/* As Linux names the n-th virtio disk: vda to vdz, vdaa and on. */
static void disk_name(unsigned n, char name[8])
{
	if (n < 26)
		snprintf(name, 8, "vd%c", 'a' + n);
	else
		snprintf(name, 8, "vd%c%c", 'a' + n / 26 % 26 - 1, 'a' + n % 26);
}

void config_root_words(const struct vm_config *c, char words[CONFIG_ROOT_WORDS_MAX])
{
	unsigned i = 0;
	char name[8];

	words[0] = '\0';
	while (i < c->n_disks && !c->disk[i].root)
		i++;
	if (i == c->n_disks || (c->cmdline && find_word(c->cmdline, "root")))
		return;
	disk_name(i, name);
	snprintf(words, CONFIG_ROOT_WORDS_MAX, "root=%s%s %s",
		 c->disk[i].partuuid ? "PARTUUID=" : "/dev/",
		 c->disk[i].partuuid ? c->disk[i].partuuid : name,
		 c->disk[i].readonly ? "ro" : "rw");
}
