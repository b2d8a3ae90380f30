// SPDX-License-Identifier: Apache-2.0
#include "backend/overlay_rig.h"

/* ---- what is refused ---- */

static void refused(struct over *o, const char *part)
{
	CHECK(rig_try_open(&o->g) < 0);
	CHECK_HAS(o->g.e.text, part);
	CHECK(strchr(o->g.e.text, '\n') == NULL);
}

static void make(struct over *o)
{
	over_init(o, OVERLAY_FILE);
	rig_open(&o->g);
	rig_fill(&o->g, 0, 512, 1);
	rig_close(&o->g);
}

TEST(a_base_that_changed_is_refused)
{
	struct timespec times[2];
	struct stat st;
	struct over o;

	for (unsigned i = 0; i < 2; i++) {
		make(&o);
		CHECK_EQ(0, stat(o.g.image, &st));
		times[0] = times[1] = st.st_mtim;
		if (i == 0)
			times[1].tv_sec++;
		else
			times[1].tv_nsec ^= 1;
		CHECK_EQ(0, utimensat(AT_FDCWD, o.g.image, times, 0));
		refused(&o, "the base has changed");
		CHECK_HAS(o.g.e.text, o.g.image);
		over_fini(&o);
	}
	make(&o);
	CHECK_EQ(0, truncate(o.g.image, 2 * RIG_SIZE));
	refused(&o, "the base has changed");
	over_fini(&o);
}

TEST(an_overlay_has_one_owner)
{
	struct over a, b;

	over_init(&a, OVERLAY_FILE);
	over_init(&b, OVERLAY_FILE);
	rig_open(&a.g);
	b.g.config.path = a.g.image;
	b.g.config.overlay_path = a.file;
	refused(&b, "another process");
	over_fini(&b);
	over_fini(&a);
}

TEST(a_file_that_is_no_overlay_is_refused_and_left_alone)
{
	struct over o;
	struct stat st;

	over_init(&o, OVERLAY_FILE);
	rig_write_file(o.file, 65536);
	refused(&o, "not an overlay");
	CHECK(stat(o.file, &st) == 0 && st.st_size == 65536);
	CHECK_EQ(0, truncate(o.file, 100));
	refused(&o, "not an overlay");
	o.g.config.overlay_path = o.g.image;
	refused(&o, "its own base");
	o.g.config.overlay_path = o.g.dir;
	refused(&o, "directory");
	over_fini(&o);
}

TEST(damaged_overlays_are_refused)
{
	uint32_t word = 99;
	struct over o;

	make(&o);
	patch(o.file, offsetof(struct overlay_header, version), &word, 4);
	refused(&o, "version 99");
	over_fini(&o);
	make(&o);
	patch(o.file, offsetof(struct overlay_header, shift), &word, 4);
	refused(&o, "damaged");
	over_fini(&o);
	make(&o);
	CHECK_EQ(0, truncate(o.file, 70000));
	refused(&o, "cut short");
	over_fini(&o);
}

TEST(an_overlay_whose_making_was_interrupted_is_finished)
{
	struct over o;

	make(&o);
	CHECK_EQ(0, truncate(o.file, OVERLAY_PAGE));
	rig_open(&o.g);
	CHECK(rig_holds(&o.g, 0, RIG_SIZE, RIG_PATTERN));
	over_fini(&o);
}

TEST(io_uring_and_an_overlay_are_a_contradiction)
{
	struct over o;

	over_init(&o, OVERLAY_TEMPORARY);
	o.g.config.engine = DISK_ENGINE_IO_URING;
	refused(&o, "threads");
	over_fini(&o);
}

TEST(the_bitmap_stays_below_a_mebibyte)
{
	for (unsigned shift = 9; shift < 62; shift++) {
		struct overlay o = {.size = 1ULL << shift};

		overlay_layout(&o, 0);
		CHECK(o.bitmap_len <= OVERLAY_BITMAP);
		CHECK(o.bitmap_len * 8 >= o.n_clusters);
		CHECK(o.n_clusters << o.shift >= o.size);
		CHECK(o.shift == OVERLAY_SHIFT_MIN || o.bitmap_len == OVERLAY_BITMAP);
		o.size += 512;
		overlay_layout(&o, 0);
		CHECK(o.bitmap_len <= OVERLAY_BITMAP && o.n_clusters << o.shift >= o.size);
	}
}

TEST(temporary_overlays_leave_no_file)
{
	struct over o;

	over_init(&o, OVERLAY_TEMPORARY);
	setenv("TMPDIR", "/nonexistent/toyvmm", 1);
	refused(&o, "TMPDIR");
	setenv("TMPDIR", o.g.dir, 1);
	rig_open(&o.g);
	rig_fill(&o.g, 0, 512, 1);
	unsetenv("TMPDIR");
	unlink(o.g.image);
	CHECK_EQ(0, rmdir(o.g.dir)); /* empty while it is in use */
	over_fini(&o);
}
