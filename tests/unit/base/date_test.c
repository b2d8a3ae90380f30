// SPDX-License-Identifier: Apache-2.0
/* Against the C library, which has the same calendar. */
#include "../test.h"

#include <stdbool.h>
#include <time.h>

#include "base/date.h"

#define DAY  86400LL
#define YEAR (365 * DAY)

static bool same(const struct date *d, const struct tm *tm)
{
	return d->year == tm->tm_year + 1900LL && d->month == tm->tm_mon + 1 &&
	       d->day == tm->tm_mday && d->weekday == tm->tm_wday && d->hour == tm->tm_hour &&
	       d->minute == tm->tm_min && d->second == tm->tm_sec;
}

static void check(int64_t s)
{
	struct date d = date_of(s);
	time_t t = s;
	struct tm tm;

	CHECK(gmtime_r(&t, &tm));
	CHECK(same(&d, &tm));
	CHECK_EQ(s, date_seconds(&d));
}

TEST(date_begins_in_1970)
{
	struct date d = date_of(0);

	CHECK_EQ(1970, d.year);
	CHECK_EQ(1, d.month);
	CHECK_EQ(1, d.day);
	CHECK_EQ(4, d.weekday);
	CHECK_EQ(0, d.hour + d.minute + d.second);
}

TEST(date_is_the_calendars_on_every_day_of_twelve_centuries)
{
	for (int64_t day = -600 * YEAR / DAY; day < 600 * YEAR / DAY; day++)
		check(day * DAY + (day * 7919 % DAY + DAY) % DAY);
}

TEST(date_is_the_calendars_at_the_ends_of_days_and_far_away)
{
	for (int64_t year = -2500; year < 25755; year += 7)
		for (int64_t s = year * YEAR - 3; s < year * YEAR + 3; s++)
			check(s);
}

TEST(date_counts_on_what_is_too_much_for_its_field)
{
	for (int i = 0; i < 256; i++) {
		struct date d = {2024 + i, i - 100, 255 - i, 0, i, 200 - i, i * 3};
		struct tm tm = {.tm_year = 124 + i,
				.tm_mon = i - 101,
				.tm_mday = 255 - i,
				.tm_hour = i,
				.tm_min = 200 - i,
				.tm_sec = i * 3};

		CHECK_EQ(timegm(&tm), date_seconds(&d));
	}
}
