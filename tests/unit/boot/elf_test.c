// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

static int load(const struct tiny_elf *k, struct err *e)
{
	return load_once(k, sizeof(*k), e);
}

/* Expects -code and a text with `part` for a kernel that `change` was done to. */
#define REFUSES(code, part, change)                          \
	do {                                                 \
		struct tiny_elf k = tiny_elf();              \
		struct err e;                                \
		change;                                      \
		CHECK_EQ(-(code), load(&k, &e));             \
		CHECK_HAS(e.text, part);                     \
		CHECK_HAS(e.text, "kernel '/proc/self/fd/"); \
	} while (0)

#define ACCEPTS(change)                         \
	do {                                    \
		struct tiny_elf k = tiny_elf(); \
		struct err e = {.text = ""};    \
		change;                         \
		CHECK_EQ(0, load(&k, &e));      \
		CHECK_STR("", e.text);          \
	} while (0)

TEST(places_every_segment_at_its_physical_address)
{
	struct tiny_elf k = tiny_elf();
	struct boot_test t;

	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0, ram_byte(&t, LOAD - 1));
	CHECK_EQ(0xc1, ram_byte(&t, LOAD));
	CHECK_EQ(0xc1, ram_byte(&t, LOAD + 0xfff));
	CHECK_EQ(0, ram_byte(&t, LOAD + 0x1000)); /* bss */
	CHECK_EQ(0xc2, ram_byte(&t, LOAD2));
	CHECK_EQ(0xc2, ram_byte(&t, LOAD2 + 0xfff));
	CHECK_EQ(0, ram_byte(&t, LOAD2 + 0x1000));
	CHECK_EQ(BOOT_LINUX64, t.entry.mode);
	CHECK_EQ(LOAD + 0x10, t.entry.entry);
	CHECK_EQ(BOOT_PARAMS, t.entry.params);
	boot_test_fini(&t);
}

static void swap_segments(struct tiny_elf *k)
{
	Elf64_Phdr first = k->p[0];

	k->p[0] = k->p[1];
	k->p[1] = first;
}

TEST(places_segments_whose_headers_are_out_of_order)
{
	struct tiny_elf k = tiny_elf();
	struct boot_test t;

	swap_segments(&k);
	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0xc1, ram_byte(&t, LOAD));
	CHECK_EQ(0xc2, ram_byte(&t, LOAD2));
	boot_test_fini(&t);
}

TEST(checks_the_layout_in_whatever_order_the_headers_are)
{
	REFUSES(E2BIG, "--memory", (swap_segments(&k), k.p[0].p_memsz = RAM));
	REFUSES(ENOEXEC, "overlap", (swap_segments(&k), k.p[1].p_memsz = LOAD2 - LOAD + 1));
}

TEST(keeps_both_of_two_segments_that_share_a_page)
{
	struct tiny_elf k = tiny_elf();
	struct boot_test t;

	k.p[0].p_filesz = k.p[0].p_memsz = 0x801;
	k.p[1].p_paddr = LOAD + 0x801;
	k.p[1].p_offset = 0x2001;
	k.p[1].p_filesz = k.p[1].p_memsz = 0xfff;
	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0xc1, ram_byte(&t, LOAD + 0x800));
	CHECK_EQ(0xc2, ram_byte(&t, LOAD + 0x801));
	CHECK_EQ(0xc2, ram_byte(&t, LOAD + 0x801 + 0xffe));
	CHECK_EQ(0, ram_byte(&t, LOAD + 0x801 + 0xfff));
	boot_test_fini(&t);
}

TEST(loads_a_large_segment_into_private_and_shared_memory_alike)
{
	static uint8_t file[0x2000 + 0x40123];
	struct tiny_elf k = tiny_elf();

	k.h.e_phnum = 1;
	k.p[0].p_filesz = k.p[0].p_memsz = 0x40123;
	memcpy(file, &k, 0x1000);
	for (size_t i = 0x1000; i < 0x1000 + 0x40123; i++)
		file[i] = (uint8_t)(i * 7);
	file[0x1000 + 0x40123] = 0xee; /* belongs to no segment */
	for (int shared = 0; shared < 2; shared++) {
		struct boot_test t = {.cmdline = ""};
		CHECK_EQ(0, gmem_create(&t.m, RAM, shared, &t.e));
		CHECK_EQ(0, boot_test_load(&t, file, sizeof(file)));
		CHECK_EQ(0, memcmp(gmem_slice(&t.m, LOAD, 0x40123), file + 0x1000, 0x40123));
		CHECK_EQ(0, ram_byte(&t, LOAD + 0x40123));
		boot_test_fini(&t);
	}
}

