// SPDX-License-Identifier: Apache-2.0
#include "config/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"
#include "capture.h"
#include "config/json_line.h"

static struct vm_config good(const char *json)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	json_merge(&c, "vm.json", json, strlen(json), &e);
	CHECK_STR("", e.text);
	return c;
}

/* `json` is refused with this text. */
static void bad(const char *text, const char *json)
{
	struct err e = {""};
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(-EINVAL, json_merge(&c, "vm.json", json, strlen(json), &e));
	CHECK_STR(text, e.text);
	config_fini(&c);
}

TEST(json_of_firecracker_is_read)
{
	struct vm_config c =
		good("{\"boot-source\": {\"kernel_image_path\": \"k\","
		     " \"initrd_path\": \"i\", \"boot_args\": \"quiet\"},"
		     "\"drives\": [],"
		     "\"machine-config\": {\"vcpu_count\": 2, \"mem_size_mib\": 1024,"
		     " \"smt\": false, \"track_dirty_pages\": false,"
		     " \"cpu_template\": \"None\", \"huge_pages\": \"None\"},"
		     "\"serial\": {\"serial_out_path\": \"log\", \"rate_limiter\": null},"
		     "\"network-interfaces\": [], \"vsock\": null, \"balloon\": null}");

	CHECK_STR("k", c.kernel);
	CHECK_STR("i", c.initrd);
	CHECK_STR("quiet", c.cmdline);
	CHECK_EQ(2, c.cpus);
	CHECK_EQ(GIB, c.memory);
	CHECK_EQ(SERIAL_FILE, c.serial.kind);
	CHECK_STR("log", c.serial.path);
	config_fini(&c);
}

TEST(json_names_of_the_older_toyvmm_are_aliases)
{
	struct vm_config c = good("{\"boot-source\": {\"kernel_path\": \"./vmlinux.bin\"},"
				  "\"machine-config\": {\"track_dirty_page\": false}}");

	CHECK_STR("./vmlinux.bin", c.kernel);
	config_fini(&c);
}

TEST(json_null_is_as_if_the_key_were_not_there)
{
	struct vm_config c = good("{\"boot-source\": {\"kernel_image_path\": \"k\","
				  " \"kernel_path\": null, \"initrd_path\": null},"
				  "\"machine-config\": null, \"serial\": {\"kind\": null}}");

	CHECK(c.initrd == NULL);
	CHECK_EQ(1, c.cpus);
	config_fini(&c);
}

TEST(json_empty_object_changes_nothing)
{
	struct vm_config c = good("{}");

	CHECK(c.kernel == NULL);
	CHECK_EQ(CONFIG_DEFAULT_MEMORY, c.memory);
	config_fini(&c);
}

TEST(json_serial_has_kind_and_path)
{
	struct vm_config c = good("{\"serial\": {\"path\": \"/tmp/s\", \"kind\": \"socket\"}}");

	CHECK_EQ(SERIAL_SOCKET, c.serial.kind);
	CHECK_STR("/tmp/s", c.serial.path);
	config_fini(&c);
	c = good("{\"serial\": {\"kind\": \"pty\"}}");
	CHECK_EQ(SERIAL_PTY, c.serial.kind);
	config_fini(&c);
}

TEST(json_serial_contradictions_are_named)
{
	bad("vm.json:1: serial: serial_out_path contradicts kind",
	    "{\"serial\": {\"serial_out_path\": \"a\", \"kind\": \"file\"}}");
	bad("vm.json:1: serial: serial_out_path contradicts path",
	    "{\"serial\": {\"serial_out_path\": \"a\", \"path\": \"b\"}}");
	bad("vm.json:1: serial: path without kind: \"file\" or \"socket\"",
	    "{\"serial\": {\"path\": \"b\"}}");
	bad("vm.json:1: serial: 'file' needs a path", "{\"serial\": {\"kind\": \"file\"}}");
	bad("vm.json:1: serial: 'file' needs a path", "{\"serial\": {\"serial_out_path\": \"\"}}");
	bad("vm.json:1: serial: 'pty' takes no path",
	    "{\"serial\": {\"kind\": \"pty\", \"path\": \"a\"}}");
	bad("vm.json:1: serial: 'soket' is unknown; did you mean 'socket'?",
	    "{\"serial\": {\"kind\": \"soket\", \"path\": \"a\"}}");
	bad("vm.json:1: serial.rate_limiter.bandwidth: unknown key",
	    "{\"serial\": {\"rate_limiter\": {\"bandwidth\": {}}}}");
}

