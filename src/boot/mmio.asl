// SPDX-License-Identifier: Apache-2.0
/*
 * A virtio device over MMIO. boot/ssdt.c repeats it for each device, with the device's own name, number,
 * address and interrupt in place of VMIO, 0x55555555, 0x66666000 and 0x77777777.
 */
DefinitionBlock ("", "SSDT", 2, "TOYVMM", "TOYVMMIO", 1)
{
	Scope (\_SB)
	{
		Device (VMIO)
		{
			Name (_HID, "LNRO0005")
			Name (_UID, 0x55555555)
			Name (_CCA, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0x66666000, 0x00001000)
				Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 0x77777777 }
			})
		}
	}
}
