# SPDX-License-Identifier: Apache-2.0
"""What goes wrong below a disk: the guest sees an I/O error, the machine and its other disks go on, and once the cause
is gone the disk works again (docs/disk.md, "What is durable when")."""
import os
import re
import resource
import subprocess

import pytest

from disks import MIB, fio, md5
from vm import TEST_INITRD, Terminal

NAMES = ("witness", "full", "limited", "shrunk", "direct", "cached")
DEVICE = {name: f"/dev/vd{chr(ord('a') + i)}" for i, name in enumerate(NAMES)}
SECTORS = 32 * MIB // 512


def tool(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class Mapped:
    """A device-mapper device over a file. It can be told to fail."""

    def __init__(self, where, name):
        self.name = name
        image = where / f"{name}.below"
        with open(image, "wb") as f:
            f.truncate(SECTORS * 512)
        self.loop = tool("losetup", "-f", "--show", image)
        self.map("create")
        self.path = f"/dev/dm-{tool('dmsetup', 'info', '-c', '--noheadings', '-o', 'minor', name)}"

    def map(self, how, broken=False):
        table = f"0 {SECTORS} error" if broken else f"0 {SECTORS} linear {self.loop} 0"
        tool("dmsetup", how, self.name, "--noudevsync", "--table", table)

    def fail(self, broken):
        tool("dmsetup", "suspend", "--noflush", "--nolockfs", "--noudevsync", self.name)
        self.map("load", broken)
        tool("dmsetup", "resume", "--noudevsync", self.name)

    def close(self):
        tool("dmsetup", "remove", "--noudevsync", self.name)
        tool("losetup", "-d", self.loop)


@pytest.fixture(scope="module", name="below", params=["io_uring", "threads"])
def below_fixture(request, tmp_path_factory):
    """The images and devices, and the engine they are used with."""
    where = tmp_path_factory.mktemp("below")
    tool("modprobe", "-a", "loop", "dm_mod")
    small = where / "small"
    small.mkdir()
    tool("mount", "-t", "tmpfs", "-o", "size=8M", "small", small)
    paths = {"small": small, "engine": request.param}
    mapped = {name: Mapped(where, f"{name}-{request.param}") for name in ("direct", "cached")}
    for name in NAMES:
        if name in mapped:
            paths[name] = mapped[name].path
            continue
        paths[name] = str((small if name == "full" else where) / f"{name}.img")
        with open(paths[name], "wb") as f:
            f.truncate(SECTORS * 512)
    yield paths | {"mapped": mapped}
    for device in mapped.values():
        device.close()
    tool("umount", small)


@pytest.fixture(scope="module", name="vm")
def vm_fixture(below):
    transport = "pci" if below["engine"] == "io_uring" else "mmio"
    disks = []
    for name in NAMES:
        words = ",direct" if name == "direct" else ""
        disks += ["--disk", f"{below[name]},engine={below['engine']}{words}"]
    with Terminal("--transport", transport, "--cpus", "2", *disks, initrd=TEST_INITRD, memory="384M") as vm:
        yield vm.shell()
        vm.send("poweroff\r")
        assert vm.end() == 0


@pytest.fixture(autouse=True)
def others_go_on(vm):
    """After each fault: the machine and another disk still do what they should."""
    yield
    fio(vm, f"--filename={DEVICE['witness']} --rw=randwrite --bs=4k --iodepth=16 --size=512k --verify=crc32c "
            "--do_verify=1 --verify_fatal=1")


def write(name, at, mib=1, how="oflag=direct"):
    """A command that writes random data from a MiB on. `how` goes around the guest's page cache, or asks for a flush."""
    return f"dd if=/dev/urandom of={DEVICE[name]} bs=64k count={mib * 16} seek={at * 16} {how}"


def fails(vm, line):
    """With EIO: the program says "Input/output error"; the kernel, unless it has said so often already, "I/O error"."""
    out, code = vm.run(line)
    assert code != 0 and re.search("(I/O|Input/output) error", out), (line, code, out)


def same_for_host(vm, name, path):
    vm.ok("sync; echo 3 >/proc/sys/vm/drop_caches")
    assert vm.ok(f"md5sum <{DEVICE[name]}").split()[0] == md5(path)


def test_no_space_is_an_io_error_until_there_is_some(vm, below):
    vm.ok(write("full", 0, 4))
    fails(vm, write("full", 4, 8))
    fails(vm, write("full", 20, 1, "conv=fsync"))
    vm.ok(write("full", 1))  # what has its space already
    tool("mount", "-o", "remount,size=64M", below["small"])
    vm.ok(write("full", 4, 12))
    same_for_host(vm, "full", below["full"])


def test_file_system_survives_no_space_below(vm, below):
    """The guest's ext4 says so to who writes, and is repaired when there is space again."""
    disk = DEVICE["full"]
    vm.ok(f"/usr/bin/blkdiscard {disk} && mkfs.ext4 -q -F {disk} && mount {disk} /mnt && cp -r /etc /mnt && sync")
    tool("mount", "-o", f"remount,size={os.stat(below['full']).st_blocks * 512 + MIB}", below["small"])
    fails(vm, "dd if=/dev/urandom of=/mnt/big bs=64k count=128 conv=fsync")
    vm.ok("diff -r /etc /mnt/etc")
    tool("mount", "-o", "remount,size=64M", below["small"])
    vm.run("umount /mnt")
    assert vm.run(f"e2fsck -f -y {disk}")[1] <= 1, "errors were corrected, or there were none"
    vm.ok(f"e2fsck -f -n {disk} && mount {disk} /mnt && diff -r /etc /mnt/etc")
    vm.ok("dd if=/dev/urandom of=/mnt/big bs=64k count=128 conv=fsync && umount /mnt")


def test_file_size_limit_is_an_io_error_until_it_is_lifted(vm, below):
    """ulimit -f: also a SIGXFSZ, which must not end toyvmm."""
    soft, hard = resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (8 * MIB, resource.RLIM_INFINITY))
    vm.ok(write("limited", 4))
    fails(vm, write("limited", 16))
    fails(vm, write("limited", 7, 2))
    resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (soft, hard))
    vm.ok(write("limited", 7, 12))
    same_for_host(vm, "limited", below["limited"])


