// SPDX-License-Identifier: Apache-2.0
/*
 * A server that has closed its socket may come again: another process at the same path, or the same one. A thread waits
 * for it, since asking it everything takes as long as it likes; meanwhile the guest goes on. What it offers must be
 * what there was: the guest has found that device on its bus. Then RAM and interrupts are given to it.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/unix_socket.h"
#include "base/io.h"
#include "base/log.h"
#include "passthru/user_impl.h"

#define RETRY_MS 200

struct user_again {
	struct user_device *u;
	pthread_t thread;
	int stop_fd;              /* eventfd: the thread shall end */
	struct loop_source ended; /* eventfd: it has */
	struct user_info info;
	struct err e;
	bool back; /* the device is up again; else `e` says why not */
};

/* ---- the thread ---- */

static bool stopped(const struct user_again *a, int ms)
{
	struct pollfd p = {.fd = a->stop_fd, .events = POLLIN};

	return poll(&p, 1, ms) > 0;
}

static bool same_doorbells(const struct vfio_region *a, const struct vfio_region *b)
{
	if (a->n_doorbells != b->n_doorbells)
		return false;
	for (unsigned i = 0; i < a->n_doorbells; i++)
		if (a->doorbell[i].off != b->doorbell[i].off ||
		    a->doorbell[i].len != b->doorbell[i].len)
			return false;
	return true;
}

/* What user_info_read() has not compared yet. */
static bool same_device(const struct user_device *u, const struct user_info *info)
{
	if (u->base.flags != info->flags ||
	    memcmp(u->identity, info->identity, sizeof(info->identity)) != 0)
		return false;
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		if (!same_doorbells(&u->base.region[i], &info->region[i]))
			return false;
	for (unsigned i = 0; i < VFIO_PCI_NUM_IRQS; i++)
		if (u->base.irq[i].count != info->irq[i].count)
			return false;
	return true;
}

/* The state that the guest believes the device to have, and that its driver does not set after a mere reset. */
static int restore(struct user_device *u, struct user_conn *c)
{
	int rc = user_irqs_again(u, c);

	if (rc == 0 && u->pci_command)
		rc = user_conn_write(c, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &u->pci_command,
				     sizeof(u->pci_command));
	return rc;
}

/* Lock held: from here on the guest reaches the new server. */
static void take_over(struct user_again *a, struct user_conn *c)
{
	struct user_device *u = a->u;

	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++) {
		struct user_region old = u->more[i];
		u->more[i] = a->info.more[i];
		a->info.more[i] = old;
	}
	u->conn = *c;
	u->state = USER_UP;
	a->back = true;
}

/* 0: back; -EAGAIN: it has closed the connection again; else it is not what there was: `e`. */
static int try(struct user_again *a, int fd)
{
	struct user_device *u = a->u;
	struct user_conn c;
	int rc = user_conn_init(&c, fd, u->host.ram, u->host.deadline_ms);

	if (rc < 0)
		return err_set(&a->e, -rc, "out of memory");
	rc = user_setup(&c, &a->info, u->base.region, &a->e);
	if (rc == 0 && !same_device(u, &a->info))
		rc = err_set(&a->e, EPROTO, "it is another device");
	pthread_mutex_lock(&u->lock);
	if (rc == 0) {
		rc = restore(u, &c);
		if (rc < 0)
			user_conn_err(&c, rc, "interrupts", &a->e);
	}
	if (rc == 0)
		take_over(a, &c);
	pthread_mutex_unlock(&u->lock);
	if (rc == 0)
		return 0;
	rc = c.broken == USER_CLOSED ? -EAGAIN : rc;
	user_conn_fini(&c);
	user_info_fini(&a->info, false); /* its areas are where the old ones were */
	return rc;
}

static void *wait_for_server(void *arg)
{
	struct user_again *a = arg;
	int rc = -EAGAIN;

	while (rc == -EAGAIN && !stopped(a, RETRY_MS)) {
		int fd = unix_connect(a->u->path);
		if (fd >= 0)
			rc = try(a, fd);
	}
	eventfd_write(a->ended.fd, 1);
	return NULL;
}

