# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at random moments: no write that the guest was told of is lost (docs/disk.md, "What is durable when").

KILLS says how often (200). Power cuts need a machine below: tests/lab/power_cuts.py.
"""
import os
import random
import subprocess

import pytest

from ledger import SIZE, Ledger
from test_guests import BUILD, TOYVMM

KILLS = int(os.environ.get("KILLS", "200"))
MOST = 100  # lines after which the longest run is killed


def start(cmdline, *disks):
    words = [TOYVMM, "run", "--quiet", "--kernel", f"{BUILD}/guest/ledger.elf", "--memory", "64M",
             "--cmdline", cmdline]
    for disk in disks:
        words += ["--disk", disk]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def write_and_kill(ledger, kind, *disks):
    """One run, killed after a random number of lines, so at a random place in what it does then."""
    vm = start(f"{kind} from={ledger.next}", *disks)
    lines = random.randrange(1, MOST)
    said = b""
    while said.count(b"\n") < lines:
        more = os.read(vm.stdout.fileno(), 16)
        assert more and b"FAIL" not in said, (said[-200:], vm.stderr.read())
        said += more
    vm.kill()
    rest, err = vm.communicate(timeout=60)
    assert vm.returncode == -9 and b"FAIL" not in said + rest, (said[-200:] + rest, err)
    assert ledger.add(said + rest) > 0, said


def read_through(disk, out):
    """What a guest sees of a disk, as an image."""
    with open(out, "wb") as f:
        f.truncate(SIZE)
    vm = start("copy", disk, str(out))
    said, err = vm.communicate(timeout=60)
    assert vm.returncode == 0 and b"PASS" in said, (said, err)


@pytest.mark.parametrize("engine", ["io_uring", "threads"])
def test_killed_machine_loses_no_write_it_has_acknowledged(tmp_path, engine, capsys):
    """On a raw disk and on an overlay at once; the overlay's base stays as it is."""
    raw, base, overlay, seen = (tmp_path / name for name in ("raw.img", "base.img", "overlay", "seen.img"))
    raw.write_bytes(bytes(SIZE))
    base.write_bytes(os.urandom(SIZE))
    before = base.read_bytes()
    over = f"{base},overlay={overlay}"
    ledger = Ledger()
    for _ in range(KILLS // 2):
        write_and_kill(ledger, "write", f"{raw},engine={engine}", over)
        with open(raw, "rb") as image:
            assert ledger.lost(image) == []
        read_through(over, seen)
        with open(seen, "rb") as image:
            assert ledger.lost(image) == []
    assert base.read_bytes() == before
    with capsys.disabled():
        print(f"\n-- {KILLS // 2} kills ({engine}, overlay): {ledger.count} acknowledged writes, none lost")


def test_lost_number_is_noticed(tmp_path):
    """The measure itself."""
    raw = tmp_path / "raw.img"
    raw.write_bytes(bytes(SIZE))
    ledger = Ledger()
    write_and_kill(ledger, "write", str(raw))
    with open(raw, "r+b") as image:
        assert ledger.lost(image) == []
        slot, said = next(iter(ledger.slots.items()))
        image.seek(slot * 512)
        image.write(bytes(8))
        image.flush()
        assert [number for number, _ in ledger.lost(image)] == [said]
