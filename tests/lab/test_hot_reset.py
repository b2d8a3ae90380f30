# SPDX-License-Identifier: Apache-2.0
"""The driver goes and comes back while requests are in flight, again and again: each time is a reset of the device."""
import os

import pytest

from disks import MIB, fio, md5
from vm import TEST_INITRD, Terminal

TIMES = int(os.environ.get("RESETS", "100"))
CHUNK = 10  # times a command: no single one takes too long for anybody's patience

# The disk's name may change while an old one is still open, so it is found anew each time. Reads and writes go on for
# ever, end with an error when the disk goes, and begin again with the next one. The first MiB is left alone.
LOAD = ("load() { while [ ! -e /tmp/stop ]; do d=$(ls /sys/bus/virtio/devices/$1/block 2>/dev/null) || continue; "
        "[ -b /dev/$d ] && $2 /dev/$d; done >/dev/null 2>&1; }")
AGAIN = ("for n in $(seq {times}); do echo {device} >/sys/bus/virtio/drivers/virtio_blk/unbind; "
         "echo {device} >/sys/bus/virtio/drivers/virtio_blk/bind || exit 1; "
         "until [ -b /dev/$(ls /sys/bus/virtio/devices/{device}/block) ]; do :; done; "
         "dd if=/dev/$(ls /sys/bus/virtio/devices/{device}/block) of=/dev/null bs=4k count=4 2>/dev/null; done")


@pytest.mark.parametrize("transport,words", [("pci", ""), ("pci", ",packed,engine=threads"), ("mmio", "")])
def test_disk_survives_its_driver(tmp_path, transport, words):
    image, other = tmp_path / "disk.img", tmp_path / "other.img"
    image.write_bytes(os.urandom(32 * MIB))
    other.write_bytes(bytes(4 * MIB))
    disks = ("--disk", f"{image}{words}", "--disk", str(other))
    with Terminal("--transport", transport, "--cpus", "4", *disks, initrd=TEST_INITRD, memory="384M") as vm:
        vm.shell()
        before = vm.ok("dd if=/dev/vda bs=1M count=1 2>/dev/null | md5sum")
        device = vm.ok("basename $(readlink -f /sys/block/vda/device)")
        vm.ok("echo 1 >/proc/sys/kernel/printk")
        vm.ok(LOAD)
        vm.ok("reader() { dd bs=64k iflag=direct of=/dev/null if=$1; }; "
              "writer() { fio --name=w --filename=$1 --allow_file_create=0 --ioengine=libaio --direct=1 --rw=randwrite "
              "--bs=16k --iodepth=32 --offset=1M --size=16M --time_based --runtime=3600; }")
        vm.ok(f"load {device} writer & load {device} reader & load {device} reader & true")
        for _ in range(TIMES // CHUNK):
            vm.ok(AGAIN.format(times=CHUNK, device=device))
            fio(vm, "--filename=/dev/vdb --rw=randwrite --bs=4k --iodepth=16 --size=256k --verify=crc32c "
                    "--do_verify=1 --verify_fatal=1")
        vm.ok("touch /tmp/stop; killall fio dd; wait; true")
        disk = "/dev/" + vm.ok(f"ls /sys/bus/virtio/devices/{device}/block")
        assert vm.ok(f"dd if={disk} bs=1M count=1 2>/dev/null | md5sum") == before
        fio(vm, f"--filename={disk} --rw=randwrite --bsrange=4k-32k --iodepth=32 --numjobs=4 --size=2M "
                "--offset_increment=2M --verify=crc32c --do_verify=1 --verify_fatal=1")
        vm.ok("sync; echo 3 >/proc/sys/vm/drop_caches")
        assert vm.ok(f"md5sum <{disk}").split()[0] == md5(image)
        vm.send("poweroff\r")
        assert vm.end() == 0