def test_image_cut_short_gives_errors_beyond_its_end_and_never_zeros(vm, below):
    disk, image = DEVICE["shrunk"], below["shrunk"]
    vm.ok(write("shrunk", 0, 32))
    vm.ok("echo 3 >/proc/sys/vm/drop_caches")
    os.truncate(image, 16 * MIB)  # not noticed: nothing was open for writing
    fails(vm, f"dd if={disk} of=/dev/null bs=64k skip={20 * 16} count=16 iflag=direct")
    vm.ok(f"dd if={disk} of=/dev/null bs=64k count={16 * 16} iflag=direct")
    tool("truncate", "-s", "12M", image)  # noticed: the disk becomes smaller
    vm.ok(f"until [ $(cat /sys/block/{disk[5:]}/size) = {12 * MIB // 512} ]; do usleep 100000; done")
    vm.ok(f"dd if={disk} of=/dev/null bs=64k iflag=direct")
    tool("truncate", "-s", "32M", image)
    vm.ok(f"until [ $(cat /sys/block/{disk[5:]}/size) = {32 * MIB // 512} ]; do usleep 100000; done")
    vm.ok(write("shrunk", 8, 24))
    same_for_host(vm, "shrunk", image)


def test_broken_device_is_an_io_error_until_it_is_mended(vm, below):
    device = below["mapped"]["direct"]
    vm.ok(write("direct", 0, 8))
    device.fail(True)
    fails(vm, write("direct", 2))
    fails(vm, f"dd if={DEVICE['direct']} of=/dev/null bs=64k count=16 iflag=direct")
    fails(vm, write("direct", 2, 1, "conv=fsync"))
    device.fail(False)
    vm.ok(write("direct", 0, 8))
    same_for_host(vm, "direct", below["direct"])


def test_flush_that_failed_once_is_not_called_good_later(vm, below):
    """The page cache took the write and lost it. Linux says so once; the guest's disk says so until toyvmm's end."""
    device = below["mapped"]["cached"]
    vm.ok(write("cached", 0, 2, "conv=fsync"))
    device.fail(True)
    fails(vm, write("cached", 4, 1, "conv=fsync"))
    device.fail(False)
    fails(vm, write("cached", 8, 1, "conv=fsync"))
    vm.ok(f"dd if={DEVICE['cached']} of=/dev/null bs=64k count=16 iflag=direct")
