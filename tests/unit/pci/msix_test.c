// SPDX-License-Identifier: Apache-2.0
#include "pci_rig.h"

#include <unistd.h>

#include "base/log.h"
#include "pci/msix.h"

#define VECTORS 70 /* more than one word of pending bits */
#define SLOT    1
#define CONTROL (0x40 + PCI_MSIX_FLAGS)
#define ON      PCI_MSIX_FLAGS_ENABLE
#define ALL     PCI_MSIX_FLAGS_MASKALL

/* A router that counts, remembers the messages, and can be told to fail. */
struct fake_router {
	struct msi_router ops;
	unsigned opens, connects, disconnects, closes;
	int fail_open, fail_connect;
	struct {
		int fd;
		uint64_t address;
		uint32_t data;
		bool connected;
	} route[VECTORS];
};

static struct rig r;
static struct fake_router router;
static struct msix *x;

static int fake_open(void *arg, int fd)
{
	struct fake_router *f = arg;

	if (f->fail_open)
		return f->fail_open;
	f->route[f->opens].fd = fd;
	return (int)f->opens++;
}

static int fake_connect(void *arg, int route, uint64_t address, uint32_t data)
{
	struct fake_router *f = arg;

	f->connects++;
	if (f->fail_connect)
		return f->fail_connect;
	f->route[route].address = address;
	f->route[route].data = data;
	f->route[route].connected = true;
	return 0;
}

static void fake_disconnect(void *arg, int route)
{
	struct fake_router *f = arg;

	CHECK(f->route[route].connected);
	f->route[route].connected = false;
	f->disconnects++;
}

static void fake_close(void *arg, int route)
{
	struct fake_router *f = arg;

	CHECK(route >= 0 && route < (int)f->opens);
	f->closes++;
}

static void written(struct pci_dev *d, unsigned off, unsigned len)
{
	(void)d;
	msix_config_written(x, off, len);
}

static const struct pci_ops ops = {.config_written = written};

static void start(unsigned vectors)
{
	struct pci_dev *d = &r.fake[SLOT].dev;

	rig_init(&r);
	router = (struct fake_router){
		.ops = {fake_open, fake_connect, fake_disconnect, fake_close, &router}};
	pci_dev_init(d, "fake", DEFAULT_ID);
	d->ops = &ops;
	CHECK_EQ(0, msix_create(&x, d, &router.ops, vectors, 4, 0x1000, 0x2000, &r.e));
	CHECK_EQ(0, pci_add(&r.pci, d, &r.e));
}

static void stop(void)
{
	msix_destroy(x);
	CHECK_EQ(router.opens, router.closes);
	rig_fini(&r);
}

static void control(uint16_t bits)
{
	cfg_write(&r, SLOT, CONTROL, bits, 2);
}

static void table_write(uint64_t off, uint64_t v, unsigned len)
{
	msix_table_write(x, off, &v, len);
}

static uint64_t table_read(uint64_t off, unsigned len)
{
	uint64_t v = 0;

	msix_table_read(x, off, &v, len);
	return v;
}

static uint64_t pba_read(uint64_t off, unsigned len)
{
	uint64_t v = 0;

	msix_pba_read(x, off, &v, len);
	return v;
}

static void set_message(unsigned v, uint64_t address, uint32_t data)
{
	table_write(v * 16, address, 8);
	table_write(v * 16 + 8, data, 4);
}

static void mask(unsigned v, bool on)
{
	table_write(v * 16 + 12, on, 4);
}

/* Messages that a route's eventfd has got since the last call. */
static unsigned sent(unsigned route)
{
	uint64_t n = 0;

	return read(router.route[route].fd, &n, 8) == 8 ? (unsigned)n : 0;
}

/* Vector v enabled, unmasked and used; its route is number 0. */
static void start_with(unsigned v)
{
	start(VECTORS);
	set_message(v, 0xfee01000, 0x41);
	control(ON);
	mask(v, false);
	CHECK_EQ(1, router.opens);
}

