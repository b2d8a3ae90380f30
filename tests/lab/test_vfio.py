# SPDX-License-Identifier: Apache-2.0
# lab: --device nvme,nvme2,e1000e,edu,testdev,shared
"""PCI devices of the outer machine, given to a stock Linux by VFIO: its own drivers work them."""
import pytest

import passthru as p
from vm import TEST_INITRD, Terminal

NVME_DRIVER = "/sys/bus/pci/drivers/nvme"


def nvme_guest(*devices, **more):
    options = [word for device in devices for word in ("--vfio", device)]
    return Terminal(*options, initrd=TEST_INITRD, **more)


@pytest.fixture(scope="module")
def nvme():
    p.bind(p.NVME)
    return p.NVME


def interrupts(guest, name):
    """How many interrupts of the name the guest has had, of all vectors and CPUs."""
    lines = guest.ok(f"grep {name} /proc/interrupts").splitlines()
    return sum(int(word) for line in lines for word in line.split()[1:] if word.isdigit())


def write_and_verify(guest, disk="/dev/nvme0n1"):
    guest.ok(f"fio --name=v --filename={disk} --rw=randwrite --bs=4k --size=2M --direct=1 --ioengine=libaio "
             "--iodepth=8 --verify=crc32c --minimal >/dev/null")


def test_nvme_disk_works_with_its_own_driver(nvme):
    with nvme_guest(nvme) as guest:
        guest.shell()
        print(guest.run("lspci -vvv -s 00:01.0; lspci; dmesg | grep -i 'pci\|nvme' | tail -20")[0])
        before = interrupts(guest, "nvme0q")
        write_and_verify(guest)
        assert interrupts(guest, "nvme0q") > before > 0
        guest.send("poweroff -f\r")
        assert guest.end() == 0
