// SPDX-License-Identifier: Apache-2.0
#include "fixture.h"

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#ifdef HAVE_LZO2
#include <lzo/lzo1x.h>
#endif

#include "../config/capture.h"
#include "base/log.h"
#include "boot/unpack.h"
#include "boot/unpack_method.h"

#define PACKED_MAX (64 * 1024)

struct packed {
	uint8_t bytes[PACKED_MAX];
	size_t len;
};

static void pack_gzip(struct packed *p, const void *in, size_t len)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
		      .avail_in = (uInt)len,
		      .next_out = p->bytes,
		      .avail_out = PACKED_MAX};

	CHECK_EQ(Z_OK, deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY));
	CHECK_EQ(Z_STREAM_END, deflate(&z, Z_FINISH));
	p->len = PACKED_MAX - z.avail_out;
	deflateEnd(&z);
}

static void pack_bzip2(struct packed *p, const void *in, size_t len)
{
	unsigned n = PACKED_MAX;

	CHECK_EQ(BZ_OK, BZ2_bzBuffToBuffCompress((char *)p->bytes, &n, (char *)(uintptr_t)in,
						 (unsigned)len, 9, 0, 0));
	p->len = n;
}

static void pack_xz(struct packed *p, const void *in, size_t len)
{
	p->len = 0;
	CHECK_EQ(LZMA_OK, lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, in, len, p->bytes,
						  &p->len, PACKED_MAX));
}

static void pack_lzma(struct packed *p, const void *in, size_t len)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	CHECK_EQ(0, lzma_lzma_preset(&options, 6));
	CHECK_EQ(LZMA_OK, lzma_alone_encoder(&s, &options));
	s.next_in = in;
	s.avail_in = len;
	s.next_out = p->bytes;
	s.avail_out = PACKED_MAX;
	CHECK_EQ(LZMA_STREAM_END, lzma_code(&s, LZMA_FINISH));
	p->len = PACKED_MAX - s.avail_out;
	lzma_end(&s);
}

static void pack_zstd(struct packed *p, const void *in, size_t len)
{
	p->len = ZSTD_compress(p->bytes, PACKED_MAX, in, len, 19);
	CHECK(!ZSTD_isError(p->len));
}

static void put_u32(struct packed *p, uint32_t value)
{
	memcpy(p->bytes + p->len, &value, sizeof(value));
	p->len += sizeof(value);
}

/* Two blocks, so that the second is found. */
static void pack_lz4(struct packed *p, const void *in, size_t len)
{
	size_t half = len / 2;

	p->len = 0;
	put_u32(p, 0x184c2102);
	for (unsigned i = 0; i < 2; i++) {
		size_t part = i ? len - half : half;
		int n = LZ4_compress_default((const char *)in + i * half,
					     (char *)p->bytes + p->len + 4, (int)part,
					     (int)(PACKED_MAX - p->len - 4));
		CHECK(n > 0);
		put_u32(p, (uint32_t)n);
		p->len += (size_t)n;
	}
}

#ifdef HAVE_LZO2
static void put_lzo_block(struct packed *p, const uint8_t *in, size_t len)
{
	static uint8_t work[LZO1X_1_MEM_COMPRESS];
	lzo_uint n = 0;
	uint8_t *out = p->bytes + p->len + 12;

	CHECK_EQ(LZO_E_OK, lzo1x_1_compress(in, len, out, &n, work));
	if (n >= len) { /* stored */
		memcpy(out, in, len);
		n = len;
	}
	put_u32(p, __builtin_bswap32((uint32_t)len));
	put_u32(p, __builtin_bswap32((uint32_t)n));
	put_u32(p, __builtin_bswap32((uint32_t)adler32(1, in, (uInt)len)));
	p->len += n;
}

static void pack_lzo(struct packed *p, const void *in, size_t len)
{
	static const uint8_t header[] = {
		0x89, 'L',  'Z',  'O',  0,    0x0d, 0x0a, 0x1a, 0x0a, /* magic */
		0x10, 0x40, 0x20, 0xa0, 0x09, 0x40, 3,    9,          /* versions, method, level */
		0,    0,    0,    1,    0,    0,    0x81, 0xa4, /* flags: a checksum per block; mode
								 */
		0,    0,    0,    0,    0,    0,    0,    0,    1,
		'k',  0,    0,    0,    0, /* time, name, checksum */
	};

	CHECK_EQ(LZO_E_OK, lzo_init());
	memcpy(p->bytes, header, sizeof(header));
	p->len = sizeof(header);
	put_lzo_block(p, in, len - 5);
	put_lzo_block(p, (const uint8_t *)in + len - 5, 5);
	put_u32(p, 0);
}
#endif

