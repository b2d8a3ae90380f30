// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dev/rtc.h"
#include "mem/layout.h"

#define S 1000000LL /* microseconds */

enum { SEC, SEC_ALARM, MIN, MIN_ALARM, HOUR, HOUR_ALARM, WDAY, DAY, MONTH, YEAR, A, B, C, D };
#define CENTURY 0x32

#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BIN 0x04
#define B_24H 0x02

struct fixture {
	struct bus bus;
	struct loop loop;
	struct irq irq;
	struct rtc *r;
	int64_t now_us;
	bool runs; /* now_us is relative to the host's monotonic clock */
};

static int64_t monotonic_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * S + t.tv_nsec / 1000;
}

static int64_t fake_now(void *arg)
{
	struct fixture *f = arg;

	return f->now_us + (f->runs ? monotonic_us() : 0);
}

/* 2021-02-03 (a Wednesday) 16:05:06 UTC and a quarter. */
static const int64_t feb_3 = 1612368306LL * S + S / 4;

static void start(struct fixture *f)
{
	struct bus_region region = {.base = PORT_RTC,
				    .last = PORT_RTC + 1,
				    .width = 1,
				    .name = "rtc",
				    .ops = &rtc_bus_ops};
	struct err e;

	*f = (struct fixture){.now_us = feb_3};
	bus_init(&f->bus, "ports");
	CHECK_EQ(0, loop_init(&f->loop, &e));
	CHECK_EQ(0, irq_init(&f->irq, &e));
	CHECK_EQ(0, rtc_create(&f->r, &f->irq, &f->loop, &e));
	rtc_set_clock(f->r, fake_now, f);
	region.dev = f->r;
	CHECK_EQ(0, bus_add(&f->bus, region, &e));
}

static void stop(struct fixture *f)
{
	rtc_destroy(f->r);
	irq_fini(&f->irq);
	loop_fini(&f->loop);
	bus_fini(&f->bus);
}

static uint8_t get(struct fixture *f, uint8_t reg)
{
	uint8_t value;

	bus_write(&f->bus, PORT_RTC, &reg, 1);
	bus_read(&f->bus, PORT_RTC + 1, &value, 1);
	return value;
}

static void set(struct fixture *f, uint8_t reg, uint8_t value)
{
	bus_write(&f->bus, PORT_RTC, &reg, 1);
	bus_write(&f->bus, PORT_RTC + 1, &value, 1);
}

static unsigned edges(struct fixture *f)
{
	uint64_t n = 0;

	return read(f->irq.fd, &n, sizeof(n)) == sizeof(n) ? (unsigned)n : 0;
}

/* True when the clock has armed its timer: then the loop would be woken within `ms`. */
static bool wakes_within(struct fixture *f, int ms)
{
	struct epoll_event ev;

	return epoll_wait(f->loop.epoll_fd, &ev, 1, ms) == 1;
}

static void serve_timer(struct fixture *f)
{
	struct epoll_event ev;
	struct loop_source *s;

	CHECK_EQ(1, epoll_wait(f->loop.epoll_fd, &ev, 1, 2000));
	s = ev.data.ptr;
	s->fn(s->arg, ev.events);
}

static void check_date(struct fixture *f, uint8_t year, uint8_t month, uint8_t day)
{
	CHECK_EQ(year, get(f, YEAR));
	CHECK_EQ(month, get(f, MONTH));
	CHECK_EQ(day, get(f, DAY));
}

static void check_time(struct fixture *f, uint8_t hour, uint8_t minute, uint8_t second)
{
	CHECK_EQ(hour, get(f, HOUR));
	CHECK_EQ(minute, get(f, MIN));
	CHECK_EQ(second, get(f, SEC));
}

TEST(rtc_registers_start_as_a_pc_has_them)
{
	struct fixture f;

	start(&f);
	CHECK_EQ(0x26, get(&f, A));
	CHECK_EQ(B_24H, get(&f, B));
	CHECK_EQ(0x00, get(&f, C));
	CHECK_EQ(0x80, get(&f, D));
	stop(&f);
}