TEST(json_drives_are_disks_in_their_order)
{
	struct vm_config c = good(
		"{\"drives\": [{\"drive_id\": \"root\", \"path_on_host\": \"a\","
		" \"is_root_device\": true, \"partuuid\": \"1-2\", \"is_read_only\": false,"
		" \"cache_type\": \"Writeback\", \"io_engine\": \"Async\","
		" \"rate_limiter\": {\"bandwidth\": {\"size\": 7, \"one_time_burst\": 8,"
		" \"refill_time\": 9}, \"ops\": {\"size\": 1, \"one_time_burst\": null,"
		" \"refill_time\": 2}}, \"socket\": null},"
		"{\"path_on_host\": \"b\", \"is_read_only\": true, \"engine\": \"threads\","
		" \"direct\": true, \"queues\": 2, \"queue_size\": 64, \"packed\": true,"
		" \"serial\": \"S\", \"nodiscard\": true, \"nolock\": true, \"noflush\": true},"
		"{\"path_on_host\": \"c\", \"overlay\": \"temporary\", \"io_engine\": \"Sync\"}]}");
	const struct disk_config *d = c.disk;

	CHECK_EQ(3, c.n_disks);
	CHECK_STR("root", d[0].id);
	CHECK_STR("a", d[0].path);
	CHECK_STR("1-2", d[0].partuuid);
	CHECK(d[0].root && !d[0].readonly && !d[0].no_flush);
	CHECK_EQ(DISK_ENGINE_IO_URING, d[0].engine);
	CHECK(d[0].limit.bandwidth.size == 7 && d[0].limit.bandwidth.one_time_burst == 8);
	CHECK(d[0].limit.bandwidth.refill_ms == 9 && d[0].limit.ops.size == 1);
	CHECK(d[0].limit.ops.one_time_burst == 0 && d[0].limit.ops.refill_ms == 2);
	CHECK(d[1].readonly && d[1].direct && d[1].packed && d[1].no_discard && d[1].no_lock);
	CHECK(d[1].queues == 2 && d[1].queue_size == 64 && d[1].no_flush);
	CHECK_EQ(DISK_ENGINE_THREADS, d[1].engine);
	CHECK_EQ(OVERLAY_TEMPORARY, d[2].overlay);
	CHECK_EQ(DISK_ENGINE_THREADS, d[2].engine);
	config_fini(&c);
}

/* A file of Firecracker's says "Unsafe" because that is its default there. */
TEST(json_cache_type_unsafe_leaves_the_disk_durable)
{
	struct vm_config c = good("{\"drives\": [{\"path_on_host\": \"a\","
				  " \"cache_type\": \"Unsafe\"}]}");

	CHECK(!c.disk[0].no_flush);
	config_fini(&c);
	bad("vm.json:1: drives[0].cache_type: 'unsafe' is neither Writeback nor Unsafe",
	    "{\"drives\": [{\"path_on_host\": \"a\", \"cache_type\": \"unsafe\"}]}");
}

TEST(json_drives_errors_have_line_and_index)
{
	bad("vm.json:5: drives[1].path_on_host: expected a string, found a whole number",
	    "{\n\"drives\": [\n{\"path_on_host\": \"a\"},\n{\n\"path_on_host\": 7}]}");
	bad("vm.json:3: drives[1]: the disk's file is not named (path_on_host)",
	    "{\"drives\": [\n{\"path_on_host\": \"a\"},\n{\"drive_id\": \"b\"}]}");
	bad("vm.json:2: drives[0].is_readonly: unknown key; did you mean 'is_read_only'?",
	    "{\"drives\": [{\n\"is_readonly\": true}]}");
	bad("vm.json:1: drives[0].socket: vhost-user is not supported yet",
	    "{\"drives\": [{\"socket\": \"a\"}]}");
	bad("vm.json:3: drives[0].rate_limiter.ops.size: '-1' is not a whole number from 0 to "
	    "9007199254740992",
	    "{\"drives\": [{\"rate_limiter\": {\n\"ops\": {\n\"size\": -1}}}]}");
	bad("vm.json:2: drives[0].rate_limiter.ops: the key 'refill_time' is missing",
	    "{\"drives\": [{\"rate_limiter\": {\n\"ops\": {\n\"size\": 1}}}]}");
	bad("vm.json:1: drives: expected an array of objects, found an object", "{\"drives\": {}}");
	bad("vm.json:2: drives[1]: expected an object, found a string",
	    "{\"drives\": [{\"path_on_host\": \"a\"},\n\"b\"]}");
	bad("vm.json:1: drives[0]: overlay and readonly contradict each other: with an overlay the "
	    "file is only read",
	    "{\"drives\": [{\"path_on_host\": \"a\", \"overlay\": \"o\", \"is_read_only\": true}]}");
	bad("vm.json:1: drives[0].engine: 'io_engine' and 'engine' are the same thing, and both are "
	    "given",
	    "{\"drives\": [{\"engine\": \"auto\", \"io_engine\": \"Sync\"}]}");
}

