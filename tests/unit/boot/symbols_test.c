// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include "boot/symbols.h"

#define VIRT 0xffffffff81000000

/* tiny_elf with section headers, symbols and names behind it. */
struct sym_elf {
	struct tiny_elf k;
	Elf64_Shdr section[4]; /* none, .text, .symtab, .strtab */
	Elf64_Sym symbol[8];
	char names[256];
} __attribute__((packed));

static Elf64_Sym sym(unsigned name, unsigned type, uint64_t value, uint64_t size)
{
	return (Elf64_Sym){.st_name = name,
			   .st_info = ELF64_ST_INFO(STB_GLOBAL, type),
			   .st_shndx = 1,
			   .st_value = value,
			   .st_size = size};
}

static struct sym_elf sym_elf(void)
{
	struct sym_elf s = {
		.k = tiny_elf(),
		.section = {{0},
			    {.sh_type = SHT_PROGBITS,
			     .sh_flags = SHF_EXECINSTR,
			     .sh_addr = VIRT,
			     .sh_offset = 0x1000,
			     .sh_size = 0x1000},
			    {.sh_type = SHT_SYMTAB,
			     .sh_link = 3,
			     .sh_entsize = sizeof(Elf64_Sym),
			     .sh_offset = offsetof(struct sym_elf, symbol),
			     .sh_size = sizeof(s.symbol)},
			    {.sh_type = SHT_STRTAB,
			     .sh_offset = offsetof(struct sym_elf, names),
			     .sh_size = sizeof(s.names)}},
		.symbol = {{0},
			   sym(1, STT_FUNC, VIRT + 0x100, 0x50),    /* start_kernel */
			   sym(14, STT_NOTYPE, VIRT + 0x200, 0),    /* early_idt */
			   sym(24, STT_FUNC, VIRT + 0x200, 0x10),   /* func */
			   sym(29, STT_OBJECT, VIRT + 0x110, 0x10), /* data */
			   sym(34, STT_NOTYPE, VIRT + 0x400, 0)},   /* label */
		.names = "\0start_kernel\0early_idt\0func\0data\0label",
	};

	s.k.h.e_shoff = offsetof(struct sym_elf, section);
	s.k.h.e_shentsize = sizeof(Elf64_Shdr);
	s.k.h.e_shnum = 4;
	return s;
}

/* The name, or "none". */
static const char *name_at(const struct sym_elf *s, size_t len, uint64_t address)
{
	struct memfile f = memfile(s, len);
	static char buf[160];

	strcpy(buf, "untouched");
	if (!symbol_for(f.path, address, buf, sizeof(buf))) {
		CHECK_STR("untouched", buf);
		strcpy(buf, "none");
	}
	close(f.fd);
	return buf;
}

#define NAME(address)         name_at(&s, sizeof(s), address)
#define NO_NAME_AFTER(change) /* at a place that has one otherwise */ \
	do {                                                          \
		struct sym_elf s = sym_elf();                         \
		change;                                               \
		CHECK_STR("none", NAME(VIRT + 0x11c));                \
	} while (0)

TEST(names_the_function_and_the_offset_in_it)
{
	struct sym_elf s = sym_elf();

	CHECK_STR("start_kernel+0x0", NAME(VIRT + 0x100));
	CHECK_STR("start_kernel+0x1c", NAME(VIRT + 0x11c));
	CHECK_STR("start_kernel+0x4f", NAME(VIRT + 0x14f));
	CHECK_STR("none", NAME(VIRT + 0x150)); /* behind its end, before the next */
	CHECK_STR("none", NAME(VIRT + 0xff));
}

TEST(prefers_a_function_to_a_label_at_the_same_place)
{
	struct sym_elf s = sym_elf();

	CHECK_STR("func+0x1", NAME(VIRT + 0x201));
}

TEST(a_label_without_a_size_reaches_to_the_end_of_its_section)
{
	struct sym_elf s = sym_elf();

	CHECK_STR("label+0xbff", NAME(VIRT + 0xfff));
	CHECK_STR("none", NAME(VIRT + 0x1000));
}

TEST(takes_physical_addresses_of_early_boot)
{
	struct sym_elf s = sym_elf();

	CHECK_STR("start_kernel+0x1c", NAME(LOAD + 0x11c));
	CHECK_STR("none", NAME(LOAD + 0x2000)); /* bss */
	CHECK_STR("none", NAME(LOAD - 1));
	CHECK_STR("none", NAME(0));
	CHECK_STR("none", NAME(UINT64_MAX));
}

TEST(has_no_name_from_a_file_without_or_with_broken_symbols)
{
	NO_NAME_AFTER(s.k.h.e_shnum = 0);
	NO_NAME_AFTER(s.k.h.e_shnum = 3); /* the names are section 3 */
	NO_NAME_AFTER(s.k.h.e_shoff = UINT64_MAX);
	NO_NAME_AFTER(s.k.h.e_shoff = UINT64_MAX - 63);
	NO_NAME_AFTER(s.k.h.e_shoff = sizeof(s) - 1);
	NO_NAME_AFTER(s.k.h.e_shentsize = 63);
	NO_NAME_AFTER(s.section[1].sh_flags = 0);
	NO_NAME_AFTER(s.section[2].sh_type = SHT_PROGBITS);
	NO_NAME_AFTER(s.section[2].sh_link = 4);
	NO_NAME_AFTER(s.section[2].sh_link = 1);
	NO_NAME_AFTER(s.section[2].sh_entsize = 23);
	NO_NAME_AFTER(s.section[2].sh_entsize = 0);
	NO_NAME_AFTER(s.section[2].sh_offset = UINT64_MAX);
	NO_NAME_AFTER(s.section[2].sh_size = UINT64_MAX);
	NO_NAME_AFTER(s.section[3].sh_size = 0);
	NO_NAME_AFTER(s.section[3].sh_size = 1);
	NO_NAME_AFTER(s.section[3].sh_offset = sizeof(s));
	NO_NAME_AFTER(s.symbol[1].st_name = UINT32_MAX);
	NO_NAME_AFTER(s.symbol[1].st_name = sizeof(s.names));
	NO_NAME_AFTER(s.symbol[1].st_shndx = 2);
	NO_NAME_AFTER(s.names[1] = '\0');
	NO_NAME_AFTER(s.k.h.e_ident[0] = 0);
}

TEST(a_name_is_cut_where_its_table_ends_and_cleaned_for_the_terminal)
{
	struct sym_elf s = sym_elf();

	s.section[3].sh_size = 6;
	CHECK_STR("start+0x1c", NAME(VIRT + 0x11c));
	s.names[1] = '\x1b';
	CHECK_STR("?tart+0x1c", NAME(VIRT + 0x11c));
}

TEST(no_prefix_of_a_file_with_symbols_crashes)
{
	struct sym_elf s = sym_elf();

	for (size_t len = 1; len < sizeof(s); len += 7)
		name_at(&s, len, VIRT + 0x11c);
}

TEST(has_no_name_from_what_is_no_file)
{
	char buf[16];

	CHECK(!symbol_for("/nonexistent", VIRT, buf, sizeof(buf)));
	CHECK(!symbol_for("/dev/zero", VIRT, buf, sizeof(buf)));
}
