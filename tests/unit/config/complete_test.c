// SPDX-License-Identifier: Apache-2.0
/* What follows from all that was said, and what contradicts something else. */
#include <errno.h>
#include <string.h>

#include "../test.h"
#include "config/device.h"
#include "config/options.h"

/* The configuration of these words, completed; the caller frees it. */
#define MADE(...) made((const char *const[]){"-kk", __VA_ARGS__, NULL})
static struct vm_config made(const char *const *words)
{
	struct options o;
	struct err e = {""};
	struct vm_config c;
	int n = 0;

	while (words[n])
		n++;
	config_init(&c);
	if (options_parse(&o, n, (char **)words, &e) == 0 && options_apply(&o, &c, &e) == 0)
		CHECK_EQ(0, config_complete(&c, &e));
	CHECK_STR("", e.text);
	return c;
}

#define VALID(...)                                       \
	do {                                             \
		struct vm_config c_ = MADE(__VA_ARGS__); \
		struct err e_ = {""};                    \
		config_validate(&c_, &e_);               \
		CHECK_STR("", e_.text);                  \
		config_fini(&c_);                        \
	} while (0)
#define INVALID(text_, ...)                                   \
	do {                                                  \
		struct vm_config c_ = MADE(__VA_ARGS__);      \
		struct err e_ = {""};                         \
		CHECK_EQ(-EINVAL, config_validate(&c_, &e_)); \
		CHECK_STR(text_, e_.text);                    \
		config_fini(&c_);                             \
	} while (0)

static enum transport_kind transport_with(const char *cmdline)
{
	struct vm_config c = MADE("-c", cmdline);
	enum transport_kind transport = c.transport;

	config_fini(&c);
	return transport;
}

TEST(transport_is_pci_unless_the_command_line_says_pci_off)
{
	CHECK_EQ(TRANSPORT_PCI, transport_with("console=ttyS0"));
	CHECK_EQ(TRANSPORT_PCI, transport_with(""));
	CHECK_EQ(TRANSPORT_MMIO, transport_with("console=ttyS0 pci=off"));
	CHECK_EQ(TRANSPORT_MMIO, transport_with("  pci=off panic=1"));
	CHECK_EQ(TRANSPORT_MMIO, transport_with("pci=nomsi,off"));
	CHECK_EQ(TRANSPORT_MMIO, transport_with("pci=nomsi pci=off"));
	CHECK_EQ(TRANSPORT_PCI, transport_with("pci=nomsi"));
	CHECK_EQ(TRANSPORT_PCI, transport_with("pci=offset"));
	CHECK_EQ(TRANSPORT_PCI, transport_with("xpci=off"));
	CHECK_EQ(TRANSPORT_PCI, transport_with("pci=nomsi, off"));
	CHECK_EQ(TRANSPORT_PCI, transport_with("quiet -- pci=off"));
}

TEST(transport_that_was_chosen_stays)
{
	struct vm_config c = MADE("-c", "pci=off", "--transport=pci");

	CHECK_EQ(TRANSPORT_PCI, c.transport);
	config_fini(&c);
	VALID("-c", "pci=off", "--transport=pci");
	VALID("-c", "pci=off", "--rng");
	INVALID("the transport is pci, but the kernel's command line says pci=off: the guest would "
		"have no devices",
		"-c", "pci=off", "--transport=pci", "--rng");
}

TEST(older_toyvmm_file_has_mmio)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	c.older_toyvmm = true;
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_EQ(TRANSPORT_MMIO, c.transport);
	c.transport_given = true;
	c.transport = TRANSPORT_PCI;
	CHECK_EQ(0, config_complete(&c, &e));
	CHECK_EQ(TRANSPORT_PCI, c.transport);
	config_fini(&c);
}

TEST(console_on_the_terminal_takes_it_from_the_serial_port)
{
	struct vm_config c = MADE("--console", "stdio");

	CHECK_EQ(SERIAL_NONE, c.serial.kind);
	CHECK_STR("console=hvc0", c.cmdline);
	CHECK(c.console[0].is_console);
	config_fini(&c);
	c = MADE("--console", "stdio", "-c", "quiet");
	CHECK_STR("quiet", c.cmdline);
	config_fini(&c);
	c = MADE("--console", "stdio", "-s", "pty");
	CHECK_EQ(SERIAL_PTY, c.serial.kind);
	CHECK(c.cmdline == NULL);
	config_fini(&c);
	c = MADE("--console", "pty", "--console", "stdio");
	CHECK_EQ(SERIAL_NONE, c.serial.kind);
	CHECK(c.cmdline == NULL);
	CHECK(c.console[0].is_console && !c.console[1].is_console);
	config_fini(&c);
	c = MADE("--console", "pty");
	CHECK_EQ(SERIAL_STDIO, c.serial.kind);
	config_fini(&c);
}

