// SPDX-License-Identifier: Apache-2.0
/* A register is read or written by a message. */
#include <errno.h>
#include <string.h>

#include "passthru/user_impl.h"

static bool same(const struct user_region_access *a, const struct user_region_access *b)
{
	return a->offset == b->offset && a->region == b->region && a->count == b->count;
}

int user_conn_read(struct user_conn *c, unsigned index, uint64_t off, void *data, unsigned len)
{
	struct user_region_access a = {off, index, len}, b;
	struct user_request r = {.command = USER_REGION_READ,
				 .head = &a,
				 .head_len = sizeof(a),
				 .min = sizeof(a) + len,
				 .max = sizeof(a) + len};
	const uint8_t *reply;
	size_t n;
	int rc = user_conn_call(c, &r, (const void **)&reply, &n);

	if (rc < 0)
		return rc;
	memcpy(&b, reply, sizeof(b));
	memcpy(data, reply + sizeof(b), len);
	user_conn_done(c);
	return same(&a, &b) ? 0
			    : user_conn_break(c, USER_CORRUPT,
					      "a read was answered with another's data");
}

int user_conn_write(struct user_conn *c, unsigned index, uint64_t off, const void *data,
		    unsigned len)
{
	struct user_region_access a = {off, index, len}, b;
	struct user_request r = {.command = USER_REGION_WRITE,
				 .head = &a,
				 .head_len = sizeof(a),
				 .data = data,
				 .data_len = len,
				 .min = sizeof(a),
				 .max = sizeof(a)};
	const void *reply;
	size_t n;
	int rc = user_conn_call(c, &r, &reply, &n);

	if (rc < 0)
		return rc;
	memcpy(&b, reply, sizeof(b));
	user_conn_done(c);
	return same(&a, &b) ? 0
			    : user_conn_break(c, USER_CORRUPT, "a write was answered as another");
}
