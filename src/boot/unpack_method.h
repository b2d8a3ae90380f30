/* SPDX-License-Identifier: Apache-2.0 */
/* Between unpack.c and the formats: each unpacks one buffer into another, at once. */
#pragma once

#include "base/base.h"

struct unpack_job {
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_max;
	size_t out_len; /* filled in */
};

/* A decoder's own memory (its dictionary); the size of it is the file's choice up to here. */
#define UNPACK_MEMORY_MAX (256 * MIB)

/* 0; -EBADMSG corrupt; -EFBIG out_max is not enough; -ENOMEM. */
int unpack_gzip(struct unpack_job *j);
int unpack_bzip2(struct unpack_job *j);
int unpack_xz(struct unpack_job *j);
int unpack_lzma(struct unpack_job *j);
int unpack_zstd(struct unpack_job *j);
int unpack_lz4(struct unpack_job *j);
int unpack_lzo(struct unpack_job *j);
