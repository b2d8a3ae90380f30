// SPDX-License-Identifier: Apache-2.0
#include "boot/pvh.h"

#include <errno.h>

#include "boot/memmap.h"

struct pvh_page { /* one page holds it all */
	struct hvm_start_info info;
	struct hvm_modlist_entry initrd;
	struct hvm_memmap_table_entry map[MEMMAP_MAX];
};
_Static_assert(sizeof(struct hvm_start_info) == 56, "fixed by the Xen ABI");
_Static_assert(sizeof(struct hvm_modlist_entry) == 32, "fixed by the Xen ABI");
_Static_assert(sizeof(struct hvm_memmap_table_entry) == 24, "fixed by the Xen ABI");
_Static_assert(sizeof(struct pvh_page) <= PAGE_SIZE, "the stack lies above");

int pvh_write_start_info(struct gmem *m, const struct boot_initrd *initrd, struct err *e)
{
	struct memmap_entry map[MEMMAP_MAX];
	unsigned n = memmap_fill(map, m);
	struct pvh_page p = {
		.info = {.magic = XEN_HVM_START_MAGIC_VALUE,
			 .version = PVH_VERSION,
			 .cmdline_paddr = BOOT_CMDLINE,
			 .rsdp_paddr = BIOS_START,
			 .memmap_paddr = BOOT_PARAMS + offsetof(struct pvh_page, map),
			 .memmap_entries = n},
	};

	for (unsigned i = 0; i < n; i++)
		p.map[i] = (struct hvm_memmap_table_entry){.addr = map[i].addr,
							   .size = map[i].size,
							   .type = map[i].type};
	if (initrd->size) {
		p.info.nr_modules = 1;
		p.info.modlist_paddr = BOOT_PARAMS + offsetof(struct pvh_page, initrd);
		p.initrd = (struct hvm_modlist_entry){.paddr = initrd->addr, .size = initrd->size};
	}
	if (gmem_write(m, BOOT_PARAMS, &p, sizeof(p)) < 0)
		return err_set(e, E2BIG, "no memory at 0x%llx for hvm_start_info", BOOT_PARAMS);
	return 0;
}
