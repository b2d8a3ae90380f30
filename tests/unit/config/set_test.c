// SPDX-License-Identifier: Apache-2.0
#include "config/set.h"

#include <errno.h>
#include <string.h>

#include "../test.h"

static uint64_t size_of(const char *text)
{
	uint64_t n = 0;

	CHECK_EQ(0, parse_size(text, &n));
	return n;
}

static int size_error(const char *text)
{
	uint64_t n = 0;

	return parse_size(text, &n);
}

TEST(size_without_unit_is_mib)
{
	CHECK_EQ(512 * MIB, size_of("512"));
	CHECK_EQ(0, size_of("0"));
	CHECK_EQ(8 * MIB, size_of("0008"));
}

TEST(size_takes_k_m_g_t_in_either_case)
{
	CHECK_EQ(64 * KIB, size_of("64K"));
	CHECK_EQ(512 * MIB, size_of("512m"));
	CHECK_EQ(2 * GIB, size_of("2G"));
	CHECK_EQ(3 * 1024 * GIB, size_of("3t"));
}

TEST(size_refuses_what_is_not_digits_and_a_unit)
{
	static const char *const wrong[] = {
		"",     "M",     "-1",   "+1",  " 1",  "1 ",       "1 M",    "1.5G",      "0x10",
		"12x",  "1MB",   "1MiB", "1e3", "1G1", "\n",       "1\n",    "1,5G",      "1G ",
		"\xff", "1\xff", "--1",  "1-",  "NaN", "infinity", "1\x0dM", "1\x4b\x4b",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		CHECK_EQ(-EINVAL, size_error(wrong[i]));
}

TEST(size_beyond_64_bits_is_refused_not_wrapped)
{
	CHECK_EQ(0xffffffffffffffff, size_of("18014398509481983K") + 0x3ff);
	CHECK_EQ(-ERANGE, size_error("18014398509481984K"));
	CHECK_EQ(-ERANGE, size_error("17592186044416M"));
	CHECK_EQ(-ERANGE, size_error("17592186044416"));
	CHECK_EQ(-ERANGE, size_error("17179869184G"));
	CHECK_EQ(-ERANGE, size_error("16777216T"));
	CHECK_EQ(-ERANGE, size_error("18446744073709551615"));
	CHECK_EQ(-ERANGE, size_error("18446744073709551616"));
	CHECK_EQ(-ERANGE, size_error("99999999999999999999999999999999999999K"));
}

TEST(number_goes_up_to_the_last_of_64_bits)
{
	uint64_t n = 0;

	CHECK_EQ(0, parse_u64("18446744073709551615", &n));
	CHECK_EQ(UINT64_MAX, n);
	CHECK_EQ(-ERANGE, parse_u64("18446744073709551616", &n));
	CHECK_EQ(-ERANGE, parse_u64("28446744073709551615", &n));
	CHECK_EQ(-EINVAL, parse_u64("99999999999999999999x", &n));
	CHECK_EQ(-EINVAL, parse_u64("", &n));
	CHECK_EQ(-EINVAL, parse_u64("-0", &n));
}

static const char *memory_error(uint64_t bytes, const char *written)
{
	static struct err e;
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(-EINVAL, set_memory(&c, bytes, written, &e));
	CHECK_EQ(CONFIG_DEFAULT_MEMORY, c.memory);
	return e.text;
}

TEST(memory_has_a_least_and_a_most)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(0, set_memory(&c, 32 * MIB, "32M", &e));
	CHECK_EQ(32 * MIB, c.memory);
	CHECK_EQ(0, set_memory(&c, CONFIG_MAX_MEMORY, "8T", &e));
	CHECK_EQ(CONFIG_MAX_MEMORY, c.memory);
	CHECK_STR("'31M' is too little: at least 32 MiB", memory_error(31 * MIB, "31M"));
	CHECK_STR("'0' is too little: at least 32 MiB", memory_error(0, "0"));
	CHECK_STR("'9T' is too much: at most 8 TiB", memory_error(CONFIG_MAX_MEMORY + MIB, "9T"));
	CHECK_STR("'x' is too much: at most 8 TiB", memory_error(UINT64_MAX, "x"));
}

TEST(memory_is_whole_mib)
{
	CHECK_STR("'32769K' is not a whole number of MiB", memory_error(32769 * KIB, "32769K"));
}

TEST(cpus_go_from_1_to_255)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(0, set_cpus(&c, 255, "255", &e));
	CHECK_EQ(255, c.cpus);
	CHECK_EQ(-EINVAL, set_cpus(&c, 0, "0", &e));
	CHECK_STR("'0' is not a whole number from 1 to 255", e.text);
	CHECK_EQ(-EINVAL, set_cpus(&c, 256, "256", &e));
	CHECK_EQ(-EINVAL, set_cpus(&c, 0x100000001, "4294967297", &e));
	CHECK_STR("'4294967297' is not a whole number from 1 to 255", e.text);
	CHECK_EQ(255, c.cpus);
}

TEST(path_must_not_be_empty)
{
	struct err e;
	char *path = NULL;

	CHECK_EQ(-EINVAL, set_path(&path, "", &e));
	CHECK_STR("the file name is empty", e.text);
	CHECK(path == NULL);
}

