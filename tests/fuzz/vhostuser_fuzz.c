// SPDX-License-Identifier: Apache-2.0
/*
 * A vhost-user back end that sends anything. First byte: which kind of device, and which socket the rest comes over. Then
 * pieces: a byte that says how long the piece is (6 bits) and how many descriptors come with it (0, 1, 3 or 9), and the
 * piece. After them the back end hangs up. Whatever it was: what is agreed on lies within what is known here, and no
 * descriptor is left open.
 */
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "vhost/user_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PIECES 256

static void must(bool cond)
{
	if (!cond)
		abort();
}

/* The lowest number that is free: the same before and after if nothing was left open below. */
static int next_fd(void)
{
	int fd = dup(0);

	if (fd < 0)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	must(fd >= 0);
	close(fd);
	return fd;
}

static void send_piece(int sock, const uint8_t *piece, size_t len, unsigned n_fds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(9 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)piece, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *c;

	if (n_fds > 0) {
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &sock, sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* the socket is full: enough */
}

static void send_pieces(int sock, const uint8_t *data, size_t size)
{
	static const uint8_t fds[] = {0, 1, 3, 9};

	for (unsigned n = 0; n < MAX_PIECES && size > 1; n++) {
		size_t len = MIN((size_t)(data[0] & 63) + 1, size - 1);

		send_piece(sock, data + 1, len, fds[data[0] >> 6]);
		data += 1 + len;
		size -= 1 + len;
	}
	shutdown(sock, SHUT_WR);
}

static void give_and_take(struct user *u)
{
	struct err e = {0};

	u->features = u->base.features;
	for (unsigned i = 0; i < u->base.n_queues; i++)
		u->ring[i] = (struct vhost_ring){.enabled = true,
						 .size = 16,
						 .desc = 0x1000,
						 .driver = 0x2000,
						 .device = 0x3000,
						 .kick = u->wake,
						 .call = u->wake};
	if (user_give_rings(u, false, &e) < 0)
		must(u->sock < 0 && e.text[0]);
	user_take_rings(u);
}

static void converse(struct user *u)
{
	struct err e = {0};

	if (user_negotiate(u, true, &e) < 0) {
		must(u->sock < 0 && e.text[0]);
		return;
	}
	must(u->base.n_queues > 0 && u->base.n_queues <= VHOST_MAX_QUEUES);
	must(u->base.config_len <= VHOST_USER_CONFIG_MAX);
	must(!(u->base.features >> VU_F_PROTOCOL & 1) && !(u->base.features >> 26 & 1));
	give_and_take(u);
	user_check_peer(u);
}

/* Its own channel; on the main one it says nothing. */
static void be_asked(struct user *u, int asking)
{
	u->protocol = ~0ULL;
	u->base.config_len = 0;
	u->request_fd = dup(asking);
	must(u->request_fd >= 0 && fcntl(u->request_fd, F_SETFL, O_NONBLOCK) == 0);
	for (unsigned i = 0; i < MAX_PIECES && u->request_fd >= 0; i++)
		user_serve(u);
	must(u->request_fd < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t kind[] = {VIRTIO_ID_BLOCK, VIRTIO_ID_NET, VIRTIO_ID_FS, 40};
	static struct user u;
	struct gmem mem;
	struct err e;
	int end[2], before = next_fd();

	if (size < 2)
		return 0;
	log_level = LOG_ERROR;
	must(gmem_create(&mem, 64 * KIB, true, &e) == 0);
	struct vhost_user_setup setup = {
		.name = "fuzz",
		.path = "/",
		.device_id = kind[data[0] & 3],
		.queues_default = 2,
		.queue_size = 256,
		.config_len = 16,
		.mem = &mem,
		.deadline_ms = 20, /* all is there already */
	};
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, end) == 0);
	must(user_init(&u, &setup, &e) == 0);
	send_pieces(end[1], data + 1, size - 1);
	if (data[0] & 4) {
		u.sock = dup(end[0]);
		be_asked(&u, end[0]);
		close(end[0]);
	} else {
		u.sock = end[0];
		converse(&u);
	}
	user_fini(&u);
	close(end[1]);
	gmem_destroy(&mem);
	must(next_fd() == before);
	return 0;
}