/* ---- doorbells that KVM rings ---- */

static void on_relay(void *arg, uint32_t events)
{
	struct user_relay *r = arg;
	uint64_t n;
	struct iovec iov = {&n, sizeof(n)};
	struct pollfd p = {.fd = r->to, .events = POLLOUT};

	(void)events;
	/* The eventfds are servers' own: neither call may wait for one. */
	if (preadv2(r->source.fd, &iov, 1, -1, RWF_NOWAIT) != sizeof(n))
		return;
	n = 1;
	if (poll(&p, 1, 0) == 1 && p.revents & POLLOUT && write(r->to, &n, sizeof(n)) < 0)
		log_debug("vfio-user: a doorbell: %s", strerror(errno));
}

void user_relays_fini(struct user_device *u)
{
	for (unsigned i = 0; i < u->n_relays; i++) {
		loop_remove(u->host.loop, &u->relay[i].source);
		fd_close(&u->relay[i].to);
	}
	free(u->relay);
	u->relay = NULL;
	u->n_relays = 0;
}

static int add_relay(struct user_device *u, int from, int *to)
{
	struct user_relay *r = &u->relay[u->n_relays];
	int rc;

	*r = (struct user_relay){{from, on_relay, r}, *to};
	rc = loop_add(u->host.loop, &r->source, EPOLLIN);
	if (rc < 0)
		return rc;
	*to = -1;
	u->n_relays++;
	return 0;
}

static int relay_all(struct user_device *u, struct user_info *info)
{
	unsigned n = 0;
	int rc = 0;

	user_relays_fini(u);
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		n += info->region[i].n_doorbells;
	if (n == 0)
		return 0;
	u->relay = calloc(n, sizeof(*u->relay));
	if (!u->relay)
		return -ENOMEM;
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		for (unsigned k = 0; k < info->region[i].n_doorbells && rc == 0; k++)
			rc = add_relay(u, u->base.region[i].doorbell[k].fd,
				       &info->region[i].doorbell[k].fd);
	return rc;
}

/* ---- the loop's side ---- */

void user_again_stop(struct user_device *u)
{
	struct user_again *a = u->again;

	if (!a)
		return;
	eventfd_write(a->stop_fd, 1);
	pthread_join(a->thread, NULL);
	loop_remove(u->host.loop, &a->ended);
	user_info_fini(&a->info, false);
	close(a->ended.fd);
	close(a->stop_fd);
	free(a);
	u->again = NULL;
}

static void on_ended(void *arg, uint32_t events)
{
	struct user_again *a = arg;
	struct user_device *u = a->u;
	struct err e = a->e;
	bool back = a->back;
	int rc = 0;

	(void)events;
	if (back && (rc = relay_all(u, &a->info)) == 0)
		rc = user_watch(u);
	user_again_stop(u);
	if (back && rc == 0) {
		log_warn("vfio-user '%s': the server is back; the device has been reset",
			 u->base.name);
		return;
	}
	if (rc < 0)
		err_set(&e, -rc, "cannot wait for it: %s", strerror(-rc));
	user_die(u, e.text);
}

static int start_thread(struct user_again *a)
{
	int rc = loop_add(a->u->host.loop, &a->ended, EPOLLIN);

	if (rc < 0)
		return rc;
	rc = pthread_create(&a->thread, NULL, wait_for_server, a);
	if (rc > 0)
		loop_remove(a->u->host.loop, &a->ended);
	return -rc;
}

int user_again_start(struct user_device *u)
{
	struct user_again *a = calloc(1, sizeof(*a));
	int rc = -ENOMEM;

	if (!a)
		return rc;
	a->u = u;
	a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->ended = (struct loop_source){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_ended, a};
	rc = a->stop_fd < 0 || a->ended.fd < 0 ? -EMFILE : start_thread(a);
	if (rc == 0) {
		u->again = a;
		return 0;
	}
	fd_close(&a->stop_fd);
	fd_close(&a->ended.fd);
	free(a);
	return rc;
}