TEST(rtc_tells_utc_in_bcd)
{
	struct fixture f;

	start(&f);
	check_date(&f, 0x21, 0x02, 0x03);
	check_time(&f, 0x16, 0x05, 0x06);
	CHECK_EQ(0x20, get(&f, CENTURY));
	CHECK_EQ(4, get(&f, WDAY));
	stop(&f);
}

/* Beside glibc's calendar: every day of leap and common years, some before 1970. */
TEST(rtc_knows_every_day)
{
	static const int years[] = {1600, 1899, 1900, 1969, 1970, 2000, 2023, 2024, 2100, 9999};
	struct fixture f;

	start(&f);
	set(&f, B, B_BIN | B_24H);
	for (unsigned y = 0; y < sizeof(years) / sizeof(years[0]); y++)
		for (int day = 1; day <= 366; day++) {
			struct tm tm = {.tm_year = years[y] - 1900, .tm_mday = day};
			f.now_us = timegm(&tm) * S;
			check_date(&f, (uint8_t)((tm.tm_year + 1900) % 100), (uint8_t)(tm.tm_mon + 1),
				   (uint8_t)tm.tm_mday);
			CHECK_EQ(tm.tm_wday + 1, get(&f, WDAY));
		}
	stop(&f);
}

TEST(rtc_tells_time_in_binary)
{
	struct fixture f;

	start(&f);
	set(&f, B, B_BIN | B_24H);
	check_date(&f, 21, 2, 3);
	check_time(&f, 16, 5, 6);
	CHECK_EQ(20, get(&f, CENTURY));
	stop(&f);
}

TEST(rtc_tells_time_in_12_hours)
{
	struct fixture f;

	start(&f);
	set(&f, B, 0);
	check_time(&f, 0x84, 0x05, 0x06);
	f.now_us = feb_3 - 4 * 3600 * S; /* 12:05 is 12 PM */
	CHECK_EQ(0x92, get(&f, HOUR));
	f.now_us = feb_3 - 16 * 3600 * S; /* 0:05 is 12 AM */
	CHECK_EQ(0x12, get(&f, HOUR));
	f.now_us = feb_3 - 5 * 3600 * S;
	CHECK_EQ(0x11, get(&f, HOUR));
	stop(&f);
}

TEST(rtc_follows_the_host)
{
	struct fixture f;

	start(&f);
	f.now_us += 3 * 86400 * S + S;
	check_date(&f, 0x21, 0x02, 0x06);
	check_time(&f, 0x16, 0x05, 0x07);
	stop(&f);
}

TEST(rtc_index_ignores_the_nmi_bit_and_has_no_read_back)
{
	struct fixture f;
	uint8_t index;

	start(&f);
	CHECK_EQ(0x05, get(&f, 0x80 | MIN));
	bus_read(&f.bus, PORT_RTC, &index, 1);
	CHECK_EQ(0xff, index);
	stop(&f);
}

TEST(rtc_index_and_data_in_one_word_access)
{
	struct fixture f;
	uint16_t both = 0xa540; /* index 0x40, data 0xa5 */

	start(&f);
	bus_write(&f.bus, PORT_RTC, &both, 2);
	CHECK_EQ(0xa5, get(&f, 0x40));
	stop(&f);
}

TEST(cmos_ram_keeps_bytes_and_read_only_registers_do_not)
{
	struct fixture f;

	start(&f);
	for (unsigned reg = D + 1; reg < 128; reg++)
		if (reg != CENTURY)
			set(&f, (uint8_t)reg, (uint8_t)(reg ^ 0x55));
	for (unsigned reg = D + 1; reg < 128; reg++)
		if (reg != CENTURY)
			CHECK_EQ(reg ^ 0x55, get(&f, (uint8_t)reg));
	set(&f, C, 0xff);
	set(&f, D, 0x00);
	CHECK_EQ(0, get(&f, C));
	CHECK_EQ(0x80, get(&f, D));
	stop(&f);
}

