/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to a disk that are formed well and ask for what there is not. */
#include "hostile.h"

enum { OK = 0, IOERR = 1, UNSUPP = 2 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };

static uint8_t data[8192] __attribute__((aligned(4096)));

static enum verdict expect(int got, int wanted)
{
	if (got < 0)
		return WEDGED;
	return got == wanted ? PASS : FAIL;
}

static bool start(struct hostile *h)
{
	return vdev_start(h->disk, ~(F_PACKED | F_EVENT_IDX | F_INDIRECT), HOSTILE_SIZE);
}

/* Reads, then writes, b bytes at sector a; from the top bit on: relative to the capacity. */
static enum verdict beyond(struct hostile *h, uint64_t a, uint64_t b)
{
	uint64_t capacity = vdev_config64(h->disk, 0);
	enum verdict v;

	if (!start(h))
		return WEDGED;
	if (a < 16)
		a += capacity - 8;
	v = expect(blk_request(h->disk, IN, a, data, (uint32_t)b), IOERR);
	return v == PASS ? expect(blk_request(h->disk, OUT, a, data, (uint32_t)b), IOERR) : v;
}

static enum verdict last_sector(struct hostile *h, uint64_t a, uint64_t b)
{
	(void)a, (void)b;
	return start(h) ? expect(blk_request(h->disk, IN, vdev_config64(h->disk, 0) - 1, data, 512),
				 OK)
			: WEDGED;
}

/* Request type a with b bytes of data. */
static enum verdict unknown(struct hostile *h, uint64_t a, uint64_t b)
{
	return start(h) ? expect(blk_request(h->disk, (uint32_t)a, 0, data, (uint32_t)b), UNSUPP)
			: WEDGED;
}

static enum verdict flush(struct hostile *h, uint64_t a, uint64_t b)
{
	int rc;

	(void)a;
	if (!start(h))
		return WEDGED;
	rc = blk_request(h->disk, FLUSH, 0, data, (uint32_t)b);
	return rc < 0 ? WEDGED : rc == OK || b ? PASS : FAIL;
}

static enum verdict get_id(struct hostile *h, uint64_t a, uint64_t b)
{
	int rc;

	(void)a;
	if (!start(h))
		return WEDGED;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = 0x5a;
	rc = blk_request(h->disk, GET_ID, 0, data, (uint32_t)b);
	if (rc < 0)
		return WEDGED;
	for (unsigned i = 20; i < sizeof(data); i++) /* 20 bytes at most are its own */
		if (data[i] != 0x5a)
			return FAIL;
	return rc == OK || b < 20 ? PASS : FAIL;
}

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

/* A discard and a write of zeroes: one range from sector a on, b sectors. */
static enum verdict range(struct hostile *h, uint64_t a, uint64_t b)
{
	enum verdict v = PASS;

	if (!start(h))
		return WEDGED;
	for (uint32_t type = DISCARD; type <= WRITE_ZEROES && v == PASS; type += 2) {
		*(struct range *)data =
			(struct range){a < 16 ? a + vdev_config64(h->disk, 0) - 8 : a, (uint32_t)b,
				       0};
		v = expect(blk_request(h->disk, type, 0, data, 16), IOERR);
	}
	return v;
}

/* 5.2.6.2: a reserved flag: UNSUPP. */
static enum verdict range_flags(struct hostile *h, uint64_t a, uint64_t b)
{
	if (!start(h))
		return WEDGED;
	*(struct range *)data = (struct range){0, 1, (uint32_t)b};
	return expect(blk_request(h->disk, (uint32_t)a, 0, data, 16), UNSUPP);
}

/* a bytes of ranges, all of them of no sectors; not a whole number of them is an error. */
static enum verdict range_bytes(struct hostile *h, uint64_t a, uint64_t b)
{
	int rc;

	(void)b;
	if (!start(h))
		return WEDGED;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = 0;
	rc = blk_request(h->disk, DISCARD, 0, data, (uint32_t)a);
	if (rc < 0)
		return WEDGED;
	return a % 16 == 0 || rc != OK ? PASS : FAIL;
}

/* The witness is read-only. */
static enum verdict read_only(struct hostile *h, uint64_t a, uint64_t b)
{
	int rc;

	(void)b;
	if (!vdev_start(h->witness, ~(F_PACKED | F_EVENT_IDX | F_INDIRECT), HOSTILE_SIZE))
		return WEDGED;
	*(struct range *)data = (struct range){3, 1, 0};
	rc = blk_request(h->witness, (uint32_t)a, 3, data, a == OUT ? 512 : 16);
	return rc < 0 ? WEDGED : rc == OK ? FAIL : PASS;
}

const struct hostile_case hostile_blk[] = {
	{"blk: the last sector", last_sector, 0, 0},
	{"blk: the first sector behind the end", beyond, 8, 512},
	{"blk: over the end by one sector", beyond, 7, 1024},
	{"blk: over the end by seven", beyond, 7, 4096},
	{"blk: sector 2^64 - 1", beyond, 0xffffffffffffffff, 512},
	{"blk: sector times 512 wraps to 0", beyond, 1ULL << 55, 512},
	{"blk: sector times 512 wraps to 512", beyond, (1ULL << 55) + 1, 512},
	{"blk: sector 2^63", beyond, 1ULL << 63, 512},
	{"blk: sector and length wrap", beyond, 0xfffffffffffffff8, 4096},
	{"blk: type 2", unknown, 2, 0},
	{"blk: type 3, with data", unknown, 3, 512},
	{"blk: type 9", unknown, 9, 512},
	{"blk: type of old, with barrier", unknown, 0x80000000, 512},
	{"blk: type all ones", unknown, 0xffffffff, 512},
	{"blk: flush", flush, 0, 0},
	{"blk: flush with data", flush, 0, 512},
	{"blk: id of 1 byte", get_id, 0, 1},
	{"blk: id of 20 bytes", get_id, 0, 20},
	{"blk: id of 4096 bytes", get_id, 0, 4096},
	{"blk: ranges over the end", range, 7, 2},
	{"blk: ranges behind the end", range, 8, 1},
	{"blk: ranges of 2^32 - 1 sectors", range, 16, 0xffffffff},
	{"blk: ranges at 2^64 - 1", range, 0xffffffffffffffff, 1},
	{"blk: ranges whose bytes wrap", range, 1ULL << 55, 8},
	{"blk: discard with a reserved flag", range_flags, DISCARD, 2},
	{"blk: discard with unmap", range_flags, DISCARD, 1},
	{"blk: zeroes with reserved flags", range_flags, WRITE_ZEROES, 0xfffffffe},
	{"blk: discard of 15 bytes", range_bytes, 15, 0},
	{"blk: discard of 17 bytes", range_bytes, 17, 0},
	{"blk: discard of 512 ranges", range_bytes, 8192, 0},
	{"blk: write to a read-only disk", read_only, OUT, 0},
	{"blk: discard on a read-only disk", read_only, DISCARD, 0},
	{"blk: zeroes on a read-only disk", read_only, WRITE_ZEROES, 0},
	{0},
};
