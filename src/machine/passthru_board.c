// SPDX-License-Identifier: Apache-2.0
#include "machine/passthru_board.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "passthru/user.h"

/* The device is the machine's now, whatever becomes of it. */
static int connect(struct machine *m, struct vfio_device *v, struct err *e)
{
	struct passthru_host host = {.bus = &m->pci, .router = &m->msi, .loop = &m->loop};
	int rc = passthru_create(&m->passthru[m->n_passthrus], v, &host, e);

	if (rc == 0)
		m->n_passthrus++;
	return rc;
}

/* What KVM does with it costs speed at most, so that a refusal is only told. */
static void on_file(void *arg, int fd, bool comes)
{
	struct machine *m = arg;
	int rc = kvm_vfio_file(&m->kvm, &m->vfio_in_kvm, fd, comes);

	if (rc < 0)
		log_debug("vfio: KVM does not want to know of it: %s", strerror(-rc));
}

static int create_vfio(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct kernel_host host = {
		.ram = &m->ram, .loop = &m->loop, .root = "", .file = on_file, .arg = m};
	int rc;

	if (c->n_vfios == 0)
		return 0;
	rc = vfio_kernel_create(&m->vfio, &host, e);
	for (unsigned i = 0; i < c->n_vfios && rc == 0; i++) {
		struct vfio_device *v;
		rc = vfio_kernel_open(&v, m->vfio, c->vfio[i].path, e);
		if (rc == 0)
			rc = connect(m, v, e);
		if (rc < 0)
			err_wrap(e, rc, "vfio '%.200s': ", c->vfio[i].path);
	}
	return rc;
}

static int create_vfio_users(struct machine *m, struct err *e)
{
	const struct vm_config *c = m->config;
	struct vfio_user_host host = {.ram = &m->ram, .loop = &m->loop};
	int rc = 0;

	for (unsigned i = 0; i < c->n_vfio_users && rc == 0; i++) {
		const struct elsewhere_config *u = &c->vfio_user[i];
		struct vfio_device *v;
		rc = vfio_user_open(&v, &host, u->path, u->id, e);
		if (rc == 0)
			rc = connect(m, v, e);
		if (rc < 0)
			err_wrap(e, rc, "vfio-user '%.200s': ", u->path);
	}
	return rc;
}

int passthru_board_create(struct machine *m, struct err *e)
{
	int rc;

	m->passthru =
		calloc(m->config->n_vfios + m->config->n_vfio_users + 1, sizeof(m->passthru[0]));
	if (!m->passthru)
		return err_set(e, ENOMEM, "devices: out of memory");
	rc = create_vfio(m, e);
	return rc < 0 ? rc : create_vfio_users(m, e);
}

void passthru_board_destroy(struct machine *m)
{
	while (m->n_passthrus > 0)
		passthru_destroy(m->passthru[--m->n_passthrus]);
	free(m->passthru);
	m->passthru = NULL;
	vfio_kernel_destroy(m->vfio);
	m->vfio = NULL;
	fd_close(&m->vfio_in_kvm);
}
