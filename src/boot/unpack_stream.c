// SPDX-License-Identifier: Apache-2.0
/* The formats whose library takes a whole buffer: gzip, bzip2, xz, lzma, zstd. */
#include "boot/unpack_method.h"

#include <bzlib.h>
#include <errno.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

int unpack_gzip(struct unpack_job *j)
{
	/* Sizes fit: unpack.c caps both at 1 GiB. zlib does not write to its input. */
	z_stream z = {.next_in = (Bytef *)(uintptr_t)j->in,
		      .avail_in = (uInt)j->in_len,
		      .next_out = j->out,
		      .avail_out = (uInt)j->out_max};
	int rc;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) /* 16: a gzip header and trailer */
		return -ENOMEM;
	rc = inflate(&z, Z_FINISH);
	j->out_len = j->out_max - z.avail_out;
	inflateEnd(&z);
	if (rc == Z_STREAM_END)
		return 0;
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	return rc == Z_BUF_ERROR && z.avail_out == 0 ? -EFBIG : -EBADMSG;
}

int unpack_bzip2(struct unpack_job *j)
{
	unsigned out_len = (unsigned)j->out_max;
	int rc = BZ2_bzBuffToBuffDecompress((char *)j->out, &out_len, (char *)(uintptr_t)j->in,
					    (unsigned)j->in_len, 0, 0);

	j->out_len = out_len;
	if (rc == BZ_OK)
		return 0;
	if (rc == BZ_MEM_ERROR)
		return -ENOMEM;
	return rc == BZ_OUTBUFF_FULL ? -EFBIG : -EBADMSG;
}

static int lzma_result(lzma_ret rc, const struct unpack_job *j)
{
	if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return rc == LZMA_BUF_ERROR && j->out_len == j->out_max ? -EFBIG : -EBADMSG;
}

int unpack_xz(struct unpack_job *j)
{
	uint64_t memory = UNPACK_MEMORY_MAX;
	size_t in_pos = 0;
	lzma_ret rc = lzma_stream_buffer_decode(&memory, 0, NULL, j->in, &in_pos, j->in_len, j->out,
						&j->out_len, j->out_max);

	return rc == LZMA_OK ? 0 : lzma_result(rc, j);
}

int unpack_lzma(struct unpack_job *j)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_ret rc = lzma_alone_decoder(&s, UNPACK_MEMORY_MAX);

	if (rc == LZMA_OK) {
		s.next_in = j->in;
		s.avail_in = j->in_len;
		s.next_out = j->out;
		s.avail_out = j->out_max;
		rc = lzma_code(&s, LZMA_FINISH);
		/* Output exactly full: once more, to see whether the end follows. */
		if (rc == LZMA_OK)
			rc = lzma_code(&s, LZMA_FINISH);
		j->out_len = j->out_max - s.avail_out;
	}
	lzma_end(&s);
	return rc == LZMA_STREAM_END ? 0 : lzma_result(rc, j);
}

int unpack_zstd(struct unpack_job *j)
{
	size_t n = ZSTD_decompress(j->out, j->out_max, j->in, j->in_len);

	if (!ZSTD_isError(n)) {
		j->out_len = n;
		return 0;
	}
	switch (ZSTD_getErrorCode(n)) {
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	case ZSTD_error_dstSize_tooSmall:
		return -EFBIG;
	default:
		return -EBADMSG;
	}
}
