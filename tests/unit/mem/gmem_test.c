// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/gmem.h"

static struct err e;

static struct gmem ram_of(uint64_t size)
{
	struct gmem m;

	CHECK_EQ(0, gmem_create(&m, size, false, &e));
	return m;
}

/* A file whose byte i is (i * 7) % 251. */
static int pattern_file(size_t len)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC);

	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)(i * 7 % 251);
		CHECK_EQ(1, write(fd, &byte, 1));
	}
	return fd;
}

TEST(small_ram_is_one_region_from_zero)
{
	struct gmem m = ram_of(32 * MIB);

	CHECK_EQ(1, m.n);
	CHECK_EQ(0, m.region[0].base);
	CHECK_EQ(32 * MIB, gmem_end(&m));
	gmem_destroy(&m);
}

TEST(ram_above_3_gib_continues_at_4_gib)
{
	struct gmem m = ram_of(6 * GIB);

	CHECK_EQ(2, m.n);
	CHECK_EQ(3 * GIB, m.region[0].len);
	CHECK_EQ(4 * GIB, m.region[1].base);
	CHECK_EQ(7 * GIB, gmem_end(&m));
	CHECK_EQ(6 * GIB, gmem_size(&m));
	gmem_destroy(&m);
}

TEST(exactly_3_gib_needs_no_second_region)
{
	struct gmem m = ram_of(3 * GIB);

	CHECK_EQ(1, m.n);
	gmem_destroy(&m);
}

TEST(slice_takes_the_last_byte_and_no_more)
{
	struct gmem m = ram_of(1 * MIB);

	CHECK(gmem_slice(&m, 1 * MIB - 1, 1) != NULL);
	CHECK(gmem_slice(&m, 1 * MIB - 1, 2) == NULL);
	CHECK(gmem_slice(&m, 1 * MIB, 1) == NULL);
	CHECK(gmem_slice(&m, 0, 1 * MIB) != NULL);
	CHECK(gmem_slice(&m, 0, 1 * MIB + 1) == NULL);
	gmem_destroy(&m);
}

TEST(slice_refuses_what_would_wrap)
{
	struct gmem m = ram_of(1 * MIB);

	CHECK(gmem_slice(&m, UINT64_MAX, 2) == NULL);
	CHECK(gmem_slice(&m, 16, UINT64_MAX) == NULL);
	CHECK(gmem_slice(&m, UINT64_MAX, UINT64_MAX) == NULL);
	gmem_destroy(&m);
}

TEST(slice_refuses_the_hole_and_what_spans_it)
{
	struct gmem m = ram_of(4 * GIB);

	CHECK(gmem_slice(&m, 3 * GIB, 1) == NULL);
	CHECK(gmem_slice(&m, 3 * GIB - 4, 8) == NULL);
	CHECK(gmem_slice(&m, 3 * GIB - 4, 2 * GIB) == NULL);
	CHECK(gmem_slice(&m, 4 * GIB - 1, 2) == NULL);
	CHECK(gmem_slice(&m, 4 * GIB, 1 * GIB) != NULL);
	gmem_destroy(&m);
}

TEST(read_and_write_copy_whole_or_nothing)
{
	struct gmem m = ram_of(1 * MIB);
	uint32_t value = 0x12345678, back = 0;

	CHECK_EQ(0, gmem_write(&m, 0x1000, &value, sizeof(value)));
	CHECK_EQ(0, gmem_read(&m, 0x1000, &back, sizeof(back)));
	CHECK_EQ(value, back);
	CHECK_EQ(-EFAULT, gmem_write(&m, 1 * MIB - 2, &value, sizeof(value)));
	CHECK_EQ(0, *(uint16_t *)gmem_slice(&m, 1 * MIB - 2, 2));
	CHECK_EQ(-EFAULT, gmem_read(&m, 1 * MIB - 2, &back, sizeof(back)));
	gmem_destroy(&m);
}

