/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM. The one room that turns a guest-physical address into a host pointer, and only with a
 * length: there is no address-only translation.
 *
 * Invariants: regions are sorted, page-aligned and disjoint; they never change while the VM lives, so
 * all functions may be called from any thread without a lock. What the guest writes at the same time
 * is the guest's race: copy a structure in once with gmem_read() and judge the copy.
 */
#pragma once

#include "base/base.h"
#include "base/err.h"
#include "mem/layout.h"

#define GMEM_MAX_REGIONS 2 /* below the hole at 3 GiB, and from 4 GiB on */

struct gmem_region {
	uint64_t base; /* guest-physical */
	uint64_t len;  /* bytes */
	uint8_t *host;
};

struct gmem {
	struct gmem_region region[GMEM_MAX_REGIONS];
	unsigned n;
	int memfd; /* backs all regions, one after the other; -1: RAM is private to this process */
};

#define GMEM_EMPTY ((struct gmem){.memfd = -1})

/*
 * Makes `size` bytes of zeroed guest RAM (a multiple of the page size), at 0 and, above 3 GiB, from
 * 4 GiB on. Pages are allocated when first touched. `shared`: backed by a memfd that another process
 * (a vhost-user or vfio-user back end) can map; otherwise private, which costs less per page.
 * Fails with -ENOMEM and a text when the host cannot reserve that much.
 */
int gmem_create(struct gmem *m, uint64_t size, bool shared, struct err *e);
/* Unmaps; accepts GMEM_EMPTY and a half-made object. No pointer from gmem_slice() survives. */
void gmem_destroy(struct gmem *m);

/* Guest-physical address after the last byte of RAM. */
uint64_t gmem_end(const struct gmem *m);
/* Bytes of RAM in all. */
uint64_t gmem_size(const struct gmem *m);

/* Host pointer to [gpa, gpa + len), or NULL unless all of it lies inside one region. len may be 0. */
MUST_CHECK void *gmem_slice(const struct gmem *m, uint64_t gpa, uint64_t len);
/* Copies out of and into guest RAM. 0, or -EFAULT with nothing copied. */
MUST_CHECK int gmem_read(const struct gmem *m, uint64_t gpa, void *dst, uint64_t len);
MUST_CHECK int gmem_write(const struct gmem *m, uint64_t gpa, const void *src, uint64_t len);

/*
 * Gives the host's memory behind the whole pages inside [slice, slice + len) back to the host; the guest finds
 * zeroes there when it touches them again. `slice` comes from gmem_slice() or a virtqueue. 0; -EFAULT where that
 * is not inside one region of RAM; -errno where the host refused (locked pages: the content may be left).
 */
MUST_CHECK int gmem_discard(const struct gmem *m, void *slice, uint64_t len);

/*
 * Reads `len` bytes of a file, from `offset` on, to `gpa`. 0; -EFAULT outside RAM, -EIO when the file
 * is shorter than that, -errno of reading it. The file may change afterwards.
 */
MUST_CHECK int gmem_load_file(struct gmem *m, uint64_t gpa, int fd, uint64_t offset, uint64_t len);
