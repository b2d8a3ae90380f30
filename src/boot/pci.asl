// SPDX-License-Identifier: Apache-2.0
/*
 * The PCI bus: its windows and interrupt lines (PCI Firmware Specification 3.0, chapter 4). The window
 * above RAM depends on how much RAM there is: boot/ssdt.c puts the numbers in place of those with 7s. A unit test
 * compares the rest with mem/layout.h.
 */
DefinitionBlock ("", "SSDT", 2, "TOYVMM", "TOYVMPCI", 1)
{
	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03")) // host bridge of a conventional bus
			Name (_UID, 0)
			Name (_BBN, 0)
			Name (_SEG, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0, 0, 1)
				IO (Decode16, 0xCF8, 0xCF8, 1, 8) // configuration mechanism #1
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0xC000, 0xFFFF, 0, 0x4000)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0xC0000000, 0xDFFFFFFF, 0, 0x20000000)
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0x0007770000000000, 0x00077700FFFFFFFF, 0, 0x0000000100000000)
			})

			// INTA# of slot n is line n modulo 4, on the IOAPIC's pins from 16 on (pci_intx_line()).
			Name (_PRT, Package ()
			{
				Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0002FFFF, 0, 0, 18 },
				Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0004FFFF, 0, 0, 16 },
				Package () { 0x0005FFFF, 0, 0, 17 }, Package () { 0x0006FFFF, 0, 0, 18 },
				Package () { 0x0007FFFF, 0, 0, 19 }, Package () { 0x0008FFFF, 0, 0, 16 },
				Package () { 0x0009FFFF, 0, 0, 17 }, Package () { 0x000AFFFF, 0, 0, 18 },
				Package () { 0x000BFFFF, 0, 0, 19 }, Package () { 0x000CFFFF, 0, 0, 16 },
				Package () { 0x000DFFFF, 0, 0, 17 }, Package () { 0x000EFFFF, 0, 0, 18 },
				Package () { 0x000FFFFF, 0, 0, 19 }, Package () { 0x0010FFFF, 0, 0, 16 },
				Package () { 0x0011FFFF, 0, 0, 17 }, Package () { 0x0012FFFF, 0, 0, 18 },
				Package () { 0x0013FFFF, 0, 0, 19 }, Package () { 0x0014FFFF, 0, 0, 16 },
				Package () { 0x0015FFFF, 0, 0, 17 }, Package () { 0x0016FFFF, 0, 0, 18 },
				Package () { 0x0017FFFF, 0, 0, 19 }, Package () { 0x0018FFFF, 0, 0, 16 },
				Package () { 0x0019FFFF, 0, 0, 17 }, Package () { 0x001AFFFF, 0, 0, 18 },
				Package () { 0x001BFFFF, 0, 0, 19 }, Package () { 0x001CFFFF, 0, 0, 16 },
				Package () { 0x001DFFFF, 0, 0, 17 }, Package () { 0x001EFFFF, 0, 0, 18 },
				Package () { 0x001FFFFF, 0, 0, 19 }
			})
		}

		// The enhanced configuration space, which MCFG names, has to be reserved here: kernels check.
		Device (ECAM)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				Memory32Fixed (ReadWrite, 0xE0000000, 0x00100000)
			})
		}
	}
}
