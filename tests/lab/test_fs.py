# SPDX-License-Identifier: Apache-2.0
"""Folders of the host's in a stock Linux: --fs with virtiofsd."""
import hashlib
import os

import pytest

from passthru import Virtiofsd
from vm import TEST_INITRD, Terminal


def digest_of(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "md5").hexdigest()


def tree(folder):
    """Every file below a folder, with its MD5, as `find -type f | sort | xargs md5sum` prints it."""
    lines = []
    for where, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            lines.append(f"{digest_of(path)}  ./{os.path.relpath(path, folder)}")
    return sorted(lines, key=lambda line: line.split("  ")[1])


TREE = "cd /mnt/{} && find . -type f | LC_ALL=C sort | xargs md5sum; cd"


@pytest.mark.parametrize("transport,cpus", [("pci", "4"), ("mmio", "1")])
def test_a_folder_of_the_host(tmp_path, transport, cpus):
    """Files go both ways, names and content; a tree of many small files; unmounted, mounted; the driver taken off and on."""
    shared, socket = tmp_path / "shared", str(tmp_path / "fs.sock")
    (shared / "from-host").mkdir(parents=True)
    for i in range(100):
        (shared / "from-host" / f"file-{i}").write_bytes(os.urandom(100 * i))
    with Virtiofsd(str(shared), socket):
        with Terminal("--transport", transport, "--cpus", cpus, "--fs", f"tag=home,socket={socket}",
                      initrd=TEST_INITRD, memory="512M") as vm:
            vm.shell()
            vm.ok("mount -t virtiofs home /mnt")
            assert vm.ok(TREE.format("from-host")).splitlines() == tree(shared / "from-host")
            vm.ok("mkdir /mnt/from-guest && for d in 1 2 3 4 5; do mkdir /mnt/from-guest/$d; for f in 1 2 3 4 5 6 7 8 9 10; do "
                  "echo $d $f >/mnt/from-guest/$d/$f; done; done")
            vm.ok("dd if=/dev/urandom of=/mnt/from-guest/big bs=64k count=128 2>/dev/null; mv /mnt/from-guest/1 /mnt/from-guest/one;"
                  "ln -s one /mnt/from-guest/link; rm -r /mnt/from-guest/2; chmod 600 /mnt/from-guest/big; sync")
            assert vm.ok(TREE.format("from-guest")).splitlines() == tree(shared / "from-guest")
            assert os.readlink(shared / "from-guest" / "link") == "one"
            assert (shared / "from-guest" / "big").stat().st_mode & 0o777 == 0o600
            (shared / "late").write_text("said by the host\n")
            assert vm.ok("cat /mnt/late") == "said by the host"
            vm.ok("umount /mnt && mount -t virtiofs home /mnt && cat /mnt/late")
            vm.ok("umount /mnt; cd /sys/bus/virtio/drivers/virtiofs; d=$(ls -d virtio*); echo $d >unbind && echo $d >bind; cd")
            assert vm.ok("mount -t virtiofs home /mnt && cat /mnt/late") == "said by the host"
            vm.ok("umount /mnt")
            vm.send("poweroff\r")
            assert vm.end() == 0


def test_virtiofsd_dies_and_the_driver_starts_anew(tmp_path):
    """What virtiofsd knew of open files died with it: the driver has to begin again, and then the folder is there."""
    shared, socket = tmp_path / "shared", str(tmp_path / "fs.sock")
    shared.mkdir()
    (shared / "file").write_text("still here\n")
    daemon = Virtiofsd(str(shared), socket)
    try:
        with Terminal("--fs", f"tag=home,socket={socket}", initrd=TEST_INITRD, memory="512M") as vm:
            vm.shell()
            assert vm.ok("mount -t virtiofs home /mnt && cat /mnt/file && umount /mnt") == "still here"
            daemon.kill()
            vm.expect("its back end is gone: it has hung up; the device stops until its driver resets it")
            os.unlink(socket)
            daemon = Virtiofsd(str(shared), socket)
            vm.ok("cd /sys/bus/virtio/drivers/virtiofs; d=$(ls -d virtio*); echo $d >unbind && echo $d >bind; cd")
            assert vm.ok("mount -t virtiofs home /mnt && cat /mnt/file && umount /mnt") == "still here"
            vm.send("poweroff\r")
            assert vm.end() == 0
    finally:
        daemon.kill()
