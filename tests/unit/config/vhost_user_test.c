// SPDX-License-Identifier: Apache-2.0
/* --vhost-user and --fs: what each word does, and what one device, and several, may not say. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "config/device.h"
#include "config/json.h"
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

TEST(vhost_user_takes_every_word)
{
	struct vm_config c = good(OPT_VHOST_USER, "type=net,socket=/s,,x,id=n,queues=1,"
						  "queue-size=1024,mac=52:54:00:12:34:56");
	const struct vhost_user_config *v = &c.vhost_user[0];

	CHECK_EQ(1, c.n_vhost_users);
	CHECK_EQ(VIRTIO_ID_NET, v->device_id);
	CHECK_STR("/s,x", v->socket);
	CHECK_STR("n", v->id);
	CHECK(v->queues == 1 && v->queue_size == 1024 && v->has_mac && v->mac[5] == 0x56);
	config_fini(&c);

	c = good(OPT_VHOST_USER, "type=40,socket=s,queues=60,config-size=256");
	CHECK_EQ(40, c.vhost_user[0].device_id);
	CHECK_EQ(256, c.vhost_user[0].config_size);
	config_fini(&c);
}

TEST(fs_is_a_vhost_user_device_with_a_tag)
{
	struct vm_config c = good(OPT_FS, "tag=home,socket=s");

	CHECK_EQ(VIRTIO_ID_FS, c.vhost_user[0].device_id);
	CHECK_STR("home", c.vhost_user[0].tag);
	CHECK(c.vhost_user[0].queues == 0 && c.vhost_user[0].queue_size == 0);
	config_fini(&c);
}

TEST(guest_memory_is_shared_where_another_process_serves)
{
	struct vm_config c = good(OPT_RNG, NULL);

	CHECK(!config_needs_shared_memory(&c));
	config_fini(&c);
	c = good(OPT_FS, "tag=t,socket=s");
	CHECK(config_needs_shared_memory(&c));
	config_fini(&c);
}

TEST(a_vhost_user_device_that_cannot_be_is_refused)
{
	bad("type: 'tape' is not blk, net, fs, scsi, or a virtio device's number from 1 to 63",
	    OPT_VHOST_USER, "type=tape,socket=s");
	bad("type: '64' is not blk, net, fs, scsi, or a virtio device's number from 1 to 63",
	    OPT_VHOST_USER, "type=64,socket=s");
	bad("the kind of device is missing: type=blk, say", OPT_VHOST_USER, "socket=s");
	bad("the back end's socket is missing: socket=PATH", OPT_VHOST_USER, "type=blk");
	bad("a file system needs a name to mount it by: tag=NAME", OPT_FS, "socket=s");
	bad("only a file system (type=fs) has a tag", OPT_VHOST_USER, "type=blk,socket=s,tag=t");
	bad("only a network card (type=net) has a MAC address", OPT_VHOST_USER,
	    "type=blk,socket=s,mac=52:54:00:12:34:56");
	bad("a network card has one pair of queues here; queues=2 is not possible", OPT_VHOST_USER,
	    "type=net,socket=s,queues=2");
	bad("config-size is for a type that is a number", OPT_VHOST_USER,
	    "type=scsi,socket=s,config-size=4");
	bad("queue-size: '48' is not a power of two from 16 to 1024", OPT_VHOST_USER,
	    "type=blk,socket=s,queue-size=48");
}

/* Two devices that contradict each other. */
static void clash(const char *expected, const char *first, const char *second)
{
	struct err e = {""};
	struct vm_config c = good(OPT_VHOST_USER, first);

	c.kernel = strdup("k");
	CHECK_EQ(0, option_rows[OPT_VHOST_USER].apply(&c, second, &e));
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_STR(expected, e.text);
	config_fini(&c);
}

TEST(two_vhost_user_devices_share_nothing)
{
	clash("two vhost-user devices use the socket 's': one back end serves one",
	      "type=blk,socket=s", "type=blk,socket=s");
	clash("two vhost-user devices have the id 'a'", "type=blk,socket=s,id=a",
	      "type=net,socket=t,id=a");
	clash("two file systems have the tag 't'", "type=fs,tag=t,socket=a",
	      "type=fs,tag=t,socket=b");
}

TEST(names_are_given_by_kind)
{
	struct err e = {""};
	struct vm_config c = good(OPT_VHOST_USER, "type=blk,socket=s");

	CHECK_EQ(0, option_rows[OPT_FS].apply(&c, "tag=t,socket=u", &e));
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_STR("vhost-user0", c.vhost_user[0].id);
	CHECK_STR("fs0", c.vhost_user[1].id);
	config_fini(&c);
}

TEST(json_has_both_sections)
{
	static const char json[] = "{\"vhost-user\": [{\"type\": \"blk\", \"socket\": \"s\","
				   " \"queues\": 3, \"queue_size\": 64}],"
				   "\"fs\": [{\"tag\": \"t\", \"socket\": \"u\", \"id\": \"x\"}]}";
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(0, json_merge(&c, "vm.json", json, strlen(json), &e));
	CHECK_EQ(2, c.n_vhost_users);
	CHECK(c.vhost_user[0].queues == 3 && c.vhost_user[0].queue_size == 64);
	CHECK_EQ(VIRTIO_ID_FS, c.vhost_user[1].device_id);
	CHECK_STR("x", c.vhost_user[1].id);
	config_fini(&c);
}