/* mc146818_set_time() of Linux on an Intel processor: SET, divider held, write, both released. */
static void linux_set_time(struct fixture *f, bool hold_divider)
{
	uint8_t b = get(f, B), a;

	set(f, B, b | B_SET);
	a = get(f, A);
	if (hold_divider)
		set(f, A, a | 0x70);
	set(f, YEAR, 0x99);
	set(f, MONTH, 0x12);
	set(f, DAY, 0x31);
	set(f, HOUR, 0x23);
	set(f, MIN, 0x59);
	set(f, SEC, 0x59);
	set(f, CENTURY, 0x19);
	f->now_us += 7 * S; /* the clock stands meanwhile */
	CHECK_EQ(0x59, get(f, SEC));
	set(f, B, b);
	set(f, A, a);
}

static void check_set_time(struct fixture *f)
{
	check_date(f, 0x99, 0x12, 0x31);
	check_time(f, 0x23, 0x59, 0x59);
	f->now_us += S / 2 - 1000; /* the next second comes half a second after the release */
	CHECK_EQ(0x59, get(f, SEC));
	f->now_us += 1000;
	check_date(f, 0x00, 0x01, 0x01);
	check_time(f, 0, 0, 0);
	CHECK_EQ(0x20, get(f, CENTURY));
	CHECK_EQ(7, get(f, WDAY)); /* 1 January 2000 was a Saturday */
}

TEST(rtc_is_set_with_set_and_divider)
{
	struct fixture f;

	start(&f);
	linux_set_time(&f, true);
	check_set_time(&f);
	stop(&f);
}

TEST(rtc_is_set_with_set_alone)
{
	struct fixture f;

	start(&f);
	linux_set_time(&f, false);
	check_set_time(&f);
	stop(&f);
}

TEST(rtc_stopped_but_not_set_loses_no_time)
{
	struct fixture f;

	start(&f);
	set(&f, B, B_SET | B_24H);
	f.now_us += 10 * S;
	CHECK_EQ(0x06, get(&f, SEC));
	set(&f, B, B_24H);
	CHECK_EQ(0x16, get(&f, SEC));
	stop(&f);
}

TEST(rtc_field_written_while_running_counts_at_once)
{
	struct fixture f;

	start(&f);
	set(&f, HOUR, 0x07);
	check_time(&f, 0x07, 0x05, 0x06);
	f.now_us += 3 * S / 4;
	check_time(&f, 0x07, 0x05, 0x07); /* the fraction of the second went on */
	stop(&f);
}

TEST(rtc_takes_any_garbage_for_a_time)
{
	struct fixture f;

	start(&f);
	for (unsigned b = 0; b < 8; b++) {
		for (unsigned value = 0; value < 256; value++) {
			set(&f, B, (uint8_t)(B_SET | b));
			for (unsigned reg = SEC; reg <= YEAR; reg++)
				set(&f, (uint8_t)reg, (uint8_t)value);
			set(&f, CENTURY, (uint8_t)value);
			set(&f, B, (uint8_t)b);
			get(&f, SEC);
			get(&f, C);
		}
	}
	stop(&f);
}

TEST(rtc_announces_an_update_244_us_before)
{
	struct fixture f;

	start(&f);
	f.now_us = feb_3 / S * S + S - 245;
	CHECK_EQ(0x26, get(&f, A));
	f.now_us += 1;
	CHECK_EQ(0xa6, get(&f, A));
	CHECK_EQ(0x06, get(&f, SEC));
	f.now_us += 244;
	CHECK_EQ(0x26, get(&f, A));
	CHECK_EQ(0x07, get(&f, SEC));
	set(&f, B, B_SET | B_24H);
	f.now_us = feb_3 / S * S + S - 1;
	CHECK_EQ(0x26, get(&f, A));
	stop(&f);
}

