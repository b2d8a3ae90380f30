// SPDX-License-Identifier: Apache-2.0
/*
 * The devices that a guest cannot find by probing a bus. Ports and interrupts are those of
 * mem/layout.h; a unit test compares them. The keyboard controller is left out on purpose: a kernel
 * with ACPI would spend time on probing it, and one without ACPI does not read this (docs/acpi.md).
 */
DefinitionBlock ("", "DSDT", 2, "TOYVMM", "TOYVMM  ", 1)
{
	// Soft off: the value for SLP_TYP in the PM1a and PM1b control registers.
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501")) // 16550A UART
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x3F8, 0x3F8, 1, 8)
				IRQNoFlags () { 4 } // edge-triggered, active high, not shared
			})
		}

		Device (RTC)
		{
			Name (_HID, EisaId ("PNP0B00")) // MC146818A clock
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x70, 0x70, 1, 2)
				IRQNoFlags () { 8 }
			})
		}

		Device (PEVT)
		{
			Name (_HID, "QEMU0001") // pvpanic
			Name (_STA, 0x0F)       // present, enabled, shown, working
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x505, 0x505, 1, 1)
			})
		}
	}
}
