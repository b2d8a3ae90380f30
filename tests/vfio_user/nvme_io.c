// SPDX-License-Identifier: Apache-2.0
/* Reads, writes, flushes, and what is no longer needed: NVM commands (section 6). */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vfio_user/nvme.h"

enum {
	IO_FLUSH = 0x00,
	IO_WRITE = 0x01,
	IO_READ = 0x02,
	IO_WRITE_ZEROES = 0x08,
	IO_DATASET = 0x09
};

#define RANGES_MAX 256
#define DEALLOCATE 4u /* dword 11 of dataset management */

static bool add_page(struct nvme *n, struct iovec *iov, uint64_t addr, size_t len)
{
	*iov = (struct iovec){vfuser_dma(&n->server, addr, len), len};
	return iov->iov_base;
}

/*
 * Physical region pages (section 4.3): the first may begin inside a page. A second one is named by the command; where
 * there are more, PRP2 is the address of a list, whose last entry leads to another list if it does not suffice.
 */
int nvme_pages(struct nvme *n, const struct nvme_command *c, size_t len,
	       struct iovec iov[NVME_PAGES])
{
	size_t part = MIN(len, NVME_PAGE - c->prp1 % NVME_PAGE);
	uint64_t list = c->prp2;
	int k = 0;

	if (c->flags & 0xc0 || !add_page(n, &iov[k++], c->prp1, part)) /* no SGLs */
		return -1;
	len -= part;
	if (len == 0)
		return k;
	if (len <= NVME_PAGE)
		return add_page(n, &iov[k++], c->prp2, len) ? k : -1;
	while (len > 0) {
		const uint64_t *entry = vfuser_dma(&n->server, list, sizeof(*entry));
		if (!entry || list % 8 || k == NVME_PAGES)
			return -1;
		if (list % NVME_PAGE == NVME_PAGE - sizeof(*entry) && len > NVME_PAGE) {
			list = *entry;
			entry = vfuser_dma(&n->server, list, sizeof(*entry));
			if (!entry || list % 8)
				return -1;
		}
		part = MIN(len, NVME_PAGE);
		if (!add_page(n, &iov[k++], *entry, part))
			return -1;
		len -= part;
		list += sizeof(*entry);
	}
	return k;
}

static bool in_range(const struct nvme *n, uint64_t first, uint64_t count)
{
	return first <= n->blocks && count <= n->blocks - first;
}

/* The disk may give less than was asked for: then the rest. */
static uint16_t transfer(struct nvme *n, struct iovec *iov, int n_iov, uint64_t at, bool write)
{
	while (n_iov > 0) {
		ssize_t done = write ? pwritev(n->disk, iov, n_iov, (off_t)at)
				     : preadv(n->disk, iov, n_iov, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return write ? NVME_WRITE_FAULT : NVME_READ_ERROR;
		at += (uint64_t)done;
		while (n_iov > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n_iov--;
		}
		if (n_iov > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return NVME_OK;
}

static uint16_t read_or_write(struct nvme *n, const struct nvme_command *c)
{
	uint64_t first = c->dw10 | (uint64_t)c->dw11 << 32;
	size_t count = (c->dw12 & 0xffff) + 1ul;
	struct iovec iov[NVME_PAGES];
	int n_iov;

	if (!in_range(n, first, count))
		return NVME_BAD_RANGE;
	if (count * NVME_BLOCK > (size_t)NVME_PAGE << NVME_MDTS)
		return NVME_BAD_FIELD;
	n_iov = nvme_pages(n, c, count * NVME_BLOCK, iov);
	if (n_iov < 0)
		return NVME_TRANSFER_ERROR;
	return transfer(n, iov, n_iov, first * NVME_BLOCK, c->opcode == IO_WRITE);
}

static uint16_t zero(struct nvme *n, uint64_t first, uint64_t count)
{
	if (!in_range(n, first, count))
		return NVME_BAD_RANGE;
	if (count == 0 || fallocate(n->disk, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    (off_t)(first * NVME_BLOCK), (off_t)(count * NVME_BLOCK)) == 0)
		return NVME_OK;
	return NVME_WRITE_FAULT;
}

/* Dataset management: a list of ranges; that they are no longer needed is a hint. */
static uint16_t dataset(struct nvme *n, const struct nvme_command *c)
{
	struct {
		uint32_t attributes, count;
		uint64_t first;
	} range[RANGES_MAX];
	size_t len = ((c->dw10 & 0xff) + 1) * sizeof(range[0]), at = 0;
	struct iovec iov[NVME_PAGES];
	int n_iov = nvme_pages(n, c, len, iov);

	if (n_iov < 0)
		return NVME_TRANSFER_ERROR;
	for (int i = 0; i < n_iov; at += iov[i++].iov_len)
		memcpy((uint8_t *)range + at, iov[i].iov_base, iov[i].iov_len);
	for (unsigned i = 0; i < len / sizeof(range[0]) && c->dw11 & DEALLOCATE; i++) {
		uint16_t status = zero(n, range[i].first, range[i].count);
		if (status == NVME_BAD_RANGE)
			return status;
	}
	return NVME_OK;
}

uint16_t nvme_io(struct nvme *n, const struct nvme_command *c)
{
	if (c->nsid != 1 && !(c->opcode == IO_FLUSH && c->nsid == UINT32_MAX))
		return NVME_BAD_NAMESPACE;
	switch (c->opcode) {
	case IO_READ:
	case IO_WRITE:
		return read_or_write(n, c);
	case IO_FLUSH:
		return fdatasync(n->disk) == 0 ? NVME_OK : NVME_WRITE_FAULT;
	case IO_WRITE_ZEROES:
		return zero(n, c->dw10 | (uint64_t)c->dw11 << 32, (c->dw12 & 0xffff) + 1ull);
	case IO_DATASET:
		return dataset(n, c);
	default:
		return NVME_BAD_OPCODE;
	}
}