static const struct format {
	const char *name;
	void (*pack)(struct packed *p, const void *in, size_t len);
	int (*unpack)(struct unpack_job *j);
	bool own_size;
	bool checksum;
} formats[] = {
	{"gzip", pack_gzip, unpack_gzip, true, true},
	{"bzip2", pack_bzip2, unpack_bzip2, false, true},
	{"xz", pack_xz, unpack_xz, false, true},
	{"lzma", pack_lzma, unpack_lzma, false, false},
	{"zstd", pack_zstd, unpack_zstd, false, false},
	{"lz4", pack_lz4, unpack_lz4, false, false},
#ifdef HAVE_LZO2
	{"lzo", pack_lzo, unpack_lzo, false, true},
#endif
};

/* A kernel of noise, so that nothing compresses to a few bytes. */
static struct tiny_elf noisy_elf(void)
{
	struct tiny_elf k = tiny_elf();
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(k.code); i++)
		k.code[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24) & 0x3f;
	return k;
}

static void packed_bz(struct tiny_bz *b, const struct format *f, const void *kernel, size_t len,
		      uint32_t claimed)
{
	static struct packed p;

	f->pack(&p, kernel, len);
	if (f->own_size)
		memcpy(p.bytes + p.len - 4, &claimed, 4);
	else
		put_u32(&p, claimed);
	tiny_bz(b, p.bytes, p.len);
}

TEST(every_format_unpacks_to_the_kernel_that_went_in)
{
	static struct tiny_bz b;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		struct boot_test t;
		packed_bz(&b, &formats[i], &k, sizeof(k), sizeof(k));
		boot_test_init(&t, RAM);
		CHECK_EQ(0, boot_test_load(&t, b.bytes, b.len));
		CHECK_EQ(BOOT_LINUX64, t.entry.mode);
		CHECK_EQ(LOAD + 0x10, t.entry.entry); /* the kernel's entry, not the bzImage's */
		CHECK_EQ(0, memcmp(gmem_slice(&t.m, LOAD, 0x1000), k.code, 0x1000));
		CHECK_EQ(0, memcmp(gmem_slice(&t.m, LOAD2, 0x1000), k.data, 0x1000));
		boot_test_fini(&t);
	}
}

static void refuses_size(const struct format *f, uint32_t claimed, const char *part)
{
	struct tiny_elf k = noisy_elf();
	static struct tiny_bz b;
	struct err e;

	packed_bz(&b, f, &k, sizeof(k), claimed);
	CHECK_EQ(claimed > RAM + 256 * MIB && claimed <= GIB ? -E2BIG : -EBADMSG,
		 load_once(b.bytes, b.len, &e));
	CHECK_HAS(e.text, part);
}

TEST(every_format_refuses_a_wrong_unpacked_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const struct format *f = &formats[i];
		refuses_size(f, sizeof(struct tiny_elf) - 1, "is corrupt");
		refuses_size(f, sizeof(struct tiny_elf) + 1, "is corrupt");
		refuses_size(f, 1, "is corrupt");
		refuses_size(f, 0, "claims to unpack to nothing");
		refuses_size(f, RAM + 256 * MIB, "is corrupt"); /* the most that is tried */
		refuses_size(f, RAM + 256 * MIB + 1, "needs more memory");
		refuses_size(f, GIB, "more than 288 MiB; give more with --memory");
		refuses_size(f, GIB + 1, "claim to unpack to 1073741825");
		refuses_size(f, UINT32_MAX, "claim to unpack to 4294967295");
	}
}

TEST(every_format_with_a_checksum_notices_a_flipped_bit)
{
	static struct tiny_bz b;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		struct err e;
		if (!formats[i].checksum)
			continue;
		packed_bz(&b, &formats[i], &k, sizeof(k), sizeof(k));
		b.bytes[BZ_PAYLOAD + (b.len - BZ_PAYLOAD) / 2] ^= 0x10;
		CHECK_EQ(-EBADMSG, load_once(b.bytes, b.len, &e));
		CHECK_HAS(e.text, formats[i].name);
		CHECK_HAS(e.text, "corrupt");
	}
}

TEST(every_format_refuses_data_cut_short_at_any_byte)
{
	static struct tiny_bz b;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		size_t len;
		packed_bz(&b, &formats[i], &k, sizeof(k), sizeof(k));
		len = b.len - BZ_PAYLOAD;
		for (size_t cut = 17; cut < len - 8; cut += 97) {
			static struct tiny_bz c;
			struct err e;
			tiny_bz(&c, b.bytes + BZ_PAYLOAD, cut);
			memcpy(c.bytes + c.len - 4, &(uint32_t){sizeof(k)}, 4);
			CHECK_EQ(-EBADMSG, load_once(c.bytes, c.len, &e));
		}
	}
}

