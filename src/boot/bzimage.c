// SPDX-License-Identifier: Apache-2.0
/* Section names are those of Documentation/arch/x86/boot.rst, "The Linux/x86 Boot Protocol". */
#include "boot/bzimage.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "boot/elf.h"
#include "boot/unpack.h"

#define SECTOR           512ULL
#define HDR_OFFSET       offsetof(struct boot_params, hdr)
#define OLDEST_PROTOCOL  0x020a /* init_size and pref_address; Linux 2.6.31 */
#define ENTRY64_OFFSET   0x200
#define XLOADFLAGS_SINCE 0x020c

struct bzimage {
	struct setup_header hdr;
	uint64_t setup_size;                /* file offset of the protected-mode code */
	struct boot_file payload;           /* the part of the file; size 0: none */
	const struct unpack_method *method; /* NULL: none that we know */
	bool elf;                           /* the payload is not compressed at all */
};

bool bzimage_magic(const uint8_t *head, size_t len)
{
	uint32_t magic;

	if (len < HDR_OFFSET + offsetof(struct setup_header, header) + sizeof(magic))
		return false;
	memcpy(&magic, head + HDR_OFFSET + offsetof(struct setup_header, header), sizeof(magic));
	return magic == LINUX_HDRS;
}

static int check_header(const struct setup_header *h, uint64_t header_end, struct err *e)
{
	if (h->boot_flag != 0xaa55)
		return err_set(e, ENOEXEC,
			       "is a corrupt bzImage: no 0xAA55 before the setup header");
	if (h->version < OLDEST_PROTOCOL)
		return err_set(e, ENOEXEC,
			       "speaks boot protocol %u.%02u; 2.10 (Linux 2.6.31) is the oldest "
			       "that works",
			       h->version >> 8, h->version & 0xffu);
	if (header_end < HDR_OFFSET + offsetof(struct setup_header, handover_offset))
		return err_set(e, ENOEXEC,
			       "is a corrupt bzImage: its setup header ends at byte %llu",
			       (unsigned long long)header_end);
	if (!(h->loadflags & LOADED_HIGH))
		return err_set(e, ENOEXEC,
			       "is a zImage, which loads below 1 MiB; give a bzImage or vmlinux");
	return 0;
}

/* Of the header only as much as the kernel has ("32-bit Boot Protocol"); fields after it stay zero.
 */
static int read_header(struct bzimage *b, const struct boot_file *f, struct err *e)
{
	uint8_t head[BZIMAGE_HEAD] = {0};
	uint64_t end;
	int rc;

	if (f->size < sizeof(head))
		return err_set(e, ENOEXEC, "is a truncated bzImage of %llu bytes",
			       (unsigned long long)f->size);
	if ((rc = boot_file_read(f, head, sizeof(head), 0, e)) < 0)
		return rc;
	end = 0x202 + head[0x201]; /* the jump over the header tells its size */
	memcpy(&b->hdr, head + HDR_OFFSET, MIN(end, sizeof(head)) - HDR_OFFSET);
	if ((rc = check_header(&b->hdr, end, e)) < 0)
		return rc;
	if (b->hdr.version < XLOADFLAGS_SINCE)
		b->hdr.xloadflags = 0;
	b->setup_size = (1 + (b->hdr.setup_sects ? b->hdr.setup_sects : 4)) * SECTOR;
	if (f->size <= b->setup_size)
		return err_set(e, ENOEXEC,
			       "is a truncated bzImage: %llu bytes, of which %llu are its setup",
			       (unsigned long long)f->size, (unsigned long long)b->setup_size);
	return 0;
}

static int find_payload(struct bzimage *b, const struct boot_file *f, struct err *e)
{
	uint64_t start = b->setup_size + b->hdr.payload_offset;
	uint64_t len = b->hdr.payload_length;
	uint8_t head[16] = {0};
	int rc;

	if (b->hdr.payload_offset == 0 || len == 0)
		return 0;
	if (start > f->size || len > f->size - start)
		return err_set(e, ENOEXEC,
			       "is truncated: its payload ends at byte %llu, the file at %llu",
			       (unsigned long long)(start + len), (unsigned long long)f->size);
	if (len < sizeof(head))
		return err_set(e, ENOEXEC, "is a corrupt bzImage: a payload of %llu bytes",
			       (unsigned long long)len);
	if ((rc = boot_file_read(f, head, sizeof(head), start, e)) < 0)
		return rc;
	b->payload = *f;
	b->payload.base = start;
	b->payload.size = len;
	b->elf = elf_magic(head);
	b->method = unpack_find(head, sizeof(head));
	return 0;
}

/* The kernel's build puts the unpacked size behind the payload, or the format (gzip) has it there.
 */