TEST(json_drives_beyond_reason_are_refused)
{
	char json[1024] = "{\"drives\": [";

	for (int i = 0; i < 32; i++)
		strcat(json, "{\"path_on_host\": \"a\"},");
	json[strlen(json) - 1] = '\0';
	strcat(json, "]}");
	bad("vm.json:1: drives[31]: there are at most 31 disks", json);
}

TEST(json_network_interfaces_are_firecrackers_or_ours)
{
	struct vm_config c = good(
		"{\"network-interfaces\": [{\"iface_id\": \"eth0\", \"guest_mac\": \"06:00:ac:10:00:02\","
		" \"host_dev_name\": \"tap0\", \"mtu\": 1500,"
		" \"rx_rate_limiter\": {\"bandwidth\": {\"size\": 1, \"refill_time\": 2}},"
		" \"tx_rate_limiter\": {\"ops\": {\"size\": 3, \"refill_time\": 4}}},"
		"{\"kind\": \"user\", \"hostfwd\": [\"tcp::1-:2\", \"udp::3-:4\"], \"restrict\": true},"
		"{\"kind\": \"passt\", \"socket\": \"s\", \"offload\": false, \"packed\": true},"
		"{\"kind\": \"tap\", \"fd\": 5, \"queues\": 1, \"queue_size\": 128, \"offload\": true}]}");
	const struct net_config *n = c.net;

	CHECK_EQ(4, c.n_nets);
	CHECK(n[0].kind == NET_TAP && n[0].has_mac && n[0].mac[5] == 2 && n[0].mtu == 1500);
	CHECK_STR("tap0", n[0].tap);
	CHECK(n[0].rx_limit.bandwidth.size == 1 && n[0].rx_limit.ops.size == 0);
	CHECK(n[0].tx_limit.ops.refill_ms == 4 && n[0].tx_limit.bandwidth.size == 0);
	CHECK(n[1].kind == NET_USER && n[1].n_hostfwds == 2 && n[1].restricted);
	CHECK(n[1].hostfwd[1].udp && n[1].hostfwd[1].host_port == 3);
	CHECK(n[2].kind == NET_PASST && n[2].no_offload && n[2].packed);
	CHECK_STR("s", n[2].socket);
	CHECK(n[3].fd == 5 && n[3].queue_size == 128 && !n[3].no_offload);
	config_fini(&c);
	bad("vm.json:2: network-interfaces[0].hostfwd[1]: expected a string, found a boolean",
	    "{\"network-interfaces\": [{\"hostfwd\": [\"::1-:1\",\ntrue]}]}");
	bad("vm.json:1: network-interfaces[0].hostfwd: expected an array of strings, found a string",
	    "{\"network-interfaces\": [{\"hostfwd\": \"::1-:1\"}]}");
	bad("vm.json:1: network-interfaces[0]: 'user' has no host_dev_name",
	    "{\"network-interfaces\": [{\"kind\": \"user\", \"host_dev_name\": \"t\"}]}");
	bad("vm.json:1: network-interfaces[0].kind: 'usr' is unknown; did you mean 'user'?",
	    "{\"network-interfaces\": [{\"kind\": \"usr\"}]}");
}