TEST(rtc_flags_an_update_once_and_clears_it_by_reading)
{
	struct fixture f;

	start(&f);
	set(&f, A, 0x20); /* no periodic rate */
	get(&f, C);
	set(&f, SEC_ALARM, 0x00);
	f.now_us += S / 2;
	CHECK_EQ(0, get(&f, C));
	f.now_us += S / 2;
	CHECK_EQ(B_UIE, get(&f, C));
	CHECK_EQ(0, get(&f, C));
	CHECK_EQ(0, edges(&f)); /* not enabled */
	stop(&f);
}

static void alarm_at(struct fixture *f, uint8_t hour, uint8_t minute, uint8_t second)
{
	set(f, HOUR_ALARM, hour);
	set(f, MIN_ALARM, minute);
	set(f, SEC_ALARM, second);
}

/* Seconds until the alarm flag comes up, or 0 if not within a day and a bit. */
static unsigned alarm_after(struct fixture *f)
{
	get(f, C);
	for (unsigned s = 1; s < 87000; s++) {
		f->now_us += S;
		if (get(f, C) & B_AIE)
			return s;
	}
	return 0;
}

TEST(rtc_alarm_comes_at_its_time)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0x16, 0x05, 0x09);
	CHECK_EQ(3, alarm_after(&f));
	CHECK_EQ(86400, alarm_after(&f)); /* daily */
	alarm_at(&f, 0x16, 0x05, 0x08);
	CHECK_EQ(86399, alarm_after(&f));
	stop(&f);
}

TEST(rtc_alarm_fields_may_not_care)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0xff, 0xff, 0xff);
	CHECK_EQ(1, alarm_after(&f));
	alarm_at(&f, 0xc0, 0x10, 0x00); /* hourly, at ten past */
	CHECK_EQ(293, alarm_after(&f));
	CHECK_EQ(3600, alarm_after(&f));
	alarm_at(&f, 0xff, 0xff, 0x30);
	CHECK_EQ(30, alarm_after(&f));
	CHECK_EQ(60, alarm_after(&f));
	stop(&f);
}

TEST(rtc_alarm_at_an_impossible_time_never_comes)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0xff, 0xff, 0x60);
	CHECK_EQ(0, alarm_after(&f));
	alarm_at(&f, 0x24, 0xff, 0xff);
	CHECK_EQ(0, alarm_after(&f));
	stop(&f);
}

TEST(rtc_alarm_follows_12_hours_and_binary)
{
	struct fixture f;

	start(&f);
	set(&f, B, 0);
	alarm_at(&f, 0x84, 0x05, 0x07); /* 4 PM */
	CHECK_EQ(1, alarm_after(&f));
	set(&f, B, B_BIN | B_24H);
	alarm_at(&f, 16, 5, 17);
	CHECK_EQ(10, alarm_after(&f));
	stop(&f);
}

TEST(rtc_alarm_set_to_this_very_second_comes_tomorrow)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0x16, 0x05, 0x06);
	f.now_us += 86399 * S;
	CHECK_EQ(0, get(&f, C) & B_AIE);
	alarm_at(&f, 0x16, 0x05, 0x05);
	f.now_us += 86400 * S;
	CHECK_EQ(B_AIE, get(&f, C) & B_AIE);
	stop(&f);
}

TEST(rtc_alarm_missed_while_nobody_looked_is_flagged)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0x03, 0x00, 0x00);
	get(&f, C);
	f.now_us += 12 * 3600 * S;
	CHECK_EQ(B_AIE, get(&f, C) & B_AIE);
	stop(&f);
}

TEST(rtc_periodic_flag_comes_at_its_rate)
{
	static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
					256, 128, 64,  32,   16,   8,    4,    2};
	struct fixture f;

	start(&f);
	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned n = 0;
		set(&f, A, (uint8_t)(0x20 | rate));
		get(&f, C);
		for (unsigned us = 0; us < S; us += 50) {
			f.now_us += 50;
			n += (get(&f, C) & B_PIE) != 0;
		}
		CHECK_EQ(hz[rate], n);
	}
	stop(&f);
}

