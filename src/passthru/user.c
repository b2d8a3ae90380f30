// SPDX-License-Identifier: Apache-2.0
#include "passthru/user.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "backend/unix_socket.h"
#include "base/clock.h"
#include "base/log.h"
#include "passthru/user_impl.h"

#define GOODBYE_MS 1000 /* for a reset and the end of DMA, before the socket is closed */

/* ---- one user of the connection at a time ---- */

/* While a thread waits for a reply it reads the socket, not the loop. */
static void watch_for(struct user_device *u, uint32_t events)
{
	if (!u->watched)
		return;
	/* What fails here has failed before, in user_watch(). */
	(void)!loop_modify(u->host.loop, &u->main, events);
	if (u->twin.fd >= 0)
		(void)!loop_modify(u->host.loop, &u->twin, events);
}

/* The connection may have broken; the loop is woken by the socket's end. */
static void settle(struct user_device *u)
{
	if (u->state == USER_UP && u->conn.broken)
		u->state = u->conn.broken == USER_CLOSED ? USER_AWAY : USER_DEAD;
}

static void begin(struct user_device *u)
{
	pthread_mutex_lock(&u->lock);
	watch_for(u, 0);
}

static void end(struct user_device *u)
{
	settle(u);
	watch_for(u, EPOLLIN);
	pthread_mutex_unlock(&u->lock);
}

/* ---- the device's functions ---- */

static bool in_region(const struct vfio_device *v, unsigned index, uint64_t off, unsigned len)
{
	return index < VFIO_PCI_NUM_REGIONS && len <= 8 && off <= v->region[index].size &&
	       len <= v->region[index].size - off;
}

static int user_read(struct vfio_device *v, unsigned index, uint64_t off, void *data, unsigned len)
{
	struct user_device *u = user_of(v);
	int rc = -EIO;

	if (in_region(v, index, off, len)) {
		begin(u);
		if (u->state == USER_UP)
			rc = user_conn_read(&u->conn, index, off, data, len);
		end(u);
	}
	if (rc < 0)
		memset(data, 0xff, len);
	return rc;
}

static const struct user_shadow *find_shadow(const struct user_device *u, unsigned index,
					     uint64_t off, const void *data, unsigned len)
{
	for (unsigned i = 0; i < u->more[index].n_shadows; i++) {
		const struct user_shadow *s = &u->more[index].shadow[i];
		uint64_t value = 0;
		memcpy(&value, data, len);
		if (s->off == off && s->len == len && (!s->match || s->value == value))
			return s;
	}
	return NULL;
}

static int write_up(struct user_device *u, unsigned index, uint64_t off, const void *data,
		    unsigned len)
{
	const struct user_shadow *s = find_shadow(u, index, off, data, len);

	return s ? user_shadow_ring(s, data) : user_conn_write(&u->conn, index, off, data, len);
}

static int user_write(struct vfio_device *v, unsigned index, uint64_t off, const void *data,
		      unsigned len)
{
	struct user_device *u = user_of(v);
	int rc = -EIO;

	if (!in_region(v, index, off, len))
		return -EIO;
	begin(u);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX && off == PCI_COMMAND && len >= 2)
		memcpy(&u->pci_command, data, 2);
	if (u->state == USER_UP)
		rc = write_up(u, index, off, data, len);
	end(u);
	return rc;
}

static int user_op_set_irqs(struct vfio_device *v, uint32_t flags, unsigned index, unsigned start,
			    unsigned count, const int *fd)
{
	struct user_device *u = user_of(v);
	int rc;

	begin(u);
	rc = user_set_irqs(u, flags, index, start, count, fd);
	end(u);
	return rc;
}

static int reset(struct user_conn *c)
{
	return user_conn_tell(c, &(struct user_request){.command = USER_RESET});
}

static int user_reset(struct vfio_device *v)
{
	struct user_device *u = user_of(v);
	int rc = 0; /* the server that comes is told to reset it */

	if (!(v->flags & VFIO_DEVICE_FLAGS_RESET))
		return -ENOTTY;
	begin(u);
	if (u->state == USER_UP)
		rc = reset(&u->conn);
	else if (u->state == USER_DEAD)
		rc = -EIO;
	end(u);
	return rc;
}

/* ---- loss; loop thread ---- */

static void unwatch(struct user_device *u)
{
	pthread_mutex_lock(&u->lock);
	if (u->watched) {
		loop_remove(u->host.loop, &u->main);
		if (u->twin.fd >= 0)
			loop_remove(u->host.loop, &u->twin);
	}
	u->watched = false;
	pthread_mutex_unlock(&u->lock);
}

void user_die(struct user_device *u, const char *why)
{
	pthread_mutex_lock(&u->lock);
	u->state = USER_DEAD;
	pthread_mutex_unlock(&u->lock);
	if (u->base.gone)
		u->base.gone(u->base.arg, why);
	else
		log_warn("vfio-user '%s': %s", u->base.name, why);
}

static void lose(struct user_device *u)
{
	char why[sizeof(u->conn.why)];
	bool away;

	unwatch(u);
	pthread_mutex_lock(&u->lock);
	memcpy(why, u->conn.why, sizeof(why));
	user_conn_fini(&u->conn);
	away = u->state == USER_AWAY;
	pthread_mutex_unlock(&u->lock);
	if (away) {
		log_warn("vfio-user '%s': %s; until it is back, the device is all ones",
			 u->base.name, why);
		if (user_again_start(u) == 0)
			return;
	}
	user_die(u, why);
}