TEST(json_small_devices_are_read)
{
	struct vm_config c = good(
		"{\"vsock\": {\"guest_cid\": 3, \"uds_path\": \"s\", \"vsock_id\": \"old\"},"
		"\"balloon\": {\"amount_mib\": 10, \"deflate_on_oom\": true,"
		" \"stats_polling_interval_s\": 2, \"free_page_reporting\": true,"
		" \"free_page_hinting\": false},"
		"\"entropy\": {\"rate_limiter\": {\"bandwidth\": {\"size\": 5, \"refill_time\": 6}}},"
		"\"console\": [{\"kind\": \"stdio\"},"
		" {\"kind\": \"file\", \"path\": \"p\", \"name\": \"n\"}]}");

	CHECK_EQ(3, c.vsock.cid);
	CHECK_STR("s", c.vsock.socket);
	CHECK(c.balloon.enabled && c.balloon.target == 10 * MIB && c.balloon.deflate_on_oom);
	CHECK(c.balloon.stats_interval_s == 2 && c.balloon.free_page_reporting);
	CHECK(c.rng.enabled && c.rng.limit.bandwidth.size == 5);
	CHECK_EQ(2, c.n_consoles);
	CHECK_EQ(CONSOLE_FILE, c.console[1].kind);
	CHECK_STR("n", c.console[1].name);
	config_fini(&c);
	c = good("{\"entropy\": {}}");
	CHECK(c.rng.enabled);
	config_fini(&c);
	c = good("{\"entropy\": null, \"vsock\": null, \"balloon\": null, \"console\": []}");
	CHECK(!c.rng.enabled && !c.vsock.cid && !c.balloon.enabled && !c.n_consoles);
	config_fini(&c);
}

TEST(json_small_devices_say_what_is_wrong)
{
	bad("vm.json:1: vsock: the key 'uds_path' is missing", "{\"vsock\": {\"guest_cid\": 3}}");
	bad("vm.json:1: vsock: the key 'guest_cid' is missing", "{\"vsock\": {}}");
	bad("vm.json:1: vsock.guest_cid: '2' is not a whole number from 3 to 4294967294",
	    "{\"vsock\": {\"guest_cid\": 2}}");
	bad("vm.json:1: balloon: the key 'amount_mib' is missing",
	    "{\"balloon\": {\"deflate_on_oom\": false}}");
	bad("vm.json:1: balloon.amount_mib: '-1 MiB' is too little",
	    "{\"balloon\": {\"amount_mib\": -1}}");
	bad("vm.json:1: balloon.free_page_hinting: only false is supported",
	    "{\"balloon\": {\"amount_mib\": 1, \"free_page_hinting\": true}}");
	bad("vm.json:1: console[0]: 'file' needs a path", "{\"console\": [{\"kind\": \"file\"}]}");
	bad("vm.json:1: console[0]: the key 'kind' is missing", "{\"console\": [{}]}");
	bad("vm.json:1: machine-config.transport: 'isa' is neither pci nor mmio",
	    "{\"machine-config\": {\"transport\": \"isa\"}}");
	bad("vm.json:1: features[0].feature: 'smp': only \"acpi\" is known",
	    "{\"features\": [{\"feature\": \"smp\", \"enable\": true}]}");
	bad("vm.json:1: features[0]: the key 'enable' is missing",
	    "{\"features\": [{\"feature\": \"acpi\"}]}");
}

TEST(json_of_the_older_toyvmm_runs_unchanged)
{
	struct vm_config c = good(
		"{\"boot-source\": {\"kernel_path\": \"./vmlinux.bin\","
		" \"boot_args\": \"console=ttyS0 reboot=k panic=1\"},"
		"\"drives\": [{\"path_on_host\": \"./rootfs.ext4\", \"is_root_device\": true}],"
		"\"machine-config\": {\"vcpu_count\": 4, \"mem_size_mib\": 8192,"
		" \"track_dirty_page\": true},"
		"\"features\": [{\"feature\": \"acpi\", \"enable\": false}]}");
	char words[CONFIG_ROOT_WORDS_MAX];
	struct err e = {""};

	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_EQ(0, config_validate(&c, &e));
	config_root_words(&c, words);
	CHECK_STR("root=/dev/vda rw", words);
	CHECK_EQ(TRANSPORT_MMIO, c.transport);
	CHECK_EQ(4, c.cpus);
	config_fini(&c);
}

TEST(json_unknown_key_names_line_and_the_nearest)
{
	bad("vm.json:3: boot-source.kernel_image: unknown key; did you mean 'kernel_image_path'?",
	    "{\n\"boot-source\": {\n\"kernel_image\": \"a\"}}");
	bad("vm.json:2: machine-config.vcpus: unknown key",
	    "{\"machine-config\": {\n\"vcpus\": 1}}");
	bad("vm.json:2: machine-config.vcpu_cout: unknown key; did you mean 'vcpu_count'?",
	    "{\"machine-config\": {\n\"vcpu_cout\": 1}}");
	bad("vm.json:1: boot-source.: unknown key", "{\"boot-source\": {\"\": 1}}");
}

