# SPDX-License-Identifier: Apache-2.0
"""What a VMM has in memory beyond guest RAM: resident pages of all mappings but the largest, from /proc/PID/smaps."""
import os
import subprocess
import sys
import time

import peers
from report import Table

NAMES = ("toyvmm", "toyvmm mmio", "QEMU microvm", "QEMU q35", "Firecracker", "Cloud Hypervisor")


def beyond_ram(pid, memory):
    """KiB resident, and KiB of those private and written, without the mapping that is guest RAM."""
    resident = private = size = 0
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as smaps:
        for line in smaps:
            word = line.split()
            if word[0] == "Size:":
                size = int(word[1])
            elif size < memory * 1024 and word[0] == "Rss:":
                resident += int(word[1])
            elif size < memory * 1024 and word[0] == "Private_Dirty:":
                private += int(word[1])
    return resident, private


def hold(name, machine, requests, tables, label, pause=0):
    """One VM of bench/guest/hold.c: idle, then after so many thousand requests, with so many seconds after each thousand."""
    resident, private = tables
    with open(peers.VMMS["toyvmm"].program, "rb") as program:
        os.fsync(program) # pages of a program that has just been linked count as written
    with subprocess.Popen(peers.VMMS[name].command(machine), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as vm:
        words = b""
        while b"READY" not in words.rpartition(b"\n")[0] and (some := vm.stdout.read1()):
            words += some
        if b"READY" not in words or requests and b"READY, disk" not in words:
            print(f"   {name}, {label}: the guest " + ("found no disk" if b"READY" in words else "did not start"), file=sys.stderr)
            vm.kill()
            return
        for thousand in range(requests + 1):
            if thousand in (0, 1, requests):
                what = label + (f", after {thousand},000 reads" if thousand else "")
                for table, value in zip((resident, private), beyond_ram(vm.pid, machine.memory)):
                    table.add(what, name, value)
            if thousand < requests:
                time.sleep(pause)
                vm.stdin.write(b"x")
                vm.stdin.flush()
                words = b""
                while b"DONE" not in words and (some := vm.stdout.read1()):
                    words += some
        vm.kill()


def measure(long, tap):
    kernel, image = f"{peers.BUILD}/bench/hold.elf", f"{peers.BUILD}/bench/disk.img"
    tables = Table("Memory beyond guest RAM, resident", "KiB"), Table("Memory beyond guest RAM, private and written", "KiB")
    for name in peers.found(NAMES):
        for memory in (128, 2048):
            hold(name, peers.Machine(kernel, memory=memory), 0, tables, f"1 vCPU, {memory} MiB")
        hold(name, peers.Machine(kernel, cpus=32), 0, tables, "32 vCPUs")
        hold(name, peers.Machine(kernel, disks=[image], tap=tap), 60 if long else 3, tables,
             "disk and tap" if tap else "disk", pause=60 if long else 0) # an hour of it
    return list(tables)
