# SPDX-License-Identifier: Apache-2.0
"""Start-up at this machine's own speed: from the start of a process to the first byte that its guest writes.
QEMU is its microvm here: q35 has a firmware to run first, which takes seconds under a paravirtual KVM."""
import os
import re
import selectors
import shutil
import subprocess
import time

import peers
from report import Table

MARK = b"\x01" # what bench/guest/start.c and wait.c write
LIMIT = 60.0 # seconds until a VM that wrote nothing is given up
NAMES = ("toyvmm", "QEMU microvm", "Firecracker", "Cloud Hypervisor", "kvmtool")


class Life:
    """One VM: spawned, its first byte seen, reaped. Times in milliseconds."""

    def __init__(self, command):
        ours, theirs = os.pipe()
        self.began, self.fd, self.first = time.perf_counter(), ours, None
        self.pid = os.posix_spawnp(command[0], command, os.environ, file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, theirs, 1),
            (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0), (os.POSIX_SPAWN_CLOSE, ours)])
        os.close(theirs)

    def read(self):
        """False at the end of its output."""
        some = os.read(self.fd, 4096)
        if MARK in some and self.first is None:
            self.first = (time.perf_counter() - self.began) * 1e3
        return bool(some)

    def end(self):
        os.close(self.fd)
        _, _, used = os.wait4(self.pid, 0)
        return {"ms until the first port write": self.first, "ms of CPU, its whole life": (used.ru_utime + used.ru_stime) * 1e3,
                "page faults": used.ru_minflt + used.ru_majflt}


def together(commands):
    """Starts all at once; what each took, without those that never wrote."""
    lives = [Life(c) for c in commands]
    left, limit = set(lives), time.perf_counter() + LIMIT
    with selectors.DefaultSelector() as wait:
        for life in lives:
            wait.register(life.fd, selectors.EVENT_READ, life)
        while left and time.perf_counter() < limit:
            for key, _ in wait.select(1.0):
                if not key.data.read():
                    wait.unregister(key.fd)
                    left.discard(key.data)
    for life in left:
        os.kill(life.pid, 9)
    return [found for life in lives if (found := life.end())[next(iter(found))] is not None]


def until_the_guest(command):
    """ms of CPU until a guest that writes one byte and halts has done so: of all threads, once they sleep. None: they do not."""
    life, limit = Life(command), time.perf_counter() + LIMIT
    life.read()
    spent = None
    while spent is None and time.perf_counter() < limit:
        tasks = [f"/proc/{life.pid}/task/{task}" for task in os.listdir(f"/proc/{life.pid}/task")]
        states = [words(f"{task}/stat")[2] for task in tasks]
        if all(state == "S" for state in states):
            spent = sum(int(words(f"{task}/schedstat")[0]) for task in tasks) / 1e6
        time.sleep(0.001)
    os.kill(life.pid, 9)
    life.end()
    return spent


def words(path):
    """Of a file whose second word is a name in brackets, or a number."""
    with open(path, encoding="ascii", errors="replace") as file:
        return re.sub(r"\(.*\)", "name", file.read()).split()


def system_calls(command):
    """Their number, of all threads; the guest is stopped at each, so nothing else of this run counts."""
    out = subprocess.run(["strace", "-f", "-c", "-o", "/dev/stdout", *command], stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=LIMIT, check=False).stdout.decode(errors="replace")
    total = re.search(r"^100\.00\s+\S+\s+(?:\d+\s+)?(\d+)\s.*total$", out, re.M)
    return int(total.group(1)) if total else None


def machines():
    yield "ELF", "elf", peers.Machine(f"{peers.BUILD}/bench/start.elf")
    yield "bzImage", "bzimage", peers.Machine(f"{peers.BUILD}/bench/start.bzimage", bzimage=True)


def before(long):
    table = Table("Start-up, CPU before the guest", "medians, ms of CPU from exec until the guest's first port write is done")
    for _ in range(100 if long else 20):
        for name in peers.found(NAMES[:2]):
            for memory in (128, 2048):
                spent = until_the_guest(peers.VMMS[name].command(peers.Machine(f"{peers.BUILD}/bench/wait.elf", memory=memory)))
                if spent:
                    table.add(f"{memory} MiB", name, spent)
    return table


def measure(long, _tap):
    tables = [before(long)]
    for label, kind, machine in machines():
        one = Table(f"Start-up, {label}", "medians of one VM after another")
        many = Table(f"Start-up, {label}, 20 at once", "medians")
        for _ in range(100 if long else 20):
            for name in peers.found(NAMES, kind):
                for found in together([peers.VMMS[name].command(machine)]):
                    for what, value in found.items():
                        one.add(what, name, value)
        for name in peers.found(NAMES, kind):
            calls = system_calls(peers.VMMS[name].command(machine)) if shutil.which("strace") else None
            if calls:
                one.add("system calls", name, calls)
            for found in together([peers.VMMS[name].command(machine) for _ in range(20)]):
                for what, value in found.items():
                    many.add(what, name, value)
        tables += [one, many]
    return tables
