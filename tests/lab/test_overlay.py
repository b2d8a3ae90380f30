# SPDX-License-Identifier: Apache-2.0
"""Overlays over a base that stays as it is, and a root file system on a disk, under a stock Linux."""
import os
import subprocess

import pytest

from disks import MIB, fio, md5
from vm import PATIENCE, TEST_INITRD, Terminal, script

TRANSPORTS = ("pci", "mmio")


@pytest.fixture(name="base")
def base_fixture(tmp_path):
    """A base with an ext4, and its checksum before and after."""
    tree, base = tmp_path / "tree", tmp_path / "base.img"
    tree.mkdir()
    (tree / "base").write_bytes(os.urandom(3 * MIB))
    with open(base, "wb") as f:
        f.truncate(48 * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, base], check=True)
    before = md5(base)
    yield base
    assert md5(base) == before, "the base is not what it was"


def machine(*options):
    return Terminal(*options, initrd=TEST_INITRD, memory="384M").shell()


def end(vm):
    vm.send("poweroff\r")
    assert vm.end() == 0


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_overlay_keeps_what_was_written_for_the_next_run(base, tmp_path, transport):
    disk = ("--transport", transport, "--disk", f"{base},overlay={tmp_path / 'overlay'}")
    with machine(*disk) as vm:
        vm.ok("mount /dev/vda /mnt && cp /mnt/base /mnt/copy && cp -r /etc /mnt && umount /mnt")
        whole = vm.ok("echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/vda")
        end(vm)
    with machine(*disk) as vm:
        assert vm.ok("md5sum </dev/vda") == whole
        vm.ok("e2fsck -f -n /dev/vda && mount /dev/vda /mnt && cmp /mnt/base /mnt/copy && diff -r /etc /mnt/etc")
        vm.ok("umount /mnt")
        fio(vm, "--filename=/dev/vda --rw=randwrite --bsrange=512-16k --iodepth=32 --size=2M --offset=40M "
                "--verify=crc32c --do_verify=1 --verify_fatal=1")
        end(vm)


def test_temporary_overlay_forgets_and_two_machines_share_a_base(base):
    disk = ("--disk", f"{base},overlay=temporary")
    with machine(*disk) as one, machine(*disk) as other:
        for vm, name in (one, "one"), (other, "other"):
            vm.ok("mount /dev/vda /mnt && cp /mnt/base /mnt/copy && cmp /mnt/base /mnt/copy")
            vm.ok(f"echo {name} >/mnt/name; umount /mnt; echo 3 >/proc/sys/vm/drop_caches; mount /dev/vda /mnt")
        for vm, name in (one, "one"), (other, "other"):
            assert vm.ok("cat /mnt/name") == name
            vm.ok("umount /mnt && e2fsck -f -n /dev/vda")
            end(vm)
    with machine(*disk) as vm:
        vm.ok("e2fsck -f -n /dev/vda && mount /dev/vda /mnt && test ! -e /mnt/copy && test ! -e /mnt/name; umount /mnt")
        end(vm)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_root_file_system_on_a_disk(tmp_path, transport):
    """`root` is all that is asked for: the command line gets root=, and the initrd goes on there."""
    tree, image = tmp_path / "tree", tmp_path / "root.ext4"
    for name in "bin", "sbin", "dev", "proc", "sys":
        (tree / name).mkdir(parents=True)
    subprocess.run(["cp", "/bin/busybox", tree / "bin" / "busybox"], check=True)
    (tree / "bin" / "sh").symlink_to("busybox")
    (tree / "sbin" / "init").write_text(
        "#!/bin/sh\nbusybox mount -t proc proc /proc\nbusybox grep ' / ' /proc/mounts\n"
        "echo was here >/file && busybox sync && busybox poweroff -f\n")
    (tree / "sbin" / "init").chmod(0o755)
    with open(image, "wb") as f:
        f.truncate(16 * MIB)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, image], check=True)
    empty = tmp_path / "other.img"
    empty.write_bytes(bytes(MIB))
    with Terminal("--transport", transport, "--disk", str(empty), "--disk", f"{image},root") as vm:
        vm.expect(r"/dev/vdb / ext4 rw", timeout=PATIENCE)
        assert vm.end() == 0
    done = subprocess.run(["debugfs", "-R", "cat /file", image], capture_output=True, text=True, check=True)
    assert done.stdout == "was here\n"


def test_root_that_is_not_there_is_said_and_leaves_a_shell(tmp_path):
    """The measure itself: without such a disk there is another end."""
    empty = tmp_path / "empty.img"
    empty.write_bytes(bytes(MIB))
    with Terminal("--disk", f"{empty},root", cmdline=script("poweroff -f")) as vm:
        assert vm.end() == 0
    with Terminal("--disk", f"{empty},root") as vm:
        vm.expect("cannot mount root=/dev/vda: .*vda.* are there")
        vm.send("poweroff -f\r")
        assert vm.end() == 0
