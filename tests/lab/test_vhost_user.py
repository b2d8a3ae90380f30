# SPDX-License-Identifier: Apache-2.0
"""vhost-user disks of qemu-storage-daemon under a stock Linux, on both transports, raw and qcow2."""
import os
import shutil
import subprocess

import pytest

from disks import MIB, clean, fio, md5
from nets import tool
from passthru import Daemon, VhostUserBlk
from vm import TEST_INITRD, Terminal, command

SIZE = 64 * MIB


def make_image(path, image_format):
    subprocess.run(["qemu-img", "create", "-q", "-f", image_format, path, str(SIZE)], check=True)


def raw(image, image_format):
    """The guest's view of an image's content, as a file."""
    if image_format == "raw":
        return image
    out = f"{image}.raw"
    subprocess.run(["qemu-img", "convert", "-f", image_format, "-O", "raw", image, out], check=True)
    return out


@pytest.mark.parametrize("transport,cpus,image_format,memory", [("pci", "4", "raw", "4G"), ("mmio", "1", "qcow2", "512M")])
def test_a_disk_of_another_process(tmp_path, transport, cpus, image_format, memory):
    """A file system, random writes at depth that verify, unbind and bind, and what the host sees afterwards.

    4 GiB are two regions of memory: buffers are above 4 GiB, too.
    """
    image, socket = str(tmp_path / "disk.img"), str(tmp_path / "disk.sock")
    make_image(image, image_format)
    with VhostUserBlk(image, socket, image_format, queues=4) as daemon:
        with Terminal("--transport", transport, "--cpus", cpus, "--vhost-user", f"type=blk,socket={socket}",
                      initrd=TEST_INITRD, memory=memory) as vm:
            vm.shell()
            assert vm.ok("ls /sys/block/vda/mq | wc -l; cat /sys/block/vda/size").split() == [cpus, str(SIZE // 512)]
            fio(vm, f"--filename=/dev/vda --rw=randwrite --bsrange=4k-32k --iodepth=16 --numjobs={cpus} --size=4M "
                "--offset_increment=8M --verify=crc32c --verify_fatal=1 --do_verify=1")
            vm.ok("mkfs.ext4 -q -F /dev/vda && mount /dev/vda /mnt && cp -r /etc /mnt")
            vm.ok("dd if=/dev/urandom of=/mnt/big bs=64k count=128 2>/dev/null; sync")
            digest = vm.ok("md5sum </mnt/big")
            vm.ok("umount /mnt; d=$(basename $(readlink /sys/block/vda/device)); cd /sys/bus/virtio/drivers/virtio_blk;"
                  "for i in 1 2 3; do echo $d >unbind && echo $d >bind || exit; done; cd")
            assert vm.ok("mount /dev/vda /mnt; md5sum </mnt/big") == digest
            vm.ok("diff -r /etc /mnt/etc; umount /mnt")
            whole = vm.ok("md5sum </dev/vda").split()[0]
            vm.send("poweroff\r")
            assert vm.end() == 0
        daemon.stop()
    content = raw(image, image_format)
    assert md5(content) == whole
    clean(content)


def test_nobody_listens(tmp_path):
    """One line that says so, and what to do."""
    socket = str(tmp_path / "nobody.sock")
    done = subprocess.run(command("--vhost-user", f"type=blk,socket={socket}"), capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == (f"toyvmm: vhost-user0: nobody listens at '{socket}': "
                           "start the vhost-user back end first\n")


def test_a_back_end_that_dies_is_waited_for(tmp_path):
    """Killed four times under random writes at depth: the guest sees a pause each time, and every block verifies."""
    image, socket = str(tmp_path / "disk.img"), str(tmp_path / "disk.sock")
    make_image(image, "raw")
    daemon = VhostUserBlk(image, socket, queues=2)
    try:
        with Terminal("--cpus", "2", "--vhost-user", f"type=blk,socket={socket}", initrd=TEST_INITRD,
                      memory="512M") as vm:
            vm.shell()
            vm.send("fio --name=t --ioengine=libaio --direct=1 --allow_file_create=0 --filename=/dev/vda --rw=randwrite "
                    "--bsrange=4k-256k --iodepth=32 --size=32M --loops=4 --time_based --runtime=12 --verify=crc32c "
                    "--do_verify=1 --verify_fatal=1 --minimal >/tmp/out; echo fio $?.\r")
            for _ in range(4):
                daemon.kill()
                vm.expect("the back end is gone: .*; waiting for one at")
                os.unlink(socket)
                daemon = VhostUserBlk(image, socket, queues=2)
                vm.expect("a back end is there again")
            assert vm.expect(r"fio (\d+)\.\r\n", timeout=180)[1] == "0"
            vm.send("poweroff\r")
            assert vm.end() == 0
    finally:
        daemon.kill()


class PacketMover(Daemon):
    """DPDK's testpmd: carries packets between a vhost-user socket and a tap of the outer machine, which gets an address."""

    def __init__(self, socket, address):
        tool("modprobe", "tun")
        super().__init__(["dpdk-testpmd", "--no-huge", "-m", "256", "--no-pci", "--lcores", "0@0,1@0",
                          "--vdev", f"net_vhost0,iface={socket}", "--vdev", "net_tap0,iface=dtap0",
                          "--log-level=lib.vhost.config:3", "--", "--forward-mode=io", "--auto-start",
                          "--stats-period=3600", "--total-num-mbufs=8192"],
                         lambda: os.path.exists(socket) and os.path.exists("/sys/class/net/dtap0"))
        tool("ip", "addr", "add", address, "dev", "dtap0")
        tool("ip", "link", "set", "dtap0", "up")


@pytest.mark.skipif(not shutil.which("dpdk-testpmd"), reason="dpdk-testpmd (dpdk-dev, librte-net-vhost23, librte-net-tap23, "
                                                            "librte-mempool-ring23) is not installed")
def test_a_network_of_another_process(tmp_path):
    """Packets both ways, the driver off and on, and a back end that is killed: the next one carries packets again."""
    socket = str(tmp_path / "net.sock")
    daemon = PacketMover(socket, "192.168.77.1/24")
    try:
        with Terminal("--vhost-user", f"type=net,socket={socket},mac=52:54:00:00:00:77", initrd=TEST_INITRD,
                      memory="512M") as vm:
            vm.shell()
            up = "ip addr add 192.168.77.2/24 dev eth0; ip link set eth0 up; ping -c 3 -W 30 192.168.77.1"
            assert vm.ok("cat /sys/class/net/eth0/address") == "52:54:00:00:00:77"
            vm.ok(up)
            vm.ok("ping -c 3 -W 30 -s 1400 192.168.77.1")
            vm.ok("d=$(basename $(readlink /sys/class/net/eth0/device)); cd /sys/bus/virtio/drivers/virtio_net;"
                  "echo $d >unbind && echo $d >bind; cd; until [ -e /sys/class/net/eth0 ]; do :; done")
            vm.ok(up)
            daemon.kill()
            vm.expect("the back end is gone: .*; waiting for one at")
            os.unlink(socket)
            daemon = PacketMover(socket, "192.168.77.1/24")
            vm.expect("a back end is there again")
            vm.ok("until ping -c 1 -W 5 192.168.77.1; do :; done >/dev/null")
            vm.send("poweroff\r")
            assert vm.end() == 0
    finally:
        daemon.kill()
