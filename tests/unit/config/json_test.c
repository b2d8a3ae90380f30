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
	bad("vm.json:1: serial.rate_limiter: rate limits are not supported",
	    "{\"serial\": {\"rate_limiter\": {\"bandwidth\": {}}}}");
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
	struct vm_config c = good("{\"drives\": [], \"vsock\": null, \"entropy\": {}}");

	config_fini(&c);
	bad("vm.json:2: drives: toyvmm does not support this section yet",
	    "{\n\"drives\": [{\"path_on_host\": \"a\"}]}");
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
	bad("vm.json:1: machine-config.mem_size_mib: '-1 MiB' is too little: at least 32 MiB",
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
	bad("vm.json:1: machine-config.track_dirty_pages: only false is supported",
	    "{\"machine-config\": {\"track_dirty_pages\": true}}");
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
	return json_line_of(json, strlen(json), section, key);
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

TEST(line_of_broken_json_stays_inside_it)
{
	static const char json[] = "{\"a\": {\"\\";

	for (size_t len = 0; len < sizeof(json); len++) {
		char *copy = malloc(len + 1); /* the sanitizer watches its end */

		memcpy(copy, json, len);
		CHECK_EQ(0, json_line_of(copy, len, "a", "b"));
		free(copy);
	}
}

/* The files in examples/ are right, and so is what the manual says of keys. */
TEST(json_examples_are_read)
{
	static const char *const files[] = {"examples/small.json", "examples/firecracker.json"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *text = tree_file(files[i]);
		struct vm_config c = good(text);
		struct err e;

		CHECK_EQ(0, config_validate(&c, &e));
		CHECK(c.initrd != NULL);
		config_fini(&c);
		free(text);
	}
}
