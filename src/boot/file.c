// SPDX-License-Identifier: Apache-2.0
#include "boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/io.h"

static int check_kind(const struct stat *st, struct err *e)
{
	if (S_ISDIR(st->st_mode))
		return err_set(e, EISDIR, "is a directory");
	if (!S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "is not a regular file: a pipe or device will not do");
	if (st->st_size <= 0)
		return err_set(e, EINVAL, "is empty");
	return 0;
}

int boot_file_open(struct boot_file *f, const char *path, struct err *e)
{
	struct stat st;
	int rc;

	*f = (struct boot_file){
		.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)}; /* a FIFO must not hang us */
	if (f->fd < 0)
		return err_sys(e, "open");
	if (fstat(f->fd, &st) < 0)
		rc = err_sys(e, "fstat");
	else
		rc = check_kind(&st, e);
	if (rc < 0)
		fd_close(&f->fd);
	else
		f->size = (uint64_t)st.st_size;
	return rc;
}

void boot_file_close(struct boot_file *f)
{
	if (f->data)
		munmap(f->data, f->map_len);
	f->data = NULL;
	fd_close(&f->fd);
}

int boot_file_read(const struct boot_file *f, void *buf, size_t len, uint64_t offset, struct err *e)
{
	int rc;

	if (offset > f->size || len > f->size - offset)
		return err_set(e, EIO, "ends before byte %llu", (unsigned long long)offset + len);
	if (f->data) {
		memcpy(buf, f->data + offset, len);
		return 0;
	}
	rc = pread_full(f->fd, buf, len, f->base + offset);
	return rc < 0 ? err_set(e, -rc, "cannot be read: %s", strerror(-rc)) : 0;
}

int boot_file_place(const struct boot_file *f, struct gmem *m, uint64_t gpa, uint64_t offset,
		    uint64_t len, struct err *e)
{
	int rc = -EIO;

	if (offset <= f->size && len <= f->size - offset)
		rc = f->data ? gmem_write(m, gpa, f->data + offset, len)
			     : gmem_load_file(m, gpa, f->fd, f->base + offset, len);
	return rc < 0 ? err_set(e, -rc, "cannot be loaded: %s", strerror(-rc)) : 0;
}

/* First match wins: an aarch64 Image may begin with "MZ" as well. */
static const struct {
	uint16_t offset;
	const char *magic;
	const char *text;
} looks[] = {
	{0x38, "ARM\x64", "is an aarch64 kernel Image; this machine runs x86-64 kernels"},
	{0x38, "RSC\x05", "is a RISC-V kernel Image; this machine runs x86-64 kernels"},
	{0, "MZ", "is an EFI or Windows program without a Linux boot header"},
	{0, "07070", "is a cpio archive, not a kernel: an initrd goes to --initrd"},
	{0, "#!", "is a script, not a kernel"},
	{0, "\x27\x05\x19\x56", "is a U-Boot image: give the ELF or bzImage it was made from"},
	{0, "\xd0\x0d\xfe\xed", "is a devicetree or FIT image, not a kernel"},
	{0, "!<arch>\n", "is an ar archive or Debian package: the kernel is a file inside it"},
	{0, "PK\x03\x04", "is a zip archive, not a kernel"},
	{0, "QFI\xfb", "is a qcow2 disk image, not a kernel"},
	{0, "hsqs", "is a squashfs image, not a kernel"},
	{0x438, "\x53\xef", "is an ext4 file system image, not a kernel"},
	{0x1fe, "\x55\xaa", "is a boot sector or disk image without a Linux boot header"},
};

static bool is_text(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (head[i] < ' ' && !strchr("\t\n\r\f", head[i] ? head[i] : '?'))
			return false;
	return memchr(head, 0, len) == NULL;
}

const char *boot_file_looks_like(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(looks); i++) {
		size_t n = strlen(looks[i].magic);
		if (looks[i].offset + n <= len &&
		    !memcmp(head + looks[i].offset, looks[i].magic, n))
			return looks[i].text;
	}
	if (is_text(head, len))
		return "is a text file, not a kernel";
	return "is neither an ELF kernel (vmlinux) nor a bzImage (vmlinuz)";
}
