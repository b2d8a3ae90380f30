/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes numbers to every disk, and says on the console which of them the disks have acknowledged: whoever kills this
 * machine, or the one below it, can look for them afterwards. The kernel command line says what to do, and from which
 * number on, in decimal:
 *
 *   write from=N    a number is said when its writes have completed
 *   flush from=N    ... and a flush after them, too
 *   through from=N  FLUSH is not accepted, so that a completed write is a durable one (virtio 1.2, 5.2.6.2)
 *   copy            the first disk's slots to the second disk: to look at a disk through toyvmm
 *
 * Number n is in slot (n * STRIDE) % SLOTS, a sector, 64 times. tests/guest/ledger.py reads it.
 */
#include "lib_virtio.h"

#define SLOTS     4096u
#define STRIDE    1597u
#define DEPTH     8u /* numbers on their way at a time */
#define DISKS     4u
#define RING_SIZE 32u /* three descriptors a request */
#define CHUNK     65536u

#define BLK_F_FLUSH (1ULL << 9)

enum { IN = 0, OUT = 1, FLUSH = 4 };

struct request {
	struct {
		uint32_t type, reserved;
		uint64_t sector;
	} header;
	volatile uint8_t status;
	uint64_t sector[64];
};

static struct vdev found[VDEV_MAX], *disks[DISKS];
static unsigned ndisks;
static struct request requests[DISKS][DEPTH] __attribute__((aligned(4096)));
static uint8_t chunk[CHUNK] __attribute__((aligned(4096)));

static const char *word(const char *text, const char *wanted)
{
	for (; *text; text++) {
		unsigned n = 0;

		while (wanted[n] && text[n] == wanted[n])
			n++;
		if (!wanted[n])
			return text + n;
	}
	return NULL;
}

static uint64_t decimal(const char *text)
{
	uint64_t n = 0;

	for (; text && *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	return n;
}

static void find_disks(uint64_t features)
{
	unsigned n = vdev_find_all(found);

	for (unsigned i = 0; i < n && ndisks < DISKS; i++)
		if (found[i].id == VIRTIO_BLK) {
			disks[ndisks] = &found[i];
			CHECK(vdev_start(&found[i], features, RING_SIZE));
			ndisks++;
		}
	CHECK(ndisks > 0);
}

static void offer(unsigned disk, unsigned i, uint64_t number)
{
	struct request *r = &requests[disk][i];
	struct ring *ring = &disks[disk]->ring;
	uint16_t head = (uint16_t)(3 * i);

	r->header.type = OUT;
	r->header.sector = number * STRIDE % SLOTS;
	r->status = 0xee;
	for (unsigned w = 0; w < 64; w++)
		r->sector[w] = number;
	ring_desc(ring, head, (uint64_t)&r->header, sizeof(r->header), DESC_NEXT, head + 1);
	ring_desc(ring, head + 1u, (uint64_t)r->sector, 512, DESC_NEXT, head + 2);
	ring_desc(ring, head + 2u, (uint64_t)&r->status, 1, DESC_WRITE, 0);
	ring_offer(ring, head);
}

static void say(uint64_t number)
{
	guest_print_hex(number);
	guest_print("\n");
}

/* DEPTH numbers on each disk at the same time; each is said when all disks have it, if `each`. */
static void write_batch(uint64_t first, bool each)
{
	unsigned done[DEPTH] = {0};
	uint32_t id, len;

	for (unsigned d = 0; d < ndisks; d++) {
		for (unsigned i = 0; i < DEPTH; i++)
			offer(d, i, first + i);
		vdev_kick(disks[d], 0);
	}
	for (unsigned d = 0; d < ndisks; d++)
		for (unsigned n = 0; n < DEPTH; n++) {
			CHECK(ring_wait(&disks[d]->ring, &id, &len));
			id /= 3;
			CHECK(id < DEPTH);
			CHECK_EQ(requests[d][id].status, 0);
			if (++done[id] == ndisks && each)
				say(first + id);
		}
}

static void write_for_ever(uint64_t first, bool flush)
{
	for (;; first += DEPTH) {
		write_batch(first, !flush);
		if (!flush)
			continue;
		for (unsigned d = 0; d < ndisks; d++)
			CHECK_EQ(blk_request(disks[d], FLUSH, 0, NULL, 0), 0);
		for (unsigned i = 0; i < DEPTH; i++)
			say(first + i);
	}
}

static void copy(void)
{
	CHECK_EQ(ndisks, 2);
	for (uint64_t sector = 0; sector < SLOTS; sector += CHUNK / 512) {
		CHECK_EQ(blk_request(disks[0], IN, sector, chunk, CHUNK), 0);
		CHECK_EQ(blk_request(disks[1], OUT, sector, chunk, CHUNK), 0);
	}
	guest_print("PASS\n");
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	const char *cmdline = (const char *)(uint64_t) * (const uint32_t *)(boot_params + 0x228);
	uint64_t from = decimal(word(cmdline, "from="));

	(void)pvh_info;
	find_disks(F_VERSION_1 | (word(cmdline, "through") ? 0 : BLK_F_FLUSH));
	if (word(cmdline, "copy"))
		copy();
	else
		write_for_ever(from, word(cmdline, "flush"));
}