static void on_socket(void *arg, uint32_t events)
{
	struct user_device *u = arg;
	bool lost;

	(void)events;
	/* Who has the lock reads the socket, and comes to know what this is about. */
	if (pthread_mutex_trylock(&u->lock) != 0)
		return;
	if (u->state == USER_UP)
		user_conn_serve(&u->conn);
	settle(u);
	lost = u->state != USER_UP;
	pthread_mutex_unlock(&u->lock);
	if (lost)
		lose(u);
}

int user_watch(struct user_device *u)
{
	int rc;

	pthread_mutex_lock(&u->lock);
	u->main = (struct loop_source){u->conn.main.fd, on_socket, u};
	u->twin = (struct loop_source){u->conn.twin.fd, on_socket, u};
	rc = loop_add(u->host.loop, &u->main, EPOLLIN);
	if (rc == 0 && u->twin.fd >= 0) {
		rc = loop_add(u->host.loop, &u->twin, EPOLLIN);
		if (rc < 0)
			loop_remove(u->host.loop, &u->main);
	}
	u->watched = rc == 0;
	pthread_mutex_unlock(&u->lock);
	return rc;
}

/* ---- life ---- */

int user_setup(struct user_conn *c, struct user_info *info, const struct vfio_region *old,
	       struct err *e)
{
	int rc;

	*info = (struct user_info){0};
	c->until_ms = clock_ms() + c->deadline_ms;
	if ((rc = user_conn_negotiate(c, e)) < 0 || (rc = user_info_read(info, c, old, e)) < 0)
		return rc;
	rc = info->flags & VFIO_DEVICE_FLAGS_RESET ? reset(c) : 0;
	if (rc < 0)
		return user_conn_err(c, rc, "reset", e);
	rc = user_map_ram(c, e);
	c->until_ms = 0;
	return rc;
}

static void user_destroy(struct vfio_device *v)
{
	struct user_device *u = user_of(v);

	user_again_stop(u);
	unwatch(u);
	user_relays_fini(u);
	u->conn.deadline_ms = MIN(u->conn.deadline_ms, GOODBYE_MS);
	if (u->state == USER_UP) {
		if (v->flags & VFIO_DEVICE_FLAGS_RESET)
			reset(&u->conn);
		user_unmap_ram(&u->conn);
	}
	user_conn_fini(&u->conn);
	user_regions_fini(v->region, u->more, true);
	user_irqs_fini(u);
	pthread_mutex_destroy(&u->lock);
	free(u->path);
	free(v->name);
	free(u);
}

static const struct vfio_ops ops = {
	.read = user_read,
	.write = user_write,
	.set_irqs = user_op_set_irqs,
	.reset = user_reset,
	.destroy = user_destroy,
};

static struct user_device *allocate(const struct vfio_user_host *host, const char *path,
				    const char *name)
{
	struct user_device *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->base.ops = &ops;
	u->base.name = strdup(name);
	u->path = strdup(path);
	u->host = *host;
	if (!u->host.deadline_ms)
		u->host.deadline_ms = VFIO_USER_DEADLINE_MS;
	u->conn.main.fd = u->conn.twin.fd = -1;
	u->state = USER_AWAY;
	pthread_mutex_init(&u->lock, NULL);
	return u;
}

static int start(struct user_device *u, struct err *e)
{
	struct user_info info;
	int rc, fd = unix_connect(u->path);

	if (fd == -ENOENT || fd == -ECONNREFUSED)
		return err_set(e, -fd, "no server listens there");
	if (fd < 0)
		return err_set(e, -fd, "cannot connect: %s", strerror(-fd));
	if (user_conn_init(&u->conn, fd, u->host.ram, u->host.deadline_ms) < 0)
		return err_set(e, ENOMEM, "out of memory");
	rc = user_setup(&u->conn, &info, NULL, e);
	u->base.flags = info.flags;
	memcpy(u->base.region, info.region, sizeof(info.region));
	memcpy(u->more, info.more, sizeof(info.more));
	memcpy(u->base.irq, info.irq, sizeof(info.irq));
	memcpy(u->identity, info.identity, sizeof(info.identity));
	if (rc < 0)
		return rc;
	if (user_irqs_init(u) < 0)
		return err_set(e, ENOMEM, "out of memory");
	u->state = USER_UP;
	rc = user_watch(u);
	return rc < 0 ? err_set(e, -rc, "cannot wait for the server: %s", strerror(-rc)) : 0;
}

int vfio_user_open(struct vfio_device **out, const struct vfio_user_host *host, const char *path,
		   const char *name, struct err *e)
{
	struct user_device *u = allocate(host, path, name);
	int rc;

	if (!u || !u->base.name || !u->path) {
		if (u)
			user_destroy(&u->base);
		return err_set(e, ENOMEM, "out of memory");
	}
	rc = start(u, e);
	if (rc < 0) {
		user_destroy(&u->base);
		return rc;
	}
	*out = &u->base;
	return 0;
}
