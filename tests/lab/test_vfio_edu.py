# SPDX-License-Identifier: Apache-2.0
# lab: --device edu --memory 4G
"""QEMU's edu device driven by a bare-metal guest (tests/guest/edu.c), and a hundred guests that get and leave it."""
import os
import resource
import subprocess

import pytest

import passthru as p
from vm import BUILD, TOYVMM

CYCLES = int(os.environ.get("CYCLES", "100"))


@pytest.fixture(scope="module", autouse=True)
def edu():
    p.bind(p.EDU)


def run(guest, *words, memory="64M", **more):
    command = [TOYVMM, "run", "--kernel", f"{BUILD}/guest/{guest}.elf", "--memory", memory, "--vfio", p.EDU, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False, **more)
    assert done.returncode == 0 and "PASS\n" in done.stdout and done.stderr == "", done
    return done.stdout


def test_registers_dma_intx_and_msi():
    assert run("edu").split() == ["REGISTERS", "DMA", "INTX", "MSI", "PASS"]


def test_iommu_stops_what_goes_beyond_the_guests_memory():
    """edu.c has written behind the guest's 64 MiB, at 80: the outer machine's IOMMU says so, and of no other address."""
    run("edu")
    faults = [line for line in p.tool("dmesg").splitlines() if "DMAR: [DMA" in line]
    assert faults and all("device [00:13.0]" in line and "fault addr 0x5000" in line for line in faults), faults


def test_ordinary_user_may_do_the_same():
    node = p.group(p.EDU)
    os.chown(node, 65534, -1)
    os.chmod("/dev/kvm", 0o666)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (128 << 20, 128 << 20))
    run("edu", user=65534)


def held():
    """What the kernel holds for who passes devices: pages that are pinned, open files, memory that is locked (KiB)."""
    with open("/proc/vmstat", encoding="ascii") as stat:
        pins = dict(line.split() for line in stat)
    with open("/proc/sys/fs/file-nr", encoding="ascii") as files:
        opened = int(files.read().split()[0])
    with open("/proc/meminfo", encoding="ascii") as info:
        locked = next(int(line.split()[1]) for line in info if line.startswith("Mlocked:"))
    return int(pins["nr_foll_pin_acquired"]) - int(pins["nr_foll_pin_released"]), opened, locked


def test_a_hundred_guests_one_after_the_other_leave_nothing_behind():
    """Together they pin 6 GiB, of which the outer machine has 4."""
    run("hello")
    before = held()
    for _ in range(CYCLES):
        run("hello")
    after = held()
    # Counters of each CPU, which are added up now and then. What a guest leaves pinned would be its 16,384 pages.
    assert abs(after[0] - before[0]) < 1000, (before, after)
    assert after[1] - before[1] < CYCLES and after[2] == before[2], (before, after)
    p.bind(p.EDU, "")
    assert p.driver(p.EDU) is None
    p.bind(p.EDU)
    run("hello")
