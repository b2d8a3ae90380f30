// SPDX-License-Identifier: Apache-2.0
#include "bus/msi.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int msi_source_open(struct msi_source *s, const struct msi_router *r)
{
	struct err ignored;

	if (s->irq.fd < 0 && irq_init(&s->irq, &ignored) < 0)
		return -EMFILE;
	if (s->route < 0)
		s->route = r->open(r->arg, s->irq.fd);
	return MIN(s->route, 0);
}

int msi_source_connect(struct msi_source *s, const struct msi_router *r, uint64_t address,
		       uint32_t data)
{
	int rc;

	if (s->connected && s->address == address && s->data == data)
		return 0;
	rc = msi_source_open(s, r);
	if (rc == 0)
		rc = r->connect(r->arg, s->route, address, data);
	if (rc < 0)
		msi_source_disconnect(s, r);
	s->connected = rc == 0;
	s->address = address;
	s->data = data;
	return rc;
}

void msi_source_disconnect(struct msi_source *s, const struct msi_router *r)
{
	if (s->connected)
		r->disconnect(r->arg, s->route);
	s->connected = false;
}

bool msi_source_waiting(const struct msi_source *s)
{
	struct pollfd p = {.fd = s->irq.fd, .events = POLLIN};

	return !s->connected && poll(&p, 1, 0) == 1;
}

void msi_source_forget(struct msi_source *s)
{
	uint64_t n;

	if (msi_source_waiting(s) && read(s->irq.fd, &n, sizeof(n)) < 0)
		return; /* cannot be: it was readable, and nobody else reads it */
}

void msi_source_close(struct msi_source *s, const struct msi_router *r)
{
	if (s->route >= 0)
		r->close(r->arg, s->route);
	irq_fini(&s->irq);
}
