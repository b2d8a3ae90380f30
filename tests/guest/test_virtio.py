# SPDX-License-Identifier: Apache-2.0
"""Virtio devices under bare-metal drivers, on both transports: good ones, and the hostile suite."""
import re
import struct

import pytest

from test_guests import run

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
def test_hostile_driver_harms_nobody_but_its_own_device(disks, transport):
    code, out, err = run("hostile", "--transport", transport, *disks, timeout=240)
    lines = out.replace("\r", "").splitlines()
    bad = [line for line in lines if line.startswith(("FAIL", "WEDGED"))]
    counts = re.search(r"VERDICTS pass (\w+) reject (\w+) fail (\w+) wedged (\w+) skip (\w+)", out)
    assert code == 0 and counts, (code, lines[-3:], err)
    passed, rejected, _, _, skipped = (int(count, 16) for count in counts.groups())
    print(f"-- hostile, {transport}: {passed} passed, {rejected} rejected, {skipped} do not apply")
    assert not bad, bad
    assert passed + rejected >= 120


@pytest.mark.parametrize("engine,features", [("threads", ""), ("io_uring", ",packed")])
def test_hostile_driver_and_other_engines(disks, engine, features):
    disks[1] += f",engine={engine}{features}"
    code, out, err = run("hostile", *disks, timeout=240)
    assert code == 0 and "VERDICTS" in out, (code, err)
    assert not re.findall(r"^(?:FAIL|WEDGED).*", out, re.M)
