// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "boot/pvh.h"

/* As FreeBSD's: e_entry is a virtual address, so only the note says where to start. */
static struct tiny_elf pvh_only(void)
{
	struct tiny_elf k = tiny_elf();

	k.note.n_type = PVH_TYPE;
	k.h.e_entry = 0xffffffff81000010;
	return k;
}

static enum boot_mode mode_of(const struct tiny_elf *k, uint64_t *entry)
{
	struct boot_test t;

	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_test_load(&t, k, sizeof(*k)));
	*entry = t.entry.entry;
	boot_test_fini(&t);
	return t.entry.mode;
}

TEST(prefers_the_64_bit_entry_when_it_is_a_physical_address)
{
	struct tiny_elf k = tiny_elf();
	uint64_t entry;

	k.note.n_type = PVH_TYPE;
	CHECK_EQ(BOOT_LINUX64, mode_of(&k, &entry));
	CHECK_EQ(LOAD + 0x10, entry);
}

TEST(takes_the_pvh_entry_of_a_kernel_with_a_virtual_entry)
{
	struct tiny_elf k = pvh_only();
	uint64_t entry;

	CHECK_EQ(BOOT_PVH, mode_of(&k, &entry));
	CHECK_EQ(LOAD + 0x20, entry);
}

TEST(takes_the_pvh_entry_when_e_entry_is_the_same)
{
	struct tiny_elf k = pvh_only();
	uint64_t entry;

	k.h.e_entry = k.pvh;
	CHECK_EQ(BOOT_PVH, mode_of(&k, &entry));
}

TEST(takes_a_note_of_4_bytes)
{
	struct tiny_elf k = pvh_only();
	uint64_t entry;

	k.pvh |= 0xdeadbeef00000000; /* not a part of it */
	k.note.n_descsz = 4;
	k.p[2].p_filesz = 20;
	CHECK_EQ(BOOT_PVH, mode_of(&k, &entry));
	CHECK_EQ(LOAD + 0x20, entry);
}

TEST(takes_the_note_of_a_32_bit_kernel)
{
	struct tiny_elf k = pvh_only();
	uint64_t entry;

	tiny_elf_to_32(&k);
	CHECK_EQ(BOOT_PVH, mode_of(&k, &entry));
	CHECK_EQ(LOAD + 0x20, entry);
}

TEST(refuses_a_32_bit_kernel_without_the_note)
{
	struct tiny_elf k = tiny_elf();
	struct err e;

	tiny_elf_to_32(&k);
	CHECK_EQ(-ENOEXEC, load_once(&k, sizeof(k), &e));
	CHECK_HAS(e.text, "32-bit x86 kernel without a PVH entry");
}

TEST(finds_the_note_behind_others)
{
	struct tiny_elf k = pvh_only();
	struct {
		Elf64_Nhdr h;
		char name[8]; /* 6 bytes and padding */
		char desc[4]; /* 1 byte and padding */
	} other = {.h = {.n_namesz = 6, .n_descsz = 1, .n_type = 5}, .name = "Linux"};
	uint8_t *at = (uint8_t *)&k + 0x400;
	uint64_t entry;

	memcpy(at, &other, sizeof(other));
	memcpy(at + sizeof(other), &k.note, 24);
	k.p[2].p_offset = 0x400;
	k.p[2].p_filesz = sizeof(other) + 24;
	CHECK_EQ(BOOT_PVH, mode_of(&k, &entry));
	CHECK_EQ(LOAD + 0x20, entry);
}

#define NO_PVH(change)                                            \
	do {                                                      \
		struct tiny_elf k = pvh_only();                   \
		struct err e;                                     \
		change;                                           \
		CHECK_EQ(-ENOEXEC, load_once(&k, sizeof(k), &e)); \
		CHECK_HAS(e.text, "no PVH entry");                \
	} while (0)

TEST(passes_over_notes_that_are_not_whole_or_not_the_one)
{
	NO_PVH(k.note.n_type = 17);
	NO_PVH(k.name[0] = 'Y');
	NO_PVH(k.note.n_namesz = 3);
	NO_PVH(k.note.n_descsz = 2);
	NO_PVH(k.note.n_descsz = 0xffffffff);
	NO_PVH(k.note.n_namesz = 0xffffffff);
	NO_PVH(k.note.n_descsz = 9); /* one byte more than the segment has */
	NO_PVH(k.p[2].p_filesz = 23);
	NO_PVH(k.p[2].p_filesz = 11);
	NO_PVH(k.p[2].p_filesz = 0);
}

TEST(refuses_a_pvh_entry_outside_of_what_was_loaded)
{
	struct tiny_elf k = pvh_only();
	struct err e;

	k.pvh = LOAD + 0x1000;
	CHECK_EQ(-ENOEXEC, load_once(&k, sizeof(k), &e));
	CHECK_HAS(e.text, "PVH entry 0x1001000 is outside");
}

TEST(start_info_points_to_command_line_initrd_acpi_and_memory_map)
{
	struct memfile initrd = memfile("initrd!", 7);
	struct tiny_elf k = pvh_only();
	struct hvm_memmap_table_entry map[3];
	struct hvm_modlist_entry mod;
	struct hvm_start_info info;
	struct boot_test t;
	char text[16] = "";

	boot_test_init(&t, RAM);
	t.initrd = initrd.path;
	t.cmdline = "a=b";
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &info, sizeof(info)));
	CHECK_EQ(0x336ec578, info.magic);
	CHECK_EQ(1, info.version);
	CHECK_EQ(0, info.flags);
	CHECK_EQ(BIOS_START, info.rsdp_paddr);
	CHECK_EQ(0, gmem_read(&t.m, info.cmdline_paddr, text, 4));
	CHECK_STR("a=b", text);
	CHECK_EQ(1, info.nr_modules);
	CHECK_EQ(0, gmem_read(&t.m, info.modlist_paddr, &mod, sizeof(mod)));
	CHECK_EQ(7, mod.size);
	CHECK_EQ(RAM - PAGE_SIZE, mod.paddr);
	CHECK_EQ(0, gmem_read(&t.m, mod.paddr, text, 8));
	CHECK_STR("initrd!", text);
	CHECK_EQ(3, info.memmap_entries);
	CHECK_EQ(0, gmem_read(&t.m, info.memmap_paddr, map, sizeof(map)));
	CHECK_EQ(LOW_RAM_END, map[0].size);
	CHECK_EQ(2, map[1].type);
	CHECK_EQ(HIGH_RAM_START, map[2].addr);
	CHECK_EQ(RAM - HIGH_RAM_START, map[2].size);
	CHECK_EQ(1, map[2].type);
	boot_test_fini(&t);
	close(initrd.fd);
}

TEST(start_info_without_an_initrd_has_no_module)
{
	struct tiny_elf k = pvh_only();
	struct hvm_start_info info;
	struct boot_test t;

	boot_test_init(&t, RAM);
	CHECK_EQ(0, boot_test_load(&t, &k, sizeof(k)));
	CHECK_EQ(0, gmem_read(&t.m, t.entry.params, &info, sizeof(info)));
	CHECK_EQ(0, info.nr_modules);
	CHECK_EQ(0, info.modlist_paddr);
	boot_test_fini(&t);
}
