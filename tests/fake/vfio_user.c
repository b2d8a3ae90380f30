// SPDX-License-Identifier: Apache-2.0
#include "fake/vfio_user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"

#define COMMAND_MAX 8192

struct command {
	struct user_header h;
	uint8_t payload[COMMAND_MAX];
	size_t len;
	int fd[VFUSER_FDS];
	unsigned n_fds;
};

/* ---- bytes ---- */

int vfuser_listen(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4) < 0)
		return -errno;
	return fd;
}

int vfuser_send(int fd, const struct user_header *h, const void *payload, size_t len,
		const int *fds, unsigned n_fds)
{
	char control[CMSG_SPACE(VFUSER_FDS * sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec iov[2] = {{(void *)(uintptr_t)h, sizeof(*h)},
			       {(void *)(uintptr_t)payload, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	size_t done;
	ssize_t n;

	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		CMSG_FIRSTHDR(&msg)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&msg)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&msg)->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), fds, n_fds * sizeof(int));
	}
	n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	if (n < (ssize_t)sizeof(*h))
		return n < 0 ? -errno : -EIO;
	for (done = (size_t)n - sizeof(*h); done < len; done += (size_t)n) {
		n = send(fd, (const uint8_t *)payload + done, len - done, MSG_NOSIGNAL);
		if (n < 0)
			return -errno;
	}
	return 0;
}

/* Up to `len` bytes, with descriptors. */
static ssize_t receive_some(int fd, void *data, size_t len, int *fds, unsigned *n_fds)
{
	char control[CMSG_SPACE(VFUSER_FDS * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {data, len};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_type == SCM_RIGHTS) {
		unsigned more = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		if (more <= VFUSER_FDS - *n_fds) {
			memcpy(fds + *n_fds, CMSG_DATA(c), more * sizeof(int));
			*n_fds += more;
		}
	}
	return n;
}

static int receive(int fd, void *data, size_t len, int *fds, unsigned *n_fds)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = receive_some(fd, (uint8_t *)data + done, len - done, fds, n_fds);
		if (n <= 0)
			return -ECONNRESET;
		done += (size_t)n;
	}
	return 0;
}

static int receive_command(int fd, struct command *c)
{
	c->n_fds = 0;
	if (receive(fd, &c->h, sizeof(c->h), c->fd, &c->n_fds) < 0 || c->h.size < sizeof(c->h) ||
	    c->h.size - sizeof(c->h) > sizeof(c->payload))
		return -ECONNRESET;
	c->len = c->h.size - sizeof(c->h);
	return receive(fd, c->payload, c->len, c->fd, &c->n_fds);
}

static void put(struct vfuser_reply *r, const void *data, size_t len)
{
	memcpy(r->payload + r->len, data, len);
	r->len += len;
}

/* ---- commands; each 0 or an errno ---- */

static int version(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct user_version v = {0};
	char text[256];
	int pair[2];
	bool twin = s->twin && c->len > sizeof(v) &&
		    memmem(c->payload, c->len, "twin_socket", strlen("twin_socket"));

	snprintf(text, sizeof(text),
		 "{\"capabilities\":{\"max_msg_fds\":%u,\"max_data_xfer_size\":65536%s}}",
		 s->max_msg_fds ? s->max_msg_fds : 16,
		 twin ? ",\"twin_socket\":{\"supported\":true,\"fd_index\":0}" : "");
	put(r, &v, sizeof(v));
	put(r, text, strlen(text) + 1);
	s->command_fd = s->fd;
	if (twin && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		s->command_fd = pair[0];
		r->fd[r->n_fds++] = pair[1];
		r->own_fds = true;
	}
	return 0;
}

static int get_info(struct vfuser_server *s, struct vfuser_reply *r)
{
	struct user_device_info d = {sizeof(d), s->dev->flags, VFUSER_REGIONS, VFUSER_IRQS};

	put(r, &d, sizeof(d));
	return 0;
}