TEST(devices_without_an_id_are_numbered_around_those_with_one)
{
	struct vm_config c =
		MADE("-d", "a", "-d", "b,id=disk0", "-d", "c,serial=S", "-d",
		     "d,id=a-name-of-many-letters", "-N", "user", "-N", "tap,id=disk0");

	CHECK_STR("disk1", c.disk[0].id);
	CHECK_STR("disk0", c.disk[1].id);
	CHECK_STR("disk2", c.disk[2].id);
	CHECK_STR("disk1", c.disk[0].serial);
	CHECK_STR("S", c.disk[2].serial);
	CHECK_STR("a-name-of-many-lette", c.disk[3].serial);
	CHECK_STR("net0", c.net[0].id);
	CHECK_STR("disk0", c.net[1].id);
	config_fini(&c);
}

#define ROOT_WORDS(expected, ...)                        \
	do {                                             \
		struct vm_config c_ = MADE(__VA_ARGS__); \
		char words_[CONFIG_ROOT_WORDS_MAX];      \
		config_root_words(&c_, words_);          \
		CHECK_STR(expected, words_);             \
		config_fini(&c_);                        \
	} while (0)

TEST(root_words_name_the_root_disk_by_its_place)
{
	ROOT_WORDS("", "-d", "a");
	ROOT_WORDS("root=/dev/vda rw", "-d", "a,root");
	ROOT_WORDS("root=/dev/vdc ro", "-d", "a", "-d", "b", "-d", "c,root,ro");
	ROOT_WORDS("root=/dev/vda rw", "-d", "a,root,overlay=temporary");
	ROOT_WORDS("root=PARTUUID=6d1c4d2a-02 ro", "-d", "x", "-d",
		   "a,root,partuuid=6d1c4d2a-02,ro");
}

TEST(root_words_give_way_to_the_users)
{
	ROOT_WORDS("", "-d", "a,root", "-c", "quiet root=/dev/vdb");
	ROOT_WORDS("root=/dev/vda rw", "-d", "a,root", "-c", "rootfstype=ext4 xroot=1");
	ROOT_WORDS("root=/dev/vda rw", "-d", "a,root", "-c", "init=/bin/sh -- root=x");
}

TEST(root_disk_beyond_vdz_has_two_letters)
{
	char words[CONFIG_ROOT_WORDS_MAX];
	struct vm_config c;
	struct err e;

	config_init(&c);
	for (int i = 0; i < 28; i++)
		config_add_disk(&c, &e);
	c.disk[25].root = true;
	config_root_words(&c, words);
	CHECK_STR("root=/dev/vdz rw", words);
	c.disk[25].root = false;
	c.disk[27].root = true;
	config_root_words(&c, words);
	CHECK_STR("root=/dev/vdab rw", words);
	config_fini(&c);
}

TEST(root_words_of_the_longest_partuuid_fit)
{
	char words[CONFIG_ROOT_WORDS_MAX], disk[128] = "a,root,partuuid=";
	struct vm_config c;

	memset(disk + 16, 'f', 64);
	c = MADE("-d", disk);
	config_root_words(&c, words);
	CHECK_STR("ff rw", words + strlen(words) - 5);
	config_fini(&c);
}

TEST(terminal_has_one_user)
{
	INVALID("the serial port and a console both want the terminal (stdio)", "--console",
		"stdio", "--serial", "stdio");
	INVALID("two consoles want the terminal (stdio)", "--console", "stdio", "--console",
		"stdio");
	VALID("--console", "stdio", "--console", "pty", "--console", "none");
}

TEST(consoles_have_names_and_paths_of_their_own)
{
	INVALID("two consoles have the name 'a'", "--console", "pty,name=a", "--console",
		"none,name=a");
	INVALID("two consoles use 'x'", "--console", "file=x", "--console", "socket=x");
	INVALID("the serial port and a console both use 'x'", "--console", "file=x", "-s",
		"file=x");
}

TEST(root_is_one_disk_and_ids_are_used_once)
{
	INVALID("two disks are the root disk: 'disk0' and 'x'", "-d", "a,root", "-d",
		"b,root,id=x");
	INVALID("two disks have the id 'x'", "-d", "a,id=x", "-d", "b,id=x");
	INVALID("two network interfaces have the id 'x'", "-N", "user,id=x", "-N", "tap,id=x");
}

