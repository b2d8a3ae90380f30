# SPDX-License-Identifier: Apache-2.0
# lab: --device nvme,nvme2
"""NVMe disks of the outer machine, given to a stock Linux by VFIO: its own driver works them."""
import os

import pytest

import passthru as p

DRIVER = "/sys/bus/pci/drivers/nvme"


@pytest.fixture(scope="module")
def nvme():
    p.bind(p.NVME)
    return p.NVME


def write_and_verify(guest, disk="/dev/nvme0n1"):
    guest.ok(f"fio --name=v --filename={disk} --rw=randwrite --bs=4k --size=1M --direct=1 --ioengine=libaio "
             "--iodepth=8 --verify=crc32c --minimal >/dev/null")


def test_nvme_disk_works_and_its_driver_comes_and_goes(nvme):
    with p.start(nvme) as guest:
        guest.shell()
        assert "driver in use: nvme" in guest.ok("lspci -ks 00:01.0")
        before = p.interrupts(guest, "nvme0q")
        write_and_verify(guest)
        assert p.interrupts(guest, "nvme0q") > before > 0
        for _ in range(3):
            guest.ok(f"echo 0000:00:01.0 >{DRIVER}/unbind")
            guest.ok(f"echo 0000:00:01.0 >{DRIVER}/bind")
        guest.ok("while [ ! -b /dev/nvme0n1 ]; do sleep 0.1; done")
        write_and_verify(guest)
        guest.ok("echo 1 >/sys/bus/pci/devices/0000:00:01.0/reset")  # a function level reset
        p.power_off(guest)


def test_two_disks_four_cpus_and_memory_above_4_gib(nvme):
    p.bind(p.NVME2)
    with p.start(nvme, p.NVME2, options=("--cpus", "4"), memory="5G") as guest:
        guest.shell()
        for disk in "/dev/nvme0n1", "/dev/nvme1n1":
            write_and_verify(guest, disk)
        assert p.interrupts(guest, "nvme1q") > 0
        # The guest's reset ends this toyvmm, with requests on their way; the next one finds a device as new.
        guest.send("fio --name=r --filename=/dev/nvme0n1 --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=16 "
                   "--time_based --runtime=60 >/dev/null & sleep 1; reboot -f\r")
        assert guest.end() == 0
    with p.start(nvme) as guest:
        guest.shell()
        write_and_verify(guest)
        # So it does after a death without a last word, in the middle of it all.
        guest.send("fio --name=w --filename=/dev/nvme0n1 --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16 "
                   "--time_based --runtime=60 >/dev/null & sleep 1; echo now$((6*7))\r")
        guest.expect("now42")
        os.kill(guest.pid, 9)
    p.tool("modprobe", "nvme")
    p.bind(nvme, "")
    assert p.driver(nvme) == "nvme"
    p.until(lambda: os.path.exists("/dev/nvme0n1") or os.path.exists("/dev/nvme1n1"), "the host's driver works it")
    p.bind(nvme)
