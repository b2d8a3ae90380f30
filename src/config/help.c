// SPDX-License-Identifier: Apache-2.0
#include "config/help.h"

#include <string.h>

#include "config/options.h"

void help_short(FILE *f)
{
	fputs("Usage: toyvmm run --kernel FILE [--initrd FILE] [OPTION]...\n"
	      "       toyvmm check\n"
	      "       toyvmm vfio list|check|bind|unbind\n"
	      "       toyvmm --help\n",
	      f);
}

void help_toyvmm(FILE *f)
{
	fputs("toyvmm boots Linux in a virtual machine (KVM, x86-64).\n\n"
	      "Usage:\n"
	      "  toyvmm run OPTION...   Start a virtual machine; 'toyvmm run --help' shows the "
	      "options.\n"
	      "  toyvmm check           Say what this host can run, and how to mend what it "
	      "cannot.\n"
	      "  toyvmm vfio ACTION     Show this host's PCI devices, and give one to a guest; "
	      "'toyvmm vfio --help'.\n"
	      "  toyvmm --help          Show this. Also -h, help.\n"
	      "  toyvmm --version       Show the version. Also -V.\n\n"
	      "Examples:\n"
	      "  toyvmm run --kernel vmlinux.bin --initrd initrd.img\n"
	      "  toyvmm run --kernel /boot/vmlinuz --initrd my.cpio.gz --memory 1G --cpus 2\n"
	      "  toyvmm run --kernel vmlinux.bin --disk rootfs.ext4,root --net user\n"
	      "  toyvmm run --config examples/small.json\n\n"
	      "The manual is toyvmm(1).\n",
	      f);
}

static void print_option(FILE *f, const struct option_row *o)
{
	const char *line = o->help;

	if (o->letter)
		fprintf(f, "  -%c, ", o->letter);
	fprintf(f, "%s--%s%s%s\n", o->letter ? "" : "  ", o->name, o->value ? " " : "",
		o->value ? o->value : "");
	while (line) {
		const char *end = strchr(line, '\n');
		int len = (int)(end ? (size_t)(end - line) : strlen(line));

		fprintf(f, "        %.*s\n", len, line);
		line = end ? end + 1 : NULL;
	}
	if (o->example)
		fprintf(f, "        Example: %s\n", o->example);
}

void help_run(FILE *f)
{
	fputs("Usage: toyvmm run --kernel FILE [OPTION]...\n"
	      "       toyvmm run --config FILE [OPTION]...\n\n"
	      "Boots a Linux kernel in a virtual machine. Its serial port is this terminal.\n\n"
	      "Options:\n",
	      f);
	for (int i = 0; i < N_OPTIONS; i++)
		print_option(f, &option_rows[i]);
	fputs("\nKeys on the terminal while the guest runs:\n"
	      "  Ctrl-A x       quit\n"
	      "  Ctrl-A h       show the keys\n"
	      "  Ctrl-A Ctrl-A  send Ctrl-A to the guest\n\n"
	      "Exit code: 0 the guest powered off or rebooted, 1 an error of the user or the "
	      "host,\n"
	      "2 wrong usage, 3 the guest panicked, 4 the guest crashed.\n",
	      f);
}

void help_check(FILE *f)
{
	fputs("Usage: toyvmm check\n\n"
	      "Says what this host can run: one line an item, yes, no, or '-' for mere "
	      "information, and\n"
	      "for each \"no\" why, and the mend. Changes nothing.\n\n"
	      "Exit code: 0 stock Linux guests run here, 1 they do not, 2 wrong usage.\n",
	      f);
}

void help_vfio(FILE *f)
{
	fputs("Usage: toyvmm vfio list            This host's PCI devices, by IOMMU group.\n"
	      "       toyvmm vfio check DEVICE    Can it be passed to a guest? If not, why, and the "
	      "mend. Changes nothing.\n"
	      "       toyvmm vfio bind DEVICE     Take it from its driver and give it to vfio-pci.\n"
	      "       toyvmm vfio unbind DEVICE   Give it back to the host's own driver.\n\n"
	      "DEVICE is an address as 'lspci -D' shows it. To a guest it is given by "
	      "'toyvmm run --vfio DEVICE'.\n\n"
	      "Example:\n"
	      "  toyvmm vfio list\n"
	      "  toyvmm vfio check 0000:03:00.0\n"
	      "  sudo toyvmm vfio bind 0000:03:00.0\n\n"
	      "Exit code: 0 done, or check says yes; 1 check says no, or an error; 2 wrong usage.\n",
	      f);
}