TEST(json_unknown_section_names_line_and_the_nearest)
{
	bad("vm.json:2: boot_source: unknown section; did you mean 'boot-source'?",
	    "{\n\"boot_source\": {}}");
	bad("vm.json:1: kernel: unknown section", "{\"kernel\": \"a\"}");
}

TEST(json_section_of_a_device_to_come_is_refused_unless_empty)
{
	struct vm_config c = good("{\"pmem\": [], \"logger\": null, \"metrics\": {}}");

	config_fini(&c);
	bad("vm.json:2: pmem: toyvmm does not support this section yet",
	    "{\n\"pmem\": [{\"path_on_host\": \"a\"}]}");
	bad("vm.json:1: logger: toyvmm does not support this section yet", "{\"logger\": \"x\"}");
}

TEST(json_wrong_type_names_both)
{
	bad("vm.json:1: boot-source.kernel_image_path: expected a string, found a whole number",
	    "{\"boot-source\": {\"kernel_image_path\": 1}}");
	bad("vm.json:1: machine-config.vcpu_count: expected a whole number, found a string",
	    "{\"machine-config\": {\"vcpu_count\": \"2\"}}");
	bad("vm.json:1: machine-config.mem_size_mib: expected a whole number, found a number with "
	    "a "
	    "fraction or an exponent",
	    "{\"machine-config\": {\"mem_size_mib\": 512.5}}");
	bad("vm.json:1: machine-config.smt: expected true or false, found a whole number",
	    "{\"machine-config\": {\"smt\": 0}}");
	bad("vm.json:1: serial.kind: expected a string, found an array",
	    "{\"serial\": {\"kind\": []}}");
	bad("vm.json:1: serial.rate_limiter: expected an object, found a boolean",
	    "{\"serial\": {\"rate_limiter\": true}}");
	bad("vm.json:1: boot-source: expected an object, found a string",
	    "{\"boot-source\": \"a\"}");
	bad("vm.json:1: expected an object, found an array", "[]");
}

TEST(json_numbers_out_of_range_are_named)
{
	bad("vm.json:1: machine-config.vcpu_count: '0' is not a whole number from 1 to 255",
	    "{\"machine-config\": {\"vcpu_count\": 0}}");
	bad("vm.json:1: machine-config.vcpu_count: '-1' is not a whole number from 1 to 255",
	    "{\"machine-config\": {\"vcpu_count\": -1}}");
	bad("vm.json:1: machine-config.vcpu_count: '4294967297' is not a whole number from 1 to "
	    "255",
	    "{\"machine-config\": {\"vcpu_count\": 4294967297}}");
	bad("vm.json:1: boot-source.kernel_image_path: character 2 is a control character (0x1b); "
	    "a file name here is one line of text",
	    "{\"boot-source\": {\"kernel_image_path\": \"a\\u001b[2J\"}}");
	bad("vm.json:1: serial: character 3 is a control character (0x9b); "
	    "a file name here is one line of text",
	    "{\"serial\": {\"serial_out_path\": \"a\\u009b\"}}");
	bad("vm.json:1: machine-config.mem_size_mib: '31 MiB\' is too little: at least 32 MiB",
	    "{\"machine-config\": {\"mem_size_mib\": 31}}");
	bad("vm.json:1: machine-config.mem_size_mib: '-1 MiB' is too little",
	    "{\"machine-config\": {\"mem_size_mib\": -1}}");
	bad("vm.json:1: machine-config.mem_size_mib: '9223372036854775807 MiB' is too much: at "
	    "most "
	    "8 TiB",
	    "{\"machine-config\": {\"mem_size_mib\": 9223372036854775807}}");
	bad("vm.json:1: machine-config.mem_size_mib: '17592186044416 MiB' is too much: at most "
	    "8 TiB",
	    "{\"machine-config\": {\"mem_size_mib\": 17592186044416}}");
	bad("vm.json:1:56: too big integer near '18446744073709551615'",
	    "{\"machine-config\": {\"mem_size_mib\": 18446744073709551615}}");
}

