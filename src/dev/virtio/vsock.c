// SPDX-License-Identifier: Apache-2.0
/*
 * The vsock device: what its queues (vsock_queue.c), its connections (vsock_conn.c) and the sockets of the
 * host do to each other. All of it runs on the loop's thread, under the device's lock, but for vsock_reset().
 */
#include "dev/virtio/vsock_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"

#define FIRST_CID      3          /* 0 to 2 are reserved, 5.10.4 */
#define ANY_CID        0xffffffff /* reserved, too */
#define VSOCK_F_STREAM 0          /* 5.10.3; linux/virtio_vsock.h has no name for it */

static struct vsock *vsock(struct virtio_dev *dev)
{
	return container_of(dev, struct vsock, base);
}

/* ---- connections ---- */

static void tick(struct vsock *v)
{
	if (!v->ticking)
		v->ticking = timer_arm(v->timer.fd, VSOCK_TICK_MS) == 0;
}

static void hold_clients(struct vsock *v, bool hold)
{
	if (v->clients_held == hold)
		return;
	v->clients_held = hold;
	vsock_unix_want_clients(&v->host, !hold);
	if (hold)
		tick(v); /* a descriptor may become free without our noticing */
}

static void free_conn(struct vsock *v, struct vsock_conn *c)
{
	vsock_table_free(&v->table, c);
	hold_clients(v, false);
}

void vsock_settle(struct vsock *v, struct vsock_conn *c)
{
	bool want_out = c->fd >= 0 && c->out.used > 0;

	if (vsock_conn_done(c)) {
		free_conn(v, c);
		return;
	}
	if (c->fd >= 0 && want_out != c->want_out) {
		vsock_unix_want_out(&v->host, c->fd, (uint32_t)(c - v->table.conn), want_out);
		c->want_out = want_out;
	}
	if (c->state == VSOCK_DEAD &&
	    c->owed == 0) /* its slot is another's as soon as one wants it */
		hold_clients(v, false);
	if (vsock_conn_ready(c))
		vsock_table_enqueue(&v->table, c);
	if (c->deadline_ms)
		tick(v);
}

/* ---- the device ---- */

static void forget_all(struct vsock *v)
{
	for (unsigned i = 0; i < v->table.n; i++) {
		struct vsock_conn *c = &v->table.conn[i];

		vsock_conn_forget(c);
		vsock_settle(v, c);
	}
	v->rst_first = v->n_rst = 0;
	v->tx_held = false;
}

static void finish(struct vsock *v, unsigned queue, int rc)
{
	virtio_finish(&v->base, queue, rc);
	if (rc < 0)
		forget_all(
			v); /* the host's programs need not wait for a driver that may never come */
}

static void serve_rx(struct vsock *v)
{
	if (!virtio_queue_ready(&v->base, VSOCK_RX))
		return;
	finish(v, VSOCK_RX, vsock_send_packets(v));
	if (v->tx_held && v->n_rst < VSOCK_RST_MAX) {
		v->tx_held = false;
		virtio_kick_again(&v->base, VSOCK_TX);
	}
}

static void vsock_kick(struct virtio_dev *dev, unsigned queue)
{
	struct vsock *v = vsock(dev);

	/* Buffers of the event queue stay there: the one event, TRANSPORT_RESET, is for a guest that was
	 * moved to another host (5.10.6.7), not for a reset. */
	if (queue == VSOCK_EVENT)
		return;
	if (queue == VSOCK_TX && !v->tx_held)
		finish(v, VSOCK_TX, vsock_take_packets(v));
	serve_rx(v);
}

static void vsock_reset(struct virtio_dev *dev)
{
	forget_all(vsock(dev));
}

/* ---- the host's side ---- */

static void on_client(struct vsock *v)
{
	struct vsock_conn *c = vsock_table_slot(&v->table);
	int fd = c ? vsock_unix_accept(&v->host) : -EMFILE;

	if (fd == -EAGAIN || fd == -EINTR || fd == -ECONNABORTED)
		return;
	if (fd < 0) {
		log_limited(&v->base.log, "vsock: no further connection for now: %s",
			    c ? strerror(-fd) : "there are as many as there may be");
		hold_clients(v, true); /* they wait in the kernel's queue */
		return;
	}
	vsock_conn_client(c, fd, clock_ms());
	if (vsock_unix_add(&v->host, fd, (uint32_t)(c - v->table.conn)) < 0)
		vsock_table_free(&v->table, c);
	else
		vsock_settle(v, c);
}

