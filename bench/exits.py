# SPDX-License-Identifier: Apache-2.0
"""What one exit costs its guest, at this machine's own speed: bench/guest/exits.c says how."""
import subprocess
import sys
import time

import peers
from report import Table

NAMES = ("toyvmm", "toyvmm mmio", "QEMU microvm", "QEMU q35")
CALIBRATION = 1 << 28
ROWS = {"port": "read of an I/O port", "mmio": "read of a device register", "doorbell": "doorbell (ioeventfd)",
        "read-polled": "disk read of 4 KiB, polled", "read-interrupt": "disk read of 4 KiB, interrupt",
        "frame": "ARP request and answer"}


def run(name, machine, table):
    """One VM. A tick's length is what the host's clock says between T0 and T1."""
    began = ns = None
    with subprocess.Popen(peers.VMMS[name].command(machine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace") as vm:
        for line in vm.stdout:
            word = line.split()
            if line.startswith("T0"):
                began = time.perf_counter()
            elif line.startswith("T1"):
                ns = (time.perf_counter() - began) * 1e9 / CALIBRATION
            elif word and word[0] in ROWS:
                table.add(ROWS[word[0]], name, int(word[1], 16) * ns / 1e3)
            elif "DONE" in line:
                break
            elif "FAIL" in line:
                print(f"   {name}: {line.rstrip()}", file=sys.stderr)
                break
        vm.kill()


def measure(long, tap):
    image = f"{peers.BUILD}/bench/disk.img"
    machine = peers.Machine(f"{peers.BUILD}/bench/exits.elf", disks=[image], tap=tap)
    table = Table("Exits of a bare-metal guest", "microseconds, the fastest batch of 40; medians of the runs")
    for _ in range(9 if long else 3):
        for name in peers.found(NAMES):
            run(name, machine, table)
    return [table]