TEST(names_the_wrong_architecture)
{
	REFUSES(ENOEXEC, "is an aarch64 kernel", k.h.e_machine = EM_AARCH64);
	REFUSES(ENOEXEC, "RISC-V", k.h.e_machine = EM_RISCV);
	REFUSES(ENOEXEC, "s390", (k.h.e_ident[EI_DATA] = ELFDATA2MSB, k.h.e_machine = 0x1600));
	REFUSES(ENOEXEC, "another machine (4660", k.h.e_machine = 0x1234);
	REFUSES(ENOEXEC, "another machine", k.h.e_machine = EM_386); /* in a 64-bit file */
}

TEST(refuses_an_unknown_class_and_byte_order)
{
	REFUSES(ENOEXEC, "unknown class 0", k.h.e_ident[EI_CLASS] = 0);
	REFUSES(ENOEXEC, "unknown class 3", k.h.e_ident[EI_CLASS] = 3);
	REFUSES(ENOEXEC, "another machine", k.h.e_ident[EI_DATA] = ELFDATANONE);
	REFUSES(ENOEXEC, "big-endian", k.h.e_ident[EI_DATA] = ELFDATA2MSB);
	REFUSES(ENOEXEC, "32-bit", k.h.e_ident[EI_CLASS] = ELFCLASS32);
}

TEST(tells_modules_core_dumps_and_programs_from_kernels)
{
	REFUSES(ENOEXEC, "module", k.h.e_type = ET_REL);
	REFUSES(ENOEXEC, "core dump", k.h.e_type = ET_CORE);
	REFUSES(ENOEXEC, "unknown type 0", k.h.e_type = ET_NONE);
	REFUSES(ENOEXEC, "runs under Linux", k.p[2].p_type = PT_INTERP);
	ACCEPTS(k.h.e_type = ET_DYN);
}

TEST(refuses_program_headers_of_another_size_or_number)
{
	REFUSES(ENOEXEC, "56", k.h.e_phentsize = 57);
	REFUSES(ENOEXEC, "32 bytes, not 56", k.h.e_phentsize = 32);
	REFUSES(ENOEXEC, "65535 program headers", k.h.e_phnum = 0xffff);
	REFUSES(ENOEXEC, "65 program headers", k.h.e_phnum = 65);
	REFUSES(ENOEXEC, "nothing to load", k.h.e_phnum = 0);
	ACCEPTS(k.h.e_phnum = 2);
}

TEST(takes_64_program_headers)
{
	struct tiny_elf k = tiny_elf();
	uint8_t file[sizeof(k) + 64 * sizeof(Elf64_Phdr)] = {0};
	struct err e;

	k.h.e_phoff = sizeof(k);
	k.h.e_phnum = 64;
	memcpy(file, &k, sizeof(k));
	memcpy(file + sizeof(k), k.p, sizeof(k.p));
	CHECK_EQ(0, load_once(file, sizeof(file), &e));
	CHECK_EQ(-ENOEXEC, load_once(file, sizeof(file) - 1, &e)); /* the last one is cut */
	CHECK_HAS(e.text, "no program headers");
}

TEST(refuses_program_headers_outside_of_the_file)
{
	REFUSES(ENOEXEC, "no program headers", k.h.e_phoff = sizeof(k) + 1);
	REFUSES(ENOEXEC, "no program headers",
		k.h.e_phoff = sizeof(k) - 3 * sizeof(Elf64_Phdr) + 1);
	REFUSES(ENOEXEC, "no program headers", k.h.e_phoff = UINT64_MAX);
	REFUSES(ENOEXEC, "no program headers",
		k.h.e_phoff = UINT64_MAX - 3 * sizeof(Elf64_Phdr) + 1);
}