TEST(idle_rtc_never_wakes_the_loop)
{
	struct fixture f;

	start(&f);
	f.now_us -= monotonic_us();
	f.runs = true;
	set(&f, B, B_UIE | B_24H);
	set(&f, B, B_24H); /* disarmed again */
	alarm_at(&f, 0xff, 0xff, 0xff);
	get(&f, C);
	CHECK(!wakes_within(&f, 1100));
	stop(&f);
}

TEST(update_interrupt_comes_with_the_second_and_waits_for_register_c)
{
	struct fixture f;

	start(&f);
	f.now_us = feb_3 / S * S + S - 20000 - monotonic_us(); /* 20 ms before a second */
	f.runs = true;
	set(&f, B, B_UIE | B_24H);
	CHECK_EQ(0, edges(&f));
	serve_timer(&f);
	if (edges(&f) == 0) { /* woken early: a millisecond is the timer's grain */
		serve_timer(&f);
		CHECK_EQ(1, edges(&f));
	}
	CHECK(!wakes_within(&f, 1100)); /* no second wake-up while the guest ignores the first */
	CHECK_EQ(0x90, get(&f, C) & 0x90);
	CHECK(wakes_within(&f, 1100));
	stop(&f);
}

TEST(alarm_interrupt_is_one_edge_and_reading_c_lowers_it)
{
	struct fixture f;

	start(&f);
	f.now_us = feb_3 / S * S + S - 20000 - monotonic_us();
	f.runs = true;
	alarm_at(&f, 0x16, 0x05, 0x07);
	get(&f, C);
	set(&f, B, B_AIE | B_24H);
	serve_timer(&f);
	if (edges(&f) == 0) {
		serve_timer(&f);
		CHECK_EQ(1, edges(&f));
	}
	CHECK_EQ(0xa0, get(&f, C) & 0xa0);
	CHECK_EQ(0, get(&f, C) & 0xa0);
	set(&f, B, B_24H); /* cmos_interrupt(): one shot */
	CHECK(!wakes_within(&f, 1100));
	stop(&f);
}

TEST(periodic_interrupt_repeats_as_long_as_c_is_read)
{
	struct fixture f;

	start(&f);
	f.now_us -= monotonic_us();
	f.runs = true;
	set(&f, A, 0x2a); /* 64 Hz */
	set(&f, B, B_PIE | B_24H);
	for (unsigned i = 0; i < 5; i++) {
		while (edges(&f) == 0)
			serve_timer(&f);
		CHECK_EQ(0xc0, get(&f, C) & 0xc0);
	}
	set(&f, A, 0x20);
	CHECK(!wakes_within(&f, 100));
	stop(&f);
}

TEST(pending_flag_interrupts_when_it_is_enabled)
{
	struct fixture f;

	start(&f);
	f.now_us += S;
	set(&f, B, B_UIE | B_24H); /* the update flag is up, unread */
	CHECK_EQ(1, edges(&f));
	set(&f, B, B_24H);
	set(&f, B, B_UIE | B_24H); /* the line fell and rose */
	CHECK_EQ(1, edges(&f));
	stop(&f);
}

TEST(setting_the_time_clears_the_update_interrupt)
{
	struct fixture f;

	start(&f);
	set(&f, B, B_UIE | B_24H);
	set(&f, B, B_SET | B_UIE | B_24H);
	CHECK_EQ(B_SET | B_24H, get(&f, B));
	f.now_us += 5 * S;
	CHECK_EQ(0, get(&f, C) & B_UIE); /* a standing clock has no updates */
	stop(&f);
}

TEST(host_clock_set_back_gives_no_events)
{
	struct fixture f;

	start(&f);
	alarm_at(&f, 0xff, 0xff, 0xff);
	get(&f, C);
	f.now_us -= 1000 * S;
	CHECK_EQ(0, get(&f, C));
	f.now_us += S;
	CHECK_EQ(B_UIE | B_AIE, get(&f, C) & (B_UIE | B_AIE));
	stop(&f);
}