/* Loads [offset, offset + len) of a patterned file at gpa; checks it and the bytes around it. */
static void check_load(bool shared, uint64_t gpa, uint64_t offset, uint64_t len)
{
	int fd = pattern_file(offset + len + 5000);
	struct gmem m;
	uint8_t *host;

	CHECK_EQ(0, gmem_create(&m, 4 * MIB, shared, &e));
	host = gmem_slice(&m, gpa - 16, len + 32);
	memset(host, 0xee, len + 32);
	CHECK_EQ(0, gmem_load_file(&m, gpa, fd, offset, len));
	for (uint64_t i = 0; i < len; i++)
		CHECK_EQ((offset + i) * 7 % 251, host[16 + i]);
	for (int i = 0; i < 16; i++) {
		CHECK_EQ(0xee, host[i]);
		CHECK_EQ(0xee, host[16 + len + i]);
	}
	host[16 + len / 2] ^= 0xff; /* the guest writes: the file must not change */
	uint8_t byte;
	CHECK_EQ(1, pread(fd, &byte, 1, (off_t)(offset + len / 2)));
	CHECK_EQ((offset + len / 2) * 7 % 251, byte);
	gmem_destroy(&m);
	close(fd);
}

TEST(load_file_leaves_the_bytes_around_alone)
{
	check_load(false, 0x100000, 0, 200000);         /* by a mapping */
	check_load(false, 0x100000 + 100, 100, 200000); /* from the middle of a page */
	check_load(false, 0x100000, 4096, 0x20000);     /* whole pages */
	check_load(false, 0x100001, 0, 200000);         /* to anywhere */
	check_load(false, 0x100000, 0, 100);            /* by one read */
	check_load(true, 0x100000, 0, 200000);          /* shared RAM */
}

TEST(load_file_refuses_what_the_file_has_not_got)
{
	struct gmem m = ram_of(1 * MIB);
	int fd = pattern_file(1000);

	CHECK_EQ(-EIO, gmem_load_file(&m, 0x1000, fd, 0, 1001));
	CHECK_EQ(-EIO, gmem_load_file(&m, 0x1000, fd, 1001, 1));
	CHECK_EQ(-EIO, gmem_load_file(&m, 0x1000, fd, UINT64_MAX, 2));
	CHECK_EQ(-EFAULT, gmem_load_file(&m, 1 * MIB - 10, fd, 0, 11));
	CHECK_EQ(0, gmem_load_file(&m, 1 * MIB - 10, fd, 0, 10));
	gmem_destroy(&m);
	close(fd);
}

TEST(shared_ram_is_one_memfd_behind_both_regions)
{
	struct gmem m;
	uint8_t byte = 0;

	CHECK_EQ(0, gmem_create(&m, 4 * GIB, true, &e));
	*(uint8_t *)gmem_slice(&m, 4 * GIB, 1) = 0x5a;
	CHECK_EQ(1, pread(m.memfd, &byte, 1, 3LL * (off_t)GIB));
	CHECK_EQ(0x5a, byte);
	gmem_destroy(&m);
	CHECK_EQ(-1, m.memfd);
}

TEST(more_than_the_address_space_is_an_error_with_a_text)
{
	struct gmem m;

	CHECK(gmem_create(&m, 1ULL << 62, false, &e) < 0);
	CHECK_HAS(e.text, "memory: cannot reserve");
}

/* Bytes of the pages from `gpa` on that the host has memory for. */
static unsigned resident(const struct gmem *m, uint64_t gpa, unsigned pages)
{
	unsigned char vec[16];
	unsigned n = 0;

	CHECK(pages <= sizeof(vec));
	CHECK_EQ(0, mincore(gmem_slice(m, gpa, pages * PAGE_SIZE), pages * PAGE_SIZE, vec));
	for (unsigned i = 0; i < pages; i++)
		n += vec[i] & 1;
	return n;
}

