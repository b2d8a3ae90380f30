// SPDX-License-Identifier: Apache-2.0
/* The formats that are a plain list of compressed blocks, which is taken apart here: lz4 and lzo.
 */
#include "boot/unpack_method.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <string.h>
#ifdef HAVE_LZO2
#include <lzo/lzo1x.h>
#include <zlib.h>
#endif

struct cursor {
	const uint8_t *at;
	size_t left;
};

/* The next n bytes, or NULL when the data ends before. */
static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->at;

	if (n > c->left)
		return NULL;
	c->at += n;
	c->left -= n;
	return p;
}

static bool take_u32(struct cursor *c, uint32_t *value)
{
	const uint8_t *p = take(c, sizeof(*value));

	if (p)
		memcpy(value, p, sizeof(*value));
	return p != NULL;
}

/*
 * LZ4 legacy frame (lz4_Frame_format.md): magic, then blocks of a 32-bit length and data, each 8
 * MiB unpacked but the last. It ends where the data does; frames may follow one another.
 */
#define LZ4_LEGACY_MAGIC 0x184c2102
#define LZ4_LEGACY_BLOCK (8 * MIB)

int unpack_lz4(struct unpack_job *j)
{
	struct cursor c = {j->in, j->in_len};
	uint32_t len;

	while (take_u32(&c, &len)) {
		uint64_t room = MIN(j->out_max - j->out_len, LZ4_LEGACY_BLOCK);
		const uint8_t *block;
		int n;

		len = le32toh(len);
		if (len == LZ4_LEGACY_MAGIC)
			continue;
		if (len == 0) /* padding */
			return 0;
		block = take(&c, len);
		if (!block || len > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
			return -EBADMSG;
		if (room == 0)
			return -EFBIG;
		n = LZ4_decompress_safe((const char *)block, (char *)j->out + j->out_len, (int)len,
					(int)room);
		if (n < 0) /* does not say whether it is corrupt or too large */
			return -EBADMSG;
		j->out_len += (size_t)n;
	}
	return c.left == 0 ? 0 : -EBADMSG;
}

#ifdef HAVE_LZO2
/*
 * An lzop file: a header of big-endian fields, then blocks of (unpacked length, packed length,
 * checksums that the header's flags ask for, data); an unpacked length of 0 ends it.
 */
#define LZOP_BLOCK     (256 * KIB)
#define LZOP_ADLER32_D 0x0001u /* of the unpacked bytes */
#define LZOP_ADLER32_C 0x0002u /* of the packed bytes, when they are fewer */
#define LZOP_CRC32_D   0x0100u
#define LZOP_CRC32_C   0x0200u
#define LZOP_FILTER    0x0800u
#define LZOP_HAS_LEVEL 0x0940u /* format version with a level byte and a 64-bit time */

static bool take_be32(struct cursor *c, uint32_t *value)
{
	bool ok = take_u32(c, value);

	*value = ok ? be32toh(*value) : 0;
	return ok;
}

static int lzop_header(struct cursor *c, uint32_t *flags)
{
	const uint8_t *p = take(c, 9 + 7); /* magic; versions: format, library, needed; method */
	unsigned version = p ? (unsigned)p[9] << 8 | p[10] : 0;

	if (!p || (version >= LZOP_HAS_LEVEL && !take(c, 1)) || !take_be32(c, flags))
		return -EBADMSG;
	if (*flags & LZOP_FILTER)
		return -EBADMSG; /* lzop never writes one for a kernel */
	/* mode, time; then a name with its length, and a checksum of the header */
	if (!take(c, version >= LZOP_HAS_LEVEL ? 12 : 8) || !(p = take(c, 1)) || !take(c, *p + 4u))
		return -EBADMSG;
	return 0;
}

/* 1: a block was unpacked, 0: the end. */
static int lzop_block(struct unpack_job *j, struct cursor *c, uint32_t flags)
{
	uint32_t out_len, in_len, sum = 0, unused;
	uint8_t *out = j->out + j->out_len;
	const uint8_t *in;
	lzo_uint n;

	if (!take_be32(c, &out_len))
		return -EBADMSG;
	if (out_len == 0)
		return 0;
	if (!take_be32(c, &in_len) || in_len > out_len || out_len > LZOP_BLOCK ||
	    ((flags & LZOP_ADLER32_D) && !take_be32(c, &sum)) ||
	    ((flags & LZOP_CRC32_D) && !take_be32(c, &unused)) ||
	    ((flags & LZOP_ADLER32_C) && in_len < out_len && !take_be32(c, &unused)) ||
	    ((flags & LZOP_CRC32_C) && in_len < out_len && !take_be32(c, &unused)) ||
	    !(in = take(c, in_len)))
		return -EBADMSG;
	if (out_len > j->out_max - j->out_len)
		return -EFBIG;
	n = out_len;
	if (in_len == out_len) /* did not get smaller: stored as it was */
		memcpy(out, in, in_len);
	else if (lzo1x_decompress_safe(in, in_len, out, &n, NULL) != LZO_E_OK || n != out_len)
		return -EBADMSG;
	if ((flags & LZOP_ADLER32_D) && adler32(1, out, out_len) != sum)
		return -EBADMSG;
	j->out_len += out_len;
	return 1;
}

int unpack_lzo(struct unpack_job *j)
{
	struct cursor c = {j->in, j->in_len};
	uint32_t flags;
	int rc = lzop_header(&c, &flags);

	if (lzo_init() != LZO_E_OK)
		return -ENOMEM;
	if (rc < 0)
		return rc;
	do
		rc = lzop_block(j, &c, flags);
	while (rc > 0);
	return rc;
}
#endif
