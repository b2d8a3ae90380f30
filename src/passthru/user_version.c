// SPDX-License-Identifier: Apache-2.0
/* The first exchange: the version, and what each side can take, as JSON. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "passthru/user_conn.h"

#define MAJOR 0
#define MINOR 0
#define JSON_MAX \
	4096 /* bytes of the server's capabilities that are looked at; they have a few dozen */

static int wrong(struct err *e, const char *key)
{
	return err_set(e, EPROTO, "version: the server's capability '%s' makes no sense", key);
}

/* A number in [min, max]; where the server does not say, *n stays. */
static int get_number(const json_t *caps, const char *key, uint64_t min, uint64_t max, uint64_t *n,
		      struct err *e)
{
	const json_t *v = json_object_get(caps, key);

	if (!v)
		return 0;
	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return wrong(e, key);
	*n = (uint64_t)json_integer_value(v);
	return *n < min || *n > max ? wrong(e, key) : 0;
}

/* *twin: which of the reply's descriptors is the socket for commands; -1: none. */
static int get_twin(const json_t *caps, int *twin, struct err *e)
{
	const json_t *t = json_object_get(caps, "twin_socket");
	uint64_t index = UINT64_MAX;
	int rc;

	if (!t || json_is_false(json_object_get(t, "supported")) ||
	    (json_is_object(t) && !json_object_get(t, "supported")))
		return 0;
	if (!json_is_true(json_object_get(t, "supported")))
		return wrong(e, "twin_socket");
	rc = get_number(t, "fd_index", 0, USER_FDS_MAX - 1, &index, e);
	if (rc < 0 || index == UINT64_MAX)
		return wrong(e, "twin_socket");
	*twin = (int)index;
	return 0;
}

static int get_all(struct user_conn *c, const json_t *caps, int *twin, struct err *e)
{
	uint64_t fds = c->max_fds, sizes = c->page;
	int rc;

	/* An interrupt is a descriptor, and so is RAM; registers have up to eight bytes. */
	if ((rc = get_number(caps, "max_msg_fds", 1, INT32_MAX, &fds, e)) < 0 ||
	    (rc = get_number(caps, "max_data_xfer_size", 8, UINT64_MAX, &c->max_xfer, e)) < 0 ||
	    (rc = get_number(caps, "max_dma_maps", 1, UINT64_MAX, &c->max_maps, e)) < 0 ||
	    (rc = get_number(caps, "pgsizes", 1, UINT64_MAX, &sizes, e)) < 0)
		return rc;
	c->max_fds = (unsigned)MIN(fds, USER_FDS_MAX);
	c->page = sizes & -sizes; /* a bit for each size: the smallest */
	return get_twin(caps, twin, e);
}

int user_parse_version(struct user_conn *c, const char *text, size_t len, int *twin, struct err *e)
{
	json_error_t where;
	json_t *root;
	const json_t *caps;
	int rc = 0;

	*twin = -1;
	if (len > JSON_MAX)
		return err_set(e, EPROTO, "version: the server's capabilities are too long");
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (!json_is_object(root)) {
		json_decref(root);
		return err_set(e, EPROTO, "version: the server's capabilities are not JSON");
	}
	caps = json_object_get(root, "capabilities");
	if (caps)
		rc = json_is_object(caps) ? get_all(c, caps, twin, e) : wrong(e, "capabilities");
	json_decref(root);
	return rc;
}

static int take_twin(struct user_conn *c, int index, struct err *e)
{
	int fd;

	if (index < 0)
		return c->main.n_rx_fds ? err_set(e, EPROTO,
						  "version: file descriptors that nobody asked for")
					: 0;
	fd = user_socket_take_fd(&c->main, (unsigned)index);
	if (fd < 0)
		return err_set(e, EPROTO, "version: the server's second socket is not there");
	return user_socket_init(&c->twin, fd) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int check(struct user_conn *c, const void *reply, size_t len, struct err *e)
{
	struct user_version v;
	const char *text = (const char *)reply + sizeof(v);
	int twin = -1, rc = 0;

	memcpy(&v, reply, sizeof(v));
	len -= sizeof(v);
	if (v.major != MAJOR || v.minor > MINOR)
		return err_set(e, EPROTO, "version: the server speaks %u.%u, toyvmm %u.%u", v.major,
			       v.minor, MAJOR, MINOR);
	if (len > 0) {
		if (text[len - 1] != '\0')
			return err_set(e, EPROTO, "version: the server's capabilities have no end");
		rc = user_parse_version(c, text, len - 1, &twin, e);
	}
	return rc < 0 ? rc : take_twin(c, twin, e);
}

int user_conn_negotiate(struct user_conn *c, struct err *e)
{
	struct user_version v = {MAJOR, MINOR};
	char text[160];
	const void *reply;
	size_t len;
	int rc;

	/* What holds where a server does not say. */
	c->max_fds = 1;
	c->max_xfer = 1024 * 1024;
	c->max_maps = 65535;
	c->page = 4096;
	snprintf(text, sizeof(text),
		 "{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":%lu,"
		 "\"twin_socket\":{\"supported\":true}}}",
		 USER_FDS_MAX, USER_XFER_MAX);
	rc = user_conn_call(c,
			    &(struct user_request){.command = USER_VERSION,
						   .head = &v,
						   .head_len = sizeof(v),
						   .data = text,
						   .data_len = strlen(text) + 1,
						   .min = sizeof(v),
						   .max = USER_MSG_MAX,
						   .max_fds = USER_FDS_MAX},
			    &reply, &len);
	if (rc < 0)
		return user_conn_err(c, rc, "version", e);
	rc = check(c, reply, len, e);
	user_conn_done(c);
	return rc;
}