TEST(json_what_cannot_be_switched_on_is_refused)
{
	bad("vm.json:1: machine-config.smt: only false is supported",
	    "{\"machine-config\": {\"smt\": true}}");
	bad("vm.json:1: machine-config.cpu_template: 'T2': only \"None\" is supported",
	    "{\"machine-config\": {\"cpu_template\": \"T2\"}}");
	bad("vm.json:1: machine-config.huge_pages: '2M': only \"None\" is supported",
	    "{\"machine-config\": {\"huge_pages\": \"2M\"}}");
}

TEST(json_key_and_its_alias_together_are_refused)
{
	bad("vm.json:1: boot-source.kernel_path: 'kernel_image_path' and 'kernel_path' are the "
	    "same "
	    "thing, and both are given",
	    "{\"boot-source\": {\"kernel_path\": \"a\", \"kernel_image_path\": \"b\"}}");
}

TEST(json_strings_are_judged_like_options)
{
	bad("vm.json:1: boot-source.kernel_image_path: the file name is empty",
	    "{\"boot-source\": {\"kernel_image_path\": \"\"}}");
	bad("vm.json:1: boot-source.boot_args: character 2 is a control character (0x0a); the "
	    "kernel's command line is one line of text",
	    "{\"boot-source\": {\"boot_args\": \"a\\nb\"}}");
}

TEST(json_syntax_errors_have_line_and_column)
{
	bad("vm.json:2:14: duplicate object key near '\"boot-source\"'",
	    "{\"boot-source\": {},\n \"boot-source\": {}}");
	bad("vm.json:1:0: '[' or '{' expected near end of file", "");
	bad("vm.json:1:1: premature end of input near '\"'", "\"");
}

/* Whatever the parser says of these, it is an error and the text one printable line. */
TEST(json_garbage_is_refused_in_one_line)
{
	static const char *const garbage[] = {
		"{",
		"{\"a\":",
		"{\"a\" 1}",
		"{} x",
		"nul",
		"\xff\xfe",
		"{\"\xff\":1}",
		"\x7f\x45LF",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\n\"}",
		"{\"\x1b[2J\":1}",
		"{\"a\":01}",
		"{'a':1}",
		"// x",
		"{\"a\":1,}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct err e = {""};
		struct vm_config c;

		config_init(&c);
		CHECK_EQ(-EINVAL, json_merge(&c, "vm.json", garbage[i], strlen(garbage[i]), &e));
		CHECK_HAS(e.text, "vm.json:1");
		for (const char *p = e.text; *p; p++)
			CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
		config_fini(&c);
	}
}

TEST(json_nul_byte_is_refused)
{
	static const char json[] = "{\"boot-source\": \0{}}";
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(-EINVAL, json_merge(&c, "vm.json", json, sizeof(json) - 1, &e));
	config_fini(&c);
}

TEST(json_nested_beyond_reason_is_refused)
{
	size_t depth = 500000;
	char *json = malloc(depth + 1);
	struct vm_config c;
	struct err e;

	memset(json, '[', depth);
	json[depth] = '\0';
	config_init(&c);
	CHECK_EQ(-EINVAL, json_merge(&c, "vm.json", json, depth, &e));
	CHECK_HAS(e.text, "maximum parsing depth reached");
	config_fini(&c);
	free(json);
}

static int read_file(const char *path, struct err *e)
{
	struct vm_config c;
	int rc;

	config_init(&c);
	rc = config_read_json(&c, path, e);
	config_fini(&c);
	return rc;
}

TEST(json_file_that_is_missing_or_a_directory_is_named)
{
	struct err e;

	CHECK_EQ(-ENOENT, read_file("/nonexistent", &e));
	CHECK_STR("config '/nonexistent': No such file or directory", e.text);
	CHECK_EQ(-EISDIR, read_file("/tmp", &e));
	CHECK_STR("config '/tmp': Is a directory", e.text);
}

TEST(json_file_of_1_mib_is_read_and_one_byte_more_refused)
{
	char *text = malloc(JSON_FILE_MAX + 1);
	char path[32];
	struct err e = {""};

	memset(text, ' ', JSON_FILE_MAX + 1);
	memcpy(text, "{}", 2);
	temp_file(path, text, JSON_FILE_MAX);
	CHECK_EQ(0, read_file(path, &e));
	unlink(path);
	temp_file(path, text, JSON_FILE_MAX + 1);
	CHECK_EQ(-EFBIG, read_file(path, &e));
	CHECK_HAS(e.text, "larger than 1 MiB: not a configuration");
	unlink(path);
	CHECK_EQ(-EFBIG, read_file("/dev/zero", &e));
	free(text);
}

