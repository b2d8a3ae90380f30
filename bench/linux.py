# SPDX-License-Identifier: Apache-2.0
"""Disk and network of Linux guests, by bench/io in the nested lab."""
import json
import os
import subprocess

import peers
from report import Table

NAMES = {"toyvmm": "toyvmm", "toyvmm-mmio": "toyvmm mmio", "qemu": "QEMU q35", "qemu-microvm": "QEMU microvm"}
MIB_OF_MBIT = 8 * 1.048576


def cost(workload, figure):
    """What bench/io counts a second, as the time for one: as in all tables here, less is better."""
    if workload == "tcp-rr":
        return figure
    if workload.startswith("tcp"):
        return 1e6 * MIB_OF_MBIT / figure
    return 1e6 / figure


def measure(long, _tap):
    out = os.path.abspath(f"{peers.BUILD}/bench-io/out")
    os.makedirs(out, exist_ok=True)
    how = ("-n", "5", "-s", "2", "-b", "3") if long else ("-n", "3", "-s", "1")
    subprocess.run([f"{peers.ROOT}/bench/io", *how, "--json", f"{out}/io.json", *NAMES], check=True)
    boots = Table("Linux guests, boot with a disk and a network", "ms")
    memory = Table("Linux guests, memory beyond guest RAM", "KiB resident")
    small = Table("Linux guests, small requests", "microseconds for each")
    streams = Table("Linux guests, streams", "microseconds for a MiB")
    exits = Table("Linux guests, exits", "for a boot, a request, or 64 KiB of TCP")
    with open(f"{out}/io.json", encoding="ascii") as found:
        results = json.load(found)
    for workload, row in results.items():
        stream = workload.endswith("1m-4") or workload in ("tcp-send", "tcp-receive")
        for vmm, runs in row.items():
            for figure, spent in runs:
                if workload == "boot":
                    boots.add("exec to network", NAMES[vmm], figure)
                elif workload.startswith("memory"):
                    memory.add({"memory-boot": "booted"}.get(workload, "after the workloads"), NAMES[vmm], figure)
                else:
                    (streams if stream else small).add(workload, NAMES[vmm], cost(workload, figure))
                if spent is not None:
                    exits.add(workload, NAMES[vmm], spent)
    return [boots, memory, small, streams, exits]