TEST(garbage_behind_any_magic_number_is_an_error_not_a_crash)
{
	static struct tiny_bz b;
	uint32_t x = 7;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		packed_bz(&b, &formats[i], &k, sizeof(k), sizeof(k));
		for (unsigned round = 0; round < 50; round++) {
			struct tiny_bz c = b;
			struct err e;
			for (size_t at = BZ_PAYLOAD + 6; at < c.len - 4; at += 1 + (x >> 20))
				c.bytes[at] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
			load_once(c.bytes, c.len, &e); /* a lucky hit may even load */
		}
	}
}

TEST(a_kernel_compressed_as_a_whole_file_is_unpacked)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		static struct packed p;
		struct err e = {.text = ""};
		formats[i].pack(&p, &k, sizeof(k));
		CHECK_EQ(0, load_once(p.bytes, p.len, &e));
	}
}

TEST(a_compressed_initrd_given_as_kernel_is_named)
{
	char cpio[600] = "070701";
	static struct packed p;
	struct err e;

	pack_gzip(&p, cpio, sizeof(cpio));
	CHECK_EQ(-ENOEXEC, load_once(p.bytes, p.len, &e));
	CHECK_HAS(e.text, "is gzip-compressed and its content is a cpio archive");
	CHECK_HAS(e.text, "--initrd");
}

TEST(a_kernel_compressed_twice_is_refused)
{
	struct tiny_elf k = noisy_elf();
	static struct packed once, twice;
	struct err e;

	pack_gzip(&once, &k, sizeof(k));
	pack_xz(&twice, once.bytes, once.len);
	CHECK_EQ(-ENOEXEC, load_once(twice.bytes, twice.len, &e));
	CHECK_HAS(e.text, "is xz-compressed and its content is neither");
}

TEST(data_that_unpacks_to_nothing_is_corrupt)
{
	static struct packed p;
	struct err e;

	pack_gzip(&p, "", 0);
	CHECK_EQ(-EBADMSG, load_once(p.bytes, p.len, &e));
	CHECK_HAS(e.text, "is empty");
}

/* On buffers with nothing behind them that could be read or written unnoticed. */
static int unpack_exactly(const struct format *f, const uint8_t *packed, size_t len, size_t out_max,
			  size_t *out_len)
{
	struct unpack_job j = {.in_len = len, .out = malloc(out_max), .out_max = out_max};
	uint8_t *in = malloc(len);
	int rc;

	memcpy(in, packed, len);
	j.in = in;
	rc = f->unpack(&j);
	*out_len = j.out_len;
	free(in);
	free(j.out);
	return rc;
}

TEST(no_format_reads_behind_the_data_or_writes_behind_the_room)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tiny_elf k = noisy_elf();
		static struct packed p;
		size_t n;
		formats[i].pack(&p, &k, sizeof(k));
		CHECK_EQ(0, unpack_exactly(&formats[i], p.bytes, p.len, sizeof(k), &n));
		CHECK_EQ(sizeof(k), n);
		CHECK(unpack_exactly(&formats[i], p.bytes, p.len, sizeof(k) - 1, &n) < 0);
		for (size_t len = 1; len < p.len; len += len < 64 ? 1 : 61)
			if (unpack_exactly(&formats[i], p.bytes, len, sizeof(k), &n) == 0)
				CHECK(n < sizeof(k)); /* lz4: cut between two blocks */
	}
}

TEST(lz4_refuses_a_length_that_is_not_whole)
{
	struct tiny_elf k = noisy_elf();
	static struct packed p;
	struct unpack_job j;

	pack_lz4(&p, &k, sizeof(k));
	for (unsigned extra = 1; extra < 4; extra++) {
		static uint8_t out[sizeof(k)];
		j = (struct unpack_job){
			.in = p.bytes, .in_len = p.len + extra, .out = out, .out_max = sizeof(out)};
		CHECK_EQ(-EBADMSG, unpack_lz4(&j));
	}
}

