// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

/* A payload no unpacker knows, so that the bzImage itself is entered. */
static const char unknown[] = "an unknown kind of compression";

static void self_unpacking(struct tiny_bz *b)
{
	tiny_bz(b, unknown, sizeof(unknown));
}

static void with_elf(struct tiny_bz *b)
{
	struct tiny_elf k = tiny_elf();

	tiny_bz(b, &k, sizeof(k));
}

#define REFUSES(code, part, make, change)                         \
	do {                                                      \
		static struct tiny_bz b;                          \
		struct setup_header *h = bz_header(&b);           \
		struct err e;                                     \
		make(&b);                                         \
		change;                                           \
		(void)h;                                          \
		CHECK_EQ(-(code), load_once(b.bytes, b.len, &e)); \
		CHECK_HAS(e.text, part);                          \
	} while (0)

/* Loads after `change`; leaves the machine in t, to be given to boot_test_fini(). */
#define LOADS(t, make, change)                                     \
	do {                                                       \
		static struct tiny_bz b;                           \
		struct setup_header *h = bz_header(&b);            \
		make(&b);                                          \
		change;                                            \
		(void)h;                                           \
		boot_test_init(&(t), RAM);                         \
		CHECK_EQ(0, boot_test_load(&(t), b.bytes, b.len)); \
	} while (0)

TEST(places_an_uncompressed_payload_as_elf)
{
	struct boot_params p;
	struct boot_test t;

	LOADS(t, with_elf, h->vid_mode = 0x1234);
	CHECK_EQ(BOOT_LINUX64, t.entry.mode);
	CHECK_EQ(LOAD + 0x10, t.entry.entry);
	CHECK_EQ(0xc1, ram_byte(&t, LOAD));
	CHECK_EQ(0xc2, ram_byte(&t, LOAD2));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &p, sizeof(p)));
	CHECK_EQ(0x1234, p.hdr.vid_mode); /* its own header */
	boot_test_fini(&t);
}

TEST(enters_itself_at_the_64_bit_entry_where_the_compression_is_unknown)
{
	struct boot_params p;
	struct boot_test t;

	LOADS(t, self_unpacking, (void)0);
	CHECK_EQ(BOOT_LINUX64, t.entry.mode);
	CHECK_EQ(LOAD + 0x200, t.entry.entry);
	CHECK_EQ(0xb2, ram_byte(&t, LOAD));
	CHECK_EQ('a', ram_byte(&t, LOAD + BZ_CODE));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &p, sizeof(p)));
	CHECK_EQ(LOAD, p.hdr.code32_start);
	boot_test_fini(&t);
}

TEST(enters_itself_at_the_32_bit_entry_without_a_64_bit_one)
{
	struct boot_test t;

	LOADS(t, self_unpacking, h->xloadflags = 0);
	CHECK_EQ(BOOT_LINUX32, t.entry.mode);
	CHECK_EQ(LOAD, t.entry.entry);
	boot_test_fini(&t);
	LOADS(t, self_unpacking,
	      h->version = 0x020b); /* before there were xloadflags: not a flag */
	CHECK_EQ(BOOT_LINUX32, t.entry.mode);
	boot_test_fini(&t);
}

TEST(places_a_kernel_that_is_not_relocatable_at_1_mib)
{
	struct boot_test t;

	LOADS(t, self_unpacking, (h->relocatable_kernel = 0, h->xloadflags = 0));
	CHECK_EQ(HIGH_RAM_START, t.entry.entry);
	CHECK_EQ(0xb2, ram_byte(&t, HIGH_RAM_START));
	boot_test_fini(&t);
}

TEST(enters_itself_without_a_payload)
{
	struct boot_test t;

	LOADS(t, with_elf, h->payload_length = 0);
	CHECK_EQ(LOAD + 0x200, t.entry.entry);
	boot_test_fini(&t);
	LOADS(t, with_elf, h->payload_offset = 0);
	CHECK_EQ(LOAD + 0x200, t.entry.entry);
	boot_test_fini(&t);
}

static void with_elf32(struct tiny_bz *b)
{
	struct tiny_elf k = tiny_elf();

	tiny_elf_to_32(&k);
	tiny_bz(b, &k, sizeof(k));
	bz_header(b)->xloadflags = 0;
}

TEST(leaves_a_32_bit_kernel_to_its_own_unpacker)
{
	struct boot_test t;

	LOADS(t, with_elf32, (void)0);
	CHECK_EQ(BOOT_LINUX32, t.entry.mode);
	CHECK_EQ(LOAD, t.entry.entry);
	CHECK_EQ(0xb2, ram_byte(&t, LOAD));
	boot_test_fini(&t);
}

TEST(aligns_the_load_address_as_the_kernel_asks)
{
	struct boot_test t;

	LOADS(t, self_unpacking, (h->pref_address = LOAD + 1, h->kernel_alignment = 0x200000));
	CHECK_EQ(LOAD + 0x200000 + 0x200, t.entry.entry);
	boot_test_fini(&t);
	LOADS(t, self_unpacking, (h->pref_address = 0, h->kernel_alignment = 0x200000));
	CHECK_EQ(0x200200, t.entry.entry);
	boot_test_fini(&t);
}