TEST(capability_tells_size_and_places)
{
	start(VECTORS);
	CHECK_EQ(PCI_CAP_ID_MSIX, cfg_read(&r, SLOT, 0x40, 1));
	CHECK_EQ(VECTORS - 1, cfg_read(&r, SLOT, CONTROL, 2));
	CHECK_EQ(0x1004, cfg_read(&r, SLOT, 0x44, 4));
	CHECK_EQ(0x2004, cfg_read(&r, SLOT, 0x48, 4));
	CHECK_EQ(VECTORS, msix_vectors(x));
	for (unsigned off = 0x40; off < 0x4c; off += 4)
		cfg_write(&r, SLOT, off, 0xffffffff, 4);
	CHECK_EQ((VECTORS - 1) | ON | ALL, cfg_read(&r, SLOT, CONTROL, 2));
	CHECK_EQ(PCI_CAP_ID_MSIX, cfg_read(&r, SLOT, 0x40, 2));
	CHECK_EQ(0x1004, cfg_read(&r, SLOT, 0x44, 4));
	CHECK_EQ(0x2004, cfg_read(&r, SLOT, 0x48, 4));
	stop();
}

TEST(impossible_msix_tables_are_refused)
{
	struct pci_dev d;

	pci_dev_init(&d, "fake", DEFAULT_ID);
	CHECK_EQ(-EINVAL, msix_create(&x, &d, &router.ops, 0, 0, 0, 0, &r.e));
	CHECK_EQ(-EINVAL, msix_create(&x, &d, &router.ops, MSIX_MAX + 1, 0, 0, 0, &r.e));
	CHECK_EQ(-EINVAL, msix_create(&x, &d, &router.ops, 1, 6, 0, 0, &r.e));
	CHECK_EQ(-EINVAL, msix_create(&x, &d, &router.ops, 1, 0, 4, 0, &r.e));
	CHECK_EQ(-EINVAL, msix_create(&x, &d, &router.ops, 1, 0, 0, 0x801, &r.e));
	d.cap_end = 0xf8;
	CHECK_EQ(-ENOSPC, msix_create(&x, &d, &router.ops, 1, 0, 0, 0, &r.e));
	CHECK_HAS(r.e.text, "fake: no room");
	msix_destroy(NULL);
}

TEST(table_takes_aligned_accesses_of_4_and_8_bytes_only)
{
	start(2);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (uint64_t off = 0; off < 40; off++) {
			bool good = len >= 4 && off % len == 0 && off + len <= 32;
			uint64_t ones = len == 8 ? UINT64_MAX : (1ULL << (8 * len)) - 1, want = 0;
			uint64_t keep[4];
			msix_reset(x);
			for (unsigned i = 0; i < 4; i++)
				keep[i] = table_read(i * 8, 8);
			table_write(off, ones, len);
			for (unsigned i = 0; good && i < len; i += 4)
				switch ((off + i) % 16) {
				case 0:
					want |= 0xfffffffcULL << (8 * i);
					break;
				case 12:
					want |= 1ULL << (8 * i);
					break;
				default:
					want |= 0xffffffffULL << (8 * i);
				}
			CHECK_EQ(want, table_read(off, len));
			for (unsigned i = 0; i < 4; i++) {
				bool hit = good && off / 8 == i;
				CHECK(hit || table_read(i * 8, 8) == keep[i]);
			}
		}
	CHECK_EQ(0, table_read(UINT64_MAX - 3, 4));
	table_write(UINT64_MAX - 7, 0, 8);
	table_write(1ULL << 36 | 12, 0, 4); /* entry 0, if somebody cut it off */
	CHECK_EQ(1, table_read(12, 4));
	stop();
}

