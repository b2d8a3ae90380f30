# SPDX-License-Identifier: Apache-2.0
"""vhost-user disks of qemu-storage-daemon under a stock Linux, on both transports, raw and qcow2."""
import os
import subprocess

import pytest

from disks import MIB, clean, fio, md5
from passthru import VhostUserBlk
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