TEST(refuses_a_truncated_file)
{
	struct tiny_elf k = tiny_elf();
	struct err e;

	CHECK_EQ(0, load_once(&k, sizeof(k), &e));
	CHECK_EQ(-ENOEXEC, load_once(&k, sizeof(k) - 1, &e));
	CHECK_HAS(e.text, "segment 1 lies beyond the end");
	CHECK_EQ(-ENOEXEC, load_once(&k, sizeof(Elf64_Ehdr) - 1, &e));
	CHECK_HAS(e.text, "truncated ELF file of 63 bytes");
	for (size_t len = 1; len < 300; len++)
		CHECK_EQ(-ENOEXEC, load_once(&k, len, &e));
}

TEST(refuses_a_segment_outside_of_the_file)
{
	REFUSES(ENOEXEC, "segment 0 lies beyond", k.p[0].p_offset = UINT64_MAX);
	REFUSES(ENOEXEC, "segment 0 lies beyond", k.p[0].p_offset = sizeof(k) + 1);
	REFUSES(ENOEXEC, "segment 0 lies beyond",
		(k.p[0].p_offset = UINT64_MAX - 0xfff, k.p[0].p_filesz = 0x1000));
	REFUSES(ENOEXEC, "segment 1 lies beyond", k.p[1].p_offset++);
	REFUSES(ENOEXEC, "segment 2 lies beyond", k.p[2].p_filesz = UINT64_MAX); /* a note */
}

TEST(refuses_more_in_the_file_than_in_memory)
{
	REFUSES(ENOEXEC, "more bytes in the file", k.p[0].p_memsz = 0xfff);
	ACCEPTS(k.p[0].p_memsz = 0x1000);
}

TEST(refuses_a_segment_that_wraps)
{
	REFUSES(ENOEXEC, "wraps", (k.p[0].p_paddr = UINT64_MAX - 0xfff));
	REFUSES(ENOEXEC, "wraps", k.p[0].p_memsz = UINT64_MAX);
}

TEST(refuses_a_segment_below_1_mib)
{
	REFUSES(ENOEXEC, "below 1 MiB", k.p[0].p_paddr = 0);
	REFUSES(ENOEXEC, "below 1 MiB", k.p[0].p_paddr = HIGH_RAM_START - 1);
	ACCEPTS((k.p[0].p_paddr = HIGH_RAM_START, k.h.e_entry = HIGH_RAM_START));
}

TEST(refuses_a_kernel_larger_than_memory_and_says_how_much_it_needs)
{
	REFUSES(E2BIG, "needs at least 33 MiB of memory and there are 32: give more with --memory",
		k.p[1].p_memsz = RAM - LOAD2 + 1);
	ACCEPTS(k.p[1].p_memsz = RAM - LOAD2);
	REFUSES(ENOEXEC, "beyond the 3 GiB", k.p[1].p_memsz = RAM_HOLE_START - LOAD2 + 1);
	REFUSES(E2BIG, "needs at least 3072 MiB", k.p[1].p_memsz = RAM_HOLE_START - LOAD2);
}

TEST(refuses_overlapping_segments)
{
	REFUSES(ENOEXEC, "overlap at 0x1200000", k.p[0].p_memsz = LOAD2 - LOAD + 1);
	ACCEPTS(k.p[0].p_memsz = LOAD2 - LOAD);
	REFUSES(ENOEXEC, "overlap", k.p[1].p_paddr = LOAD);
}

TEST(ignores_empty_segments_and_those_of_other_kinds)
{
	ACCEPTS((k.p[1].p_memsz = k.p[1].p_filesz = 0, k.p[1].p_paddr = 0));
	ACCEPTS((k.p[1].p_type = PT_GNU_STACK, k.p[1].p_offset = UINT64_MAX));
	REFUSES(ENOEXEC, "nothing to load", k.p[0].p_type = k.p[1].p_type = PT_NULL);
}

TEST(refuses_an_entry_outside_of_what_was_loaded)
{
	REFUSES(ENOEXEC, "outside of its segments", k.h.e_entry = LOAD - 1);
	ACCEPTS(k.h.e_entry = LOAD);
	ACCEPTS(k.h.e_entry = LOAD + 0xfff);
	REFUSES(ENOEXEC, "outside of its segments", k.h.e_entry = LOAD + 0x1000); /* bss */
	REFUSES(ENOEXEC, "outside of its segments", k.h.e_entry = 0xffffffff81000000);
	REFUSES(ENOEXEC, "outside of its segments", k.h.e_entry = 0);
}