TEST(after_reset_all_is_masked_and_zero)
{
	start_with(3);
	control(ON | ALL);
	msix_raise(x, 3);
	msix_reset(x);
	CHECK(!msix_enabled(x));
	CHECK_EQ(VECTORS - 1, cfg_read(&r, SLOT, CONTROL, 2));
	CHECK_EQ(0, pba_read(0, 8));
	for (unsigned v = 0; v < VECTORS; v++) {
		CHECK_EQ(0, table_read(v * 16, 8));
		CHECK_EQ(1ULL << 32, table_read(v * 16 + 8, 8));
	}
	control(ON);
	CHECK_EQ(0, sent(0));
	set_message(3, 0xfee01000, 0x41);
	mask(3, false);
	CHECK_EQ(1, router.opens); /* the route is used again, and as it was */
	CHECK_EQ(1, router.connects);
	msix_raise(x, 3);
	CHECK_EQ(1, sent(0));
	stop();
}

TEST(unused_vectors_cost_nothing)
{
	start(VECTORS);
	for (unsigned v = 0; v < VECTORS; v++) {
		set_message(v, 0xfee00000, v);
		msix_raise(x, v);
	}
	control(ON);
	for (unsigned v = 0; v < VECTORS; v++)
		msix_raise(x, v);
	CHECK_EQ(0, router.opens + router.connects);
	mask(7, false);
	CHECK_EQ(1, router.opens);
	CHECK_EQ(1, router.connects);
	stop();
}

TEST(raised_vector_sends_its_message)
{
	start_with(5);
	CHECK_EQ(0xfee01000, router.route[0].address);
	CHECK_EQ(0x41, router.route[0].data);
	CHECK_EQ(0, sent(0));
	msix_raise(x, 5);
	CHECK_EQ(1, sent(0));
	CHECK_EQ(0, pba_read(0, 8));
	stop();
}

TEST(table_written_before_enable_works_as_well)
{
	start(VECTORS);
	for (unsigned v = 0; v < VECTORS; v++) {
		set_message(v, 0xfee00000, v);
		mask(v, false);
	}
	CHECK_EQ(0, router.opens);
	control(ON);
	CHECK_EQ(VECTORS, router.opens);
	for (unsigned v = 0; v < VECTORS; v++) {
		CHECK_EQ(v, router.route[v].data);
		msix_raise(x, v);
		CHECK_EQ(1, sent(v));
	}
	stop();
}

TEST(mask_and_data_in_one_access_send_the_new_data)
{
	start_with(0);
	mask(0, true);
	msix_raise(x, 0);
	table_write(8, 0x77, 8); /* data, and unmasked */
	CHECK_EQ(0x77, router.route[0].data);
	CHECK_EQ(1, sent(0));
	stop();
}

TEST(masked_vector_is_pending_and_sends_once_when_unmasked)
{
	start_with(69);
	mask(69, true);
	msix_raise(x, 69);
	msix_raise(x, 69);
	CHECK_EQ(0, sent(0));
	CHECK_EQ(0, pba_read(0, 8));
	CHECK_EQ(1 << 5, pba_read(8, 8));
	CHECK_EQ(1 << 5, pba_read(8, 4));
	CHECK_EQ(0, pba_read(12, 4));
	mask(69, false);
	CHECK_EQ(1, sent(0));
	CHECK_EQ(0, pba_read(8, 8));
	CHECK_EQ(1, router.connects); /* the same message: nothing to tell the router */
	CHECK_EQ(0, router.disconnects);
	mask(69, true);
	mask(69, false);
	CHECK_EQ(0, sent(0));
	stop();
}

TEST(function_mask_masks_every_vector_and_leaves_their_own_masks)
{
	start_with(1);
	control(ON | ALL);
	CHECK(msix_enabled(x));
	msix_raise(x, 1);
	msix_raise(x, 2); /* masked on its own, too */
	CHECK_EQ(0, sent(0));
	CHECK_EQ(6, pba_read(0, 8));
	CHECK_EQ(0, table_read(1 * 16 + 12, 4));
	CHECK_EQ(1, table_read(2 * 16 + 12, 4));
	mask(1, true);
	mask(1, false); /* still masked by the other */
	CHECK_EQ(0, sent(0));
	control(ON);
	CHECK_EQ(1, sent(0));
	CHECK_EQ(4, pba_read(0, 8));
	CHECK_EQ(1, router.opens);
	stop();
}

