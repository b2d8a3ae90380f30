// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "config/options.h"
#include "config/set.h"
#include "config/text.h"

static int apply_kernel(struct vm_config *c, const char *value, struct err *e)
{
	return set_path(&c->kernel, value, e);
}

static int apply_initrd(struct vm_config *c, const char *value, struct err *e)
{
	return set_path(&c->initrd, value, e);
}

static int apply_cpus(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t n;

	if (parse_u64(value, &n) < 0)
		n = 0; /* as wrong as a 0, and the same words fit */
	return set_cpus(c, n, value, e);
}

static int apply_memory(struct vm_config *c, const char *value, struct err *e)
{
	uint64_t bytes;
	int rc = parse_size(value, &bytes);

	if (rc == -EINVAL)
		return err_set(e, EINVAL,
			       "'%s' is not a size: write 512M or 2G; a plain number is MiB",
			       show(value).text);
	return set_memory(c, rc < 0 ? UINT64_MAX : bytes, value, e);
}

static int check_config(struct vm_config *c, const char *value, struct err *e)
{
	(void)c; /* the file is read by cli.c, before any option is applied */
	return check_path(value, e);
}

/* clang-format off: one row an option */
const struct option_row option_rows[N_OPTIONS] = {
	[OPT_KERNEL] =
		{
			"kernel",
			'k',
			"FILE",
			false,
			"The kernel to boot: an ELF vmlinux or a bzImage (vmlinuz).",
			"--kernel vmlinux.bin",
			apply_kernel,
		},
	[OPT_INITRD] =
		{
			"initrd",
			'i',
			"FILE",
			false,
			"The initial RAM disk for the kernel. Default: none.",
			"--initrd initrd.img",
			apply_initrd,
		},
	[OPT_CMDLINE] =
		{
			"cmdline",
			'c',
			"TEXT",
			false,
			"The kernel's command line. Default: " CONFIG_DEFAULT_CMDLINE ".",
			"--cmdline 'console=ttyS0 quiet'",
			set_cmdline,
		},
	[OPT_CPUS] =
		{
			"cpus",
			'n',
			"N",
			false,
			"How many CPUs the guest has, 1 to 255. Default: 1.",
			"--cpus 4",
			apply_cpus,
		},
	[OPT_MEMORY] =
		{
			"memory",
			'm',
			"SIZE",
			false,
			"The guest's memory: MiB, or a number with K, M, G or T. Whole MiB, 32M to "
			"8T;\n"
			"the host's memory is used as the guest touches it. Default: 256M.",
			"--memory 2G",
			apply_memory,
		},
	[OPT_SERIAL] =
		{
			"serial",
			's',
			"WHERE",
			false,
			"Where the serial port ttyS0 goes: stdio (this terminal, the default), pty "
			"(a new\n"
			"pseudo terminal, its name is printed), file=PATH, socket=PATH (a Unix "
			"socket to\n"
			"connect to), or none.",
			"--serial socket=/tmp/vm.sock",
			set_serial_spec,
		},
	[OPT_CONFIG] =
		{
			"config",
			'f',
			"FILE",
			false,
			"Read the machine from a JSON file, with Firecracker's names. Options "
			"given as\n"
			"well win over the file.",
			"--config examples/small.json --memory 1G",
			check_config,
		},
	[OPT_VERBOSE] =
		{
			"verbose",
			'v',
			NULL,
			true,
			"Say more about what is done; twice: for debugging.",
			"-vv",
			NULL,
		},
	[OPT_QUIET] =
		{
			"quiet",
			'q',
			NULL,
			true,
			"No warnings, errors only.",
			"--quiet",
			NULL,
		},
	[OPT_HELP] =
		{
			"help",
			'h',
			NULL,
			true,
			"Show this and exit.",
			"--help",
			NULL,
		},
};
/* clang-format on */
