// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "boot/initrd.h"

#define KERNEL_START (8 * MIB)
#define KERNEL_END   (16 * MIB + 1) /* so that the first free page is the next one */

/* Places an initrd of `size` bytes, all zero but the last, beside a kernel at 8 to 16 MiB. */
struct initrd_test {
	struct boot_kernel k;
	struct boot_initrd out;
	struct gmem m;
	struct err e;
};

static int place(struct initrd_test *t, uint64_t size, uint64_t ram, uint64_t initrd_max)
{
	struct memfile f = memfile("", 0);
	int rc;

	*t = (struct initrd_test){
		.k = {.start = KERNEL_START, .end = KERNEL_END, .initrd_max = initrd_max}};
	CHECK_EQ(0, gmem_create(&t->m, ram, false, &t->e));
	CHECK_EQ(0, ftruncate(f.fd, (off_t)size));
	CHECK_EQ(1, pwrite(f.fd, "!", 1, (off_t)size - 1));
	rc = initrd_load(&t->out, &t->m, f.path, &t->k, &t->e);
	close(f.fd);
	return rc;
}

static void check_placed(struct initrd_test *t, uint64_t addr, uint64_t size)
{
	uint8_t last;

	CHECK_EQ(addr, t->out.addr);
	CHECK_EQ(size, t->out.size);
	CHECK_EQ(0, gmem_read(&t->m, addr + size - 1, &last, 1));
	CHECK_EQ('!', last);
	gmem_destroy(&t->m);
}

#define NO_LIMIT (RAM_HOLE_END - 1)
#define ABOVE    (16 * MIB + PAGE_SIZE)

TEST(goes_to_the_end_of_memory_on_a_page_boundary)
{
	struct initrd_test t;

	CHECK_EQ(0, place(&t, 1, RAM, NO_LIMIT));
	check_placed(&t, RAM - PAGE_SIZE, 1);
	CHECK_EQ(0, place(&t, PAGE_SIZE, RAM, NO_LIMIT));
	check_placed(&t, RAM - PAGE_SIZE, PAGE_SIZE);
	CHECK_EQ(0, place(&t, PAGE_SIZE + 1, RAM, NO_LIMIT));
	check_placed(&t, RAM - 2 * PAGE_SIZE, PAGE_SIZE + 1);
}

TEST(stays_below_the_hole_and_within_reach_of_the_kernel)
{
	struct initrd_test t;

	CHECK_EQ(0, place(&t, 5000, 5 * GIB, NO_LIMIT));
	check_placed(&t, RAM_HOLE_START - 2 * PAGE_SIZE, 5000);
	CHECK_EQ(0, place(&t, 5000, 5 * GIB, 0x7fffffff));
	check_placed(&t, 0x80000000 - 2 * PAGE_SIZE, 5000);
	CHECK_EQ(0, place(&t, 5000, 5 * GIB, 0x7ffffffe)); /* its last page is out of reach */
	check_placed(&t, 0x80000000 - 3 * PAGE_SIZE, 5000);
}

TEST(fills_memory_down_to_the_end_of_the_kernel)
{
	struct initrd_test t;

	CHECK_EQ(0, place(&t, RAM - ABOVE, RAM, NO_LIMIT));
	check_placed(&t, ABOVE, RAM - ABOVE);
	CHECK_EQ(-E2BIG, place(&t, RAM - ABOVE + 1, RAM, NO_LIMIT));
	CHECK_HAS(t.e.text, "has 16 MiB and does not fit");
	CHECK_HAS(t.e.text, "more than 33 MiB of memory and there are 32: give more with --memory");
	gmem_destroy(&t.m);
}

