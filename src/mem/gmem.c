// SPDX-License-Identifier: Apache-2.0
#include "mem/gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

/* A host mapping that starts on a huge-page boundary lets the host back it with huge pages. */
#define HUGE_PAGE (2 * MIB)

static int map_region(struct gmem *m, uint64_t base, uint64_t len, uint64_t file_offset,
		      struct err *e)
{
	struct gmem_region *r = &m->region[m->n];
	int flags = m->memfd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	uint64_t room = len + HUGE_PAGE;
	uint8_t *area, *host;

	/* Reserve more than needed, put the region on a boundary inside, give the rest back. */
	area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return err_sys(e, "memory: cannot reserve %llu MiB of address space", len / MIB);
	host = (uint8_t *)align_up((uint64_t)(uintptr_t)area, HUGE_PAGE);
	if (mmap(host, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_NORESERVE, m->memfd,
		 (off_t)file_offset) == MAP_FAILED) {
		munmap(area, room);
		return err_sys(e, "memory: cannot map %llu MiB of guest RAM", len / MIB);
	}
	if (host > area)
		munmap(area, (size_t)(host - area));
	if (host + len < area + room)
		munmap(host + len, (size_t)(area + room - host - len));
	/*
	 * One fault brings 2 MiB, for the host and for the guest's second-level page tables alike. Many
	 * hosts give huge pages only to who asks; one that has none says EINVAL, and small ones do.
	 */
	madvise(host, len, MADV_HUGEPAGE);
	*r = (struct gmem_region){.base = base, .len = len, .host = host};
	m->n++;
	return 0;
}

int gmem_create(struct gmem *m, uint64_t size, bool shared, struct err *e)
{
	uint64_t low = MIN(size, RAM_HOLE_START);
	int rc;

	*m = GMEM_EMPTY;
	if (shared) {
		m->memfd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		if (m->memfd < 0)
			return err_sys(e, "memory: memfd_create");
		/* Whoever is given it must not be able to make it shorter: touching what is missing is SIGBUS. */
		if (ftruncate(m->memfd, (off_t)size) < 0 ||
		    fcntl(m->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
			rc = err_sys(e, "memory: cannot size guest RAM to %llu MiB", size / MIB);
			goto fail;
		}
	}
	if ((rc = map_region(m, 0, low, 0, e)) < 0)
		goto fail;
	if (size > low && (rc = map_region(m, RAM_HOLE_END, size - low, low, e)) < 0)
		goto fail;
	return 0;
fail:
	gmem_destroy(m);
	return rc;
}

void gmem_destroy(struct gmem *m)
{
	for (unsigned i = 0; i < m->n; i++)
		munmap(m->region[i].host, m->region[i].len);
	fd_close(&m->memfd);
	*m = GMEM_EMPTY;
}

uint64_t gmem_end(const struct gmem *m)
{
	return m->n ? m->region[m->n - 1].base + m->region[m->n - 1].len : 0;
}

uint64_t gmem_size(const struct gmem *m)
{
	uint64_t size = 0;

	for (unsigned i = 0; i < m->n; i++)
		size += m->region[i].len;
	return size;
}

void *gmem_slice(const struct gmem *m, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		if (gpa < r->base)
			break;
		uint64_t off = gpa - r->base;
		if (off <= r->len && len <= r->len - off) /* subtract, never add: cannot wrap */
			return r->host + off;
	}
	return NULL;
}

int gmem_read(const struct gmem *m, uint64_t gpa, void *dst, uint64_t len)
{
	const void *src = gmem_slice(m, gpa, len);

	if (!src)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

int gmem_write(const struct gmem *m, uint64_t gpa, const void *src, uint64_t len)
{
	void *dst = gmem_slice(m, gpa, len);

	if (!dst)
		return -EFAULT;
	memcpy(dst, src, len);
	return 0;
}

static bool inside(const struct gmem_region *r, const uint8_t *host, uint64_t len)
{
	uint64_t off = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);

	return host >= r->host && off <= r->len && len <= r->len - off;
}

/*
 * Private RAM: the pages are dropped (MADV_DONTNEED). Shared RAM: other processes map the same pages, so a hole
 * is punched into the memfd (MADV_REMOVE), else they would come back with their content.
 *
 * A part of a huge page: the host splits the mapping at once and the page itself, whose memory it then gets
 * back, when it is short of memory. From then on small pages are there, until khugepaged finds time to join them;
 * it may bring discarded pages back by that (docs/balloon.md).
 */
int gmem_discard(const struct gmem *m, void *slice, uint64_t len)
{
	int how = m->memfd < 0 ? MADV_DONTNEED : MADV_REMOVE;
	uint8_t *host = slice;

	for (unsigned i = 0; i < m->n; i++) {
		const struct gmem_region *r = &m->region[i];
		uint64_t off, from, to;

		if (!inside(r, host, len))
			continue;
		off = (uint64_t)(host - r->host);
		from = align_up(off, PAGE_SIZE); /* a region is made of whole pages: no wrap */
		to = align_down(off + len, PAGE_SIZE);
		if (from >= to)
			return 0;
		return madvise(r->host + from, to - from, how) < 0 ? -errno : 0;
	}
	return -EFAULT;
}

/*
 * Read, not mapped into guest RAM: a mapping would cost the guest one to three faults for each 4 KiB
 * it touches, and a file that is overwritten while the VM runs would change or kill the guest
 * (docs/performance.md has the figures).
 */
int gmem_load_file(struct gmem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len)
{
	void *host = gmem_slice(m, gpa, len);

	if (!host)
		return -EFAULT;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EIO; /* no file is that long */
	return pread_full(fd, host, len, offset);
}
