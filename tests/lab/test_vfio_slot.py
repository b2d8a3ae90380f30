# SPDX-License-Identifier: Apache-2.0
# lab: --device slot
"""Two functions in one slot that can only be reset together: a hot reset, and both of them in one guest."""
import mmap
import os
import subprocess

import passthru as p
from vm import BUILD, TOYVMM

RAL, RDBAL = 0x5400, 0x2800  # e1000: its address; a register of receiving that is 0 after a reset


class Registers:
    """A PCI device's first BAR, as the host sees it."""

    def __init__(self, bdf):
        p.tool("setpci", "-s", bdf, "COMMAND=2:2")
        fd = os.open(f"{p.PCI}/devices/{bdf}/resource0", os.O_RDWR)
        self.words = memoryview(mmap.mmap(fd, 0)).cast("I")
        os.close(fd)

    def __getitem__(self, offset):
        return self.words[offset // 4]

    def __setitem__(self, offset, value):
        self.words[offset // 4] = value


def bind_both():
    p.bind(p.SLOT_EDU)
    p.bind(p.SLOT_E1000)


def run_with_edu():
    """What toyvmm says while a guest has the first function."""
    done = subprocess.run([TOYVMM, "run", "--kernel", f"{BUILD}/guest/hello.elf", "--serial", "none", "--vfio", p.SLOT_EDU],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done
    return done.stderr


def test_one_device_is_reset_with_its_neighbour():
    bind_both()
    card = Registers(p.SLOT_E1000)
    card[RDBAL] = 0x12340
    assert card[RDBAL] == 0x12340
    assert run_with_edu() == ""
    assert Registers(p.SLOT_E1000)[RDBAL] == 0


def test_no_reset_where_the_neighbour_is_not_given_away():
    """It has no driver, but is not vfio-pci's either: the kernel does not reset it, and toyvmm says so."""
    p.bind(p.SLOT_EDU)
    p.bind(p.SLOT_E1000, "")
    assert p.driver(p.SLOT_E1000) is None
    card = Registers(p.SLOT_E1000)
    card[RDBAL] = 0x12340
    assert "it cannot be reset (Invalid argument): it may not be as after power-on" in run_with_edu()
    assert card[RDBAL] == 0x12340


def test_both_in_one_guest():
    bind_both()
    with p.start(p.SLOT_EDU, p.SLOT_E1000) as guest:
        guest.shell()
        guest.ok("setpci -s 00:01.0 COMMAND=2:2; setpci -s 00:02.0 COMMAND=2:2")
        edu, card = (int(guest.ok(f"setpci -s 00:0{slot}.0 BASE_ADDRESS_0"), 16) & ~15 for slot in (1, 2))
        assert int(guest.ok(f"busybox devmem {edu:#x} 32"), 16) & 0xff == 0xed
        assert int(guest.ok(f"busybox devmem {card + RAL:#x} 32"), 16) == 0x12005452  # 52:54:00:12
        guest.ok(f"busybox devmem {card + RDBAL:#x} 32 0x5670")
        assert int(guest.ok(f"busybox devmem {card + RDBAL:#x} 32"), 16) == 0x5670
        p.power_off(guest)
    assert Registers(p.SLOT_E1000)[RDBAL] == 0
