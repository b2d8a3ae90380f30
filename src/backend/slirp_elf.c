// SPDX-License-Identifier: Apache-2.0
/* SLIRP_ELF is the path of the built helper; mk/slirp.mk sets it and keeps this file's objects up to date. */
#include "backend/slirp_elf.h"

__asm__(".section .rodata\n"
	".balign 16\n"
	".globl slirp_elf, slirp_elf_end\n"
	"slirp_elf:\n"
	".incbin \"" SLIRP_ELF "\"\n"
	"slirp_elf_end:\n"
	".previous\n");
