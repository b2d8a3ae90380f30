// SPDX-License-Identifier: Apache-2.0
#include "boot/boot.h"

#include <errno.h>

#include "base/log.h"
#include "boot/bzimage.h"
#include "boot/cmdline.h"
#include "boot/elf.h"
#include "boot/file.h"
#include "boot/initrd.h"
#include "boot/linux.h"
#include "boot/pvh.h"
#include "boot/unpack.h"

#define HEAD_LEN 4096 /* enough to tell one kind of file from another */

static int load_kernel(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
		       bool packed, struct err *e);

/* A whole file that was compressed (vmlinux.gz). Once only: nobody packs a kernel twice. */
static int load_packed(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
		       const struct unpack_method *method, struct err *e)
{
	struct boot_file inner;
	int rc = unpack_file(&inner, method, f, 0, unpack_limit(m), e);

	if (rc < 0)
		return rc;
	rc = load_kernel(k, m, &inner, true, e);
	boot_file_close(&inner);
	if (rc < 0)
		return err_wrap(e, rc, "is %s-compressed and its content ", unpack_name(method));
	if (!k->packing)
		k->packing = unpack_name(method);
	return 0;
}

static int load_kernel(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
		       bool packed, struct err *e)
{
	uint8_t head[HEAD_LEN] = {0};
	size_t len = MIN(f->size, sizeof(head));
	const struct unpack_method *method;
	int rc = boot_file_read(f, head, len, 0, e);

	if (rc < 0)
		return rc;
	if (elf_magic(head))
		return elf_load(k, m, f, e);
	if (bzimage_magic(head, len))
		return bzimage_load(k, m, f, e);
	method = unpack_find(head, len);
	if (method && !packed)
		return load_packed(k, m, f, method, e);
	return err_set(e, ENOEXEC, "%s", boot_file_looks_like(head, len));
}

static int open_and_load_kernel(struct boot_kernel *k, struct gmem *m, const char *path,
				struct err *e)
{
	struct boot_file f;
	int rc = boot_file_open(&f, path, e);

	if (rc < 0)
		return rc;
	rc = load_kernel(k, m, &f, false, e);
	boot_file_close(&f);
	return rc;
}

/* For --verbose: all that boot_load() decided. */
static void log_loaded(const struct boot_kernel *k, const struct boot_initrd *initrd,
		       const struct gmem *m)
{
	static const char *const entries[] = {
		[BOOT_LINUX64] = "64-bit", [BOOT_LINUX32] = "32-bit", [BOOT_PVH] = "PVH"};
	bool bzimage = k->hdr.header == LINUX_HDRS;
	/* Nothing runs yet, so what cmdline_write() ended with NUL still does. */
	const char *cmdline = gmem_slice(m, BOOT_CMDLINE, BOOT_CMDLINE_MAX);

	log_info("kernel: %s, %s%s, %s entry 0x%llx, at 0x%llx to 0x%llx",
		 bzimage ? "bzImage" : "ELF", k->packing ? k->packing : "loaded as it is",
		 k->packing ? " unpacked" : "", entries[k->mode], (unsigned long long)k->entry,
		 (unsigned long long)k->start, (unsigned long long)k->end - 1);
	if (initrd->size)
		log_info("initrd: %llu bytes at 0x%llx to 0x%llx", (unsigned long long)initrd->size,
			 (unsigned long long)initrd->addr,
			 (unsigned long long)(initrd->addr + initrd->size - 1));
	log_info("command line: %s", cmdline ? cmdline : "");
}

int boot_load(struct boot_entry *out, struct gmem *m, const struct boot_source *src, struct err *e)
{
	struct boot_initrd initrd = {0};
	struct boot_kernel k;
	int rc;

	/* A path may be longer than an error text: leave room for the reason. */
	if ((rc = open_and_load_kernel(&k, m, src->kernel, e)) < 0)
		return err_wrap(e, rc, "kernel '%.200s': ", src->kernel);
	if (src->initrd && (rc = initrd_load(&initrd, m, src->initrd, &k, e)) < 0)
		return err_wrap(e, rc, "initrd '%.200s': ", src->initrd);
	if ((rc = cmdline_write(m, src->defaults, src->cmdline, k.cmdline_max, e)) < 0)
		return rc;
	rc = k.mode == BOOT_PVH ? pvh_write_start_info(m, &initrd, e)
				: linux_write_params(m, &k, &initrd, e);
	*out = (struct boot_entry){.mode = k.mode, .entry = k.entry, .params = BOOT_PARAMS};
	if (rc == 0)
		log_loaded(&k, &initrd, m);
	return rc;
}
