// SPDX-License-Identifier: Apache-2.0
/* vDPA devices and vhost-net: what the user may say of them. */
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "config/device.h"
#include "config/options.h"

static struct vm_config good(enum option_id id, const char *value)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	option_rows[id].apply(&c, value, &e);
	CHECK_STR("", e.text);
	return c;
}

static void bad(const char *expected, enum option_id id, const char *value)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(-EINVAL, option_rows[id].apply(&c, value, &e));
	CHECK_STR(expected, e.text);
	config_fini(&c);
}

TEST(vdpa_is_a_device_with_a_name)
{
	struct vm_config c = good(OPT_VDPA, "/dev/vhost-vdpa-0");
	struct err e;

	CHECK_EQ(1, c.n_vdpas);
	CHECK_STR("/dev/vhost-vdpa-0", c.vdpa[0].path);
	CHECK(!c.vdpa[0].id);
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_STR("vdpa0", c.vdpa[0].id);
	config_fini(&c);
	c = good(OPT_VDPA, "x,id=store");
	CHECK_STR("store", c.vdpa[0].id);
	config_fini(&c);
	bad("id: 'a/b' is no name of 1 to 64 letters, digits, '_', '-' and '.'", OPT_VDPA,
	    "x,id=a/b");
	bad("'ip' is unknown; did you mean 'id'?", OPT_VDPA, "x,ip=1");
}

TEST(vdpa_needs_memory_that_can_be_shared)
{
	struct vm_config c = good(OPT_VDPA, "x");

	CHECK(config_needs_shared_memory(&c));
	config_fini(&c);
	c = good(OPT_NET, "tap,vhost");
	CHECK(!config_needs_shared_memory(
		&c)); /* the kernel is let into this process' own memory */
	config_fini(&c);
}

static void invalid(const char *expected, const char *const *values, unsigned n, bool balloon)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	c.kernel = strdup("k");
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(0, option_rows[OPT_VDPA].apply(&c, values[i], &e));
	if (balloon)
		CHECK_EQ(0, option_rows[OPT_BALLOON].apply(&c, "0", &e));
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_HAS(e.text, expected);
	config_fini(&c);
}

TEST(vdpa_devices_are_different_and_without_a_balloon)
{
	invalid("two vDPA devices are 'x'", (const char *[]){"x", "x"}, 2, false);
	invalid("two vDPA devices have the id 'a'", (const char *[]){"x,id=a", "y,id=a"}, 2, false);
	invalid("balloon", (const char *[]){"x"}, 1, true);
}

TEST(vhost_net_is_a_word_of_a_tap)
{
	struct vm_config c = good(OPT_NET, "tap=tap0,vhost,queues=4");

	CHECK(c.net[0].vhost);
	config_fini(&c);
	c = good(OPT_NET, "tap,fd=3,vhost=on,offload=off");
	CHECK(c.net[0].vhost && c.net[0].fd == 3);
	config_fini(&c);
	bad("'user' has no vhost: that is a tap's", OPT_NET, "user,vhost");
	bad("'passt' has no vhost: that is a tap's", OPT_NET, "passt=s,vhost");
	bad("vhost-net has no packed virtqueues: packed or vhost", OPT_NET, "tap,packed,vhost");
	bad("with vhost the host's kernel carries the frames, and has no rate limit: tc(8) can set "
	    "one on the tap",
	    OPT_NET, "tap,vhost,pps=5");
}
