// SPDX-License-Identifier: Apache-2.0
#include "passthru/user_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"

#define COMMANDS_AT_A_TIME 16 /* served for the loop before it looks elsewhere */

int user_conn_init(struct user_conn *c, int fd, const struct gmem *ram, unsigned deadline_ms)
{
	*c = (struct user_conn){.ram = ram, .deadline_ms = deadline_ms, .twin.fd = -1};
	return user_socket_init(&c->main, fd);
}

void user_conn_fini(struct user_conn *c)
{
	user_socket_fini(&c->main);
	user_socket_fini(&c->twin);
}

int user_conn_break(struct user_conn *c, enum user_broken how, const char *why)
{
	if (c->broken == USER_WHOLE) {
		c->broken = how;
		snprintf(c->why, sizeof(c->why), "%s", why);
		shutdown(c->main.fd, SHUT_RDWR);
	}
	return -EIO;
}

/* A socket's failure is the connection's. */
static int break_by(struct user_conn *c, const struct user_socket *s, int rc)
{
	switch (rc) {
	case -EPROTO:
		return user_conn_break(c, USER_CORRUPT, s->why);
	case -ETIMEDOUT:
		return user_conn_break(c, USER_CORRUPT, "no answer");
	default:
		return user_conn_break(c, USER_CLOSED, "the server closed the connection");
	}
}

/* ---- the server's commands ---- */

static int refuse(struct user_conn *c, const struct user_socket *s, int error)
{
	const struct user_header *h = user_socket_header(s);
	struct user_header reply = {h->id, h->command, sizeof(reply), USER_REPLY | USER_ERROR,
				    (uint32_t)error};
	struct iovec iov = {&reply, sizeof(reply)};
	int rc;

	if (h->flags & USER_NO_REPLY)
		return 0;
	rc = user_socket_send(s, &iov, 1, NULL, 0, clock_ms() + c->deadline_ms);
	return rc < 0 ? break_by(c, s, rc) : 0;
}

/* The whole message that is there is a command. */
static int serve(struct user_conn *c, struct user_socket *s)
{
	const struct user_header *h = user_socket_header(s);
	int rc;

	if (s->n_rx_fds > 0)
		return user_conn_break(c, USER_CORRUPT, "a command came with file descriptors");
	if (h->command == USER_DMA_READ || h->command == USER_DMA_WRITE)
		rc = user_serve_dma(c, s);
	else
		rc = refuse(c, s, ENOTSUP);
	user_socket_next(s);
	return rc;
}

static bool is_reply(const struct user_socket *s)
{
	return (user_socket_header(s)->flags & USER_TYPE_MASK) == USER_REPLY;
}

/* One message of the socket's, if it is there and a command: 1 served, 0 none, -EIO. A reply is left in place: *reply. */
static int serve_one(struct user_conn *c, struct user_socket *s, bool *reply)
{
	int rc = s->fd < 0 ? 0 : user_socket_receive(s);

	if (rc < 0)
		return break_by(c, s, rc);
	if (rc == 0)
		return 0;
	if ((user_socket_header(s)->flags & USER_TYPE_MASK) > USER_REPLY)
		return user_conn_break(c, USER_CORRUPT, "a message is neither command nor reply");
	*reply = is_reply(s);
	if (*reply)
		return 0;
	rc = serve(c, s);
	return rc < 0 ? rc : 1;
}

static int serve_twin(struct user_conn *c)
{
	bool reply = false;
	int rc = serve_one(c, &c->twin, &reply);

	return reply ? user_conn_break(c, USER_CORRUPT, "a reply came on the commands' socket")
		     : rc;
}

int user_conn_serve(struct user_conn *c)
{
	int rc = 1;

	if (c->broken)
		return -EIO;
	for (unsigned i = 0; i < COMMANDS_AT_A_TIME && rc > 0; i++) {
		bool reply = false;
		rc = serve_one(c, &c->main, &reply);
		if (reply)
			return user_conn_break(c, USER_CORRUPT, "a reply that nobody asked for");
		if (rc == 0)
			rc = serve_twin(c);
	}
	return MIN(rc, 0);
}

