// SPDX-License-Identifier: Apache-2.0
/*
 * Runs after a crash, on a file that may have changed since: everything is read piece by piece and
 * bounded, and whatever does not fit means "no name".
 */
#include "boot/symbols.h"

#include <ctype.h>
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "boot/elf.h"

#define SYMBOLS_MAX (4u << 20) /* vmlinux has some 200,000 */
#define CHUNK       512        /* symbols read at once */
#define SYMBOL_LEN  128

struct finder {
	struct boot_file file;
	struct elf elf;
	Elf64_Ehdr header;
	uint64_t address; /* guest-virtual */
	unsigned section; /* the executable one that holds it */
	Elf64_Sym best;   /* nearest at or below the address */
	struct err err;   /* nobody reads it */
};

static bool read_section(struct finder *s, unsigned i, Elf64_Shdr *out)
{
	uint64_t offset = s->header.e_shoff + (uint64_t)i * sizeof(*out);

	return i < s->header.e_shnum && s->header.e_shoff <= s->file.size && /* no wrap */
	       boot_file_read(&s->file, out, sizeof(*out), offset, &s->err) == 0;
}

static bool open_elf(struct finder *s, const char *path)
{
	if (boot_file_open(&s->file, path, &s->err) < 0)
		return false;
	return elf_read(&s->elf, &s->file, &s->err) == 0 && s->elf.is64 &&
	       boot_file_read(&s->file, &s->header, sizeof(s->header), 0, &s->err) == 0 &&
	       s->header.e_shentsize == sizeof(Elf64_Shdr);
}

static bool find_code_section(struct finder *s)
{
	Elf64_Shdr h;

	for (unsigned i = 1; i < s->header.e_shnum; i++) {
		if (!read_section(s, i, &h) || !(h.sh_flags & SHF_EXECINSTR))
			continue;
		s->section = i;
		if (s->address >= h.sh_addr && s->address - h.sh_addr < h.sh_size)
			return true;
	}
	return false;
}

/* Early boot runs at physical addresses, symbols are virtual. */
static bool to_virtual(struct finder *s)
{
	for (unsigned i = 0; i < s->elf.n; i++) {
		const struct elf_segment *p = &s->elf.segment[i];
		if (p->type == PT_LOAD && s->address >= p->paddr &&
		    s->address - p->paddr < p->memsz) {
			s->address = p->vaddr + (s->address - p->paddr);
			return true;
		}
	}
	return false;
}

static void consider(struct finder *s, const Elf64_Sym *sym)
{
	unsigned type = ELF64_ST_TYPE(sym->st_info);
	bool found = s->best.st_name != 0;

	/* Functions, and labels in assembly, which have no type. */
	if ((type != STT_FUNC && type != STT_NOTYPE) || sym->st_shndx != s->section ||
	    sym->st_name == 0 || sym->st_value > s->address)
		return;
	if (!found || sym->st_value > s->best.st_value ||
	    (sym->st_value == s->best.st_value && type == STT_FUNC &&
	     ELF64_ST_TYPE(s->best.st_info) != STT_FUNC))
		s->best = *sym;
}

static bool find_tables(struct finder *s, Elf64_Shdr *symtab, Elf64_Shdr *strtab)
{
	for (unsigned i = 1; i < s->header.e_shnum; i++)
		if (read_section(s, i, symtab) && symtab->sh_type == SHT_SYMTAB)
			return symtab->sh_entsize == sizeof(Elf64_Sym) &&
			       read_section(s, symtab->sh_link, strtab) &&
			       strtab->sh_type == SHT_STRTAB;
	return false;
}

/* Leaves the string table of the symbols in *strtab. */
static bool find_symbol(struct finder *s, Elf64_Shdr *strtab)
{
	Elf64_Sym chunk[CHUNK];
	Elf64_Shdr h;
	uint64_t n;

	if (!find_tables(s, &h, strtab))
		return false;
	n = MIN(h.sh_size / sizeof(Elf64_Sym), SYMBOLS_MAX);
	for (uint64_t done = 0; done < n; done += CHUNK) {
		size_t now = MIN(n - done, (uint64_t)CHUNK);
		if (boot_file_read(&s->file, chunk, now * sizeof(chunk[0]),
				   h.sh_offset + done * sizeof(chunk[0]), &s->err) < 0)
			return false;
		for (size_t i = 0; i < now; i++)
			consider(s, &chunk[i]);
	}
	/* Beyond the end of the nearest function: in the padding between two. */
	return s->best.st_name != 0 &&
	       (s->best.st_size == 0 || s->address - s->best.st_value < s->best.st_size);
}

static bool print_symbol(struct finder *s, const Elf64_Shdr *strtab, char *buf, size_t size)
{
	char name[SYMBOL_LEN] = {0};
	size_t len;

	if (s->best.st_name >= strtab->sh_size)
		return false;
	len = MIN(strtab->sh_size - s->best.st_name, sizeof(name) - 1);
	if (boot_file_read(&s->file, name, len, strtab->sh_offset + s->best.st_name, &s->err) < 0 ||
	    !name[0])
		return false;
	for (char *c = name; *c; c++)
		if (!isgraph((unsigned char)*c)) /* it goes to a terminal */
			*c = '?';
	snprintf(buf, size, "%s+0x%" PRIx64, name, s->address - s->best.st_value);
	return true;
}

bool symbol_for(const char *path, uint64_t address, char *buf, size_t size)
{
	struct finder s = {.file.fd = -1, .address = address};
	Elf64_Shdr strtab;
	bool ok = open_elf(&s, path) &&
		  (find_code_section(&s) || (to_virtual(&s) && find_code_section(&s))) &&
		  find_symbol(&s, &strtab) && print_symbol(&s, &strtab, buf, size);

	boot_file_close(&s.file);
	return ok;
}
