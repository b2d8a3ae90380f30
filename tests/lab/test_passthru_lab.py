# SPDX-License-Identifier: Apache-2.0
# lab: --kernel $BUILD/lab/bookworm-backports --device nvme,e1000e,edu,testdev,virtio-net,virtio-blk,shared --net
"""The lab's own side of passthrough, with no VMM: each device that the tests pass on comes up, and goes away again."""
import os
import socket

import pytest

import passthru as p


@pytest.mark.parametrize("bdf", [p.NVME, p.E1000E, p.EDU, p.TESTDEV, p.VIRTIO_BLK])
def test_device_has_a_group_of_its_own_and_goes_to_vfio_and_back(bdf):
    assert os.listdir(f"/sys/bus/pci/devices/{bdf}/iommu_group/devices") == [bdf]
    node = p.bind(bdf)
    assert os.path.exists(node)
    p.bind(bdf, "")
    assert not os.path.exists(node) and p.driver(bdf) != "vfio-pci"


def test_shared_devices_are_in_one_group():
    assert p.group(p.SHARED_EDU) == p.group(p.SHARED_TESTDEV)


def test_outer_machine_has_an_end_of_the_wire():
    name = p.wire("192.168.9.1/24")
    assert "192.168.9.1/24" in p.tool("ip", "-o", "addr", "show", "dev", name)


@pytest.mark.parametrize("parent,kind", [("mtty", "mtty-1"), ("mtty", "mtty-2"), ("mdpy", "mdpy-vga")])
def test_mdev_is_made_with_a_group_and_removed(parent, kind):
    path = p.mdev(parent, kind)
    group = os.path.basename(os.readlink(f"{path}/iommu_group"))
    assert os.path.exists(f"/dev/vfio/{group}")
    p.remove_mdev(path)
    assert not os.path.exists(path)


@pytest.mark.parametrize("name,make,queues", [
    ("sim-net", lambda name: p.vdpa_sim(name, "net"), 3), ("sim-blk", lambda name: p.vdpa_sim(name, "blk"), 1),
    ("vp-net", lambda name: p.vp_vdpa(name, p.VIRTIO_NET), 3), ("vp-blk", lambda name: p.vp_vdpa(name, p.VIRTIO_BLK), 1)])
def test_vdpa_device_is_made_and_removed(name, make, queues):
    node = make(name)
    p.until(lambda: os.path.exists(node), f"{node} is there")
    assert p.vdpa_devices()[name]["max_vqs"] == queues
    p.remove_vdpa(name)
    assert name not in p.vdpa_devices()


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    with open(path, "wb") as f:
        f.truncate(16 << 20)
    return str(path)


def test_storage_daemon_serves_vduse(image):
    daemon = p.Vduse("vduse0", image, queues=2)
    p.until(lambda: os.path.exists(daemon.node), f"{daemon.node} is there")
    assert p.vdpa_devices()["vduse0"]["max_vqs"] == 2
    daemon.stop()
    assert daemon.process.returncode == 0 and "vduse0" not in p.vdpa_devices()


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_vhost_user_servers_listen(image, tmp_path):
    blk, fs = str(tmp_path / "blk"), str(tmp_path / "fs")
    with p.VhostUserBlk(image, blk), p.Virtiofsd(tmp_path, fs):
        connects(blk)
        connects(fs)


def test_passt_listens(tmp_path):
    path = str(tmp_path / "passt")
    with p.Passt(path):
        connects(path)