/* ---- requests ---- */

static int send_request(struct user_conn *c, const struct user_request *r, uint16_t id,
			int64_t deadline_ms)
{
	struct user_header h = {.id = id,
				.command = r->command,
				.size = (uint32_t)(sizeof(h) + r->head_len + r->data_len)};
	struct iovec iov[USER_IOV_MAX] = {{&h, sizeof(h)},
					  {(void *)(uintptr_t)r->head, r->head_len},
					  {(void *)(uintptr_t)r->data, r->data_len}};
	int rc = user_socket_send(&c->main, iov, USER_IOV_MAX, r->fd, r->n_fds, deadline_ms);

	return rc < 0 ? break_by(c, &c->main, rc) : 0;
}

/* Until a reply is there. Whatever commands come before it are served, but they do not prolong the wait. */
static int await_reply(struct user_conn *c, int64_t deadline_ms)
{
	for (;;) {
		bool reply = false;
		int rc = serve_one(c, &c->main, &reply);
		if (rc < 0 || reply)
			return rc;
		if (rc == 0) {
			rc = serve_twin(c);
			if (rc < 0)
				return rc;
		}
		if (clock_ms() >= deadline_ms)
			return break_by(c, &c->main, -ETIMEDOUT);
		if (rc == 0 && (rc = user_socket_wait(&c->main, &c->twin, deadline_ms)) < 0)
			return break_by(c, &c->main, rc);
	}
}

/* The reply belongs to the request, and has the shape that it must have. */
static int check_reply(struct user_conn *c, const struct user_request *r, uint16_t id)
{
	const struct user_header *h = user_socket_header(&c->main);
	size_t len = h->size - sizeof(*h);

	if (h->id != id)
		return user_conn_break(c, USER_CORRUPT, "a reply has the wrong message ID");
	if (h->command != r->command)
		return user_conn_break(c, USER_CORRUPT, "a reply is to another command");
	if (h->flags & USER_ERROR) {
		if (len > 0 || c->main.n_rx_fds > 0)
			return user_conn_break(c, USER_CORRUPT, "an error came with data");
		return h->error > 0 && h->error < 4096 && h->error != EIO ? -(int)h->error
									  : -EREMOTEIO;
	}
	if (len < r->min)
		return user_conn_break(c, USER_CORRUPT, "a reply is too short");
	if (len > r->max)
		return user_conn_break(c, USER_CORRUPT, "a reply is too long");
	if (c->main.n_rx_fds > r->max_fds)
		return user_conn_break(c, USER_CORRUPT, "a reply has too many file descriptors");
	return 0;
}

int user_conn_call(struct user_conn *c, const struct user_request *r, const void **reply,
		   size_t *len)
{
	int64_t deadline_ms = clock_ms() + c->deadline_ms;
	uint16_t id = c->next_id++;
	int rc;

	if (c->until_ms)
		deadline_ms = MIN(deadline_ms, c->until_ms);
	if (c->broken)
		return -EIO;
	if ((rc = send_request(c, r, id, deadline_ms)) < 0 ||
	    (rc = await_reply(c, deadline_ms)) < 0)
		return rc;
	rc = check_reply(c, r, id);
	if (rc < 0)
		user_conn_done(c);
	else
		*reply = user_socket_payload(&c->main, len);
	return rc;
}

void user_conn_done(struct user_conn *c)
{
	user_socket_next(&c->main);
}

int user_conn_tell(struct user_conn *c, const struct user_request *r)
{
	const void *reply;
	size_t len;
	int rc = user_conn_call(c, r, &reply, &len);

	if (rc == 0)
		user_conn_done(c);
	return rc;
}

int user_conn_err(struct user_conn *c, int rc, const char *what, struct err *e)
{
	if (c->broken)
		return err_set(e, EPROTO, "%s: %s", what, c->why);
	return err_set(e, -rc, "%s: the server says: %s", what, strerror(-rc));
}
