// SPDX-License-Identifier: Apache-2.0
#include "boot/linux.h"

#include <asm/bootparam.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "boot/memmap.h"

#define PROTOCOL 0x020f /* 2.15, what a kernel of today has; for an ELF, which says nothing */
#define LOADER_UNDEFINED \
	0xff            /* we have no number of our own; 0 would make it ignore the initrd \
			 */
#define RNG_SEED_LEN 32 /* what the kernel credits: one ChaCha key */

#ifndef SETUP_RNG_SEED
#define SETUP_RNG_SEED 9
#endif

/* Random numbers from the first instruction on; the kernel wipes it once mixed in. Before 6.0:
 * ignored. */
static int write_seed(struct gmem *m, struct err *e)
{
	struct setup_data head = {.next = 0, .type = SETUP_RNG_SEED, .len = RNG_SEED_LEN};
	uint8_t seed[RNG_SEED_LEN];
	int rc;

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return err_sys(e, "getrandom");
	if ((rc = gmem_write(m, BOOT_SETUP_DATA, &head, sizeof(head))) == 0)
		rc = gmem_write(m, BOOT_SETUP_DATA + sizeof(head), seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	return rc < 0 ? err_set(e, E2BIG, "no memory for the random seed") : 0;
}

static void fill_e820(struct boot_params *p, const struct gmem *m)
{
	struct memmap_entry map[MEMMAP_MAX];
	unsigned n = memmap_fill(map, m);

	for (unsigned i = 0; i < n; i++)
		p->e820_table[i] = (struct boot_e820_entry){.addr = map[i].addr,
							    .size = map[i].size,
							    .type = map[i].type};
	p->e820_entries = (uint8_t)n;
}

/* A bzImage's header is its own; an ELF has none, so it gets the fields a kernel looks at. */
static void fill_header(struct setup_header *h, const struct boot_kernel *k)
{
	*h = k->hdr;
	if (h->header != LINUX_HDRS) {
		h->boot_flag = 0xaa55;
		h->header = LINUX_HDRS;
		h->version = PROTOCOL;
		h->loadflags = LOADED_HIGH;
		h->cmdline_size = k->cmdline_max;
		h->initrd_addr_max = (uint32_t)k->initrd_max;
	}
	h->type_of_loader = LOADER_UNDEFINED;
	h->cmd_line_ptr = BOOT_CMDLINE;
	h->setup_data = BOOT_SETUP_DATA;
}

int linux_write_params(struct gmem *m, const struct boot_kernel *k,
		       const struct boot_initrd *initrd, struct err *e)
{
	struct boot_params p = {.acpi_rsdp_addr = BIOS_START};
	int rc = write_seed(m, e);

	if (rc < 0)
		return rc;
	fill_header(&p.hdr, k);
	fill_e820(&p, m);
	p.hdr.ramdisk_image = (uint32_t)initrd->addr;
	p.hdr.ramdisk_size = (uint32_t)initrd->size;
	p.ext_ramdisk_image = (uint32_t)(initrd->addr >> 32);
	p.ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
	if (gmem_write(m, BOOT_PARAMS, &p, sizeof(p)) < 0)
		return err_set(e, E2BIG, "no memory at 0x%llx for boot_params", BOOT_PARAMS);
	return 0;
}