static int get_region(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct vfio_region_info i;
	struct vfio_region_info_cap_sparse_mmap sparse = {
		.header = {VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0}};
	const struct vfuser_region *reg;

	memcpy(&i, c->payload, sizeof(i));
	if (c->len < sizeof(i) || i.index >= VFUSER_REGIONS)
		return EINVAL;
	reg = &s->dev->region[i.index];
	i = (struct vfio_region_info){
		.argsz = sizeof(i), .flags = reg->flags, .index = i.index, .size = reg->size};
	if (reg->n_areas) {
		i.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		i.cap_offset = sizeof(i);
		i.argsz += sizeof(sparse) + reg->n_areas * sizeof(reg->area[0]);
		sparse.nr_areas = reg->n_areas;
	}
	put(r, &i, sizeof(i));
	if (reg->n_areas) {
		put(r, &sparse, sizeof(sparse));
		put(r, reg->area, reg->n_areas * sizeof(reg->area[0]));
	}
	if (reg->flags & VFIO_REGION_INFO_FLAG_MMAP)
		r->fd[r->n_fds++] = reg->fd;
	return 0;
}

/* Several doorbells may share a descriptor: it is sent once. */
static uint32_t index_of(struct vfuser_reply *r, int fd)
{
	unsigned i = 0;

	while (i < r->n_fds && r->fd[i] != fd)
		i++;
	if (i == r->n_fds)
		r->fd[r->n_fds++] = fd;
	return i;
}

static int get_io_fds(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct user_io_fds h;
	const struct vfuser_region *reg;

	memcpy(&h, c->payload, sizeof(h));
	if (c->len < sizeof(h) || h.index >= VFUSER_REGIONS)
		return EINVAL;
	reg = &s->dev->region[h.index];
	h = (struct user_io_fds){
		.argsz =
			(uint32_t)(sizeof(h) + reg->n_doorbells * sizeof(struct user_io_fd_shadow)),
		.index = h.index,
		.count = reg->n_doorbells};
	put(r, &h, sizeof(h));
	for (unsigned i = 0; i < reg->n_doorbells; i++) {
		const struct vfuser_doorbell *d = &reg->doorbell[i];
		bool shadow = d->shadow_fd >= 0;
		struct user_io_fd_shadow f = {.offset = d->off,
					      .size = d->len,
					      .fd_index = index_of(r, d->fd),
					      .type = shadow ? USER_IO_FD_SHADOW : USER_IO_FD_EVENT,
					      .shadow_fd_index =
						      shadow ? index_of(r, d->shadow_fd) : 0,
					      .shadow_offset = d->shadow_off};
		put(r, &f, sizeof(f));
	}
	return 0;
}

static int get_irq(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct vfio_irq_info i;

	memcpy(&i, c->payload, sizeof(i));
	if (c->len < sizeof(i) || i.index >= VFUSER_IRQS)
		return EINVAL;
	i.flags = s->dev->irq[i.index].flags;
	i.count = s->dev->irq[i.index].count;
	put(r, &i, sizeof(i));
	return 0;
}

static int set_irqs(struct vfuser_server *s, struct command *c)
{
	struct vfio_irq_set set;
	unsigned first, end;

	memcpy(&set, c->payload, sizeof(set));
	if (c->len < sizeof(set) || set.index >= VFUSER_IRQS || set.count > VFUSER_VECTORS ||
	    set.start > VFUSER_VECTORS - set.count ||
	    c->n_fds > (s->max_msg_fds ? s->max_msg_fds : 16) ||
	    (c->n_fds && c->n_fds != set.count))
		return EINVAL;
	if (!(set.flags & VFIO_IRQ_SET_ACTION_TRIGGER))
		return 0;
	first = set.count ? set.start : 0;
	end = set.count ? set.start + set.count : VFUSER_VECTORS;
	for (unsigned i = first; i < end; i++) {
		fd_close(&s->irq[set.index][i]);
		if (c->n_fds) {
			s->irq[set.index][i] = c->fd[i - first];
			c->fd[i - first] = -1;
		}
	}
	return 0;
}

