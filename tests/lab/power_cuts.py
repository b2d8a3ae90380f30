# SPDX-License-Identifier: Apache-2.0
"""Power cuts: what the guest has flushed is there afterwards (docs/disk.md, "What is durable when").

Runs on the host, not in the lab: it is the outer machine that loses its power. Its disk, a file here, has an ext4
with the images of toyvmm's guest (tests/guest/ledger.c); what was only in the outer kernel's page cache is gone when
QEMU is killed. CUTS says how often (3; `make test-durability`: 30).
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import threading

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "guest"))
from ledger import SIZE, Ledger, numbers  # noqa: E402

BUILD = os.environ.get("BUILD", "build")
CUTS = int(os.environ.get("CUTS", "3"))
PATIENCE = 300  # seconds for one boot of the outer machine and what it does

# In the outer machine: first hand out what is on the disk, then write until the power goes. The image of an overlay
# is what a guest sees through it.
JOB = r"""
set -e
mount -t ext4 /dev/vda /mnt
cd /mnt
run() {
  "$BUILD/toyvmm" run --quiet --kernel "$BUILD/guest/ledger.elf" --memory 64M "$@" </dev/null
}
if [ -e overlay ]; then
  cp raw.img "$OUT"
  truncate -s 2M /tmp/seen.img
  run --cmdline copy --disk base.img,overlay=overlay --disk /tmp/seen.img
  cp /tmp/seen.img "$OUT"
  cmp base.img "$OUT/base.img"
else
  truncate -s 2M raw.img
  cp "$OUT/base.img" .
  sync
fi
[ "$KIND" != stop ] || exit 0
echo writing
run --cmdline "$KIND from=$FROM" --disk "raw.img$WORDS" --disk "base.img,overlay=overlay$WORDS"
"""


class Machine:
    """The outer machine with its disk, boot after boot."""

    def __init__(self, where):
        self.disk, self.out = str(where / "disk.img"), str(where / "out")
        os.mkdir(self.out)
        with open(os.path.join(self.out, "base.img"), "wb") as base:
            base.write(os.urandom(SIZE))
        with open(self.disk, "wb") as disk:
            disk.truncate(64 << 20)
        subprocess.run([shutil.which("mke2fs", path="/sbin:/usr/sbin:/usr/bin"), "-q", "-t", "ext4", self.disk], check=True)

    def start(self, kind, first, words=""):
        env = [f"BUILD={os.path.join(ROOT, BUILD)}", f"OUT={self.out}", f"KIND={kind}", f"FROM={first}", f"WORDS={words}"]
        command = ["lab/run", "--memory", "1G", "--disk", self.disk, "--out", self.out]
        for pair in env:
            command += ["--env", pair]
        return subprocess.Popen(command + ["--", "bash", "-c", JOB], cwd=ROOT, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def read_back(self, ledger):
        """Numbers that are not on the disks of the last run."""
        lost = []
        for name in ("raw.img", "seen.img"):
            with open(os.path.join(self.out, name), "rb") as image:
                lost += [(name, *numbers) for numbers in ledger.lost(image)]
        return lost


def qemu_of(lab):
    """The process id of the QEMU that a lab/run has started, and nobody else's."""
    with open(f"/proc/{lab.pid}/task/{lab.pid}/children", encoding="ascii") as children:
        for pid in children.read().split():
            with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                if name.read().startswith("qemu-system"):
                    return int(pid)
    raise AssertionError("lab/run has no QEMU below it")


def cut_power(lab, lines):
    """Reads what the outer machine says, up to so many numbers; kills QEMU; returns all that was said."""
    watchdog = threading.Timer(PATIENCE, lab.kill)
    watchdog.start()
    said = b""
    while len(numbers(said)) < lines:
        more = os.read(lab.stdout.fileno(), 65536)
        assert more and b"FAIL" not in said, said[-1000:].decode(errors="replace")
        said += more
    os.kill(qemu_of(lab), signal.SIGKILL)
    said += lab.stdout.read()
    lab.wait()
    watchdog.cancel()
    return said.split(b"writing\n", 1)[1]


@pytest.fixture(name="machine")
def machine_fixture(tmp_path):
    return Machine(tmp_path)


def stop(machine):
    """A boot that reads the disks and ends."""
    lab = machine.start("stop", 0)
    said, _ = lab.communicate(timeout=PATIENCE)
    assert lab.returncode == 0, said.decode(errors="replace")


def test_power_cut_loses_no_flushed_write(machine, capsys):
    """By turns with flushes, and with a driver that takes none, so that each write is a durable one."""
    ledger = Ledger()
    for cut in range(CUTS):
        lab = machine.start(("flush", "through")[cut % 2], ledger.next)
        said = cut_power(lab, random.randrange(1, 200))
        if cut:
            assert machine.read_back(ledger) == [], f"after cut {cut} of {CUTS}"
        ledger.add(said)
    stop(machine)
    assert machine.read_back(ledger) == []
    with capsys.disabled():
        print(f"\n-- {CUTS} power cuts, raw and overlay: {ledger.count} flushed writes, none lost")


def test_power_cut_without_flushes_loses_writes(machine):
    """The measure itself: these cuts do lose what a disk was not told to keep."""
    ledger = Ledger()
    ledger.add(cut_power(machine.start("flush", ledger.next, ",noflush"), 50))
    stop(machine)
    lost = machine.read_back(ledger)
    assert {name for name, *_ in lost} == {"raw.img", "seen.img"}
