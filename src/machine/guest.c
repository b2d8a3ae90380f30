// SPDX-License-Identifier: Apache-2.0
#include "machine/guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/start.h"
#include "boot/acpi.h"
#include "boot/boot.h"
#include "boot/cmdline.h"
#include "boot/mptable.h"
#include "machine/virtio_board.h"

/* The window for large BARs: above RAM, as large as the processor can address, but no more than this. */
#define WINDOW64_ALIGN (1 * GIB)
#define WINDOW64_MAX   (1024 * GIB)

const char *guest_cmdline(const struct machine *m)
{
	return m->config->cmdline ? m->config->cmdline : CONFIG_DEFAULT_CMDLINE;
}

static void describe_window64(struct machine *m)
{
	uint64_t start = align_up(MAX(gmem_end(&m->ram), RAM_HOLE_END), WINDOW64_ALIGN);
	uint64_t end = 1ULL << MIN(m->address_bits, 52u);

	if (start < end) {
		m->hardware.window64 = start;
		m->hardware.window64_last = MIN(end - start, WINDOW64_MAX) + start - 1;
	}
}

void guest_describe(struct machine *m)
{
	struct boot_hardware *hw = &m->hardware;

	*hw = (struct boot_hardware){.cpus = m->n_vcpus, .acpi = ACPI_FIXED_HARDWARE};
	describe_window64(m);
	if (m->config->transport == TRANSPORT_PCI) {
		hw->pci = true;
		return;
	}
	hw->n_mmio =
		config_virtio_devices(m->config); /* the configuration was checked: there is room */
	for (unsigned i = 0; i < hw->n_mmio; i++)
		hw->mmio[i] = virtio_board_place(i);
}

/*
 * A kernel that panics and waits for ever would leave its user with a dead terminal and no exit code.
 * Unless the user says otherwise it resets at once, and toyvmm ends with 3. Without a PCI bus, looking for
 * one costs time and a line on the console.
 */
static const char *defaults(const struct machine *m)
{
	bool panic = cmdline_sets(guest_cmdline(m), "panic");
	bool pci = m->hardware.pci || cmdline_sets(guest_cmdline(m), "pci");

	if (panic)
		return pci ? "" : "pci=off";
	return pci ? "panic=-1" : "panic=-1 pci=off";
}

/* Words that the machine cannot do without, in front of the user's: where devices are, which one is the root. */
static char *make_cmdline(const struct machine *m)
{
	const struct boot_hardware *hw = &m->hardware;
	char root[CONFIG_ROOT_WORDS_MAX];
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	config_root_words(m->config, root);
	if (root[0])
		fprintf(f, "%s ", root);
	for (unsigned i = 0; i < hw->n_mmio; i++)
		fprintf(f, "virtio_mmio.device=4K@0x%llx:%u ", (unsigned long long)hw->mmio[i].base,
			hw->mmio[i].gsi);
	fputs(guest_cmdline(m), f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int write_tables(struct machine *m, struct err *e)
{
	int rc = acpi_write(&m->ram, &m->hardware, e);

	return rc < 0 ? rc : mptable_write(&m->ram, &m->hardware, e);
}

static int set_start(struct machine *m, const struct boot_entry *entry, struct err *e)
{
	struct start_state start = {
		.mode = entry->mode == BOOT_LINUX64 ? START_LONG : START_PROTECTED,
		.rip = entry->entry,
		.rsi = entry->mode == BOOT_PVH ? 0 : entry->params,
		.rbx = entry->mode == BOOT_PVH ? entry->params : 0,
	};
	int rc = start_write_tables(&m->ram, start.mode, e);

	return rc < 0 ? rc : start_set_registers(&m->vcpu[0].vcpu, &start, e);
}

int guest_load(struct machine *m, struct err *e)
{
	char *cmdline = make_cmdline(m);
	struct boot_source source = {
		.kernel = m->config->kernel,
		.initrd = m->config->initrd,
		.cmdline = cmdline,
		.defaults = defaults(m),
	};
	struct boot_entry entry;
	int rc;

	if (!cmdline)
		return err_set(e, ENOMEM, "command line: out of memory");
	if ((rc = boot_load(&entry, &m->ram, &source, e)) == 0 && (rc = write_tables(m, e)) == 0)
		rc = set_start(m, &entry, e);
	free(cmdline);
	return rc;
}