TEST(disabled_msix_sends_nothing_and_remembers_nothing)
{
	start_with(1);
	mask(1, true);
	msix_raise(x, 1);
	control(0);
	CHECK(!msix_enabled(x));
	CHECK_EQ(0, pba_read(0, 8));
	mask(1, false);
	msix_raise(x, 1);
	control(ON);
	CHECK_EQ(0, sent(0));
	msix_raise(x, 1);
	CHECK_EQ(1, sent(0));
	stop();
}

TEST(enable_is_seen_in_accesses_of_any_width_and_offset)
{
	static const struct {
		unsigned off, len;
		uint64_t v;
	} writes[] = {{CONTROL + 1, 1, 0x80},           {CONTROL, 2, 0x8000},
		      {CONTROL - 2, 4, 0x80000000},     {CONTROL + 1, 2, 0x80},
		      {CONTROL - 1, 4, 0x800000},       {CONTROL - 2, 8, 0x80000000},
		      {CONTROL - 6, 8, 0x8000ULL << 48}};

	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		start(VECTORS);
		cfg_write(&r, SLOT, writes[i].off, writes[i].v, writes[i].len);
		CHECK(msix_enabled(x));
		cfg_write(&r, SLOT, CONTROL + 2, 0, 4); /* elsewhere */
		CHECK(msix_enabled(x));
		stop();
	}
}

TEST(route_is_told_of_a_new_message_only)
{
	start_with(0);
	mask(0, true);
	set_message(0, 0xfee02000, 0x42);
	CHECK_EQ(1, router.connects); /* not before it is needed */
	mask(0, false);
	CHECK_EQ(2, router.connects);
	CHECK_EQ(0xfee02000, router.route[0].address);
	CHECK_EQ(0x42, router.route[0].data);
	for (unsigned i = 0; i < 100; i++) {
		mask(0, true);
		set_message(0, 0xfee02000, 0x42);
		mask(0, false);
		control(0);
		control(ON);
	}
	CHECK_EQ(2, router.connects);
	table_write(8, 0x43, 4); /* unmasked: "undefined", here at once */
	CHECK_EQ(0x43, router.route[0].data);
	table_write(4, 1, 4);
	CHECK_EQ(0x1fee02000, router.route[0].address);
	CHECK_EQ(1, router.opens);
	stop();
}

TEST(vector_out_of_range_does_nothing)
{
	start_with(0);
	msix_raise(x, VECTORS);
	msix_raise(x, MSIX_MAX);
	msix_raise(x, 0xffff);
	msix_raise(x, UINT32_MAX);
	CHECK_EQ(0, sent(0));
	CHECK_EQ(0, pba_read(0, 8));
	CHECK_EQ(0, pba_read(8, 8));
	stop();
}

TEST(pending_bits_are_read_in_aligned_words_and_end_with_the_last_vector)
{
	start_with(69);
	control(ON | ALL);
	for (unsigned v = 0; v < VECTORS; v++)
		msix_raise(x, v);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned off = 0; off < 32; off++) {
			uint64_t want = 0;
			if (len >= 4 && off % len == 0 && off + len <= 16)
				for (unsigned bit = 0; bit < 8 * len; bit++)
					want |= (uint64_t)(8 * off + bit < VECTORS) << bit;
			CHECK_EQ(want, pba_read(off, len));
		}
	CHECK_EQ(0, pba_read(UINT64_MAX - 7, 8));
	stop();
}

