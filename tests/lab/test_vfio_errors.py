# SPDX-License-Identifier: Apache-2.0
# lab: --device nvme2,edu,slot
"""Devices that cannot be passed as things are: `toyvmm run` says so in one line, `toyvmm vfio check` says the same and the mend."""
import os
import resource

import pytest

import passthru as p

NOBODY = 65534


@pytest.fixture(scope="module", autouse=True)
def ordinary_user_may():
    p.tool("modprobe", "-a", "vfio_pci", "vfio_iommu_type1", "nvme", "e1000")
    os.chmod("/dev/kvm", 0o666)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def nobodys_edu():
    """The edu device, whose group belongs to an ordinary user. Its node."""
    node = p.bind(p.EDU)
    os.chown(node, NOBODY, -1)
    yield node
    os.chown(node, 0, -1)


def low_limit():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (1 << 20, 1 << 20))


def test_wrong_driver():
    p.bind(p.NVME2, "")
    p.until(lambda: p.driver(p.NVME2) == "nvme", "nvme has it")
    said = p.refused(p.NVME2)
    assert f"{p.NVME2}': it is bound to nvme (nvme" in said and f"'sudo toyvmm vfio bind {p.NVME2}' changes that" in said
    report = p.check(p.NVME2, works=False)
    assert "no driver nvme, which uses it as nvme" in report and f"mend: sudo toyvmm vfio bind {p.NVME2}" in report
    assert report.count("\nno ") == 1, report
    assert p.driver(p.NVME2) == "nvme"


def test_no_driver():
    p.bind(p.EDU, "")
    assert p.driver(p.EDU) is None
    assert "it is bound to no driver, not to vfio-pci" in p.refused(p.EDU)
    assert "no driver none\nmend: sudo toyvmm vfio bind" in p.check(p.EDU, works=False)


def test_group_that_the_host_uses_as_well():
    p.bind(p.SLOT_EDU)
    p.bind(p.SLOT_E1000, "")
    p.until(lambda: p.driver(p.SLOT_E1000) == "e1000", "e1000 has it")
    said = p.refused(p.SLOT_EDU)
    number = os.path.basename(p.group(p.SLOT_EDU))
    assert f"it shares IOMMU group {number} with devices that the host uses: {p.SLOT_E1000} (e1000)" in said
    report = p.check(p.SLOT_EDU, works=False)
    assert f"no group {p.SLOT_E1000} is in it, too, and e1000 has it\nmend: sudo toyvmm vfio bind {p.SLOT_E1000}" in report
    p.bind(p.SLOT_E1000)
    p.check(p.SLOT_EDU, works=True)


def test_no_permission(nobodys_edu):
    os.chown(nobodys_edu, 0, -1)
    said = p.refused(p.EDU, user=NOBODY)
    assert f"{nobodys_edu}: permission denied: 'sudo chown $USER {nobodys_edu}' gives it to you" in said
    report = p.check(p.EDU, works=False, user=NOBODY)
    assert f'no access {nobodys_edu}: Permission denied\nmend: sudo chown "$USER" {nobodys_edu}' in report


def test_no_vfio_for_this_user(nobodys_edu):
    os.chmod("/dev/vfio/vfio", 0o600)
    try:
        assert "/dev/vfio/vfio: Permission denied" in p.refused(p.EDU, user=NOBODY)
        report = p.check(p.EDU, works=False, user=NOBODY)
        assert "no /dev/vfio/vfio Permission denied\nmend: sudo chmod 666 /dev/vfio/vfio" in report
    finally:
        os.chmod("/dev/vfio/vfio", 0o666)
    p.check(p.EDU, works=True, user=NOBODY)


def test_limit_of_locked_memory(nobodys_edu):
    said = p.refused(p.EDU, user=NOBODY, preexec_fn=low_limit)
    assert "256 MiB have to be locked in memory, and the limit is 1024 KiB: 'ulimit -l 327680'" in said
    report = p.check(p.EDU, works=False, user=NOBODY, preexec_fn=low_limit)
    assert "no locked memory a limit of 1M: too little for a guest\nmend: 'ulimit -l unlimited'" in report
    p.check(p.EDU, works=True, user=NOBODY)


def test_device_that_there_is_not():
    assert "there is no such PCI device" in p.refused("0f:1f.7")


def test_bridge():
    assert "it is bound to pcieport" in p.refused("00:18.0")
    assert "no kind of device a bridge\nmend: pass the devices behind it" in p.check("00:18.0", works=False)