TEST(path_holds_no_control_character)
{
	struct vm_config c;
	char *path = NULL;
	struct err e;

	CHECK_EQ(-EINVAL, set_path(&path, "/boot/\x1b[2J", &e));
	CHECK_STR("character 7 is a control character (0x1b); a file name here is one line of text",
		  e.text);
	CHECK_EQ(-EINVAL, set_path(&path, "a\nb", &e));
	CHECK_EQ(-EINVAL, set_path(&path, "a\x9b", &e));
	CHECK_HAS(e.text, "(0x9b)");
	CHECK(path == NULL);

	config_init(&c);
	CHECK_EQ(-EINVAL, set_serial(&c, "file", "log\r", &e));
	CHECK_HAS(e.text, "character 4 is a control character (0x0d)");
	CHECK_EQ(-EINVAL, set_serial_spec(&c, "socket=\x01", &e));
	CHECK_HAS(e.text, "character 1 is");
	CHECK_EQ(SERIAL_STDIO, c.serial.kind);
	CHECK(c.serial.path == NULL);
	config_fini(&c);
}

TEST(cmdline_may_be_empty_but_holds_no_control_character)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(0, set_cmdline(&c, "", &e));
	CHECK_STR("", c.cmdline);
	CHECK_EQ(0, set_cmdline(&c, "a=\"b c\" \xc3\xa9", &e));
	CHECK_STR("a=\"b c\" \xc3\xa9", c.cmdline);
	CHECK_EQ(-EINVAL, set_cmdline(&c, "quiet\nroot=/dev/vda", &e));
	CHECK_STR(
		"character 6 is a control character (0x0a); the kernel's command line is one line "
		"of text",
		e.text);
	CHECK_EQ(-EINVAL, set_cmdline(&c, "\x7f", &e));
	CHECK_STR("a=\"b c\" \xc3\xa9", c.cmdline);
	config_fini(&c);
}

static void serial_is(const char *spec, enum serial_kind kind, const char *path)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(0, set_serial_spec(&c, "file=before", &e));
	CHECK_EQ(0, set_serial_spec(&c, spec, &e));
	CHECK_EQ(kind, c.serial.kind);
	if (path)
		CHECK_STR(path, c.serial.path);
	else
		CHECK(c.serial.path == NULL);
	config_fini(&c);
}

TEST(serial_takes_its_five_kinds)
{
	serial_is("stdio", SERIAL_STDIO, NULL);
	serial_is("pty", SERIAL_PTY, NULL);
	serial_is("none", SERIAL_NONE, NULL);
	serial_is("file=/tmp/a=b", SERIAL_FILE, "/tmp/a=b");
	serial_is("socket=s", SERIAL_SOCKET, "s");
}

static const char *serial_error(const char *spec)
{
	static struct err e;
	struct vm_config c;

	config_init(&c);
	CHECK_EQ(-EINVAL, set_serial_spec(&c, spec, &e));
	CHECK_EQ(SERIAL_STDIO, c.serial.kind);
	CHECK(c.serial.path == NULL);
	return e.text;
}

TEST(serial_says_what_is_wrong_with_a_word)
{
	CHECK_STR("'' is none of stdio, pty, file=PATH, socket=PATH and none", serial_error(""));
	CHECK_STR("'tcp' is none of stdio, pty, file=PATH, socket=PATH and none",
		  serial_error("tcp=localhost:1"));
	CHECK_STR("'fiel' is unknown; did you mean 'file'?", serial_error("fiel=a"));
	CHECK_STR("'STDIO' is none of stdio, pty, file=PATH, socket=PATH and none",
		  serial_error("STDIO"));
	CHECK_STR("'stdio' takes no path", serial_error("stdio=a"));
	CHECK_STR("'none' takes no path", serial_error("none="));
	CHECK_STR("'file' needs a path", serial_error("file"));
	CHECK_STR("'file' needs a path", serial_error("file="));
	CHECK_STR("'socket' needs a path", serial_error("socket="));
}

TEST(serial_socket_path_fits_a_socket_address)
{
	char spec[128] = "socket=";
	struct vm_config c;
	struct err e;

	memset(spec + 7, 'x', 108);
	CHECK_STR("the socket's path is longer than 107 bytes", serial_error(spec));
	spec[7 + 107] = '\0';
	config_init(&c);
	CHECK_EQ(0, set_serial_spec(&c, spec, &e));
	config_fini(&c);
}

static const char *invalid(struct vm_config c)
{
	static struct err e;

	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	return e.text;
}

TEST(validate_refuses_each_wrong_field)
{
	const struct vm_config good = {.kernel = (char *)"k", .cpus = 1, .memory = 32 * MIB};
	struct vm_config c = good;
	struct err e;

	CHECK_EQ(0, config_validate(&good, &e));
	c.kernel = NULL;
	CHECK_STR("no kernel is named: --kernel FILE, or --config FILE with "
		  "boot-source.kernel_image_path",
		  invalid(c));
	c = good;
	c.initrd = (char *)"";
	CHECK_STR("the initrd's file name is empty", invalid(c));
	c = good;
	c.cpus = 0;
	CHECK_STR("0 vCPUs: 1 to 255 are possible", invalid(c));
	c.cpus = 256;
	CHECK_STR("256 vCPUs: 1 to 255 are possible", invalid(c));
	c = good;
	c.memory = 33 * MIB + 1;
	CHECK_HAS(invalid(c), "whole MiB from 32M to 8T");
	c.memory = CONFIG_MAX_MEMORY + MIB;
	CHECK_HAS(invalid(c), "whole MiB from 32M to 8T");
	c.memory = 31 * MIB;
	CHECK_HAS(invalid(c), "whole MiB from 32M to 8T");
	c = good;
	c.serial.kind = SERIAL_FILE;
	CHECK_STR("the serial port's file or socket is not named", invalid(c));
}