TEST(refuses_an_alignment_that_is_no_power_of_two)
{
	REFUSES(ENOEXEC, "kernel_alignment", self_unpacking, h->kernel_alignment = 0);
	REFUSES(ENOEXEC, "kernel_alignment", self_unpacking, h->kernel_alignment = 0x300000);
}

TEST(needs_room_for_init_size)
{
	struct boot_test t;

	LOADS(t, self_unpacking, h->init_size = RAM - LOAD);
	boot_test_fini(&t);
	REFUSES(E2BIG, "at least 33 MiB", self_unpacking, h->init_size = RAM - LOAD + 1);
	REFUSES(ENOEXEC, "beyond the 3 GiB", self_unpacking, h->init_size = UINT32_MAX);
	/* Loaded at 1 MiB, but runs at pref_address. */
	REFUSES(E2BIG, "at least 33 MiB", self_unpacking,
		(h->relocatable_kernel = 0, h->init_size = RAM - LOAD + 1));
}

TEST(refuses_a_preferred_address_out_of_reach)
{
	REFUSES(ENOEXEC, "beyond the 3 GiB", self_unpacking, h->pref_address = UINT64_MAX);
	REFUSES(ENOEXEC, "beyond the 3 GiB", self_unpacking, h->pref_address = RAM_HOLE_START + 1);
	REFUSES(ENOEXEC, "beyond the 3 GiB", self_unpacking, h->pref_address = RAM_HOLE_START);
	REFUSES(E2BIG, "--memory", self_unpacking, h->pref_address = RAM);
}

TEST(refuses_what_a_setup_header_must_not_say)
{
	REFUSES(ENOEXEC, "0xAA55", self_unpacking, h->boot_flag = 0x55aa);
	REFUSES(ENOEXEC, "boot protocol 2.09", self_unpacking, h->version = 0x0209);
	REFUSES(ENOEXEC, "zImage", self_unpacking, h->loadflags = 0);
	REFUSES(ENOEXEC, "ends at byte 611", self_unpacking, h->jump = 0xeb | (0x61 << 8));
}

TEST(takes_the_oldest_protocol_and_the_shortest_header)
{
	struct boot_params p;
	struct boot_test t;

	LOADS(t, self_unpacking,
	      (h->version = 0x020a, h->jump = 0xeb | (0x62 << 8), h->handover_offset = 0x77));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &p, sizeof(p)));
	CHECK_EQ(0, p.hdr.handover_offset); /* behind the end of this header: code, not a field */
	boot_test_fini(&t);
}

TEST(takes_a_header_that_is_longer_than_we_know)
{
	struct boot_test t;

	LOADS(t, self_unpacking, h->jump = 0xeb | (0xff << 8));
	boot_test_fini(&t);
}

TEST(refuses_a_file_shorter_than_its_setup)
{
	REFUSES(ENOEXEC, "truncated bzImage of 519 bytes", self_unpacking, b.len = 519);
	REFUSES(ENOEXEC, "truncated bzImage of 619 bytes", self_unpacking, b.len = 619);
	REFUSES(ENOEXEC, "of which 1024 are its setup", self_unpacking, b.len = 620);
	REFUSES(ENOEXEC, "of which 1024 are its setup", self_unpacking, b.len = 1024);
	REFUSES(ENOEXEC, "payload ends at byte", self_unpacking, b.len = 1025);
	REFUSES(ENOEXEC, "no code after its setup", self_unpacking,
		(h->payload_length = 0, b.len = 1024 + 0x200));
	REFUSES(ENOEXEC, "of which 131072 are its setup", self_unpacking, h->setup_sects = 0xff);
}

TEST(counts_4_setup_sectors_where_the_header_says_0)
{
	/* Setup is 2560 bytes then; the payload, which counts from there, moves out of the file. */
	REFUSES(ENOEXEC, "of which 2560 are its setup", self_unpacking, h->setup_sects = 0);
	REFUSES(ENOEXEC, "payload ends at byte 3615", self_unpacking,
		(h->setup_sects = 0, b.len = 3614));
}

TEST(refuses_a_payload_outside_of_the_file)
{
	REFUSES(ENOEXEC, "payload ends at byte", with_elf, h->payload_length++);
	REFUSES(ENOEXEC, "payload ends at byte", with_elf, h->payload_offset++);
	REFUSES(ENOEXEC, "payload ends at byte", with_elf, h->payload_length = UINT32_MAX);
	REFUSES(ENOEXEC, "payload ends at byte", with_elf, h->payload_offset = UINT32_MAX);
	REFUSES(ENOEXEC, "a payload of 15 bytes", with_elf, h->payload_length = 15);
}

TEST(a_truncated_elf_payload_does_not_read_on_behind_it)
{
	REFUSES(ENOEXEC, "segment 1 lies beyond", with_elf, h->payload_length--);
}
