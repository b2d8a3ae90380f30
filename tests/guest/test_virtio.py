# SPDX-License-Identifier: Apache-2.0
"""Virtio devices under bare-metal drivers, on both transports: good ones, and the hostile suite."""
import os
import re
import struct
import subprocess
import threading

import pytest

from test_guests import BUILD, TOYVMM, run

SECTORS = 2048


@pytest.fixture
def disks(tmp_path):
    """Two images whose sectors begin with their own numbers: the one to maltreat, and the read-only witness."""
    image = b"".join(struct.pack("<Q", sector) + bytes(504) for sector in range(SECTORS))
    paths = [tmp_path / name for name in ("disk.img", "witness.img")]
    for path in paths:
        path.write_bytes(image)
    return ["--disk", str(paths[0]), "--disk", f"{paths[1]},readonly"]


@pytest.mark.parametrize("transport", ["pci", "mmio"])
@pytest.mark.parametrize("words", ["", ",packed", ",engine=threads"])
def test_driver_is_told_by_the_right_interrupts(disks, transport, words):
    """MSI-X, masks, INTx, the line of virtio-mmio, suppression; and that the disk grows, when it asks for that."""
    path = disks[1]
    command = [TOYVMM, "run", "--quiet", "--kernel", f"{BUILD}/guest/virtio.elf", "--memory", "64M", "--cpus", "2",
               "--transport", transport, "--disk", f"{path},queues=4{words}"]
    said = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as vmm:
        patience = threading.Timer(120, vmm.kill)
        patience.start()
        for line in vmm.stdout:
            said.append(line.strip())
            if said[-1] == "RESIZE":
                os.truncate(path, os.path.getsize(path) + 8 * 512)
                os.close(os.open(path, os.O_WRONLY))  # closing it is what others are told of
    patience.cancel()
    assert vmm.returncode == 0 and said[-1] == "PASS", said


def verdicts(code, out, err):
    """How many cases passed, were rejected, and do not apply; all others are told."""
    bad = re.findall(r"^(?:FAIL|WEDGED).*", out, re.M)
    counts = re.search(r"VERDICTS pass (\w+) reject (\w+) fail (\w+) wedged (\w+) skip (\w+)", out)
    assert code == 0 and counts, (code, out.splitlines()[-3:], err)
    assert not bad, bad
    passed, rejected, _, _, skipped = (int(count, 16) for count in counts.groups())
    return passed, rejected, skipped


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_hostile_driver_harms_nobody_but_its_own_device(disks, transport):
    code, out, err = run("hostile", "--transport", transport, *disks, timeout=240)
    passed, rejected, skipped = verdicts(code, out, err)
    print(f"-- hostile, {transport}: {passed} passed, {rejected} rejected, {skipped} do not apply")
    assert passed + rejected >= 120


@pytest.mark.parametrize("engine,features", [("threads", ""), ("io_uring", ",packed")])
def test_hostile_driver_and_other_engines(disks, engine, features):
    disks[1] += f",engine={engine}{features}"
    code, out, err = run("hostile", *disks, timeout=240)
    verdicts(code, out, err)


# What a device is asked for by, and how many cases there are at least: some forty for each queue.
DEVICES = {
    "rng": (["--rng"], 45),
    "balloon": (["--balloon", "0,stats=1,reporting"], 220),
    "console": (["--console", "none", "--console", "none,name=port"], 270),
    "vsock": (["--vsock", "cid=3,socket={}/vsock"], 140),
    "net": (["--net", "user,packed"], 290),
}


@pytest.mark.parametrize("transport", ["pci", "mmio"])
@pytest.mark.parametrize("device", DEVICES)
def test_hostile_driver_of_any_device(disks, tmp_path, device, transport):
    options, least = DEVICES[device]
    options = [word.format(tmp_path) for word in options]
    code, out, err = run("hostile", "--transport", transport, *disks, *options, timeout=300)
    passed, rejected, skipped = verdicts(code, out, err)
    print(f"-- hostile {device}, {transport}: {passed} passed, {rejected} rejected, {skipped} do not apply")
    assert passed + rejected >= least
