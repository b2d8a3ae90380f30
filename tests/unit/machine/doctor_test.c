// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include <string.h>

#include "machine/doctor.h"

static void see(struct doctor *d, const char *text)
{
	d->ear[DOCTOR_SERIAL].doctor = d->ear[DOCTOR_CONSOLE].doctor = d;
	for (; *text; text++)
		doctor_see(&d->ear[DOCTOR_SERIAL], (uint8_t)*text);
}

static bool panic_seen_in(const char *text)
{
	struct doctor d = DOCTOR_EMPTY;

	see(&d, text);
	return doctor_saw_panic(&d);
}

TEST(panic_text_of_printk_is_seen)
{
	CHECK(panic_seen_in(
		"[    0.812345] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n"));
	CHECK(panic_seen_in("Kernel panic - not syncing: Attempted to kill init!\n"));
	CHECK(panic_seen_in(
		"boot\r\n[    1.000000][    T1] Kernel panic - not syncing: x\r\nmore\r\n"));
}

TEST(panic_text_inside_other_text_is_not)
{
	CHECK(!panic_seen_in("$ echo Kernel panic - not syncing\r\n"));
	CHECK(!panic_seen_in("grep: Kernel panic - not syncing: x\r\n"));
	CHECK(!panic_seen_in("Kernel panic - not sync\r\n"));
	CHECK(!panic_seen_in(""));
}

TEST(two_consoles_do_not_mix_their_lines)
{
	struct doctor d = DOCTOR_EMPTY;

	see(&d, "Kernel panic - ");
	doctor_see(&d.ear[DOCTOR_CONSOLE], '\n');
	doctor_see(&d.ear[DOCTOR_CONSOLE], 'x');
	see(&d, "not syncing: x\n");
	CHECK(doctor_saw_panic(&d));
}

TEST(old_panic_text_is_forgotten)
{
	struct doctor d = DOCTOR_EMPTY;

	see(&d, "Kernel panic - not syncing: x\n");
	for (unsigned i = 0; i < DOCTOR_PANIC_WINDOW - 1; i++)
		doctor_see(&d.ear[DOCTOR_SERIAL], 'x');
	CHECK(doctor_saw_panic(&d));
	doctor_see(&d.ear[DOCTOR_SERIAL], 'x');
	CHECK(!doctor_saw_panic(&d));
}

TEST(endless_line_does_not_overrun)
{
	struct doctor d = DOCTOR_EMPTY;

	see(&d, "");
	for (unsigned i = 0; i < 100000; i++)
		doctor_see(&d.ear[DOCTOR_SERIAL], '[');
	see(&d, "Kernel panic - not syncing\n");
	CHECK(!doctor_saw_panic(&d));
}

static void on_panicked(void *arg)
{
	loop_stop(arg);
}

TEST(panicked_guest_ends_once_its_console_is_quiet)
{
	struct doctor d;
	struct loop l;
	struct err e;

	CHECK_EQ(0, loop_init(&l, &e));
	CHECK_EQ(0, doctor_init(&d, &l, "console=ttyS0", on_panicked, &l, &e));
	CHECK_EQ(-1, d.silence.fd); /* console= is there: nothing to warn about */
	see(&d, "last words");
	doctor_expect_end(&d);
	CHECK_EQ(0, loop_run(&l));
	doctor_fini(&d);
	loop_fini(&l);
}

TEST(silence_is_watched_only_without_console)
{
	struct doctor d;
	struct loop l;
	struct err e;

	CHECK_EQ(0, loop_init(&l, &e));
	CHECK_EQ(0, doctor_init(&d, &l, "quiet", on_panicked, &l, &e));
	CHECK(d.silence.fd >= 0);
	doctor_fini(&d);
	loop_fini(&l);
}