static int dma_map(struct vfuser_server *s, struct command *c)
{
	struct user_dma_map m;
	struct vfuser_map *map = &s->map[s->n_maps];

	memcpy(&m, c->payload, sizeof(m));
	if (c->len != sizeof(m) || s->n_maps == VFUSER_MAPS)
		return EINVAL;
	*map = (struct vfuser_map){m.addr, m.size, NULL};
	if (c->n_fds == 1) {
		void *host = mmap(NULL, m.size, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd[0],
				  (off_t)m.offset);
		if (host == MAP_FAILED)
			return errno;
		map->host = host;
	}
	s->n_maps++;
	return 0;
}

static void unmap(struct vfuser_server *s, unsigned i)
{
	if (s->map[i].host)
		munmap(s->map[i].host, s->map[i].size);
	s->map[i] = s->map[--s->n_maps];
}

static int dma_unmap(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct user_dma_unmap u;

	memcpy(&u, c->payload, sizeof(u));
	for (unsigned i = 0; i < s->n_maps && c->len == sizeof(u); i++)
		if (s->map[i].addr == u.addr && s->map[i].size == u.size) {
			unmap(s, i);
			put(r, &u, sizeof(u));
			return 0;
		}
	return EINVAL;
}

static int access_region(struct vfuser_server *s, const struct command *c, struct vfuser_reply *r)
{
	struct user_region_access a;
	uint8_t data[8] = {0};
	bool write = c->h.command == USER_REGION_WRITE;

	memcpy(&a, c->payload, sizeof(a));
	if (c->len < sizeof(a) || c->len - sizeof(a) != (write ? a.count : 0) || a.count > 8 ||
	    a.region >= VFUSER_REGIONS || a.offset + a.count > s->dev->region[a.region].size)
		return EINVAL;
	if (write)
		s->dev->write(s->dev->arg, a.region, a.offset, c->payload + sizeof(a), a.count);
	else
		s->dev->read(s->dev->arg, a.region, a.offset, data, a.count);
	put(r, &a, sizeof(a));
	if (!write)
		put(r, data, a.count);
	return 0;
}

static int reset(struct vfuser_server *s)
{
	if (s->dev->reset)
		s->dev->reset(s->dev->arg);
	return 0;
}

static int execute(struct vfuser_server *s, struct command *c, struct vfuser_reply *r)
{
	switch (c->h.command) {
	case USER_VERSION:
		return version(s, c, r);
	case USER_GET_INFO:
		return get_info(s, r);
	case USER_GET_REGION_INFO:
		return get_region(s, c, r);
	case USER_GET_REGION_IO_FDS:
		return get_io_fds(s, c, r);
	case USER_GET_IRQ_INFO:
		return get_irq(s, c, r);
	case USER_SET_IRQS:
		return set_irqs(s, c);
	case USER_DMA_MAP:
		return dma_map(s, c);
	case USER_DMA_UNMAP:
		return dma_unmap(s, c, r);
	case USER_REGION_READ:
	case USER_REGION_WRITE:
		return access_region(s, c, r);
	case USER_RESET:
		return reset(s);
	default:
		return ENOTSUP;
	}
}

/* ---- a client ---- */

void vfuser_begin(struct vfuser_server *s, int fd)
{
	s->fd = s->command_fd = fd;
	s->n_maps = 0;
	s->served = 0;
	memset(s->irq, 0xff, sizeof(s->irq));
}

static int send_reply(struct vfuser_server *s, struct vfuser_reply *r)
{
	if (!r->pieces)
		return vfuser_send(s->fd, &r->h, r->payload, r->len, r->fd, r->n_fds);
	for (size_t i = 0; i < sizeof(r->h) + r->len; i += r->pieces) {
		uint8_t all[sizeof(r->h) + sizeof(r->payload)];
		memcpy(all, &r->h, sizeof(r->h));
		memcpy(all + sizeof(r->h), r->payload, r->len);
		if (send(s->fd, all + i, MIN(r->pieces, sizeof(r->h) + r->len - i), MSG_NOSIGNAL) <
		    0)
			return -errno;
	}
	return 0;
}

