// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "boot/cmdline.h"

static struct boot_params params_of(const struct boot_test *t)
{
	struct boot_params p;

	CHECK_EQ(BOOT_PARAMS, t->entry.params);
	CHECK_EQ(0, gmem_read(&t->m, t->entry.params, &p, sizeof(p)));
	return p;
}

static void load_tiny(struct boot_test *t, uint64_t ram)
{
	struct tiny_elf k = tiny_elf();

	boot_test_init(t, ram);
	CHECK_EQ(0, boot_test_load(t, &k, sizeof(k)));
}

static void check_e820(const struct boot_params *p, unsigned i, uint64_t start, uint64_t end,
		       unsigned type)
{
	CHECK(i < p->e820_entries);
	CHECK_EQ(start, p->e820_table[i].addr);
	CHECK_EQ(end - start, p->e820_table[i].size);
	CHECK_EQ(type, p->e820_table[i].type);
}

TEST(e820_names_low_memory_the_bios_and_memory_above_1_mib)
{
	struct boot_params p;
	struct boot_test t;

	load_tiny(&t, RAM);
	p = params_of(&t);
	CHECK_EQ(3, p.e820_entries);
	check_e820(&p, 0, 0, 0x9fc00, 1);
	check_e820(&p, 1, 0xe0000, 0x100000, 2);
	check_e820(&p, 2, 0x100000, RAM, 1);
	boot_test_fini(&t);
}

TEST(e820_leaves_out_the_hole_below_4_gib)
{
	struct boot_params p;
	struct boot_test t;

	load_tiny(&t, 3 * GIB + PAGE_SIZE);
	p = params_of(&t);
	CHECK_EQ(4, p.e820_entries);
	check_e820(&p, 2, 0x100000, 0xc0000000, 1);
	check_e820(&p, 3, 0x100000000, 0x100001000, 1);
	boot_test_fini(&t);

	load_tiny(&t, 3 * GIB);
	CHECK_EQ(3, params_of(&t).e820_entries);
	boot_test_fini(&t);
}

TEST(an_elf_gets_a_setup_header_of_its_own)
{
	struct boot_params p;
	struct boot_test t;

	load_tiny(&t, RAM);
	p = params_of(&t);
	CHECK_EQ(0xaa55, p.hdr.boot_flag);
	CHECK_EQ(0x53726448, p.hdr.header);
	CHECK_EQ(0x020f, p.hdr.version);
	CHECK_EQ(0xff, p.hdr.type_of_loader);
	CHECK_EQ(LOADED_HIGH, p.hdr.loadflags);
	CHECK_EQ(BIOS_START, p.acpi_rsdp_addr);
	CHECK_EQ(0, p.sentinel);
	CHECK_EQ(0, p.hdr.ramdisk_image);
	CHECK_EQ(0, p.hdr.ramdisk_size);
	boot_test_fini(&t);
}

TEST(setup_data_holds_one_random_seed)
{
	struct {
		struct setup_data head;
	} node;
	uint8_t seed[2][32];
	struct boot_test t;

	for (unsigned i = 0; i < 2; i++) {
		load_tiny(&t, RAM);
		CHECK_EQ(BOOT_SETUP_DATA, params_of(&t).hdr.setup_data);
		CHECK_EQ(0, gmem_read(&t.m, BOOT_SETUP_DATA, &node, sizeof(node)));
		CHECK_EQ(0, node.head.next);
		CHECK_EQ(9, node.head.type);
		CHECK_EQ(32, node.head.len);
		CHECK_EQ(0, gmem_read(&t.m, BOOT_SETUP_DATA + sizeof(node), seed[i], 32));
		boot_test_fini(&t);
	}
	CHECK(memcmp(seed[0], seed[1], 32));
}

static int load_with_cmdline(struct boot_test *t, size_t len, bool bz, uint32_t cmdline_size)
{
	static char cmdline[2 * BOOT_CMDLINE_MAX];
	struct tiny_elf k = tiny_elf();
	static struct tiny_bz b;

	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[len] = '\0';
	boot_test_init(t, RAM);
	t->cmdline = cmdline;
	if (!bz)
		return boot_test_load(t, &k, sizeof(k));
	tiny_bz(&b, &k, sizeof(k));
	bz_header(&b)->cmdline_size = cmdline_size;
	return boot_test_load(t, b.bytes, b.len);
}