static void check_discard(bool shared)
{
	struct gmem m;
	uint8_t *host;

	CHECK_EQ(0, gmem_create(&m, 4 * MIB, shared, &e));
	/* Small pages, so that it shows which are there. */
	CHECK_EQ(0, madvise(gmem_slice(&m, 0, 4 * MIB), 4 * MIB, MADV_NOHUGEPAGE));
	host = gmem_slice(&m, 0x10000, 8 * PAGE_SIZE);
	memset(host, 0xaa, 8 * PAGE_SIZE);
	CHECK_EQ(8, resident(&m, 0x10000, 8));
	CHECK_EQ(0, gmem_discard(&m, host + 2 * PAGE_SIZE, 3 * PAGE_SIZE));
	CHECK_EQ(5, resident(&m, 0x10000, 8));
	for (unsigned i = 0; i < 8 * PAGE_SIZE; i++)
		CHECK_EQ(i / PAGE_SIZE >= 2 && i / PAGE_SIZE < 5 ? 0 : 0xaa, host[i]);
	host[2 * PAGE_SIZE] = 1; /* and it is there again */
	CHECK_EQ(1, host[2 * PAGE_SIZE]);
	gmem_destroy(&m);
}

TEST(discarded_pages_are_the_hosts_again_and_read_as_zero)
{
	check_discard(false);
	check_discard(true);
}

TEST(discard_of_shared_ram_is_seen_by_other_mappings)
{
	struct gmem m;
	uint8_t byte = 1;

	CHECK_EQ(0, gmem_create(&m, 1 * MIB, true, &e));
	*(uint8_t *)gmem_slice(&m, 0x5000, 1) = 0x5a;
	CHECK_EQ(0, gmem_discard(&m, gmem_slice(&m, 0x5000, PAGE_SIZE), PAGE_SIZE));
	CHECK_EQ(1, pread(m.memfd, &byte, 1, 0x5000));
	CHECK_EQ(0, byte);
	gmem_destroy(&m);
}

TEST(discard_spares_a_page_that_is_only_touched_in_part)
{
	struct gmem m = ram_of(1 * MIB);
	uint8_t *host = gmem_slice(&m, 0x4000, 4 * PAGE_SIZE);

	memset(host, 0xaa, 4 * PAGE_SIZE);
	CHECK_EQ(0, gmem_discard(&m, host + 1, 3 * PAGE_SIZE - 2));
	CHECK_EQ(0xaa, host[PAGE_SIZE - 1]);
	CHECK_EQ(0, host[PAGE_SIZE]);
	CHECK_EQ(0, host[2 * PAGE_SIZE - 1]);
	CHECK_EQ(0xaa, host[2 * PAGE_SIZE]);
	CHECK_EQ(0, gmem_discard(&m, host + 1, PAGE_SIZE - 1));
	CHECK_EQ(0, gmem_discard(&m, host, 0));
	CHECK_EQ(0xaa, host[0]);
	gmem_destroy(&m);
}

TEST(discard_refuses_what_is_not_guest_ram)
{
	struct gmem m = ram_of(1 * MIB);
	uint8_t *host = gmem_slice(&m, 0, 1 * MIB);
	static uint8_t ours[3 * 4096];

	CHECK_EQ(-EFAULT, gmem_discard(&m, ours, sizeof(ours)));
	CHECK_EQ(-EFAULT, gmem_discard(&m, host - PAGE_SIZE, 2 * PAGE_SIZE));
	CHECK_EQ(-EFAULT, gmem_discard(&m, host + 1 * MIB - PAGE_SIZE, 2 * PAGE_SIZE));
	CHECK_EQ(-EFAULT, gmem_discard(&m, host + PAGE_SIZE, UINT64_MAX));
	CHECK_EQ(0, gmem_discard(&m, host, 1 * MIB));
	gmem_destroy(&m);
}