TEST(file_of_two_disks_is_not_written)
{
	static const char text[] = "disks 'disk0' and 'disk1' both use 'a', and one of them writes";

	INVALID(text, "-d", "a", "-d", "a");
	INVALID(text, "-d", "a,ro", "-d", "a");
	INVALID(text, "-d", "a,overlay=b", "-d", "a");
	INVALID(text, "-d", "x,overlay=a", "-d", "a,ro");
	INVALID(text, "-d", "a,ro", "-d", "x,overlay=a");
	INVALID(text, "-d", "x,overlay=a", "-d", "y,overlay=a");
	INVALID(text, "-d", "a,nolock", "-d", "a");
	VALID("-d", "a,ro", "-d", "a,ro");
	VALID("-d", "a,overlay=temporary", "-d", "a,overlay=b", "-d", "a,ro");
	VALID("-d", "a,nolock", "-d", "a,nolock");
}

TEST(network_interfaces_share_nothing)
{
	INVALID("'net0' and 'net1' have the same MAC address", "-N", "user,mac=52:54:00:00:00:01",
		"-N", "tap,mac=52:54:00:00:00:01");
	INVALID("'net0' and 'net1' use the same tap, fd or socket", "-N", "tap=a", "-N", "tap=a");
	INVALID("'net0' and 'net1' use the same tap, fd or socket", "-N", "tap,fd=4", "-N",
		"tap,fd=4");
	INVALID("'net0' and 'net1' use the same tap, fd or socket", "-N", "passt=s", "-N",
		"passt=s");
	VALID("-N", "tap", "-N", "tap", "-N", "user", "-N", "user");
}

TEST(port_of_the_host_is_forwarded_once)
{
	INVALID("port 1 of the host is forwarded twice", "-N",
		"user,hostfwd=::1-:2,hostfwd=::1-:3");
	INVALID("port 1 of the host is forwarded twice", "-N", "user,hostfwd=::1-:2", "-N",
		"user,hostfwd=tcp:127.0.0.1:1-:3");
	VALID("-N", "user,hostfwd=::1-:2,hostfwd=udp::1-:2", "-N",
	      "user,hostfwd=:127.0.0.1:2-:2,hostfwd=:127.0.0.2:2-:2");
}

/* n disks more than the other five virtio devices. */
static const char *count_error(enum transport_kind transport, unsigned n_disks)
{
	struct vm_config c = MADE("-N", "user", "--rng", "--console", "none", "--vsock",
				  "cid=3,socket=s", "--balloon", "0");
	static struct err e;

	e.text[0] = '\0';
	c.transport = transport;
	for (unsigned i = 0; i < n_disks; i++)
		config_add_disk(&c, &e)->path = strdup((char[]){'a', (char)('A' + i), '\0'});
	config_validate(&c, &e);
	config_fini(&c);
	return e.text;
}

TEST(transport_has_room_for_so_many_devices)
{
	CHECK_STR("", count_error(TRANSPORT_PCI, 26));
	CHECK_STR("32 devices: at most 31 are possible with the pci transport",
		  count_error(TRANSPORT_PCI, 27));
	CHECK_STR("", count_error(TRANSPORT_MMIO, 11));
	CHECK_STR("17 devices: at most 16 are possible with the mmio transport",
		  count_error(TRANSPORT_MMIO, 12));
}

TEST(balloon_leaves_some_memory)
{
	VALID("--balloon", "255M");
	INVALID("a balloon of 256 MiB would take all of the guest's 256 MiB", "--balloon", "256M");
}

TEST(validate_judges_each_device_whatever_its_source)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	CHECK_EQ(0, option_rows[OPT_KERNEL].apply(&c, "k", &e));
	CHECK(config_add_disk(&c, &e));
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_STR("disk '?': the disk's file is not named (path_on_host)", e.text);
	c.n_disks = 0;
	config_add_net(&c, &e)->kind = NET_PASST;
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_STR("network interface '?': 'passt' needs a socket: passt=SOCKET", e.text);
	c.n_nets = 0;
	config_add_console(&c, &e)->kind = CONSOLE_FILE;
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_STR("console 0: 'file' needs a path", e.text);
	c.n_consoles = 0;
	c.vsock.cid = 3;
	CHECK_EQ(-EINVAL, config_validate(&c, &e));
	CHECK_STR("vsock: the host's side is missing: socket=PATH", e.text);
	config_fini(&c);
}
