# SPDX-License-Identifier: Apache-2.0
# lab: --device nvme,e1000e,edu
"""`toyvmm vfio list, check, bind, unbind` on the outer machine's real PCI devices behind its IOMMU."""
import os
import re
import resource
import subprocess

import pytest

TOYVMM = os.path.join(os.environ.get("BUILD", "build"), "toyvmm")
NVME, E1000E, EDU = "0000:00:10.0", "0000:00:12.0", "0000:00:13.0"


def tool(*words, user=None):
    return subprocess.run([TOYVMM, "vfio", *words], capture_output=True, text=True, timeout=60, user=user, check=False)


def driver(bdf):
    link = f"/sys/bus/pci/devices/{bdf}/driver"
    return os.path.basename(os.readlink(link)) if os.path.islink(link) else ""


@pytest.fixture(scope="module", autouse=True)
def modules():
    subprocess.run(["modprobe", "-a", "nvme", "vfio_pci", "vfio_iommu_type1"], check=True, timeout=60)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 30, 1 << 30))  # as much as a guest needs, for ordinary users


@pytest.fixture
def nvme():
    tool("unbind", NVME)
    assert driver(NVME) == "nvme"
    yield NVME
    tool("unbind", NVME)


def test_list_shows_each_device_with_its_group_driver_and_interrupts(nvme):
    run = tool("list")
    assert run.returncode == 0 and run.stderr == ""
    line = next(line for line in run.stdout.splitlines() if nvme in line)
    assert re.match(r"\d+ +0000:00:10.0 +1b36:0010 +NVMe disk +nvme +65 +flr", line), line
    assert "16K" in line and "(nvme" in line
    assert len(run.stdout.splitlines()) == 1 + len(os.listdir("/sys/bus/pci/devices"))


def test_check_changes_nothing_and_says_what_to_do(nvme):
    run = tool("check", nvme)
    assert run.returncode == 1
    assert f"mend: sudo toyvmm vfio bind {nvme}" in run.stdout
    assert driver(nvme) == "nvme"


def test_what_check_says_makes_it_work(nvme):
    command = re.search(r"mend: sudo toyvmm (.*)", tool("check", nvme).stdout).group(1)
    run = subprocess.run([TOYVMM, *command.split()], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stdout == f"{nvme}: driver vfio-pci\n"
    run = tool("check", nvme)
    assert run.returncode == 0, run.stdout
    assert "It will work: toyvmm run --vfio 0000:00:10.0" in run.stdout
    assert driver(nvme) == "vfio-pci"


def test_bind_and_unbind_twice_are_as_once(nvme):
    for name in ("vfio-pci", "vfio-pci"):
        assert tool("bind", "00:10.0").returncode == 0 and driver(nvme) == name
    for name in ("nvme", "nvme"):
        assert tool("unbind", nvme).returncode == 0 and driver(nvme) == name
    with open(f"/sys/bus/pci/devices/{nvme}/driver_override", encoding="ascii") as file:
        assert file.read() == "(null)\n"


def test_ordinary_user_is_told_whose_group_it_is(nvme):
    assert tool("bind", nvme).returncode == 0
    group = os.path.basename(os.readlink(f"/sys/bus/pci/devices/{nvme}/iommu_group"))
    run = tool("check", nvme, user=1000)
    assert run.returncode == 1
    assert f"mend: sudo chown \"$USER\" /dev/vfio/{group}" in run.stdout
    os.chown(f"/dev/vfio/{group}", 1000, 1000)
    run = tool("check", nvme, user=1000)
    assert run.returncode == 0, run.stdout
    assert "guests up to" in run.stdout


def test_ordinary_user_cannot_bind(nvme):
    run = tool("bind", nvme, user=1000)
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and "try it with sudo" in run.stderr
    assert driver(nvme) == "nvme"


@pytest.mark.parametrize("written", ["0000:00:1f.8", "nonsense", "0000:55:00.0", ""])
def test_device_that_there_is_not_is_one_line(written):
    for action in ("check", "bind", "unbind"):
        run = tool(action, written)
        assert run.returncode == 1
        assert run.stderr.count("\n") == 1 and "toyvmm vfio list" in run.stderr


def test_device_without_a_driver_can_be_bound():
    assert driver(EDU) == ""
    assert tool("bind", EDU).returncode == 0
    assert driver(EDU) == "vfio-pci"
    assert tool("unbind", EDU).returncode == 0
    assert driver(EDU) == ""
