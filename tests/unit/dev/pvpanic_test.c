// SPDX-License-Identifier: Apache-2.0
#include "../test.h"

#include "base/log.h"
#include "dev/pvpanic.h"

struct fixture {
	struct pvpanic *p;
	unsigned panics, others;
};

static void on_event(void *arg, enum guest_event what)
{
	struct fixture *f = arg;

	if (what == GUEST_PANIC)
		f->panics++;
	else
		f->others++;
}

static void start(struct fixture *f)
{
	struct err e;

	*f = (struct fixture){0};
	CHECK_EQ(0, pvpanic_create(&f->p, (struct lifecycle){on_event, f}, &e));
}

static void write_byte(struct fixture *f, uint8_t value)
{
	enum log_level level = log_level;

	log_level = LOG_ERROR;
	pvpanic_bus_ops.write(f->p, 0, &value, 1);
	log_level = level;
}

TEST(pvpanic_offers_panicked_and_crash_loaded)
{
	struct fixture f;
	uint8_t value = 0;

	start(&f);
	pvpanic_bus_ops.read(f.p, 0, &value, 1);
	CHECK_EQ(3, value);
	pvpanic_destroy(f.p);
}

TEST(pvpanic_panicked_is_an_event)
{
	struct fixture f;

	start(&f);
	write_byte(&f, 1);
	CHECK_EQ(1, f.panics);
	write_byte(&f, 3);
	CHECK_EQ(2, f.panics);
	CHECK_EQ(0, f.others);
	pvpanic_destroy(f.p);
}

TEST(pvpanic_crash_loaded_and_unknown_bits_are_no_event)
{
	struct fixture f;

	start(&f);
	for (unsigned value = 0; value < 256; value += 2)
		write_byte(&f, (uint8_t)value);
	CHECK_EQ(0, f.panics + f.others);
	pvpanic_destroy(f.p);
}
