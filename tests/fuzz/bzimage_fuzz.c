// SPDX-License-Identifier: Apache-2.0
/* The input is a bzImage: its header, and behind that payloads of every compression. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "boot/boot.h"
#include "boot/bzimage.h"

#define UNPACKED_MAX (16 * MIB) /* to stay fast; the real limit has its unit tests */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The four bytes behind the payload, where the loader will look for them. */
static uint32_t claimed_size(const uint8_t *data, size_t size)
{
	struct setup_header h;
	uint32_t claimed = 0;
	uint64_t end;

	memcpy(&h, data + offsetof(struct boot_params, hdr), sizeof(h));
	end = 512ULL * (1 + (h.setup_sects ? h.setup_sects : 4)) + h.payload_offset +
	      h.payload_length;
	if (end >= sizeof(claimed) && end <= size)
		memcpy(&claimed, data + end - sizeof(claimed), sizeof(claimed));
	return claimed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct boot_entry entry;
	struct gmem m;
	struct err e;
	char path[40];
	int fd;

	if (size < BZIMAGE_HEAD || !bzimage_magic(data, size) ||
	    claimed_size(data, size) > UNPACKED_MAX)
		return -1;
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write_full(fd, data, size) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (gmem_create(&m, 32 * MIB, false, &e) == 0) {
		struct boot_source src = {
			.kernel = path, .initrd = path, .cmdline = "quiet", .defaults = "panic=-1"};
		if (boot_load(&entry, &m, &src, &e) == 0 && !gmem_slice(&m, entry.entry, 1))
			abort();
		gmem_destroy(&m);
	}
	fd_close(&fd);
	return 0;
}