TEST(goes_below_the_kernel_where_it_does_not_fit_above)
{
	struct initrd_test t;

	CHECK_EQ(0, place(&t, 6 * MIB, 20 * MIB, NO_LIMIT));
	check_placed(&t, KERNEL_START - 6 * MIB, 6 * MIB);
	CHECK_EQ(0, place(&t, 7 * MIB, 20 * MIB, NO_LIMIT));
	check_placed(&t, HIGH_RAM_START, 7 * MIB);
	CHECK_EQ(-E2BIG, place(&t, 7 * MIB + 1, 20 * MIB, NO_LIMIT));
	gmem_destroy(&t.m);
	CHECK_EQ(0, place(&t, 1, RAM, 4 * MIB - 1)); /* the kernel reaches only below itself */
	check_placed(&t, 4 * MIB - PAGE_SIZE, 1);
}

TEST(says_when_more_memory_would_not_help)
{
	struct initrd_test t;

	CHECK_EQ(-E2BIG, place(&t, 20 * MIB, 64 * MIB, 32 * MIB - 1));
	CHECK_HAS(t.e.text, "has 20 MiB, and this kernel takes at most 15 MiB");
	CHECK(!strstr(t.e.text, "--memory"));
	gmem_destroy(&t.m);
	CHECK_EQ(-E2BIG, place(&t, 20 * MIB, RAM, 0));
	gmem_destroy(&t.m);
	CHECK_EQ(-E2BIG, place(&t, 5 * GIB, RAM, NO_LIMIT)); /* sparse */
	CHECK(!strstr(t.e.text, "--memory"));
	gmem_destroy(&t.m);
	CHECK_EQ(-E2BIG, place(&t, 1ULL << 50, RAM, NO_LIMIT));
	gmem_destroy(&t.m);
}

TEST(is_named_in_boot_params)
{
	struct memfile f = memfile("initrd", 6);
	struct tiny_elf k = tiny_elf();
	struct boot_params p;
	struct boot_test t;

	boot_test_init(&t, RAM);
	t.initrd = f.path;
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &p, sizeof(p)));
	CHECK_EQ(RAM - PAGE_SIZE, p.hdr.ramdisk_image);
	CHECK_EQ(6, p.hdr.ramdisk_size);
	CHECK_EQ(0, p.ext_ramdisk_image);
	CHECK_EQ(0, p.ext_ramdisk_size);
	CHECK_EQ('i', ram_byte(&t, RAM - PAGE_SIZE));
	boot_test_fini(&t);
	close(f.fd);
}

TEST(does_not_overlap_what_a_bzimage_needs_to_unpack_itself)
{
	static char initrd[4 * MIB];
	struct memfile f = memfile(initrd, sizeof(initrd));
	static struct tiny_bz b;
	struct boot_params p;
	struct boot_test t;

	tiny_bz(&b, "unknown compression", 20);
	bz_header(&b)->init_size = 13 * MIB; /* to 29 MiB of 32 */
	boot_test_init(&t, RAM);
	t.initrd = f.path;
	CHECK_EQ(0, boot_test_load(&t, b.bytes, b.len));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &p, sizeof(p)));
	CHECK_EQ(LOAD - 4 * MIB, p.hdr.ramdisk_image);
	boot_test_fini(&t);
	close(f.fd);
}

static void refuses_path(const char *path, int code, const char *part)
{
	struct tiny_elf k = tiny_elf();
	struct boot_test t;

	boot_test_init(&t, RAM);
	t.initrd = path;
	CHECK_EQ(-code, boot_test_load(&t, &k, sizeof(k)));
	CHECK_HAS(t.e.text, "initrd '");
	CHECK_HAS(t.e.text, path);
	CHECK_HAS(t.e.text, part);
	boot_test_fini(&t);
}

TEST(refuses_what_is_no_file)
{
	struct memfile empty = memfile("", 0);

	refuses_path(empty.path, EINVAL, "is empty");
	refuses_path("/", EISDIR, "is a directory");
	refuses_path("/dev/null", EINVAL, "not a regular file");
	refuses_path("/nonexistent/initrd", ENOENT, "open: No such file");
	close(empty.fd);
}