static int answer(struct vfuser_server *s, struct command *c)
{
	struct vfuser_reply r = {
		.h = {.id = c->h.id, .command = c->h.command, .flags = USER_REPLY}};
	enum vfuser_verdict verdict = VFUSER_SEND;
	int rc = execute(s, c, &r);

	if (rc > 0) {
		r.len = r.n_fds = 0;
		r.h.flags |= USER_ERROR;
		r.h.error = (uint32_t)rc;
	}
	r.h.size = (uint32_t)(sizeof(r.h) + r.len);
	s->served++;
	if (s->mangle)
		verdict = s->mangle(s->mangle_arg, s, &r);
	rc = 0;
	if (verdict == VFUSER_CLOSE)
		rc = -ECONNRESET;
	else if (verdict != VFUSER_SILENT && !(c->h.flags & USER_NO_REPLY))
		rc = send_reply(s, &r);
	if (verdict == VFUSER_CUT)
		rc = -ECONNRESET;
	for (unsigned i = 0; i < r.n_fds && r.own_fds; i++)
		close(r.fd[i]);
	return rc;
}

int vfuser_command(struct vfuser_server *s)
{
	struct command c;
	int rc = receive_command(s->fd, &c);

	if (rc == 0)
		rc = answer(s, &c);
	for (unsigned i = 0; i < c.n_fds; i++)
		fd_close(&c.fd[i]);
	return rc;
}

void vfuser_end(struct vfuser_server *s)
{
	while (s->n_maps > 0)
		unmap(s, 0);
	for (unsigned i = 0; i < VFUSER_IRQS; i++)
		for (unsigned k = 0; k < VFUSER_VECTORS; k++)
			fd_close(&s->irq[i][k]);
	if (s->command_fd != s->fd)
		fd_close(&s->command_fd);
	fd_close(&s->fd);
}

void vfuser_serve(struct vfuser_server *s, int fd)
{
	vfuser_begin(s, fd);
	while (vfuser_command(s) == 0)
		;
	vfuser_end(s);
}

/* ---- what the device does by itself ---- */

void *vfuser_dma(struct vfuser_server *s, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < s->n_maps; i++) {
		const struct vfuser_map *m = &s->map[i];
		if (m->host && addr >= m->addr && addr - m->addr <= m->size &&
		    len <= m->size - (addr - m->addr))
			return m->host + (addr - m->addr);
	}
	return NULL;
}

static int dma_message(struct vfuser_server *s, uint16_t command, uint64_t addr, const void *out,
		       void *in, uint32_t len)
{
	struct user_dma_access a = {addr, len}, b;
	struct user_header h = {.id = s->next_id++, .command = command};
	uint8_t *payload = malloc(sizeof(a) + len);
	unsigned n_fds = 0;
	int fds[VFUSER_FDS], rc = -ENOMEM;

	if (!payload)
		return rc;
	memcpy(payload, &a, sizeof(a));
	if (out)
		memcpy(payload + sizeof(a), out, len);
	h.size = (uint32_t)(sizeof(h) + sizeof(a) + (out ? len : 0));
	rc = vfuser_send(s->command_fd, &h, payload, h.size - sizeof(h), NULL, 0);
	free(payload);
	if (rc < 0 || (rc = receive(s->command_fd, &h, sizeof(h), fds, &n_fds)) < 0)
		return rc;
	if (h.flags & USER_ERROR)
		return -(int)h.error;
	if (h.size != sizeof(h) + sizeof(b) + (in ? len : 0) ||
	    (rc = receive(s->command_fd, &b, sizeof(b), fds, &n_fds)) < 0)
		return rc < 0 ? rc : -EPROTO;
	if (b.addr != addr || b.count != len)
		return -EPROTO;
	return in ? receive(s->command_fd, in, len, fds, &n_fds) : 0;
}

int vfuser_dma_read(struct vfuser_server *s, uint64_t addr, void *data, uint32_t len)
{
	return dma_message(s, USER_DMA_READ, addr, NULL, data, len);
}

int vfuser_dma_write(struct vfuser_server *s, uint64_t addr, const void *data, uint32_t len)
{
	return dma_message(s, USER_DMA_WRITE, addr, data, NULL, len);
}

void vfuser_interrupt(struct vfuser_server *s, unsigned kind, unsigned vector)
{
	if (s->irq[kind][vector] >= 0)
		eventfd_write(s->irq[kind][vector], 1);
}
