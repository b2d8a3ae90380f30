# SPDX-License-Identifier: Apache-2.0
"""From exec to exit at the first instruction of init, in virtual time: the nested lab under icount (docs/lab.md), where
neither the host's speed nor its load matters. QEMU's microvm does not come to its end there and is left out; so is Cloud
Hypervisor, to which init's reset is a reboot."""
import os
import re
import shutil
import subprocess
import sys

import peers
from report import Table

WORK = f"{peers.BUILD}/bench"
NAMES = ("toyvmm", "Firecracker", "kvmtool")
CMDLINE = "console=ttyS0 reboot=k panic=-1 cryptomgr.notests quiet"
BASE = {"kernel": "small", "format": "ELF", "root": "initrd", "cpus": 1, "memory": 128}
# AMD's exit codes (AMD64 manual, volume 2, appendix C) that a boot has
REASONS = {"96": "external interrupt", "114": "CPUID", "120": "HLT", "123": "I/O port", "124": "MSR", "1024": "nested page fault",
           "100": "interrupt window", "129": "VMMCALL", "127": "shutdown"}
PHASES = ("set-up", "guest", "teardown", "all")
TRIES = 2


def kernel(case):
    small, bzimage = case["kernel"] == "small", case["format"] == "bzImage"
    directory = os.environ.get("GUEST_KERNEL", f"{peers.BUILD}/images") if small else f"{peers.BUILD}/images"
    return f"{directory}/" + ({False: "guest-vmlinux", True: "guest-vmlinux.bzImage"} if small else
                              {False: "vmlinux", True: "vmlinuz"})[bzimage]


def make_files():
    """An init that resets the machine at once, in an initrd and on a disk."""
    subprocess.run(f"""cd {peers.ROOT} && mkdir -p {WORK}/root && gcc -Os -static -nostdlib -ffreestanding \
        -fno-stack-protector -o {WORK}/root/init images/test/exit.c && cd {WORK}/root && echo init | cpio -o -H newc --quiet >../initrd.img \
        && rm -f ../root.ext4 && /sbin/mkfs.ext4 -q -d . ../root.ext4 16M >/dev/null 2>&1
        mkdir -p ../dmesg/bin && cd ../dmesg && cp /bin/busybox bin && find . | cpio -o -H newc --quiet >../dmesg.img""",
                   shell=True, check=True)


def name(case):
    changed = [str(case[k]) + {"cpus": " vCPUs", "memory": " MiB"}.get(k, {"root": " as root"}.get(k, ""))
               for k in BASE if case[k] != BASE[k]]
    return ", ".join(changed) or "small kernel, ELF, initrd, 1 vCPU, 128 MiB"


def command(vmm, case):
    """Of files in the working directory, the VMM itself among them."""
    disk = case["root"] == "disk"
    words = CMDLINE + (" root=/dev/vda rw init=/init" if disk else "")
    machine = peers.Machine("kernel", case["memory"], case["cpus"], disks=["root.ext4"] if disk else [],
                            initrd="" if disk else "initrd.img", cmdline=words, bzimage=case["format"] == "bzImage")
    return ["./vmm", *peers.VMMS[vmm].command(machine)[1:]]


def parse(text):
    """What bench/boot-outer prints: the milliseconds of each run by phase; (tracepoint, key, number) of what was counted."""
    times, counts = [], []
    for line in text.splitlines():
        word = line.split()
        if word[:1] == ["TIMES"]:
            times.append({phase: int(us) / 1e3 for phase, us in zip(PHASES, word[1:])})
        elif word[:1] == ["COUNT"]:
            counts.append((word[1], word[2], int(word[3])))
    return times, counts


def run(vmm, case, runs):
    """Times and counts as of parse(); none if it came to no end. QEMU now and then stops for ever under icount: then once
    more, aloud. A guest of several vCPUs that hangs is boot-outer's to try again (docs/performance.md, "Four vCPUs"), and
    each of those takes a minute."""
    script = (f"mkdir /dev/shm/b && cp {shutil.which(peers.VMMS[vmm].program)} /dev/shm/b/vmm && "
              f"cp {WORK}/initrd.img {WORK}/root.ext4 /dev/shm/b && "
              f"cp {kernel(case)} /dev/shm/b/kernel && cd /dev/shm/b && exec {peers.ROOT}/bench/boot-outer \"$@\"")
    limit = (170 + 10 * runs) * (1 if case["cpus"] == 1 else 4)
    for _ in range(TRIES):
        p = subprocess.run([f"{peers.ROOT}/lab/run", "--icount", "--timeout", str(limit), "--", "bash", "-c", script,
                            "boot", str(runs), *command(vmm, case)], capture_output=True, text=True, cwd=peers.ROOT, check=False)
        if p.returncode == 0:
            return parse(p.stdout)
        print(f"   {vmm}: {name(case)}: the lab came to no end (status {p.returncode}): {p.stderr[-200:]}", file=sys.stderr)
    return [], []


