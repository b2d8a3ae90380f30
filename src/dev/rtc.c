// SPDX-License-Identifier: Apache-2.0
#include "dev/rtc.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h> /* clock_gettime() only: glibc's gmtime_r() first reads the time zone's file */

#include "base/io.h"

/* Microseconds: an int64_t of them holds every year a guest can write (up to 25755), nanoseconds
 * not. */
#define US_PER_S  1000000LL
#define US_PER_MS 1000LL
#define S_PER_DAY 86400
#define CMOS_SIZE 128
/* UIP rises this long before a second turns: whoever sees it low has as much time to read. */
#define UPDATE_NOTICE_US 244

#define PORT_INDEX 0 /* relative to 0x70 */
#define PORT_DATA  1

/* Registers (MC146818A data sheet, "address map"); the century is where PCs have it. */
enum {
	REG_SECONDS,
	REG_SECONDS_ALARM,
	REG_MINUTES,
	REG_MINUTES_ALARM,
	REG_HOURS,
	REG_HOURS_ALARM,
	REG_WEEKDAY, /* 1: Sunday */
	REG_DAY,
	REG_MONTH,
	REG_YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	REG_CENTURY = 0x32, /* the FADT says so (boot/acpi.c) */
};

#define A_UPDATING     0x80
#define A_DIVIDER_HELD 0x60 /* both set: the divider chain is held in reset, the clock stands */
#define A_RATE         0x0f
#define A_DEFAULT      0x26 /* 32.768 kHz, periodic rate 1024 Hz */

#define B_SET      0x80 /* the clock stands while it is being set */
#define B_PERIODIC 0x40
#define B_ALARM    0x20
#define B_UPDATE   0x10
#define B_BINARY   0x04 /* else BCD */
#define B_24H      0x02

#define C_IRQ    0x80
#define C_EVENTS (B_PERIODIC | B_ALARM | B_UPDATE) /* same places as their enables in B */

#define D_VALID 0x80 /* the battery is good */

#define HOUR_PM         0x80 /* in 12-hour mode */
#define ALARM_DONT_CARE 0xc0

struct rtc {
	pthread_mutex_t lock; /* taken last; guards all below but irq, loop and now_us */
	const struct irq *irq;
	struct loop *loop;
	int64_t (*now_us)(void *arg);
	void *now_arg;
	struct loop_source timer;
	bool armed;
	int64_t offset_us;  /* guest time minus host time */
	int64_t checked_us; /* guest time up to which register C has every event */
	bool time_written;  /* while the clock stood */
	uint8_t index;
	uint8_t cmos[CMOS_SIZE]; /* the time in it is current only while the clock stands */
};

