/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seconds since 1970 as a date of the Gregorian calendar, UTC, and back. gmtime_r() and timegm() would do it, but glibc's read
 * /etc/localtime the first time, whatever the time zone: not what a guest's first look at its clock should wait for.
 */
#pragma once

#include <stdint.h>

struct date {
	int64_t year;
	int month, day; /* from 1 */
	int weekday;    /* 0: Sunday */
	int hour, minute, second;
};

/* The date that is `s` seconds, which may be negative, after 1970-01-01 00:00:00. */
struct date date_of(int64_t s);

/* The reverse. Any number is taken for a month, day, hour, minute or second: it counts on into the next ones. */
int64_t date_seconds(const struct date *d);
