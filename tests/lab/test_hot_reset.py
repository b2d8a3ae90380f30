# SPDX-License-Identifier: Apache-2.0
"""The driver goes and comes back while requests are in flight, again and again: each time is a reset of the device."""
import os

import pytest

from disks import MIB, fio, md5
from vm import TEST_INITRD, Terminal

TIMES = int(os.environ.get("RESETS", "100"))
CHUNK = 10  # times a command: no single one takes too long for anybody's patience

# The disk's name and number may change while an old one is still open: so each uses a node of its own, made anew each
# time.
NODE = "node() {{ rm -f $1; mknod $1 b $(cat /sys/bus/virtio/devices/{device}/block/*/dev | tr : ' '); }}"
# For ever: requests until the disk goes and they fail, and again with the next one. The first MiB is left alone.
LOAD = ("load() { while [ ! -e /tmp/stop ]; do node /tmp/$1 && $1 /tmp/$1; usleep 50000; done >/tmp/log.$1 2>&1; }; "
        "reader() { dd bs=64k iflag=direct of=/dev/null if=$1; }; "
        "writer() { fio --name=w --filename=$1 --allow_file_create=0 --ioengine=libaio --direct=1 --rw=randwrite "
        "--bs=16k --iodepth=32 --offset=1M --size=16M --time_based --runtime=3600; }")
AGAIN = ("(for n in $(seq {times}); do usleep 100000; echo {device} >/sys/bus/virtio/drivers/virtio_blk/unbind; "
         "echo {device} >/sys/bus/virtio/drivers/virtio_blk/bind || exit 1; "
         "node /tmp/again; dd if=/tmp/again bs=4k count=1 2>/dev/null | cmp - /tmp/first || exit 2; done)")


@pytest.mark.parametrize("transport,words", [("pci", ""), ("pci", ",packed,engine=threads"), ("mmio", "")])
def test_disk_survives_its_driver(tmp_path, transport, words):
    image, other = tmp_path / "disk.img", tmp_path / "other.img"
    image.write_bytes(os.urandom(32 * MIB))
    other.write_bytes(bytes(4 * MIB))
    disks = ("--disk", f"{image}{words}", "--disk", str(other))
    with Terminal("--transport", transport, "--cpus", "2", *disks, initrd=TEST_INITRD, memory="384M") as vm:
        vm.shell()
        device = vm.ok("basename $(readlink -f /sys/block/vda/device)")
        vm.ok("dd if=/dev/vda of=/tmp/first bs=4k count=1 2>/dev/null; echo 1 >/proc/sys/kernel/printk")
        vm.ok(NODE.format(device=device))
        vm.ok(LOAD)
        vm.ok("load writer & load reader & true")
        for _ in range(TIMES // CHUNK):
            vm.ok(AGAIN.format(times=CHUNK, device=device))
        fio(vm, "--filename=/dev/vdb --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c "
                "--do_verify=1 --verify_fatal=1")
        vm.ok("touch /tmp/stop; killall fio dd; wait; node /tmp/disk")
        assert "WRITE: bw=" in vm.ok("grep -a WRITE /tmp/log.writer"), "nothing was written meanwhile"
        fio(vm, "--filename=/tmp/disk --rw=randwrite --bsrange=4k-32k --iodepth=32 --numjobs=4 --size=2M "
                "--offset_increment=2M --verify=crc32c --do_verify=1 --verify_fatal=1")
        vm.ok("sync; echo 3 >/proc/sys/vm/drop_caches")
        assert vm.ok("md5sum </tmp/disk").split()[0] == md5(image)
        vm.send("poweroff\r")
        assert vm.end() == 0