def initcalls():
    """The kernel's own initcalls by what each took, in ms of virtual time: what printk's clock says between its two lines. One
    that the scheduler interrupts, to unpack the initrd for one, has that in it too."""
    words = (CMDLINE + " initcall_debug printk.time=1 log_buf_len=1M rdinit=/bin/busybox -- sh -c "
             "\"busybox dmesg | busybox grep -E 'initcall|calling'\"")
    vmm = [f"{peers.BUILD}/toyvmm", "run", "--quiet", "--kernel", kernel(BASE), "--memory", "128M", "--initrd",
           f"{WORK}/dmesg.img", "--cmdline", words]
    p = subprocess.run([f"{peers.ROOT}/lab/run", "--icount", "--timeout", "100", "--", *vmm], capture_output=True, text=True,
                       errors="replace", cwd=peers.ROOT, check=False)
    began, table = {}, Table("Boot of Linux, the longest initcalls", "ms of virtual time")
    took = {}
    for at, what, call in re.findall(r"^\[ *([\d.]+)\] (calling|initcall) +(\w+)", p.stdout, re.M):
        if what == "calling":
            began[call] = float(at)
        elif call in began:
            took[call] = (float(at) - began[call]) * 1e3
    for call in sorted(took, key=took.get, reverse=True)[:12]:
        table.add(call, "toyvmm", took[call])
    return table


def cases(long):
    yield BASE
    for key, value in (("format", "bzImage"), ("root", "disk"), ("memory", 2048), ("kernel", "cloud"), ("cpus", 4)):
        yield {**BASE, key: value}
    if long:
        yield {**BASE, "kernel": "cloud", "format": "bzImage"}
        yield {**BASE, "kernel": "cloud", "cpus": 4}
        yield {**BASE, "kernel": "cloud", "memory": 2048}
        yield {**BASE, "root": "disk", "cpus": 4, "memory": 2048}
        yield {**BASE, "root": "disk", "cpus": 4, "memory": 2048, "format": "bzImage"}


def measure(long, _tap):
    make_files()
    phases, exits = Table("Boot of Linux, exec to exit", "ms of virtual time"), Table("Boot of Linux, exits by reason", "number")
    places = Table("Boot of Linux, the busiest ports and registers", "exits of the first case")
    beside = {"guest": Table("Boot of Linux beside others, the guest's part", "ms of virtual time"),
              "all": Table("Boot of Linux beside others, exec to exit", "ms of virtual time")}
    for case in cases(long):
        if not os.path.exists(kernel(case)):
            print(f"   {name(case)}: no {kernel(case)} (make guest-kernel)", file=sys.stderr)
            continue
        for vmm in peers.found(NAMES, case["format"].lower()):
            label = name(case) if vmm == "toyvmm" else f"{vmm}: {name(case)}"
            times, counts = run(vmm, case, 3 if long else 2)
            for phase, ms in (item for one in times for item in one.items()):
                phases.add(label, phase, ms)
                if phase in beside:
                    beside[phase].add(name(case), vmm, ms)
            for what, key, number in counts:
                if what == "kvm_exit":
                    exits.add(label, REASONS.get(key, "other"), number)
            at = sorted(((number, what, int(key)) for what, key, number in counts if what != "kvm_exit"), reverse=True)
            for number, what, key in at[:12] if case == BASE else ():
                places.add(f"{what} {key:#x}", vmm, number)
    calls = initcalls() if os.path.exists(kernel(BASE)) else Table("")
    for row in exits.rows.values(): # several reasons may be "other"
        for column, samples in row.items():
            row[column] = [sum(samples)]
    others = [t for t in beside.values() if len(t.columns()) > 1]
    return [t for t in (phases, *others, exits, places, calls) if t.rows]
