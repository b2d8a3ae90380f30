// SPDX-License-Identifier: Apache-2.0
/* The input is a kernel file (ELF, or whatever else it takes it for), booted and asked for symbols.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "boot/boot.h"
#include "boot/elf.h"
#include "boot/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_for_symbols(const char *path, uint64_t entry)
{
	const uint64_t address[] = {entry, 0xffffffff81000010, 0x1000010, 0, UINT64_MAX};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(address); i++)
		if (symbol_for(path, address[i], name, sizeof(name)) &&
		    strlen(name) >= sizeof(name))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_entry entry = {.entry = 0};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct gmem m;
	struct err e;
	char path[40];

	/* Compressed files unpack to too much for a fuzzer; bzimage_fuzz has them, within bounds.
	 */
	if (fd < 0 || size < 4 || !elf_magic(data) || write_full(fd, data, size) < 0) {
		fd_close(&fd);
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (gmem_create(&m, 32 * MIB, false, &e) == 0) {
		struct boot_source src = {.kernel = path, .cmdline = "", .defaults = ""};
		if (boot_load(&entry, &m, &src, &e) == 0 && !gmem_slice(&m, entry.entry, 1))
			abort();
		ask_for_symbols(path, entry.entry);
		gmem_destroy(&m);
	}
	fd_close(&fd);
	return 0;
}
