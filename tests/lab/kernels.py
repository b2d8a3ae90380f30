# SPDX-License-Identifier: Apache-2.0
"""`make test-kernels`: Debian 12's kernel, 6.12 and 7.x, as ELF and as bzImage, with 1 and 2 vCPUs, to a login, with a
disk and a network over PCI (the ELF) and over MMIO (the bzImage).

Not part of `make test`, hence the name. The lab's emulated processor now and then corrupts a guest's RFLAGS
(docs/lab.md). A crash that shows that is told apart by the dump's EFLAGS, printed, counted, and tried once more;
any other failure, and a second one, fails the test.
"""
import io
import os
import re
import tempfile

import pytest

from vm import BUILD, Terminal

SUITES = ("default", "bookworm-backports", "trixie-backports")

# Never in a running Linux: bits 22 to 31, 15, 5 and 3 are reserved and 0, bit 1 is reserved and 1 (SDM volume 1, 3.4.3).
ALWAYS_0, ALWAYS_1 = 0xFFC08028, 0x2


def corrupt_flags(console):
    """The first EFLAGS in a dump that no processor can have, if there is one."""
    for flags in re.findall(r"(?:EFLAGS: |rflags )([0-9a-f]{8})", console):
        value = int(flags, 16)
        if value & ALWAYS_0 or not value & ALWAYS_1:
            return flags
    return None


def use_devices(vm):
    """What is written to the disk is read back by another path than the cache; the network's other end answers."""
    vm.ok("head -c 8000000 /dev/urandom >/tmp/data; dd if=/tmp/data of=/dev/vda bs=100k conv=fsync")
    vm.ok("echo 3 >/proc/sys/vm/drop_caches")
    assert vm.ok("head -c 8000000 /dev/vda | cmp - /tmp/data && echo same") == "same"
    vm.ok("for i in $(seq 100); do ip addr show dev eth0 | grep -q 10.0.2.15 && break; sleep 0.2; done; ip addr show dev eth0 | grep 10.0.2.15")
    assert vm.ok("ping -c 3 -q 10.0.2.2 | grep -o '[0-9]* packets received'") == "3 packets received"


def boot(image, suite, cpus):
    """One boot to a login, some work, and poweroff: the kernel's release, or what went wrong."""
    where = os.path.join(BUILD, "images", suite)
    transport = "pci" if image == "vmlinux" else "mmio"
    with tempfile.NamedTemporaryFile() as disk:
        disk.truncate(64 << 20)
        vm = Terminal("--cpus", cpus, "--transport", transport, "--disk", disk.name, "--net", "user",
                      kernel=os.path.join(where, image), initrd=os.path.join(where, "initrd.img"))
        with vm:
            vm.tty.logfile_read = io.StringIO()
            try:
                vm.shell()
                assert vm.ok("nproc") == cpus
                assert vm.ok("head -c 100000 /dev/urandom | gzip | gunzip | wc -c") == "100000"
                use_devices(vm)
                release = vm.ok("uname -r")
                vm.send("poweroff\r")
                assert vm.end() == 0
                return release, None
            except AssertionError as e:
                return None, f"{e}\nAll of the console:\n{vm.tty.logfile_read.getvalue()}"


@pytest.mark.parametrize("cpus", ["1", "2"])
@pytest.mark.parametrize("image", ["vmlinux", "vmlinuz"])
@pytest.mark.parametrize("suite", SUITES)
def test_kernel_boots(suite, image, cpus, say):
    release, wrong = boot(image, suite, cpus)
    if wrong and (flags := corrupt_flags(wrong)):
        say(f"the lab's crash, not toyvmm's: EFLAGS {flags} in {suite}/{image} with {cpus} vCPUs. Once more:\n{wrong}")
        release, wrong = boot(image, suite, cpus)
    assert not wrong, wrong
    say(f"{release}, {image}, {cpus} vCPUs")


def test_corrupt_flags_are_told_from_good_ones():
    """The measure itself."""
    assert corrupt_flags("RSP: 0018:ffff EFLAGS: 00010246") is None
    assert corrupt_flags("RSP: 002b:00007ffd EFLAGS: 00000202 ORIG_RAX") is None
    assert corrupt_flags("no dump at all") is None
    assert corrupt_flags("EFLAGS: 00010246\nEFLAGS: c19c60a2\n") == "c19c60a2"
    assert corrupt_flags("EFLAGS: 00000200") == "00000200"