static int64_t host_now_us(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static int64_t guest_now_us(const struct rtc *r)
{
	return r->now_us(r->now_arg) + r->offset_us;
}

/* Rounds down: guests may live before 1970. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b)
{
	return a - floor_div(a, b) * b;
}

static bool clock_stands(const struct rtc *r)
{
	return (r->cmos[REG_B] & B_SET) || (r->cmos[REG_A] & A_DIVIDER_HELD) == A_DIVIDER_HELD;
}

/* Numbers as register B wants them. */

static uint8_t encode(const struct rtc *r, int64_t value)
{
	return (uint8_t)(r->cmos[REG_B] & B_BINARY ? value : value / 10 % 10 * 16 + value % 10);
}

static int decode(const struct rtc *r, uint8_t raw)
{
	return r->cmos[REG_B] & B_BINARY ? raw : (raw >> 4) * 10 + (raw & 0xf);
}

static uint8_t encode_hour(const struct rtc *r, int hour)
{
	if (r->cmos[REG_B] & B_24H)
		return encode(r, hour);
	return encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static int decode_hour(const struct rtc *r, uint8_t raw)
{
	if (r->cmos[REG_B] & B_24H)
		return decode(r, raw);
	return decode(r, raw & (uint8_t)~HOUR_PM) % 12 + (raw & HOUR_PM ? 12 : 0);
}

/*
 * Days from 1970-01-01 to the first of a month, in the Gregorian calendar. Months begin at 0; those
 * outside of a year carry over.
 */
static int64_t days_until(int64_t year, int64_t month)
{
	int64_t from_march = floor_mod(month - 2, 12); /* a leap day is then the last of its year */

	year += floor_div(month - 2, 12);
	return year * 365 + floor_div(year, 4) - floor_div(year, 100) + floor_div(year, 400) +
	       (153 * from_march + 2) / 5 - 719468;
}

/* Writes the present time into the registers, unless the clock stands and they are the guest's. */
static void refresh_time(struct rtc *r)
{
	int64_t now = floor_div(guest_now_us(r), US_PER_S);
	int64_t of_day = floor_mod(now, S_PER_DAY), days = floor_div(now, S_PER_DAY);
	/* 400 years have 146097 days: one of the last two years, and the year's last month. */
	int64_t year = 1969 + floor_div(days * 400, 146097), month = 11;

	if (clock_stands(r))
		return;
	while (days_until(year + 1, 0) <= days)
		year++;
	while (days_until(year, month) > days)
		month--;
	r->cmos[REG_SECONDS] = encode(r, of_day % 60);
	r->cmos[REG_MINUTES] = encode(r, of_day / 60 % 60);
	r->cmos[REG_HOURS] = encode_hour(r, (int)(of_day / 3600));
	r->cmos[REG_WEEKDAY] = encode(r, floor_mod(days + 4, 7) + 1); /* 1970 began on a Thursday */
	r->cmos[REG_DAY] = encode(r, days - days_until(year, month) + 1);
	r->cmos[REG_MONTH] = encode(r, month + 1);
	r->cmos[REG_YEAR] = encode(r, floor_mod(year, 100));
	r->cmos[REG_CENTURY] = encode(r, floor_div(year, 100));
}

/* Moves the guest's clock to the time in the registers plus `fraction_us`. Odd dates carry over. */
static void adopt_time(struct rtc *r, int64_t fraction_us)
{
	int64_t year = decode(r, r->cmos[REG_CENTURY]) * 100 + decode(r, r->cmos[REG_YEAR]);
	int64_t days = days_until(year, decode(r, r->cmos[REG_MONTH]) - 1) +
		       decode(r, r->cmos[REG_DAY]) - 1;
	int64_t s = days * S_PER_DAY + decode_hour(r, r->cmos[REG_HOURS]) * 3600 +
		    decode(r, r->cmos[REG_MINUTES]) * 60 + decode(r, r->cmos[REG_SECONDS]);

	r->offset_us = s * US_PER_S + fraction_us - r->now_us(r->now_arg);
	r->checked_us = guest_now_us(r);
}

/* The alarm. */

#define EVERY (-1)
#define NEVER (-2)

/* An alarm register as a number below `limit`, EVERY, or NEVER (no time looks like it). */
static int alarm_field(const struct rtc *r, uint8_t reg, int limit)
{
	uint8_t raw = r->cmos[reg];
	int value = reg == REG_HOURS_ALARM ? decode_hour(r, raw) : decode(r, raw);

	if ((raw & ALARM_DONT_CARE) == ALARM_DONT_CARE)
		return EVERY;
	return value < limit ? value : NEVER;
}

static bool matches(int field, int64_t value)
{
	return field == EVERY || field == value;
}

/* First second after `after` at which the alarm goes off; INT64_MAX if none. */
static int64_t next_alarm_s(const struct rtc *r, int64_t after)
{
	int hour = alarm_field(r, REG_HOURS_ALARM, 24);
	int minute = alarm_field(r, REG_MINUTES_ALARM, 60);
	int second = alarm_field(r, REG_SECONDS_ALARM, 60);
	int64_t t = after + 1;

	if (hour == NEVER || minute == NEVER || second == NEVER)
		return INT64_MAX;
	/* At most 24 + 60 + 60 steps and as many again after a carry: some time of day does match.
	 */
	while (t <= after + S_PER_DAY) {
		int64_t of_day = floor_mod(t, S_PER_DAY);
		if (!matches(hour, of_day / 3600))
			t += 3600 - of_day % 3600;
		else if (!matches(minute, of_day / 60 % 60))
			t += 60 - of_day % 60;
		else if (!matches(second, of_day % 60))
			t++;
		else
			return t;
	}
	return INT64_MAX;
}

/* The periodic interrupt: `hz` equal ticks in every second (data sheet, "periodic rate"). */

static unsigned periodic_hz(const struct rtc *r)
{
	unsigned rate = r->cmos[REG_A] & A_RATE;

	if (rate == 0)
		return 0;
	return rate < 3 ? 256 >> (rate - 1) : 32768 >> (rate - 1);
}

/* Number of ticks up to a time. */
static int64_t ticks_at(int64_t us, unsigned hz)
{
	return floor_div(us, US_PER_S) * hz + floor_mod(us, US_PER_S) * hz / US_PER_S;
}

static int64_t next_tick_us(int64_t us, unsigned hz)
{
	int64_t tick = ticks_at(us, hz) + 1;

	return floor_div(tick, hz) * US_PER_S + (floor_mod(tick, hz) * US_PER_S + hz - 1) / hz;
}

/* Events and the interrupt line. */

static void update_irq(struct rtc *r)
{
	bool line = r->cmos[REG_C] & r->cmos[REG_B] & C_EVENTS;

	if (line && !(r->cmos[REG_C] & C_IRQ))
		irq_raise(r->irq);
	r->cmos[REG_C] = (r->cmos[REG_C] & C_EVENTS) | (line ? C_IRQ : 0);
}

/* Sets the flags of all that happened since the last call. */
static void catch_up(struct rtc *r)
{
	int64_t from = r->checked_us, now = guest_now_us(r);
	int64_t from_s = floor_div(from, US_PER_S), now_s = floor_div(now, US_PER_S);
	unsigned hz = periodic_hz(r);

	r->checked_us = now;
	if (clock_stands(r) || now <= from) /* the host's clock may have been set back */
		return;
	if (now_s > from_s)
		r->cmos[REG_C] |= B_UPDATE;
	if (now_s > from_s && next_alarm_s(r, from_s) <= now_s)
		r->cmos[REG_C] |= B_ALARM;
	if (hz && ticks_at(now, hz) > ticks_at(from, hz))
		r->cmos[REG_C] |= B_PERIODIC;
	update_irq(r);
}

/* When the next interrupt is due, for which the guest has not got one yet; INT64_MAX: none. */
static int64_t next_event_us(const struct rtc *r)
{
	uint8_t due = r->cmos[REG_B] & (uint8_t)~r->cmos[REG_C] & C_EVENTS;
	int64_t now = r->checked_us, second = floor_div(now, US_PER_S), next = INT64_MAX;
	unsigned hz = periodic_hz(r);

	if (clock_stands(r))
		return next;
	if (due & B_UPDATE)
		next = (second + 1) * US_PER_S;
	if (due & B_ALARM && next_alarm_s(r, second) != INT64_MAX)
		next = MIN(next, next_alarm_s(r, second) * US_PER_S);
	if (due & B_PERIODIC && hz)
		next = MIN(next, next_tick_us(now, hz));
	return next;
}

/* After every change: an idle clock has no timer running. */
static void rearm(struct rtc *r)
{
	int64_t next = next_event_us(r);
	bool wanted = next != INT64_MAX;

	if (wanted)
		timer_arm(r->timer.fd, (unsigned)((next - r->checked_us) / US_PER_MS + 1));
	else if (r->armed)
		timer_arm(r->timer.fd, 0);
	r->armed = wanted;
}

static void on_timer(void *arg, uint32_t events)
{
	struct rtc *r = arg;

	(void)events;
	pthread_mutex_lock(&r->lock);
	catch_up(r);
	rearm(r);
	pthread_mutex_unlock(&r->lock);
}

/* Registers A and B stop and start the clock. */
static void write_control(struct rtc *r, uint8_t reg, uint8_t value)
{
	bool stood = clock_stands(r);

	refresh_time(r);
	if (reg == REG_A)
		value &= (uint8_t)~A_UPDATING;
	if (reg == REG_B && value & B_SET)
		value &= (uint8_t)~B_UPDATE; /* data sheet, "SET": clears the update interrupt's
						enable */
	r->cmos[reg] = value;
	/*
	 * When the divider is released the next second begins half a second later (data sheet,
	 * "divider control"), and drivers time their write by it. Some only use SET: they get the
	 * same.
	 */
	if (stood && !clock_stands(r) && r->time_written)
		adopt_time(r, US_PER_S / 2);
	if (!stood)
		r->time_written = false;
	update_irq(r);
}

static void write_time(struct rtc *r, uint8_t reg, uint8_t value)
{
	refresh_time(r);
	r->cmos[reg] = value;
	r->time_written = true;
	if (!clock_stands(r))
		adopt_time(r, floor_mod(guest_now_us(r), US_PER_S));
}

static void write_register(struct rtc *r, uint8_t reg, uint8_t value)
{
	catch_up(r);
	switch (reg) {
	case REG_A:
	case REG_B:
		write_control(r, reg, value);
		break;
	case REG_C:
	case REG_D:
		return; /* read-only */
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case REG_CENTURY:
		write_time(r, reg, value);
		break;
	default:
		r->cmos[reg] = value;
		break;
	}
	rearm(r);
}

static uint8_t read_register(struct rtc *r, uint8_t reg)
{
	int64_t left = US_PER_S - floor_mod(guest_now_us(r), US_PER_S);
	uint8_t value;

	switch (reg) {
	case REG_A:
		return r->cmos[REG_A] |
		       (left <= UPDATE_NOTICE_US && !clock_stands(r) ? A_UPDATING : 0);
	case REG_C: /* reading clears the flags and lowers the interrupt line */
		catch_up(r);
		value = r->cmos[REG_C];
		r->cmos[REG_C] = 0;
		rearm(r);
		return value;
	default:
		refresh_time(r);
		return r->cmos[reg];
	}
}

static void rtc_read(void *dev, uint64_t off, void *data, unsigned len)
{
	struct rtc *r = dev;
	uint8_t *to = data;

	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < len; i++)
		to[i] = off + i == PORT_DATA ? read_register(r, r->index) : 0xff;
	pthread_mutex_unlock(&r->lock);
}

static void rtc_write(void *dev, uint64_t off, const void *data, unsigned len)
{
	struct rtc *r = dev;
	const uint8_t *from = data;

	pthread_mutex_lock(&r->lock);
	for (unsigned i = 0; i < len; i++) {
		if (off + i == PORT_DATA)
			write_register(r, r->index, from[i]);
		else if (off + i == PORT_INDEX)
			r->index = from[i] % CMOS_SIZE; /* bit 7 masks NMIs on a PC: none here */
	}
	pthread_mutex_unlock(&r->lock);
}

const struct bus_ops rtc_bus_ops = {.read = rtc_read, .write = rtc_write};

void rtc_set_clock(struct rtc *r, int64_t (*now_us)(void *arg), void *arg)
{
	r->now_us = now_us;
	r->now_arg = arg;
	r->checked_us = guest_now_us(r);
}

int rtc_create(struct rtc **out, const struct irq *irq, struct loop *loop, struct err *e)
{
	struct rtc *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_set(e, ENOMEM, "CMOS clock: out of memory");
	pthread_mutex_init(&r->lock, NULL);
	r->irq = irq;
	r->cmos[REG_A] = A_DEFAULT;
	r->cmos[REG_B] = B_24H;
	r->cmos[REG_D] = D_VALID;
	rtc_set_clock(r, host_now_us, NULL);
	r->timer = (struct loop_source){.fd = timer_open(), .fn = on_timer, .arg = r};
	rc = r->timer.fd < 0 ? -errno : loop_add(loop, &r->timer, EPOLLIN);
	if (rc < 0) {
		errno = -rc;
		rc = err_sys(e, "CMOS clock: timer");
		rtc_destroy(r);
		return rc;
	}
	r->loop = loop;
	*out = r;
	return 0;
}

void rtc_destroy(struct rtc *r)
{
	if (!r)
		return;
	if (r->loop)
		loop_remove(r->loop, &r->timer);
	fd_close(&r->timer.fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
