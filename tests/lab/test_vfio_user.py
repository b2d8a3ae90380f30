# SPDX-License-Identifier: Apache-2.0
"""An NVMe controller in a process of its own (tests/vfio_user), given to a stock Linux by vfio-user."""
import os

import pytest

import passthru as p
from vm import BUILD, TEST_INITRD, Terminal

MIB = 1 << 20
DISK = "/dev/nvme0n1"


class NvmeServer(p.Daemon):
    """Serves a file as an NVMe disk. `doorbells`: message, shadow, eventfd."""

    def __init__(self, socket, image, doorbells="message"):
        if os.path.exists(socket):
            os.unlink(socket)
        super().__init__([os.path.join(BUILD, "vfio-user-nvme"), "--doorbells", doorbells, socket, image],
                         lambda: os.path.exists(socket))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(64 * MIB)
    return str(path)


@pytest.fixture
def socket(tmp_path):
    return str(tmp_path / "nvme.sock")


def guest_of(socket, *options, **more):
    return Terminal("--vfio-user", socket, *options, **{"initrd": TEST_INITRD, **more})


def write_and_verify(guest, disk=DISK, size="4M"):
    guest.ok(f"fio --name=v --filename={disk} --rw=randwrite --bs=4k --size={size} --direct=1 --ioengine=libaio "
             "--iodepth=8 --verify=crc32c --minimal >/dev/null")


@pytest.mark.parametrize("doorbells", ["message", "shadow", "eventfd"])
def test_disk_works_with_its_own_driver(socket, image, doorbells):
    with NvmeServer(socket, image, doorbells), guest_of(socket, "--cpus", "4") as guest:
        guest.shell()
        assert int(guest.ok(f"cat /sys/block/{os.path.basename(DISK)}/size")) == 64 * MIB // 512
        write_and_verify(guest)
        guest.send("poweroff -f\r")
        assert guest.end() == 0
