# SPDX-License-Identifier: Apache-2.0
"""Machines of other shapes: more memory than fits below 4 GiB, without ACPI, without parts of it."""
import os

import pytest

from vm import BUILD, Terminal, script

# The physical page behind a program's own data: word 0 of /proc/PID/pagemap's entry (admin-guide/mm/pagemap).
PAGE_FRAME = ("d=$(grep heap /proc/$$/maps); "
              "dd if=/proc/$$/pagemap bs=8 skip=$((0x${d%%-*}/4096)) count=1 2>/dev/null | od -An -tx4")


def test_6_gib_of_memory_are_there_and_used():
    with Terminal(memory="6G") as vm:
        vm.shell()
        kib = int(vm.ok("grep MemTotal /proc/meminfo").split()[1])
        assert 5.6 * 1024 ** 2 < kib < 6 * 1024 ** 2
        low, high = vm.ok(PAGE_FRAME).split()
        frame = int(low, 16) | (int(high, 16) & 0x7FFFFF) << 32
        assert frame * 4096 >= 4 << 30, f"the shell's memory is at {frame * 4096:#x}"
        vm.send("poweroff -f\r")
        assert vm.end() == 0


def kernel_can(option):
    """Whether the kernel was built with it."""
    with open(os.path.join(BUILD, "images", "default", "kernel", "config"), encoding="ascii") as config:
        return f"CONFIG_{option}=y\n" in config


def test_without_acpi_there_is_a_login_too():
    """With all vCPUs where the kernel reads MP tables; Debian's does not, and falls back to one CPU and the PIC."""
    cpus, controller = ("4", "IO-APIC") if kernel_can("X86_MPPARSE") else ("1", "XT-PIC")
    with Terminal("--cpus", "4", cmdline="acpi=off") as vm:
        vm.shell()
        assert vm.ok("nproc") == cpus
        line = vm.ok("grep ttyS0 /proc/interrupts")
        assert int(line.split()[1]) > 0 and controller in line
        vm.send("reboot\r")
        assert vm.end() == 0


@pytest.mark.parametrize("option,cpus", [
    ("noapic", "1"), ("nolapic", "1"), ("pci=off", "2"), ("nox2apic no-kvmclock", "2"),
])
def test_boots_with(option, cpus):
    """Far enough to answer what is typed: the serial port's interrupt arrives, however it is routed."""
    words = "echo say; read word; echo heard $word; reboot -f"
    with Terminal("--cpus", cpus, cmdline=f"{option} {script(words)}") as vm:
        vm.expect("say\r\n")
        vm.send("something\r")
        vm.expect("heard something")
        assert vm.end() == 0


def test_smallest_memory_says_what_is_wrong_or_boots():
    """32 MiB are too few for this initrd: then it is toyvmm that says so, not a guest that hangs."""
    with Terminal(memory="32M", cmdline=script("poweroff -f")) as vm:
        vm.expect("toyvmm: |Power down")
        assert vm.end() in (0, 1, 3)
