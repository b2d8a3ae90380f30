/* SPDX-License-Identifier: Apache-2.0 */
/* Says which virtio devices there are, in the order in which they are found, and what the kernel is told. */
#include "lib_virtio.h"

void guest_main(const uint8_t *boot_params, const uint8_t *pvh_info)
{
	static struct vdev found[VDEV_MAX];
	unsigned n = vdev_find_all(found);

	(void)pvh_info;
	CHECK(boot_params != NULL);
	guest_print("CMDLINE ");
	guest_print((const char *)(uint64_t) * (const uint32_t *)(boot_params + 0x228));
	guest_print("\n");
	for (unsigned i = 0; i < n; i++) {
		CHECK(vdev_reset(&found[i]));
		guest_print(found[i].mmio ? "DEVICE mmio " : "DEVICE pci ");
		guest_print_hex(found[i].id);
		guest_print("\n");
	}
	guest_print("PASS\n");
}