TEST(json_comes_through_a_pipe_too)
{
	struct err e = {""};
	char path[32];
	int fd[2];

	CHECK_EQ(0, pipe(fd));
	CHECK_EQ(2, write(fd[1], "{}", 2));
	close(fd[1]);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd[0]);
	CHECK_EQ(0, read_file(path, &e));
	CHECK_STR("", e.text);
	close(fd[0]);
}

static unsigned line_of(const char *json, const char *section, const char *key)
{
	const struct json_step step[] = {{.key = section}, {.key = key}};

	return json_line_of(json, strlen(json), step, key ? 2 : 1);
}

TEST(line_of_a_key_is_that_of_its_section_only)
{
	static const char json[] =
		"{\n\"x\": {\"key\": 1},\n\"a\": {\n\"key\": \"key\"},\n\"key\": 2}";

	CHECK_EQ(2, line_of(json, "x", "key"));
	CHECK_EQ(4, line_of(json, "a", "key"));
	CHECK_EQ(5, line_of(json, "key", NULL));
	CHECK_EQ(3, line_of(json, "a", NULL));
	CHECK_EQ(0, line_of(json, "a", "none"));
	CHECK_EQ(0, line_of(json, "none", "key"));
}

TEST(line_of_a_key_is_not_found_in_strings_and_deeper_objects)
{
	CHECK_EQ(3,
		 line_of("{\"a\": {\"x\": \"\\\"key\\\": {\",\n\"y\": {\"key\": 1},\n\"key\": 1}}",
			 "a", "key"));
	CHECK_EQ(2, line_of("{\"a\": {\"x\": [\"key\", {\"key\": 1}],\n\"key\" : 1}}", "a", "key"));
}

TEST(line_of_a_key_in_an_array_of_objects_is_that_of_its_element)
{
	static const char json[] = "{\"d\": [\n{\"k\": [1, {\"k\":\n2}]}, {},\n{\"x\": \"]},\",\n"
				   "\"o\": {\n\"k\": 3}}\n]}";
	const struct json_step first[] = {{.key = "d"}, {.index = 0}, {.key = "k"}};
	const struct json_step third[] = {{.key = "d"}, {.index = 2}, {.key = "o"}, {.key = "k"}};
	const struct json_step fourth[] = {{.key = "d"}, {.index = 3}, {.key = "k"}};

	CHECK_EQ(1, json_line_of(json, strlen(json), first, 1));
	CHECK_EQ(2, json_line_of(json, strlen(json), first, 2));
	CHECK_EQ(2, json_line_of(json, strlen(json), first, 3));
	CHECK_EQ(4, json_line_of(json, strlen(json), third, 2));
	CHECK_EQ(5, json_line_of(json, strlen(json), third, 3));
	CHECK_EQ(6, json_line_of(json, strlen(json), third, 4));
	CHECK_EQ(0, json_line_of(json, strlen(json), fourth, 3));
}

TEST(line_of_broken_json_stays_inside_it)
{
	static const char json[] = "{\"b\": [1, \"x\"], \"a\": [{}, {\"c\": \"\\";
	const struct json_step step[] = {{.key = "a"}, {.index = 1}, {.key = "d"}};

	for (size_t len = 0; len < sizeof(json); len++) {
		char *copy = malloc(len + 1); /* the sanitizer watches its end */

		memcpy(copy, json, len);
		CHECK_EQ(0, json_line_of(copy, len, step, 3));
		free(copy);
	}
}

/* The files in examples/ are right, and so is what the manual says of keys. */
TEST(json_examples_are_read)
{
	static const char *const files[] = {
		"examples/small.json",
		"examples/firecracker.json",
		"examples/disk.json",
		"examples/net.json",
		"examples/full.json",
		"examples/toyvmm-disk.json",
		"examples/toyvmm-features.json",
		"examples/toyvmm-acpi.json",
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *text = tree_file(files[i]);
		struct vm_config c = good(text);
		struct err e = {""};

		CHECK_EQ(0, config_complete(&c, &e));
		config_validate(&c, &e);
		CHECK_STR("", e.text);
		CHECK(c.initrd != NULL || c.n_disks > 0);
		config_fini(&c);
		free(text);
	}
}