#ifdef HAVE_LZO2
TEST(lzo_refuses_a_block_that_unpacks_to_less_than_it_claims)
{
	static uint8_t in[1000], out[2000];
	static struct packed p;
	struct unpack_job j = {.in = p.bytes, .out = out, .out_max = sizeof(out)};
	size_t block;

	pack_lzo(&p, in, sizeof(in));
	block = 39;      /* behind the header */
	p.bytes[20] = 0; /* no checksums */
	memmove(p.bytes + block + 8, p.bytes + block + 12, p.len - block - 12);
	j.in_len = p.len - 4;
	p.bytes[block + 3]++;
	CHECK_EQ(-EBADMSG, unpack_lzo(&j));
	CHECK_EQ(0, j.out_len);
	p.bytes[block + 3]--;
	unpack_lzo(&j); /* stored, the second block has its checksum taken for data */
	CHECK_EQ(1000, j.out_len);
}
#endif

TEST(a_packed_file_of_more_than_1_gib_is_not_even_read)
{
	struct memfile f = memfile("\x1f\x8b", 2);
	struct boot_test t;

	CHECK_EQ(0, ftruncate(f.fd, GIB + 1));
	boot_test_init(&t, RAM);
	CHECK_EQ(-EBADMSG, boot_test_path(&t, f.path));
	CHECK_HAS(t.e.text, "1073741825 bytes that claim");
	boot_test_fini(&t);
	close(f.fd);
}

/* A small file that would fill the host's memory whatever the guest was given. */
TEST(a_file_that_unpacks_to_much_more_than_ram_needs_more_memory)
{
	size_t len = RAM + 257 * MIB;
	static struct packed p;
	struct err e;
	void *zeros =
		mmap(NULL, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(zeros != MAP_FAILED);
	p.len = ZSTD_compress(p.bytes, PACKED_MAX, zeros, len, 1);
	CHECK(!ZSTD_isError(p.len));
	CHECK_EQ(-E2BIG, load_once(p.bytes, p.len, &e));
	CHECK_HAS(e.text,
		  "needs more memory: it unpacks to more than 288 MiB; give more with --memory");
	munmap(zeros, len);
}

TEST(no_machine_unpacks_more_than_1_gib)
{
	struct gmem m = {.n = 1, .memfd = -1, .region = {{.len = 768 * MIB - PAGE_SIZE}}};

	CHECK_EQ(GIB - PAGE_SIZE, unpack_limit(&m));
	m.region[0].len = 768 * MIB;
	CHECK_EQ(GIB, unpack_limit(&m));
	m.region[0].len = UINT64_MAX - 1;
	CHECK_EQ(GIB, unpack_limit(&m));
}

static const char *said_while_loading(const void *data, size_t len)
{
	enum log_level before = log_level;
	static struct capture c;
	struct err e;

	log_level = LOG_INFO;
	capture_start(&c, STDERR_FILENO);
	CHECK_EQ(0, load_once(data, len, &e));
	capture_end(&c);
	log_level = before;
	return c.text;
}

TEST(verbose_says_what_was_loaded_where)
{
	struct tiny_elf k = noisy_elf();
	static struct tiny_bz b;
	static struct packed p;

	CHECK_STR("toyvmm: kernel: ELF, loaded as it is, 64-bit entry 0x1000010, "
		  "at 0x1000000 to 0x1200fff\n"
		  "toyvmm: command line: console=ttyS0\n",
		  said_while_loading(&k, sizeof(k)));
	packed_bz(&b, &formats[0], &k, sizeof(k), sizeof(k));
	CHECK_HAS(said_while_loading(b.bytes, b.len), "kernel: bzImage, gzip unpacked, 64-bit");
	k.note.n_type = PVH_TYPE;
	k.h.e_entry = 0;
	pack_xz(&p, &k, sizeof(k));
	CHECK_HAS(said_while_loading(p.bytes, p.len),
		  "kernel: ELF, xz unpacked, PVH entry 0x1000020");
}

TEST(verbose_says_why_a_bzimage_unpacks_itself)
{
	struct tiny_elf k = tiny_elf();
	static struct tiny_bz b;

	tiny_bz(&b, "an unknown compression", 22);
	CHECK_HAS(said_while_loading(b.bytes, b.len), "itself: its compression is unknown here\n");
	CHECK_HAS(said_while_loading(b.bytes, b.len), "kernel: bzImage, loaded as it is, 64-bit");
	bz_header(&b)->payload_length = 0;
	CHECK_HAS(said_while_loading(b.bytes, b.len), "itself: its header names no payload\n");
	tiny_elf_to_32(&k);
	packed_bz(&b, &formats[0], &k, sizeof(k), sizeof(k));
	CHECK_HAS(said_while_loading(b.bytes, b.len), "itself: its payload is a 32-bit kernel\n");
	memset(&k, 'x', SELFMAG);
	packed_bz(&b, &formats[0], &k, sizeof(k), sizeof(k));
	CHECK_HAS(said_while_loading(b.bytes, b.len), "itself: its payload is no ELF kernel\n");
}
