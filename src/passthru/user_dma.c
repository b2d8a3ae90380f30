// SPDX-License-Identifier: Apache-2.0
/*
 * DMA: the server gets guest RAM as a file, one mapping a region, at guest-physical addresses; where RAM is private to
 * this process it gets the addresses only, and asks by message. Either way it reaches RAM and nothing else.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "passthru/user_conn.h"

static int map_region(struct user_conn *c, const struct gmem_region *r, uint64_t offset)
{
	bool shared = c->ram->memfd >= 0;
	struct user_dma_map map = {.argsz = sizeof(map),
				   .flags = USER_DMA_CAN_READ | USER_DMA_CAN_WRITE,
				   .offset = shared ? offset : 0,
				   .addr = r->base,
				   .size = r->len};
	struct user_request req = {.command = USER_DMA_MAP,
				   .head = &map,
				   .head_len = sizeof(map),
				   .fd = &c->ram->memfd,
				   .n_fds = shared};

	return user_conn_tell(c, &req);
}

int user_map_ram(struct user_conn *c, struct err *e)
{
	uint64_t offset = 0;

	if (c->max_maps < c->ram->n)
		return err_set(e, EPROTO, "DMA: the server takes %llu mappings, RAM has %u parts",
			       (unsigned long long)c->max_maps, c->ram->n);
	for (unsigned i = 0; i < c->ram->n; i++) {
		const struct gmem_region *r = &c->ram->region[i];
		int rc;
		if ((r->base | r->len | offset) & (c->page - 1))
			return err_set(e, EPROTO, "DMA: the server's pages have %llu bytes",
				       (unsigned long long)c->page);
		rc = map_region(c, r, offset);
		if (rc < 0)
			return user_conn_err(c, rc, "DMA mapping of RAM", e);
		c->n_mapped = i + 1;
		offset += r->len;
	}
	return 0;
}

/* The server answers when nothing of it is in use any more. */
void user_unmap_ram(struct user_conn *c)
{
	while (c->n_mapped > 0) {
		const struct gmem_region *r = &c->ram->region[--c->n_mapped];
		struct user_dma_unmap unmap = {.argsz = sizeof(unmap),
					       .addr = r->base,
					       .size = r->len};
		struct user_request req = {.command = USER_DMA_UNMAP,
					   .head = &unmap,
					   .head_len = sizeof(unmap),
					   .max = sizeof(unmap)};
		user_conn_tell(c, &req);
	}
}

/* `data` goes after the header of the reply. */
static int answer(struct user_conn *c, const struct user_socket *s, const struct user_dma_access *a,
		  const void *data, size_t len, int error)
{
	const struct user_header *h = user_socket_header(s);
	struct user_header reply = {.id = h->id,
				    .command = h->command,
				    .flags = USER_REPLY | (error ? USER_ERROR : 0),
				    .error = (uint32_t)error};
	struct iovec iov[3] = {{&reply, sizeof(reply)},
			       {(void *)(uintptr_t)a, error ? 0 : sizeof(*a)},
			       {(void *)(uintptr_t)data, error ? 0 : len}};
	int rc;

	if (h->flags & USER_NO_REPLY)
		return 0;
	reply.size = (uint32_t)(iov[0].iov_len + iov[1].iov_len + iov[2].iov_len);
	rc = user_socket_send(s, iov, 3, NULL, 0, clock_ms() + c->deadline_ms);
	if (rc == -ETIMEDOUT)
		return user_conn_break(c, USER_CORRUPT,
				       "the server does not read what it asked for");
	return rc < 0 ? user_conn_break(c, USER_CLOSED, "the server closed the connection") : 0;
}

int user_serve_dma(struct user_conn *c, struct user_socket *s)
{
	bool write = user_socket_header(s)->command == USER_DMA_WRITE;
	struct user_dma_access a;
	size_t len;
	const uint8_t *payload = user_socket_payload(s, &len);
	void *host = NULL;

	if (len < sizeof(a))
		return user_conn_break(c, USER_CORRUPT, "a DMA command is too short");
	memcpy(&a, payload, sizeof(a));
	if (a.count > USER_XFER_MAX || len - sizeof(a) != (write ? a.count : 0))
		return user_conn_break(c, USER_CORRUPT, "a DMA command has the wrong length");
	if (c->n_mapped == c->ram->n)
		host = gmem_slice(c->ram, a.addr, a.count);
	if (!host) {
		log_limited(&c->limit, "vfio-user: DMA outside of RAM: %llu bytes at %#llx",
			    (unsigned long long)a.count, (unsigned long long)a.addr);
		return answer(c, s, &a, NULL, 0, EFAULT);
	}
	if (write && gmem_write(c->ram, a.addr, payload + sizeof(a), a.count) < 0)
		return answer(c, s, &a, NULL, 0, EFAULT);
	return answer(c, s, &a, host, write ? 0 : a.count, 0);
}
