# SPDX-License-Identifier: Apache-2.0
# lab: --device nvme --append iommu=off
"""A host whose IOMMU is off: nothing can be passed, each command says so in one line, and nothing is changed."""
import os
import subprocess

import passthru as p
from vm import TOYVMM


def toyvmm(*words):
    return subprocess.run([TOYVMM, *words], capture_output=True, text=True, timeout=60, check=False)


def test_run_refuses():
    assert "it is in no IOMMU group: this host has no IOMMU, or it is switched off: enable VT-d or" in p.refused(p.NVME)


def test_bind_leaves_the_device_with_its_driver():
    p.tool("modprobe", "-a", "vfio_pci", "nvme")
    p.until(lambda: p.driver(p.NVME) == "nvme", "nvme has it")
    run = toyvmm("vfio", "bind", p.NVME)
    assert run.returncode == 1 and run.stdout == ""
    assert run.stderr.count("\n") == 1 and f"{p.NVME} is in no IOMMU group, and vfio-pci takes no device" in run.stderr
    assert p.driver(p.NVME) == "nvme" and os.path.exists("/dev/nvme0")


def test_checks_say_it():
    assert "no IOMMU the device is in no group: the IOMMU is off, or there is none\nmend: enable" in p.check(p.NVME, works=False)
    assert "no   PCI passthrough (--vfio)      there is no IOMMU group" in toyvmm("check").stdout
    assert "No IOMMU groups: nothing can be passed." in toyvmm("vfio", "list").stdout