TEST(command_line_is_a_string_where_the_header_points)
{
	struct boot_params p;
	struct boot_test t;
	char text[16];

	load_tiny(&t, RAM);
	p = params_of(&t);
	CHECK_EQ(BOOT_CMDLINE, p.hdr.cmd_line_ptr);
	CHECK_EQ(0, p.ext_cmd_line_ptr);
	CHECK_EQ(0, gmem_read(&t.m, p.hdr.cmd_line_ptr, text, sizeof(text)));
	CHECK_STR("console=ttyS0", text);
	boot_test_fini(&t);
}

TEST(an_elf_takes_2047_characters_of_command_line)
{
	struct boot_test t;

	CHECK_EQ(0, load_with_cmdline(&t, 2046, false, 0));
	boot_test_fini(&t);
	CHECK_EQ(0, load_with_cmdline(&t, 2047, false, 0));
	CHECK_EQ('x', ram_byte(&t, BOOT_CMDLINE + 2046));
	CHECK_EQ(0, ram_byte(&t, BOOT_CMDLINE + 2047));
	boot_test_fini(&t);
	CHECK_EQ(-E2BIG, load_with_cmdline(&t, 2048, false, 0));
	CHECK_HAS(t.e.text, "2048 characters, 1 more than the 2047");
	boot_test_fini(&t);
}

TEST(a_bzimage_says_how_much_command_line_it_takes)
{
	struct boot_test t;

	CHECK_EQ(0, load_with_cmdline(&t, 9, true, 10));
	boot_test_fini(&t);
	CHECK_EQ(0, load_with_cmdline(&t, 10, true, 10));
	boot_test_fini(&t);
	CHECK_EQ(-E2BIG, load_with_cmdline(&t, 11, true, 10));
	CHECK_HAS(t.e.text, "11 characters, 1 more than the 10");
	boot_test_fini(&t);
	CHECK_EQ(0, load_with_cmdline(&t, 0, true, 0));
	boot_test_fini(&t);
}

TEST(a_command_line_never_leaves_its_place_in_memory)
{
	struct boot_test t;

	CHECK_EQ(0, load_with_cmdline(&t, BOOT_CMDLINE_MAX - 1, true, UINT32_MAX));
	CHECK_EQ(0, ram_byte(&t, BOOT_CMDLINE + BOOT_CMDLINE_MAX - 1));
	CHECK_EQ('x', ram_byte(&t, BOOT_CMDLINE + BOOT_CMDLINE_MAX - 2));
	CHECK_EQ(0, ram_byte(&t, BOOT_CMDLINE + BOOT_CMDLINE_MAX));
	boot_test_fini(&t);
	CHECK_EQ(-E2BIG, load_with_cmdline(&t, BOOT_CMDLINE_MAX, true, UINT32_MAX));
	boot_test_fini(&t);
}

static const char *written(struct gmem *m)
{
	return gmem_slice(m, BOOT_CMDLINE, BOOT_CMDLINE_MAX);
}

TEST(default_words_go_before_the_users_where_both_fit)
{
	struct err e;
	struct gmem m;

	CHECK_EQ(0, gmem_create(&m, 1 * MIB, false, &e));
	CHECK_EQ(0, cmdline_write(&m, "panic=-1", "quiet -- single", 24, &e));
	CHECK_STR("panic=-1 quiet -- single", written(&m));
	CHECK_EQ(0, cmdline_write(&m, "panic=-1", "quiet -- single", 23, &e));
	CHECK_STR("quiet -- single", written(&m));
	CHECK_EQ(0, cmdline_write(&m, "", "quiet", 5, &e));
	CHECK_STR("quiet", written(&m));
	CHECK_EQ(-E2BIG, cmdline_write(&m, "panic=-1", "quiets", 5, &e));
	gmem_destroy(&m);
}

TEST(parameter_is_set_by_a_whole_word_before_the_dashes)
{
	CHECK(cmdline_sets("panic=1", "panic"));
	CHECK(cmdline_sets("quiet  panic=1", "panic"));
	CHECK(cmdline_sets("panic=", "panic"));
	CHECK(!cmdline_sets("softlockup_panic=1", "panic"));
	CHECK(!cmdline_sets("panic", "panic"));
	CHECK(!cmdline_sets("panic_print=1", "panic"));
	CHECK(!cmdline_sets("quiet -- panic=1", "panic"));
	CHECK(!cmdline_sets("", "panic"));
	CHECK(!cmdline_sets("  ", "panic"));
}