static int unpack_payload(struct boot_file *out, const struct bzimage *b, const struct gmem *m,
			  struct err *e)
{
	struct boot_file packed = b->payload;
	uint32_t size;
	int rc = boot_file_read(&packed, &size, sizeof(size), packed.size - sizeof(size), e);

	if (rc < 0)
		return rc;
	size = le32toh(size);
	if (size == 0)
		return err_set(e, EBADMSG, "is corrupt: its payload claims to unpack to nothing");
	if (!unpack_has_own_size(b->method))
		packed.size -= sizeof(size);
	return unpack_file(out, b->method, &packed, size, unpack_limit(m), e);
}

/* 1: placed. 0: no 64-bit kernel, so only the bzImage's own code knows how to start it. */
static int load_if_elf64(struct boot_kernel *k, struct gmem *m, const struct boot_file *f,
			 struct err *e)
{
	uint8_t head[EI_NIDENT] = {0};
	int rc = boot_file_read(f, head, MIN(sizeof(head), f->size), 0, e);

	if (rc < 0)
		return rc;
	if (!elf_magic(head) || head[EI_CLASS] != ELFCLASS64) {
		log_info("the kernel unpacks itself: its payload is %s",
			 elf_magic(head) ? "a 32-bit kernel" : "no ELF kernel");
		return 0;
	}
	rc = elf_load(k, m, f, e);
	return rc < 0 ? rc : 1;
}

static int load_payload(struct boot_kernel *k, struct gmem *m, const struct bzimage *b,
			struct err *e)
{
	struct boot_file vmlinux;
	int rc;

	if (b->elf)
		return load_if_elf64(k, m, &b->payload, e);
	if (!b->method) {
		log_info("the kernel unpacks itself: %s",
			 b->payload.size ? "its compression is unknown here"
					 : "its header names no payload");
		return 0;
	}
	if ((rc = unpack_payload(&vmlinux, b, m, e)) < 0)
		return rc;
	rc = load_if_elf64(k, m, &vmlinux, e);
	boot_file_close(&vmlinux);
	if (rc > 0)
		k->packing = unpack_name(b->method);
	return rc;
}

/* "runtime start" in the text of init_size: where the kernel moves to before it unpacks itself. */
static int place_itself(uint64_t *load, uint64_t *runtime, const struct setup_header *h,
			struct err *e)
{
	uint64_t align = h->kernel_alignment;

	if (h->pref_address > RAM_HOLE_START)
		return err_set(
			e, ENOEXEC,
			"wants to be loaded at 0x%llx, beyond the 3 GiB a kernel may start in",
			(unsigned long long)h->pref_address);
	*load = HIGH_RAM_START;
	*runtime = MAX(h->pref_address, HIGH_RAM_START);
	if (!h->relocatable_kernel)
		return 0;
	if (align == 0 || (align & (align - 1)))
		return err_set(e, ENOEXEC, "is a corrupt bzImage: kernel_alignment 0x%llx",
			       (unsigned long long)align);
	*load = *runtime = align_up(*runtime, align);
	return 0;
}

static int load_itself(struct boot_kernel *k, struct gmem *m, struct bzimage *b,
		       const struct boot_file *f, struct err *e)
{
	uint64_t len = f->size - b->setup_size;
	uint64_t load = 0, runtime = 0;
	int rc = place_itself(&load, &runtime, &b->hdr, e);

	if (rc < 0)
		return rc;
	*k = (struct boot_kernel){.mode = BOOT_LINUX32, .entry = load, .start = load};
	if (b->hdr.xloadflags & XLF_KERNEL_64) {
		k->mode = BOOT_LINUX64;
		k->entry = load + ENTRY64_OFFSET;
	}
	if (len <= ENTRY64_OFFSET)
		return err_set(e, ENOEXEC, "is a truncated bzImage: no code after its setup");
	b->hdr.code32_start = (uint32_t)load;
	/* Neither sum wraps: the addresses are below 8 GiB, a file's size below 2^63. */
	k->end = MAX(load + len, runtime + b->hdr.init_size);
	if ((rc = kernel_check_room(m, k->end, e)) < 0)
		return rc;
	return boot_file_place(f, m, load, b->setup_size, len, e);
}

int bzimage_load(struct boot_kernel *k, struct gmem *m, const struct boot_file *f, struct err *e)
{
	struct bzimage b = {0};
	int rc;

	if ((rc = read_header(&b, f, e)) < 0 || (rc = find_payload(&b, f, e)) < 0 ||
	    (rc = load_payload(k, m, &b, e)) < 0)
		return rc;
	if (rc == 0 && (rc = load_itself(k, m, &b, f, e)) < 0)
		return rc;
	k->hdr = b.hdr;
	k->initrd_max = b.hdr.initrd_addr_max;
	k->cmdline_max = b.hdr.cmdline_size;
	return 0;
}
