# SPDX-License-Identifier: Apache-2.0
# lab: --kernel $BUILD/lab/bookworm-backports
"""vDPA where the device is a process (VDUSE), which may die."""
import hashlib
import resource

import pytest

import passthru
from nets import MIB, end
from vm import TEST_INITRD, Terminal


@pytest.fixture(scope="module", autouse=True)
def memory_may_be_locked():
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def start(node, *options):
    return Terminal("--vdpa", node, *options, initrd=TEST_INITRD, memory="384M").shell()


def test_a_process_is_the_disk(tmp_path):
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(32 * MIB))
    daemon = passthru.Vduse("vduse0", str(image), queues=2)
    with start(daemon.node, "--cpus", "2") as vm:
        passthru.check_disk(vm)
        passthru.driver_comes_and_goes(vm, vm.ok("basename $(readlink -f /sys/block/vda/device)"), "virtio_blk", 3)
        end(vm)
    daemon.stop()
    assert image.read_bytes()[0x438:0x43a] == b"\x53\xef"  # the magic number of ext4


def test_a_process_dies_and_another_takes_its_place(tmp_path):
    """Nobody tells toyvmm, and nobody needs to: requests wait in the ring, and the next process finds them there."""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(32 * MIB))
    daemon = passthru.Vduse("vduse1", str(image))
    with start(daemon.node) as vm:
        vm.ok("dd if=/dev/urandom of=/tmp/data bs=64k count=64 2>/dev/null")
        write_all = "dd if=/tmp/data of=/dev/vda bs=64k oflag=direct seek={at} 2>/dev/null"
        vm.ok(f"(for i in $(seq 4); do {write_all.format(at=0)} || exit; done; touch /tmp/first) & true")
        daemon.kill()
        vm.ok(f"({write_all.format(at=64)} && touch /tmp/second) & true")
        assert vm.run("cat /tmp/second")[1] != 0
        daemon.again()
        vm.ok("wait; ls /tmp/first /tmp/second")
        data = image.read_bytes()[:8 * MIB]
        assert vm.ok("md5sum </tmp/data").split()[0] == hashlib.md5(data[:4 * MIB]).hexdigest()
        assert data[:4 * MIB] == data[4 * MIB:]
        # Where none comes, a reset ends the wait: the kernel gives up, toyvmm says so, and the guest goes on without.
        daemon.kill()
        daemon.give_up_after(2)
        device = vm.ok("basename $(readlink -f /sys/block/vda/device)")
        vm.send(f"echo {device} >/sys/bus/virtio/drivers/virtio_blk/unbind\r")
        vm.expect(f"toyvmm: vdpa0: {daemon.node}: reset: Input/output error")
        vm.ok("ls /proc")
        end(vm)
    passthru.remove_vdpa("vduse1")