TEST(largest_table_has_2048_vectors)
{
	start(MSIX_MAX);
	CHECK_EQ(0x7ff, cfg_read(&r, SLOT, CONTROL, 2));
	control(ON);
	msix_raise(x, MSIX_MAX - 1);
	CHECK_EQ(1ULL << 63, pba_read(248, 8));
	CHECK_EQ(0, pba_read(256, 8));
	set_message(MSIX_MAX - 1, 0xfee00000, 9);
	CHECK_EQ(9, table_read(MSIX_MAX * 16 - 8, 4));
	table_write(MSIX_MAX * 16, 0, 8);
	mask(MSIX_MAX - 1, false);
	CHECK_EQ(1, sent(0));
	stop();
}

TEST(route_that_cannot_be_made_leaves_the_vector_pending)
{
	enum log_level before = log_level;

	log_level = LOG_ERROR;
	start(VECTORS);
	control(ON);
	router.fail_open = -ENOSPC;
	mask(0, false);
	msix_raise(x, 0);
	CHECK_EQ(1, pba_read(0, 8));
	router.fail_open = 0;
	router.fail_connect = -EINVAL;
	mask(0, false);
	CHECK_EQ(1, router.opens);
	CHECK_EQ(1, pba_read(0, 8));
	router.fail_connect = 0;
	mask(0, false);
	CHECK_EQ(1, router.opens);
	CHECK_EQ(1, sent(0));
	CHECK_EQ(0, pba_read(0, 8));
	log_level = before;
	stop();
}

TEST(refused_message_stops_the_old_one)
{
	enum log_level before = log_level;

	log_level = LOG_ERROR;
	start_with(0);
	router.fail_connect = -EINVAL;
	table_write(4, 0xffffffff, 4);
	CHECK_EQ(1, router.disconnects);
	msix_raise(x, 0);
	CHECK_EQ(0, sent(0));
	CHECK_EQ(1, pba_read(0, 8));
	router.fail_connect = 0;
	table_write(4, 0, 4);
	CHECK_EQ(0xfee01000, router.route[0].address);
	CHECK_EQ(1, sent(0));
	log_level = before;
	stop();
}

/* What a device elsewhere does: write the eventfd. */
static void write_eventfd(int fd)
{
	uint64_t one = 1;

	CHECK_EQ(8, write(fd, &one, 8));
}

TEST(eventfd_that_others_write_is_masked_by_its_route)
{
	int fd;

	start_with(3);
	fd = msix_eventfd(x, 3);
	CHECK_EQ(router.route[0].fd, fd);
	CHECK(router.route[0].connected);
	mask(3, true);
	CHECK(!router.route[0].connected);
	write_eventfd(fd);
	CHECK_EQ(1 << 3, pba_read(0, 8));
	mask(3, false);
	CHECK(router.route[0].connected); /* KVM sends what is waiting there */
	CHECK_EQ(0, pba_read(0, 8));
	CHECK_EQ(1, sent(0));
	control(ON | ALL);
	CHECK(!router.route[0].connected);
	control(ON);
	CHECK(router.route[0].connected);
	stop();
}

TEST(eventfd_can_be_had_before_the_vector_is_used)
{
	int fd;

	start(VECTORS);
	fd = msix_eventfd(x, 69);
	CHECK(fd >= 0);
	CHECK_EQ(fd, msix_eventfd(x, 69));
	CHECK_EQ(1, router.opens);
	CHECK_EQ(0, router.connects);
	set_message(69, 0xfee01000, 0x41);
	control(ON);
	mask(69, false);
	CHECK_EQ(1, router.opens);
	CHECK(router.route[0].connected);
	CHECK_EQ(-EINVAL, msix_eventfd(x, VECTORS));
	stop();
}

TEST(disabling_forgets_what_others_wrote)
{
	int fd;

	start_with(0);
	fd = msix_eventfd(x, 0);
	control(ON | ALL);
	write_eventfd(fd);
	control(0);
	CHECK_EQ(0, sent(0));
	control(ON);
	CHECK_EQ(0, pba_read(0, 8));
	stop();
}
