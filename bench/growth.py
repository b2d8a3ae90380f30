# SPDX-License-Identifier: Apache-2.0
"""How start-up grows with what a machine has: CPU time of a VM's whole life, at this machine's own speed."""
import os
import subprocess

import peers
import start
from report import Table

NAMES = ("toyvmm", "QEMU microvm")
CPU_TIME = "ms of CPU, its whole life"


def file_of(mib):
    """A file of that size whose pages are in the page cache."""
    path = f"{peers.BUILD}/bench/initrd-{mib}.img"
    if not os.path.exists(path):
        subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={mib}", "status=none"], check=True)
    return path


def padded_kernel(mib):
    """start.elf with a data segment of that many MiB after the code."""
    path = f"{peers.BUILD}/bench/start-{mib}.elf"
    if not os.path.exists(path):
        subprocess.run(["make", "-s", f"BUILD={os.environ.get('BUILD', 'build')}", f"{os.environ.get('BUILD', 'build')}/bench/start-{mib}.elf"],
                       cwd=peers.ROOT, check=True)
    return path


def disks(n):
    """Different files: a VMM locks an image against another writer."""
    paths = [f"{peers.BUILD}/bench/growth-{i}.img" for i in range(n)]
    for path in paths:
        if not os.path.exists(path):
            with open(path, "wb") as out:
                out.truncate(1 << 20)
    return paths


def cases():
    kernel = f"{peers.BUILD}/bench/start.elf"
    yield ("memory size", "MiB of guest RAM", (128, 512, 2048, 8192, 65536),
           lambda n: peers.Machine(kernel, memory=n))
    yield "vCPUs", "vCPUs", (1, 2, 4, 8, 16, 32), lambda n: peers.Machine(kernel, cpus=n)
    yield "devices", "disks", (1, 2, 4, 8, 16, 30), lambda n: peers.Machine(kernel, disks=disks(n))
    yield ("initrd size", "MiB of initrd", (1, 8, 64, 512),
           lambda n: peers.Machine(kernel, memory=2048, initrd=file_of(n)))
    yield "kernel size", "MiB of kernel", (1, 4, 16, 64), lambda n: peers.Machine(padded_kernel(n))


def measure(long, _tap):
    tables = []
    for what, x, sizes, machine in cases():
        table = Table(f"Start-up against {what}", "ms of CPU, medians", x)
        for size in sizes:
            for _ in range(15 if long else 5):
                for name in peers.found(NAMES):
                    if what == "devices" and name == "QEMU microvm" and size > 8:
                        continue # it has no more
                    for found in start.together([peers.VMMS[name].command(machine(size))]):
                        table.add(size, name, found[CPU_TIME])
        tables.append(table)
    return tables
