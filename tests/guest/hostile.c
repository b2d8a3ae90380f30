/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

/* Each sector of both disks begins with its own number (tests/guest/test_virtio.py). */
static bool sector_is_right(struct vdev *d, uint64_t sector)
{
	static uint64_t data[64] __attribute__((aligned(512)));

	data[0] = ~sector;
	return blk_request(d, 0, sector, data, sizeof(data)) == 0 && data[0] == sector;
}

bool hostile_witness(struct hostile *h)
{
	return sector_is_right(h->witness, 3);
}

bool hostile_recovers(struct hostile *h, uint64_t features)
{
	return vdev_start(h->disk, features, HOSTILE_SIZE) && sector_is_right(h->disk, 5);
}

/*
 * One thread serves all devices in turn, so when the witness has answered twice, the disk's doorbell has been
 * looked at; only a request that went to the host's kernel, or to another thread, may still be under way.
 */
enum outcome hostile_outcome(struct hostile *h, uint32_t *id, uint32_t *len)
{
	uint64_t end = deadline();

	do {
		if (ring_poll(&h->disk->ring, id, len))
			return ANSWERED;
		if (vdev_status(h->disk) & S_NEEDS_RESET)
			return NEEDS_RESET;
	} while (hostile_witness(h) && !passed(end));
	return NOTHING;
}

enum verdict hostile_judge(struct hostile *h)
{
	uint32_t id, len;

	switch (hostile_outcome(h, &id, &len)) {
	case ANSWERED:
		return PASS;
	case NEEDS_RESET:
		return REJECT;
	default:
		return WEDGED;
	}
}

static unsigned counts[5];

void hostile_say(enum verdict v, const char *device, const char *name, uint64_t a, uint64_t b)
{
	static const char *const words[] = {"PASS", "REJECT", "FAIL", "WEDGED", "SKIP"};

	counts[v]++;
	guest_print(words[v]);
	guest_print(" ");
	guest_print(device);
	guest_print(name);
	if (a | b) {
		guest_print(" ");
		guest_print_hex(a);
		guest_print(" ");
		guest_print_hex(b);
	}
	guest_print("\n");
}

static void run(struct hostile *h, const struct hostile_case *c)
{
	enum verdict v;

	pool_reset();
	if (!vdev_start(h->witness, 0, HOSTILE_SIZE))
		v = WEDGED;
	else
		v = c->run(h, c->a, c->b);
	if (v != SKIP && !hostile_witness(h))
		v = WEDGED;
	pool_reset();
	if (v != SKIP && !hostile_recovers(h, F_INDIRECT | F_EVENT_IDX))
		v = v == WEDGED ? WEDGED : FAIL;
	hostile_say(v, "", c->name, c->a, c->b);
}

/* False: there are no devices but disks. */
static bool run_devices(struct hostile *h, struct vdev *found, unsigned n)
{
	static struct subject s;
	bool any = false;

	for (unsigned i = 0; i < n; i++) {
		if (found[i].id == VIRTIO_BLK)
			continue;
		s.h = h;
		s.d = &found[i];
		any = true;
		if (vdev_offered(s.d) & F_PACKED)
			hostile_device(&s, 0);
		hostile_device(&s, F_PACKED);
	}
	return any;
}

static void run_suites(struct hostile *h)
{
	static const struct hostile_case *const suites[] = {
		hostile_ring, hostile_queue, hostile_state, hostile_blk, hostile_pci, hostile_mmio,
	};

	for (unsigned s = 0; s < sizeof(suites) / sizeof(suites[0]); s++)
		for (const struct hostile_case *c = suites[s]; c->name; c++)
			run(h, c);
}

/* E820, as the boot protocol has it (zero page, offsets 0x1e8 and 0x2d0): the end of RAM below 3 GiB. */
static uint64_t find_ram_end(const uint8_t *boot_params)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < boot_params[0x1e8]; i++) {
		const uint8_t *e = boot_params + 0x2d0 + 20 * i;
		uint64_t base = *(const uint64_t *)e, len = *(const uint64_t *)(e + 8);
		if (*(const uint32_t *)(e + 16) == 1 && base + len <= 0xc0000000 &&
		    base + len > end)
			end = base + len;
	}
	return end;
}

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static struct vdev found[VDEV_MAX];
	struct hostile h = {0};
	unsigned n = vdev_find_all(found);

	(void)pvh_info;
	for (unsigned i = 0; i < n; i++) {
		if (found[i].id != VIRTIO_BLK)
			continue;
		if (!h.disk)
			h.disk = &found[i];
		else if (!h.witness)
			h.witness = &found[i];
	}
	CHECK(h.disk && h.witness);
	h.ram_end = find_ram_end(boot_params);
	CHECK(h.ram_end > 0);
	if (!run_devices(&h, found, n))
		run_suites(&h);
	guest_print("VERDICTS pass ");
	guest_print_hex(counts[PASS]);
	guest_print(" reject ");
	guest_print_hex(counts[REJECT]);
	guest_print(" fail ");
	guest_print_hex(counts[FAIL]);
	guest_print(" wedged ");
	guest_print_hex(counts[WEDGED]);
	guest_print(" skip ");
	guest_print_hex(counts[SKIP]);
	guest_print("\n");
}
