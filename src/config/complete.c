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

/* Devices of one kind, each a struct that begins with its id. */
struct kind {
	void *first;
	unsigned n;
	size_t size;
};

#define BEGINS_WITH_ID(type) _Static_assert(offsetof(struct type, id) == 0, "the id comes first")
BEGINS_WITH_ID(disk_config);
BEGINS_WITH_ID(net_config);
BEGINS_WITH_ID(elsewhere_config);
BEGINS_WITH_ID(vhost_user_config);

static char **id_of(const struct kind *k, unsigned i)
{
	return (char **)((char *)k->first + i * k->size);
}

static bool is_taken(const struct kind *k, const char *name)
{
	for (unsigned i = 0; i < k->n; i++)
		if (*id_of(k, i) && strcmp(*id_of(k, i), name) == 0)
			return true;
	return false;
}

/* "disk0", or the first number that nobody has: the user may have called another one so. */
static int name_one(const struct kind *k, unsigned i, const char *word, unsigned number,
		    struct err *e)
{
	char name[32], **id = id_of(k, i);

	if (*id)
		return 0;
	do
		snprintf(name, sizeof(name), "%s%u", word, number++);
	while (is_taken(k, name));
	*id = strdup(name);
	return *id ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int name_all(void *first, unsigned n, size_t size, const char *word, struct err *e)
{
	const struct kind k = {first, n, size};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = name_one(&k, i, word, i, e);
	return rc;
}

static int name_vhost_users(struct vm_config *c, struct err *e)
{
	const struct kind k = {c->vhost_user, c->n_vhost_users, sizeof(*c->vhost_user)};
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < k.n; i++)
		rc = name_one(&k, i,
			      c->vhost_user[i].device_id == VIRTIO_ID_FS ? "fs" : "vhost-user", 0,
			      e);
	return rc;
}

/* A disk has a serial number as well. */
static int complete_serials(struct vm_config *c, struct err *e)
{
	for (unsigned i = 0; i < c->n_disks; i++) {
		struct disk_config *d = &c->disk[i];

		if (!d->serial && !(d->serial = strndup(d->id, DISK_SERIAL_MAX)))
			return err_set(e, ENOMEM, "out of memory");
	}
	return 0;
}

static int name_devices(struct vm_config *c, struct err *e)
{
	int rc;

	if ((rc = name_all(c->disk, c->n_disks, sizeof(*c->disk), "disk", e)) < 0 ||
	    (rc = complete_serials(c, e)) < 0 ||
	    (rc = name_all(c->net, c->n_nets, sizeof(*c->net), "net", e)) < 0 ||
	    (rc = name_all(c->vfio, c->n_vfios, sizeof(*c->vfio), "vfio", e)) < 0 ||
	    (rc = name_all(c->vdpa, c->n_vdpas, sizeof(*c->vdpa), "vdpa", e)) < 0 ||
	    (rc = name_all(c->vfio_user, c->n_vfio_users, sizeof(*c->vfio_user), "vfio-user", e)) <
		    0)
		return rc;
	return name_vhost_users(c, e);
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
