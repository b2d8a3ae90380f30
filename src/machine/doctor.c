// SPDX-License-Identifier: Apache-2.0
#include "machine/doctor.h"

#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "boot/cmdline.h"

static void on_silence(void *arg, uint32_t events)
{
	struct doctor *d = arg;

	(void)events;
	loop_remove(d->loop, &d->silence);
	if (atomic_load(&d->seen) == 0)
		log_warn(
			"nothing on the console for %d seconds, and the kernel command line has no "
			"console=: try --cmdline 'console=ttyS0'",
			DOCTOR_SILENCE_S);
}

static void on_settle(void *arg, uint32_t events)
{
	struct doctor *d = arg;
	unsigned long seen = atomic_load(&d->seen);

	(void)events;
	if (seen != d->settle_seen) {
		d->settle_seen = seen;
		timer_arm(d->settle.fd, DOCTOR_SETTLE_MS);
		return;
	}
	loop_remove(d->loop, &d->settle);
	d->panicked(d->arg);
}

static int add_timer(struct doctor *d, struct loop_source *s, void (*fn)(void *, uint32_t),
		     struct err *e)
{
	*s = (struct loop_source){.fd = timer_open(), .fn = fn, .arg = d};
	if (s->fd < 0)
		return err_sys(e, "timerfd_create");
	if (loop_add(d->loop, s, EPOLLIN) < 0)
		return err_sys(e, "epoll_ctl");
	return 0;
}

int doctor_init(struct doctor *d, struct loop *loop, const char *cmdline,
		void (*panicked)(void *arg), void *arg, struct err *e)
{
	int rc;

	*d = DOCTOR_EMPTY;
	for (unsigned i = 0; i < DOCTOR_EARS; i++)
		d->ear[i].doctor = d;
	d->loop = loop;
	d->panicked = panicked;
	d->arg = arg;
	if ((rc = add_timer(d, &d->settle, on_settle, e)) < 0)
		return rc;
	if (cmdline_sets(cmdline, "console") || cmdline_sets(cmdline, "earlyprintk"))
		return 0;
	if ((rc = add_timer(d, &d->silence, on_silence, e)) < 0)
		return rc;
	return timer_arm(d->silence.fd, DOCTOR_SILENCE_S * 1000);
}

void doctor_fini(struct doctor *d)
{
	if (d->silence.fd >= 0)
		loop_remove(d->loop, &d->silence);
	if (d->settle.fd >= 0)
		loop_remove(d->loop, &d->settle);
	fd_close(&d->silence.fd);
	fd_close(&d->settle.fd);
}

/* "Kernel panic - not syncing" at the start of a line, behind printk's "[   12.345678]" or without it. */
static bool is_panic_line(const char *line, unsigned len)
{
	static const char text[] = "Kernel panic - not syncing";
	const char *at = memmem(line, len, text, sizeof(text) - 1);

	if (!at)
		return false;
	for (const char *p = line; p < at; p++)
		if (!strchr("[] .0123456789TC", *p)) /* T, C: CONFIG_PRINTK_CALLER */
			return false;
	return true;
}

void doctor_see(void *ear, uint8_t byte)
{
	struct doctor_ear *a = ear;
	unsigned long seen = atomic_fetch_add(&a->doctor->seen, 1) + 1;

	if (byte == '\r' || byte == '\n') {
		if (is_panic_line(a->line, a->line_len))
			atomic_store(&a->doctor->panic_at, seen);
		a->line_len = 0;
	} else if (a->line_len < sizeof(a->line)) {
		a->line[a->line_len++] = (char)byte;
	}
}

bool doctor_saw_panic(const struct doctor *d)
{
	unsigned long at = atomic_load(&d->panic_at);

	return at && atomic_load(&d->seen) - at < DOCTOR_PANIC_WINDOW;
}

void doctor_expect_end(struct doctor *d)
{
	timer_arm(d->settle.fd, DOCTOR_SETTLE_MS);
}
