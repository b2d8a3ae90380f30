// SPDX-License-Identifier: Apache-2.0
/*
 * A vfio-user server sends anything, with any descriptors: while the device is opened, while its registers are read and
 * written, and while nobody asks. What the client then holds must be sound, and no descriptor may be left behind.
 *
 * The input is pieces: 2 bytes (length; and above it, 3 bits how many descriptors, 3 bits of which kind), then as many bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/unix_socket.h"
#include "base/io.h"
#include "base/log.h"
#include "passthru/user_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RAM         (64 * KIB)
#define DEADLINE_MS 20 /* for a client that writes to a server that does not read */

static void require(bool true_)
{
	if (!true_)
		abort();
}

static int open_kind(unsigned kind)
{
	int fd = -1, p[2];

	switch (kind % 4) {
	case 0:
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		require(ftruncate(fd, 2 * 4096) == 0);
		break;
	case 1:
		fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		break;
	case 2:
		require(pipe2(p, O_CLOEXEC) == 0);
		close(p[0]);
		fd = p[1];
		break;
	default:
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
	return fd;
}

static void send_piece(int to, const uint8_t *data, size_t len, unsigned n_fds, unsigned kind)
{
	union unix_fds room;
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	int fd[7];

	for (unsigned i = 0; i < n_fds; i++)
		fd[i] = open_kind(kind + i);
	if (n_fds > 0)
		unix_put_fds(&msg, &room, fd, n_fds);
	if (sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		require(errno == EAGAIN || errno == ENOBUFS);
	for (unsigned i = 0; i < n_fds; i++)
		close(fd[i]);
}

/* All at once: the socket keeps it. Then the server is gone. */
static void send_all(int to, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 2 < size;) {
		unsigned head = data[i] | data[i + 1] << 8;
		size_t len = MIN(head & 0x3ffu, size - i - 2);

		if (len > 0)
			send_piece(to, data + i + 2, len, head >> 10 & 7, head >> 13);
		i += 2 + len;
	}
	shutdown(to, SHUT_WR);
}

static void check_region(const struct vfio_region *r, const struct user_region *more)
{
	require(r->size <= 1ULL << 40 && r->n_areas <= USER_AREAS_MAX);
	for (unsigned i = 0; i < r->n_areas; i++) {
		const struct vfio_area *a = &r->area[i];
		require(a->len && (a->off | a->len) % 4096 == 0 && a->off < r->size &&
			a->len <= r->size - a->off);
		if (r->flags & VFIO_REGION_INFO_FLAG_READ)
			require(((volatile uint8_t *)a->host)[a->len - 1] == 0);
	}
	for (unsigned i = 0; i < r->n_doorbells; i++)
		require(r->doorbell[i].fd >= 0 && r->doorbell[i].off < r->size &&
			r->doorbell[i].len <= 8);
	for (unsigned i = 0; i < more->n_shadows; i++)
		require(more->shadow[i].off < r->size && more->shadow[i].len <= 8 &&
			user_shadow_ring(&more->shadow[i], "12345678") <= 0);
}

static void check_info(const struct user_info *info)
{
	for (unsigned i = 0; i < VFIO_PCI_NUM_REGIONS; i++)
		check_region(&info->region[i], &info->more[i]);
	require(info->irq[VFIO_PCI_INTX_IRQ_INDEX].count <= 1);
	require(info->irq[VFIO_PCI_MSI_IRQ_INDEX].count <= 32);
	require(info->irq[VFIO_PCI_MSIX_IRQ_INDEX].count <= 2048);
}

/* As the guest does it, until the server has nothing more to say. */
static void use(struct user_conn *c)
{
	for (unsigned i = 0; i < 64 && !c->broken; i++) {
		uint64_t value = 0;
		if (i % 8 == 7)
			user_conn_serve(c);
		else if (i % 2 == 0)
			user_conn_read(c, i % 4 ? 0 : VFIO_PCI_CONFIG_REGION_INDEX, 8, &value,
				       1u << i % 4);
		else
			user_conn_write(c, 0, 16, &value, 1u << i % 4);
	}
	user_unmap_ram(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC), last, s[2];
	struct gmem ram;
	struct user_conn c;
	struct user_info info;
	struct err e = {""};

	log_level = LOG_ERROR;
	close(first);
	require(gmem_create(&ram, RAM, size % 2, &e) == 0);
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) == 0);
	send_all(s[1], data, size);
	require(user_conn_init(&c, s[0], &ram, DEADLINE_MS) == 0);
	if (user_setup(&c, &info, NULL, &e) == 0)
		use(&c);
	else
		require(e.text[0] != '\0' && !strchr(e.text, '\n'));
	check_info(&info);
	user_info_fini(&info, true);
	user_conn_fini(&c);
	close(s[1]);
	gmem_destroy(&ram);
	last = open("/dev/null", O_RDONLY | O_CLOEXEC);
	require(last == first);
	close(last);
	return 0;
}
