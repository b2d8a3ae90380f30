# SPDX-License-Identifier: Apache-2.0
"""Images on the host's side of a disk test, and what guests do to their disks."""
import hashlib
import os
import subprocess

MIB = 1 << 20
BLOCKS = MIB // 512  # st_blocks of a MiB


def md5(path):
    with open(path, "rb") as image:
        return hashlib.file_digest(image, "md5").hexdigest()


def host_blocks(path):
    """How much room a file takes, in units of 512 bytes."""
    return os.stat(path).st_blocks


def clean(image):
    """The host's e2fsck has nothing to say about the image."""
    done = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def loop_file_system(where, size=128 * MIB):
    """An ext4 of its own, on a loop device, at where/mnt. Who asks for it unmounts it."""
    image, mount = where / "file-system.img", where / "mnt"
    mount.mkdir()
    with open(image, "wb") as f:
        f.truncate(size)
    subprocess.run(["modprobe", "loop"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mount], check=True)
    return str(mount)


def fio(vm, options):
    """Runs fio in a guest; any error is a failure."""
    vm.ok(f"fio --name=test --ioengine=libaio --direct=1 --allow_file_create=0 --group_reporting --minimal {options}")