/* Where no driver is ready nobody listens, and the client is turned away as if so. */
static void on_line(struct vsock *v, struct vsock_conn *c, uint32_t events)
{
	uint32_t port = 0;
	int rc = vsock_unix_read_line(c->fd, &port);

	if (rc == 0 && !(events & EPOLLHUP))
		return;
	if (rc <= 0 || !virtio_queue_ready(&v->base, VSOCK_RX)) {
		free_conn(v, c);
		return;
	}
	vsock_conn_request(c, port, vsock_table_port(&v->table), clock_ms());
	vsock_conn_event(c, events, clock_ms()); /* it may have hung up already */
	vsock_table_key(&v->table, c);
	vsock_settle(v, c);
}

static void on_host(void *arg, uint32_t set_events)
{
	struct vsock *v = arg;
	uint32_t token, events;
	struct vsock_conn *c;

	(void)set_events;
	pthread_mutex_lock(&v->base.lock);
	if (vsock_unix_next(&v->host, &token, &events)) {
		c = token == VSOCK_LISTENER ? NULL : &v->table.conn[token];
		if (!c) {
			on_client(v);
		} else if (c->state == VSOCK_LINE) {
			on_line(v, c, events);
		} else {
			vsock_conn_event(c, events, clock_ms());
			vsock_settle(v, c);
		}
		serve_rx(v);
	}
	pthread_mutex_unlock(&v->base.lock);
}

static void on_tick(void *arg, uint32_t events)
{
	struct vsock *v = arg;
	int64_t now = clock_ms();

	(void)events;
	pthread_mutex_lock(&v->base.lock);
	v->ticking = false;
	timer_arm(v->timer.fd, 0);
	if (v->table.n < VSOCK_CONNS) /* else the end of a connection lets them in */
		hold_clients(v, false);
	for (unsigned i = 0; i < v->table.n; i++) {
		vsock_conn_expire(&v->table.conn[i], now);
		vsock_settle(v, &v->table.conn[i]);
	}
	serve_rx(v);
	pthread_mutex_unlock(&v->base.lock);
}

/* ---- its life ---- */

static void vsock_destroy(struct virtio_dev *dev)
{
	struct vsock *v = vsock(dev);

	if (v->host.set.fd >= 0)
		loop_remove(dev->host->loop, &v->host.set);
	if (v->timer.fd >= 0)
		loop_remove(dev->host->loop, &v->timer);
	fd_close(&v->timer.fd);
	vsock_table_fini(&v->table);
	vsock_unix_close(&v->host);
	virtio_fini(dev);
	free(v);
}

static const struct virtio_ops vsock_ops = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.kick = vsock_kick,
	.reset = vsock_reset,
	.destroy = vsock_destroy,
};

static int open_host(struct vsock *v, const char *path, struct err *e)
{
	struct loop *loop = v->base.host->loop;
	int rc = vsock_unix_open(&v->host, path, e);

	if (rc < 0)
		return rc;
	if (vsock_table_init(&v->table) < 0)
		return err_set(e, ENOMEM, "vsock: out of memory");
	v->timer.fd = timer_open();
	if (v->timer.fd < 0)
		return err_sys(e, "vsock: timer");
	if (loop_add(loop, &v->timer, EPOLLIN) < 0 || loop_add(loop, &v->host.set, EPOLLIN) < 0)
		return err_sys(e, "vsock: epoll_ctl");
	return 0;
}

int vsock_create(struct virtio_dev **out, const struct vsock_config *config,
		 const struct virtio_host *host, struct err *e)
{
	struct vsock *v;
	int rc;

	if (config->cid < FIRST_CID || config->cid == ANY_CID || !config->socket)
		return err_set(e, EINVAL, "vsock: needs a socket and a CID from %u to %u",
			       FIRST_CID, ANY_CID - 1);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_set(e, ENOMEM, "vsock: out of memory");
	rc = virtio_init(&v->base, &vsock_ops, host, VSOCK_QUEUES, VSOCK_QUEUE_SIZE, &v->config,
			 sizeof(v->config), e);
	if (rc < 0) {
		free(v);
		return rc;
	}
	v->base.offered |= 1ULL << VSOCK_F_STREAM;
	v->config.guest_cid = config->cid;
	v->host = VSOCK_UNIX_EMPTY;
	v->host.set.fn = on_host;
	v->timer = (struct loop_source){.fd = -1, .fn = on_tick, .arg = v};
	v->host.set.arg = v;
	rc = open_host(v, config->socket, e);
	if (rc < 0)
		vsock_destroy(&v->base);
	else
		*out = &v->base;
	return rc;
}
