# SPDX-License-Identifier: Apache-2.0
"""Disks under a stock Linux: what is written is there, on both transports, with one vCPU and with four.

One guest for all tests of a transport, with a disk for each kind of test; a boot is the expensive part.
"""
import os
import subprocess

import pytest

from disks import BLOCKS, MIB, clean, fio, host_blocks, loop_file_system, md5
from vm import BUILD, TEST_INITRD, TOYVMM, Terminal

TRANSPORTS = [("pci", "4"), ("pci", "1"), ("mmio", "4"), ("mmio", "1")]
NAMES = ("fs", "grow", "ro", "direct", "packed", "threads", "holes")
DEVICE = {name: f"/dev/vd{chr(ord('a') + i)}" for i, name in enumerate(NAMES)}


class Machine(Terminal):
    """A guest with the disks of NAMES."""

    def __init__(self, where, transport, cpus):
        self.image = {name: str(where / f"{name}.img") for name in NAMES}
        self.queues = int(cpus)
        self.has_file_system = False
        mount = loop_file_system(where)  # a file system that can do O_DIRECT, which the lab's own cannot
        self.image["direct"] = os.path.join(mount, "direct.img")
        for name in NAMES:
            with open(self.image[name], "wb") as image:
                image.write(os.urandom(MIB))
                image.truncate(32 * MIB)
        words = {"ro": ",readonly,serial=T-1000/\\x", "direct": ",direct,engine=io_uring", "packed": ",packed",
                 "threads": ",engine=threads,packed", "holes": ",queues=1,queue-size=64"}
        disks = []
        for name in NAMES:
            disks += ["--disk", self.image[name] + words.get(name, "")]
        super().__init__("--transport", transport, "--cpus", cpus, *disks, initrd=TEST_INITRD, memory="512M")


@pytest.fixture(scope="module", name="vm", params=TRANSPORTS, ids="-".join)
def vm_fixture(request, tmp_path_factory):
    where = tmp_path_factory.mktemp("disks")
    with Machine(where, *request.param) as vm:
        yield vm.shell()
        vm.send("poweroff\r")
        assert vm.end() == 0
        if vm.has_file_system:
            clean(vm.image["fs"])
    subprocess.run(["umount", where / "mnt"], check=True)


def test_disks_are_there_with_their_queues(vm):
    for name, device in DEVICE.items():
        block = f"/sys/block/{device[5:]}"
        queues, features, cache = vm.ok(f"ls {block}/mq | wc -l; cat {block}/device/features {block}/queue/write_cache").splitlines()
        assert queues == str(1 if name == "holes" else vm.queues)
        assert features[34] == ("1" if name in ("packed", "threads") else "0"), "VIRTIO_F_RING_PACKED"
        assert features[28] == features[29] == features[32] == "1", "INDIRECT_DESC, EVENT_IDX, VERSION_1"
        assert cache == "write back"


def test_file_system(vm):
    """mkfs, mount, write, unmount, fsck; the host sees the same bytes and as clean a file system."""
    disk = DEVICE["fs"]
    vm.ok(f"mkfs.ext4 -q -F {disk} && mount {disk} /mnt")
    vm.has_file_system = True
    vm.ok("dd if=/dev/urandom of=/mnt/big bs=64k count=128 2>/dev/null; cp -r /etc /mnt; ln /mnt/big /mnt/link")
    before = vm.ok("md5sum </mnt/big")
    vm.ok(f"umount /mnt && e2fsck -f -n {disk} && mount {disk} /mnt")
    assert vm.ok("md5sum </mnt/big") == before
    vm.ok("diff -r /etc /mnt/etc; umount /mnt")
    vm.ok("echo 3 >/proc/sys/vm/drop_caches")
    assert vm.ok(f"md5sum <{disk}").split()[0] == md5(vm.image["fs"])
    clean(vm.image["fs"])


@pytest.mark.parametrize("name", ["direct", "packed", "threads"])
def test_random_writes_at_depth_verify(vm, name):
    """Four jobs with 32 requests each in flight; each block's checksum is read back."""
    fio(vm, f"--filename={DEVICE[name]} --rw=randwrite --bsrange=4k-32k --iodepth=32 --numjobs=4 --size=2M "
            "--offset_increment=2M --verify=crc32c --do_verify=1 --verify_fatal=1")
    vm.ok("echo 3 >/proc/sys/vm/drop_caches")
    assert vm.ok(f"md5sum <{DEVICE[name]}").split()[0] == md5(vm.image[name])


def test_single_sectors_verify(vm):
    fio(vm, f"--filename={DEVICE['grow']} --rw=randwrite --bs=512 --iodepth=16 --size=256k --verify=crc32c "
            "--do_verify=1 --verify_fatal=1")


def test_requests_come_from_several_queues(vm):
    """Each CPU has a queue: with PCI, an interrupt of its own."""
    if vm.queues == 1:
        assert vm.ok("nproc") == "1"
        return
    disk = DEVICE["packed"]
    for cpu in range(vm.queues):
        vm.ok(f"taskset {1 << cpu:x} dd if={disk} of=/dev/null bs=4k count=16 iflag=direct 2>/dev/null")
    device = vm.ok(f"basename $(readlink -f /sys/block/{disk[5:]}/device)")
    lines = vm.ok(f"grep {device}- /proc/interrupts || true").splitlines()
    if lines:
        requests = [line.split() for line in lines if "req" in line]
        assert len(requests) == vm.queues, lines
        assert all(sum(int(n) for n in words[1:1 + vm.queues]) > 0 for words in requests), lines
    else:
        assert vm.ok(f"ls -d /sys/bus/platform/devices/*/{device}"), "neither MSI-X nor MMIO"


