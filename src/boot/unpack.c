// SPDX-License-Identifier: Apache-2.0
#include "boot/unpack.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "boot/unpack_method.h"

struct unpack_method {
	const char *name;
	const char *magic;
	size_t magic_len;
	bool own_size;
	int (*run)(struct unpack_job *j);
};

/* Magic numbers: Linux boot.rst at payload_offset; lz4 is the "legacy" frame that the kernel uses.
 */
#define MAGIC(s) (s), sizeof(s) - 1
static const struct unpack_method methods[] = {
	{"gzip", MAGIC("\x1f\x8b"), true, unpack_gzip},
	{"bzip2", MAGIC("BZh"), false, unpack_bzip2},
	{"xz", MAGIC("\xfd\x37\x7a\x58\x5a\x00"), false, unpack_xz},
	{"lzma", MAGIC("\x5d\x00\x00"), false, unpack_lzma},
	{"zstd", MAGIC("\x28\xb5\x2f\xfd"), false, unpack_zstd},
	{"lz4", MAGIC("\x02\x21\x4c\x18"), false, unpack_lz4},
#ifdef HAVE_LZO2
	{"lzo", MAGIC("\x89LZO\x00\x0d\x0a\x1a\x0a"), false, unpack_lzo},
#endif
};

const struct unpack_method *unpack_find(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (methods[i].magic_len <= len &&
		    !memcmp(head, methods[i].magic, methods[i].magic_len))
			return &methods[i];
	return NULL;
}

const char *unpack_name(const struct unpack_method *method)
{
	return method->name;
}

bool unpack_has_own_size(const struct unpack_method *method)
{
	return method->own_size;
}

/* Zeroed memory that exists when first touched, so too much costs nothing; in huge pages if
 * possible. */
static uint8_t *map_memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, len, MADV_HUGEPAGE);
	return p;
}

static int too_large(uint64_t limit, struct err *e)
{
	if (limit >= UNPACK_MAX)
		return err_set(e, EBADMSG, "unpacks to more than %llu MiB: not a kernel",
			       (unsigned long long)(UNPACK_MAX / MIB));
	return err_set(e, E2BIG,
		       "needs more memory: it unpacks to more than %llu MiB; give more with "
		       "--memory",
		       (unsigned long long)(limit / MIB));
}

static int job_result(const struct unpack_method *method, const struct unpack_job *j, int rc,
		      uint64_t size, struct err *e)
{
	if (rc == -ENOMEM)
		return err_set(e, ENOMEM, "cannot be unpacked: no memory for the %s decoder",
			       method->name);
	if (rc == -EFBIG && size == 0)
		return too_large(j->out_max, e);
	if (rc < 0 && rc != -EFBIG)
		return err_set(e, EBADMSG, "is corrupt: its %s-compressed data cannot be unpacked",
			       method->name);
	if (rc == -EFBIG || (size && j->out_len != size))
		return err_set(e, EBADMSG,
			       "is corrupt: its %s-compressed data does not unpack to the %llu "
			       "bytes it claims",
			       method->name, (unsigned long long)size);
	if (j->out_len == 0)
		return err_set(e, EBADMSG, "is corrupt: its %s-compressed data is empty",
			       method->name);
	return 0;
}

/* The packed bytes are copied first, once: the file may change meanwhile. */
static int read_and_unpack(struct boot_file *out, const struct unpack_method *method,
			   const struct boot_file *f, uint64_t size, struct err *e)
{
	struct unpack_job j = {.in_len = f->size, .out = out->data, .out_max = out->map_len};
	uint8_t *in = map_memory(f->size);
	int rc;

	if (!in)
		return err_set(e, ENOMEM, "cannot be unpacked: out of memory");
	rc = boot_file_read(f, in, f->size, 0, e);
	if (rc == 0) {
		j.in = in;
		rc = job_result(method, &j, method->run(&j), size, e);
	}
	munmap(in, f->size);
	out->size = j.out_len;
	return rc;
}

int unpack_file(struct boot_file *out, const struct unpack_method *method,
		const struct boot_file *f, uint64_t size, uint64_t limit, struct err *e)
{
	size_t out_max = size ? size : limit;
	int rc;

	if (f->size > UNPACK_MAX || size > UNPACK_MAX)
		return err_set(e, EBADMSG, "is corrupt: %llu bytes that claim to unpack to %llu",
			       (unsigned long long)f->size, (unsigned long long)size);
	if (size > limit)
		return too_large(limit, e);
	*out = (struct boot_file){.fd = -1, .data = map_memory(out_max), .map_len = out_max};
	if (!out->data)
		return err_set(e, ENOMEM, "cannot be unpacked: out of memory");
	rc = read_and_unpack(out, method, f, size, e);
	if (rc < 0)
		boot_file_close(out);
	return rc;
}
