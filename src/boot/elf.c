// SPDX-License-Identifier: Apache-2.0
#include "boot/elf.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

bool elf_magic(const uint8_t *head)
{
	return !memcmp(head, ELFMAG, SELFMAG);
}

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_ARM:
		return "32-bit Arm";
	case EM_AARCH64:
		return "aarch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC:
	case EM_PPC64:
		return "PowerPC";
	case EM_S390:
		return "s390";
	case EM_MIPS:
		return "MIPS";
	case EM_SPARCV9:
		return "SPARC";
	case 258: /* EM_LOONGARCH, younger than some C libraries */
		return "LoongArch";
	default:
		return NULL;
	}
}

static int check_machine(const Elf64_Ehdr *h, struct err *e)
{
	/* e_type and e_machine have the same place in both classes; only the byte order may differ.
	 */
	bool big = h->e_ident[EI_DATA] == ELFDATA2MSB;
	uint16_t machine = big ? be16toh(h->e_machine) : h->e_machine;
	uint8_t class = h->e_ident[EI_CLASS];
	const char *name = machine_name(machine);

	if (class != ELFCLASS32 && class != ELFCLASS64)
		return err_set(e, ENOEXEC, "is an ELF file of unknown class %u", class);
	if (h->e_ident[EI_DATA] == ELFDATA2LSB && class == ELFCLASS64 && machine == EM_X86_64)
		return 0;
	if (h->e_ident[EI_DATA] == ELFDATA2LSB && class == ELFCLASS32 && machine == EM_386)
		return 0;
	if (name && machine != EM_386)
		return err_set(e, ENOEXEC, "is an %s kernel; this machine runs x86-64 kernels",
			       name);
	return err_set(e, ENOEXEC,
		       "is an ELF file for another machine (%u, %s, %s-endian), not for x86-64",
		       machine, class == ELFCLASS64 ? "64-bit" : "32-bit", big ? "big" : "little");
}

static int check_header(const Elf64_Ehdr *h, size_t phentsize, struct err *e)
{
	if (h->e_type == ET_REL)
		return err_set(e, ENOEXEC, "is an object file or kernel module, not a kernel");
	if (h->e_type == ET_CORE)
		return err_set(e, ENOEXEC, "is a core dump, not a kernel");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_set(e, ENOEXEC, "is an ELF file of unknown type %u", h->e_type);
	if (h->e_phnum == 0)
		return err_set(e, ENOEXEC,
			       "is an ELF file without program headers: nothing to load");
	if (h->e_phnum > ELF_MAX_SEGMENTS)
		return err_set(e, ENOEXEC, "has %u program headers, more than the %u of any kernel",
			       h->e_phnum, ELF_MAX_SEGMENTS);
	if (h->e_phentsize != phentsize)
		return err_set(e, ENOEXEC,
			       "is a corrupt ELF file: program headers of %u bytes, not %zu",
			       h->e_phentsize, phentsize);
	return 0;
}

/* Reads either class as the 64-bit form. */
static int read_header(Elf64_Ehdr *h, const struct boot_file *f, struct err *e)
{
	Elf32_Ehdr h32;
	int rc;

	*h = (Elf64_Ehdr){0};
	if (f->size < sizeof(*h))
		return err_set(e, ENOEXEC, "is a truncated ELF file of %llu bytes",
			       (unsigned long long)f->size);
	if ((rc = boot_file_read(f, h, sizeof(*h), 0, e)) < 0)
		return rc;
	if (!elf_magic(h->e_ident))
		return err_set(e, ENOEXEC, "is not an ELF file");
	if ((rc = check_machine(h, e)) < 0)
		return rc;
	if (h->e_ident[EI_CLASS] == ELFCLASS64)
		return check_header(h, sizeof(Elf64_Phdr), e);

	memcpy(&h32, h, sizeof(h32));
	h->e_entry = h32.e_entry;
	h->e_phoff = h32.e_phoff;
	h->e_phentsize = h32.e_phentsize;
	h->e_phnum = h32.e_phnum;
	return check_header(h, sizeof(Elf32_Phdr), e);
}

/* Both classes have these fields, in other sizes and another order. */
#define SEGMENT(p)                                    \
	((struct elf_segment){.type = (p).p_type,     \
			      .offset = (p).p_offset, \
			      .filesz = (p).p_filesz, \
			      .vaddr = (p).p_vaddr,   \
			      .paddr = (p).p_paddr,   \
			      .memsz = (p).p_memsz,   \
			      .align = (p).p_align})

static int read_phdr(struct elf_segment *s, bool is64, const struct boot_file *f, uint64_t offset,
		     struct err *e)
{
	union {
		Elf64_Phdr of64;
		Elf32_Phdr of32;
	} p;
	int rc = boot_file_read(f, &p, is64 ? sizeof(p.of64) : sizeof(p.of32), offset, e);

	if (rc == 0)
		*s = is64 ? SEGMENT(p.of64) : SEGMENT(p.of32);
	return rc;
}

static int check_segment(const struct elf_segment *s, unsigned i, uint64_t file_size, struct err *e)
{
	if (s->offset > file_size || s->filesz > file_size - s->offset)
		return err_set(
			e, ENOEXEC,
			"is truncated or corrupt: segment %u lies beyond the end of the file "
			"(%llu bytes)",
			i, (unsigned long long)file_size);
	if (s->type != PT_LOAD)
		return 0;
	if (s->filesz > s->memsz)
		return err_set(e, ENOEXEC,
			       "is corrupt: segment %u has more bytes in the file than in memory",
			       i);
	if (s->paddr > UINT64_MAX - s->memsz)
		return err_set(e, ENOEXEC, "is corrupt: segment %u wraps around the address space",
			       i);
	return 0;
}

int elf_read(struct elf *elf, const struct boot_file *f, struct err *e)
{
	size_t phentsize;
	Elf64_Ehdr h;
	int rc = read_header(&h, f, e);

	if (rc < 0)
		return rc;
	*elf = (struct elf){.is64 = h.e_ident[EI_CLASS] == ELFCLASS64, .entry = h.e_entry};
	phentsize = h.e_phentsize;
	if (h.e_phoff > f->size || h.e_phnum * phentsize > f->size - h.e_phoff)
		return err_set(e, ENOEXEC,
			       "is truncated or corrupt: no program headers at byte %llu",
			       (unsigned long long)h.e_phoff);
	for (unsigned i = 0; i < h.e_phnum; i++) {
		struct elf_segment *s = &elf->segment[elf->n];
		if ((rc = read_phdr(s, elf->is64, f, h.e_phoff + i * phentsize, e)) < 0)
			return rc;
		if (s->type == PT_INTERP)
			return err_set(e, ENOEXEC,
				       "is a program that runs under Linux, not a kernel");
		if (s->type != PT_NOTE && (s->type != PT_LOAD || s->memsz == 0))
			continue;
		if ((rc = check_segment(s, i, f->size, e)) < 0)
			return rc;
		elf->n++;
	}
	return 0;
}
