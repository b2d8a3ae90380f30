// SPDX-License-Identifier: Apache-2.0
#include "base/date.h"

#include <stdbool.h>

#include "base/base.h"

#define S_PER_DAY 86400
#define MONTHS    12

/* Of a year that is no leap year, and of its beginning up to each month. */
#define DAYS_PER_YEAR 365
static const int days_before_month[MONTHS] = {0,   31,  59,  90,  120, 151,
					      181, 212, 243, 273, 304, 334};

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* From the first day of the year 1 to that of `year`. */
static int64_t days_before_year(int64_t year)
{
	int64_t y = year - 1;

	return y * DAYS_PER_YEAR + floor_div(y, 4) - floor_div(y, 100) + floor_div(y, 400);
}

static int days_before(int64_t year, int month)
{
	return days_before_month[month] + (month > 1 && is_leap(year));
}

struct date date_of(int64_t s)
{
	int64_t day = floor_div(s, S_PER_DAY) + days_before_year(1970); /* of the calendar */
	int of_day = (int)floor_mod(s, S_PER_DAY), left, month = MONTHS - 1;
	int64_t year = floor_div(day * 400, days_before_year(401)) + 1; /* or its neighbour */

	while (days_before_year(year) > day)
		year--;
	while (days_before_year(year + 1) <= day)
		year++;
	left = (int)(day - days_before_year(year));
	while (days_before(year, month) > left)
		month--;
	return (struct date){
		.year = year,
		.month = month + 1,
		.day = left - days_before(year, month) + 1,
		.weekday = (int)floor_mod(day + 1, 7), /* the year 1 began on a Monday */
		.hour = of_day / 3600,
		.minute = of_day / 60 % 60,
		.second = of_day % 60,
	};
}

int64_t date_seconds(const struct date *d)
{
	int64_t year = d->year + floor_div(d->month - 1, MONTHS);
	int month = (int)floor_mod(d->month - 1, MONTHS);
	int64_t days = days_before_year(year) + days_before(year, month) + d->day - 1;

	return (days - days_before_year(1970)) * S_PER_DAY + d->hour * 3600LL + d->minute * 60LL +
	       d->second;
}
