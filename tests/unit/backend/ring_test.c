// SPDX-License-Identifier: Apache-2.0
#include "backend/ring.h"

#include <string.h>

#include "../test.h"

static void put(struct ring *r, const char *text)
{
	ring_put(r, (const uint8_t *)text, strlen(text));
}

static const char *take_all(struct ring *r, char *out)
{
	const uint8_t *data;
	size_t n, len = 0;

	while ((n = ring_peek(r, &data)) > 0) {
		memcpy(out + len, data, n);
		len += n;
		ring_take(r, n);
	}
	out[len] = '\0';
	return out;
}

TEST(ring_gives_back_what_was_put_in_order)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "abc");
	put(&r, "de");
	CHECK_EQ(5, r.used);
	CHECK_STR("abcde", take_all(&r, out));
	CHECK_EQ(0, r.used);
	ring_fini(&r);
}

TEST(ring_wraps_without_loss)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "abcdef");
	ring_take(&r, 4);
	put(&r, "ghijkl");
	CHECK_EQ(8, r.used);
	CHECK_EQ(0, r.dropped);
	CHECK_STR("efghijkl", take_all(&r, out));
	ring_fini(&r);
}

TEST(ring_drops_one_byte_of_one_more_than_its_size)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "abcdefghi");
	CHECK_EQ(1, r.dropped);
	CHECK_STR("bcdefghi", take_all(&r, out));
	ring_fini(&r);
}

TEST(ring_takes_exactly_its_size)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "abcdefgh");
	CHECK_EQ(0, r.dropped);
	CHECK_STR("abcdefgh", take_all(&r, out));
	ring_fini(&r);
}

TEST(ring_drops_the_oldest_and_counts)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "abcdefgh");
	put(&r, "i");
	CHECK_EQ(1, r.dropped);
	put(&r, "jk");
	CHECK_EQ(3, r.dropped);
	CHECK_STR("defghijk", take_all(&r, out));
	ring_fini(&r);
}

TEST(ring_keeps_the_end_of_what_is_longer_than_itself)
{
	struct ring r;
	char out[16];

	CHECK_EQ(0, ring_init(&r, 8));
	put(&r, "xyz");
	put(&r, "abcdefghij");
	CHECK_EQ(5, r.dropped); /* xyz, a, b */
	CHECK_STR("cdefghij", take_all(&r, out));
	ring_fini(&r);
}