def test_discard_gives_blocks_back_to_the_host(vm):
    disk, image = DEVICE["holes"], vm.image["holes"]
    vm.ok(f"dd if=/dev/urandom of={disk} bs=64k count=128 conv=fsync 2>/dev/null")
    full = host_blocks(image)
    assert full >= 8 * BLOCKS
    vm.ok(f"/usr/bin/blkdiscard -o 1M -l 6M {disk}")
    assert host_blocks(image) <= full - 6 * BLOCKS
    vm.ok("echo 3 >/proc/sys/vm/drop_caches")
    assert vm.ok(f"dd if={disk} bs=1M skip=1 count=6 2>/dev/null | tr -d '\\0' | wc -c") == "0"
    assert vm.ok(f"md5sum <{disk}").split()[0] == md5(image)


def test_fstrim_gives_blocks_back_to_the_host(vm):
    disk, image = DEVICE["holes"], vm.image["holes"]
    vm.ok(f"mkfs.ext4 -q -F -E lazy_itable_init=0 {disk} && mount {disk} /mnt")
    vm.ok("dd if=/dev/urandom of=/mnt/big bs=64k count=128 conv=fsync 2>/dev/null")
    full = host_blocks(image)
    vm.ok("rm /mnt/big && sync && fstrim /mnt && umount /mnt")
    assert host_blocks(image) <= full - 7 * BLOCKS
    vm.ok(f"e2fsck -f -n {disk}")


def test_write_zeroes_zeroes_and_nothing_else(vm):
    disk, image = DEVICE["holes"], vm.image["holes"]
    vm.ok(f"dd if=/dev/urandom of={disk} bs=64k count=64 conv=fsync 2>/dev/null")
    with open(image, "rb") as f:
        before = f.read(4 * MIB)
    assert int(vm.ok(f"cat /sys/block/{disk[5:]}/queue/write_zeroes_max_bytes")) > 0
    vm.ok(f"/usr/bin/blkdiscard -z -o 65536 -l 1M {disk} && sync")
    with open(image, "rb") as f:
        after = f.read(4 * MIB)
    assert after == before[:65536] + bytes(MIB) + before[65536 + MIB:]


def test_read_only_disk_refuses_writes(vm):
    disk, before = DEVICE["ro"], md5(vm.image["ro"])
    assert vm.ok(f"blockdev --getro {disk}") == "1"
    for attempt in (f"dd if=/dev/zero of={disk} bs=4k count=1 conv=fsync", f"/usr/bin/blkdiscard {disk}",
                    f"mkfs.ext4 -q -F {disk}", f"blockdev --setrw {disk} && dd if=/dev/zero of={disk} count=1 conv=fsync"):
        assert vm.run(attempt)[1] != 0, attempt
    assert md5(vm.image["ro"]) == before
    assert vm.ok(f"md5sum <{disk}").split()[0] == before


def test_serial_number(vm):
    assert vm.ok(f"cat /sys/block/{DEVICE['ro'][5:]}/serial") == "T-1000/\\x"
    assert vm.ok(f"cat /sys/block/{DEVICE['fs'][5:]}/serial") == "disk0"


def second_opener(*disk):
    """A second machine: exit code, and what it says."""
    words = [TOYVMM, "run", "--quiet", "--kernel", os.path.join(BUILD, "guest", "hello.elf"), "--memory", "64M", *disk]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name,words", [("fs", ""), ("fs", ",readonly"), ("ro", ""), ("direct", ",direct"),
                                        ("fs", ",overlay=temporary")])
def test_second_opener_is_refused_with_one_line(vm, name, words):
    code, said = second_opener("--disk", vm.image[name] + words)
    assert code == 1 and said.startswith(b"toyvmm: ") and said.count(b"\n") == 1, said
    assert vm.image[name].encode() in said


@pytest.mark.parametrize("words", [",readonly", ",overlay=temporary"])
def test_read_only_image_is_shared(vm, words):
    code, said = second_opener("--disk", vm.image["ro"] + words)
    assert code == 0 and b"PASS" in said, said


def test_larger_image_is_a_larger_disk_without_a_reboot(vm):
    disk, image = DEVICE["grow"], vm.image["grow"]
    size = os.stat(image).st_size + 8 * MIB
    subprocess.run(["truncate", "-s", str(size), image], check=True)
    vm.ok(f"until [ $(cat /sys/block/{disk[5:]}/size) = {size // 512} ]; do usleep 100000; done")
    end = size // 4096 - 1
    vm.ok(f"echo the end | dd of={disk} bs=4k seek={end} conv=sync oflag=direct 2>/dev/null")
    vm.ok("sync")
    with open(image, "rb") as f:
        f.seek(end * 4096)
        assert f.read(8) == b"the end\n"
