/* SPDX-License-Identifier: Apache-2.0 */
/* Tiny kernels made in memory, for the tests of src/boot: a file is a memfd, its path
 * /proc/self/fd/N. */
#pragma once

#include "../test.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <asm/bootparam.h>

#include "boot/boot.h"
#include "mem/gmem.h"

#define RAM      (32 * MIB)
#define LOAD     0x1000000ULL /* where a tiny kernel wants to be */
#define LOAD2    0x1200000ULL
#define PVH_TYPE 18

/* ELF: header, program headers, one note at 0x800, "code" at 0x1000 (0xc1...) and 0x2000 (0xc2...).
 */
struct tiny_elf {
	Elf64_Ehdr h;
	Elf64_Phdr p[3];
	uint8_t pad[0x800 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
	Elf64_Nhdr note;
	char name[4];
	uint64_t pvh;
	uint8_t pad2[0x800 - sizeof(Elf64_Nhdr) - 4 - 8];
	uint8_t code[0x1000];
	uint8_t data[0x1000];
} __attribute__((packed));

static inline struct tiny_elf tiny_elf(void)
{
	struct tiny_elf t = {
		.h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				  EV_CURRENT},
		      .e_type = ET_EXEC,
		      .e_machine = EM_X86_64,
		      .e_version = EV_CURRENT,
		      .e_entry = LOAD + 0x10,
		      .e_phoff = sizeof(Elf64_Ehdr),
		      .e_ehsize = sizeof(Elf64_Ehdr),
		      .e_phentsize = sizeof(Elf64_Phdr),
		      .e_phnum = 3},
		.p = {{.p_type = PT_LOAD,
		       .p_offset = 0x1000,
		       .p_vaddr = 0xffffffff81000000,
		       .p_paddr = LOAD,
		       .p_filesz = 0x1000,
		       .p_memsz = 0x3000},
		      {.p_type = PT_LOAD,
		       .p_offset = 0x2000,
		       .p_vaddr = 0xffffffff81200000,
		       .p_paddr = LOAD2,
		       .p_filesz = 0x1000,
		       .p_memsz = 0x1000},
		      {.p_type = PT_NOTE,
		       .p_offset = 0x800,
		       .p_filesz = 24,
		       .p_memsz = 24,
		       .p_align = 4}},
		.note = {.n_namesz = 4,
			 .n_descsz = 8,
			 .n_type = 0}, /* PVH_TYPE to have a PVH entry */
		.name = "Xen",
		.pvh = LOAD + 0x20,
	};

	memset(t.code, 0xc1, sizeof(t.code));
	memset(t.data, 0xc2, sizeof(t.data));
	return t;
}

/* The same as a 32-bit ELF: the headers shrink, the rest keeps its place. */
static inline void tiny_elf_to_32(struct tiny_elf *t)
{
	struct tiny_elf from = *t;
	Elf32_Ehdr h = {.e_type = ET_EXEC,
			.e_machine = EM_386,
			.e_version = EV_CURRENT,
			.e_entry = (uint32_t)t->h.e_entry,
			.e_phoff = sizeof(h),
			.e_ehsize = sizeof(h),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 3};

	memcpy(h.e_ident, from.h.e_ident, EI_NIDENT);
	h.e_ident[EI_CLASS] = ELFCLASS32;
	memcpy(t, &h, sizeof(h));
	for (unsigned i = 0; i < 3; i++) {
		Elf32_Phdr p = {.p_type = from.p[i].p_type,
				.p_offset = (uint32_t)from.p[i].p_offset,
				.p_vaddr = (uint32_t)from.p[i].p_vaddr,
				.p_paddr = (uint32_t)from.p[i].p_paddr,
				.p_filesz = (uint32_t)from.p[i].p_filesz,
				.p_memsz = (uint32_t)from.p[i].p_memsz};
		memcpy((uint8_t *)t + sizeof(h) + i * sizeof(p), &p, sizeof(p));
	}
}

/* bzImage: one sector of setup, 1 KiB of "unpacker" (0xb2...) with its entry at 0x200, then the
 * payload. */
#define BZ_SETUP   1024
#define BZ_CODE    1024
#define BZ_PAYLOAD (BZ_SETUP + BZ_CODE)
#define BZ_MAX     (BZ_PAYLOAD + 64 * 1024)

struct tiny_bz {
	uint8_t bytes[BZ_MAX];
	size_t len;
};

static inline struct setup_header *bz_header(struct tiny_bz *b)
{
	return (struct setup_header *)(b->bytes + 0x1f1);
}

static inline void tiny_bz(struct tiny_bz *b, const void *payload, size_t len)
{
	assert_true(len <= BZ_MAX - BZ_PAYLOAD);
	memset(b, 0, sizeof(*b));
	memset(b->bytes + BZ_SETUP, 0xb2, BZ_CODE);
	*bz_header(b) = (struct setup_header){
		.setup_sects = 1,
		.boot_flag = 0xaa55,
		.jump = 0xeb | (0x6a << 8), /* header ends at 0x26c */
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64,
		.cmdline_size = 2047,
		.payload_offset = BZ_CODE,
		.payload_length = (uint32_t)len,
		.pref_address = LOAD,
		.init_size = 0x100000,
	};
	memcpy(b->bytes + BZ_PAYLOAD, payload, len);
	b->len = BZ_PAYLOAD + len;
}

/* One machine without KVM: RAM, and what boot_load() said. */
struct boot_test {
	struct gmem m;
	struct boot_entry entry;
	struct err e;
	const char *initrd, *cmdline;
};

static inline void boot_test_init(struct boot_test *t, uint64_t ram)
{
	*t = (struct boot_test){.cmdline = "console=ttyS0"};
	assert_int_equal(0, gmem_create(&t->m, ram, false, &t->e));
}

static inline void boot_test_fini(struct boot_test *t)
{
	gmem_destroy(&t->m);
}

struct memfile {
	int fd;
	char path[40];
};

static inline struct memfile memfile(const void *data, size_t len)
{
	struct memfile f = {.fd = memfd_create("test", MFD_CLOEXEC)};

	assert_true(f.fd >= 0);
	assert_int_equal(len, write(f.fd, data, len));
	snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	return f;
}

static inline int boot_test_path(struct boot_test *t, const char *path)
{
	struct boot_source src = {
		.kernel = path, .initrd = t->initrd, .cmdline = t->cmdline, .defaults = ""};

	t->e.text[0] = '\0';
	return boot_load(&t->entry, &t->m, &src, &t->e);
}

static inline int boot_test_load(struct boot_test *t, const void *data, size_t len)
{
	struct memfile f = memfile(data, len);
	int rc = boot_test_path(t, f.path);

	close(f.fd);
	return rc;
}

/* Loads into fresh RAM and throws it away: for what only the return code and text matter of. */
static inline int load_once(const void *data, size_t len, struct err *e)
{
	struct boot_test t;
	int rc;

	boot_test_init(&t, RAM);
	rc = boot_test_load(&t, data, len);
	*e = t.e;
	boot_test_fini(&t);
	return rc;
}

static inline uint8_t ram_byte(const struct boot_test *t, uint64_t gpa)
{
	uint8_t b = 0;

	assert_int_equal(0, gmem_read(&t->m, gpa, &b, 1));
	return b;
}
