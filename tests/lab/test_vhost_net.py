# SPDX-License-Identifier: Apache-2.0
"""vhost-net with Linux' own driver: frames that toyvmm never sees, checksummed both ways."""
import os
import subprocess

import pytest

from nets import MIB, Servers, both_ways, busy_ticks, end, feature, tool
from vm import TEST_INITRD, Terminal, command

HOST, GUEST = "192.168.78.1", "192.168.78.2"
SIZE = 4 * MIB
MRG_RXBUF, PACKED, GUEST_TSO4 = 15, 34, 7
REBIND = ("d=$(basename $(readlink -f /sys/class/net/eth0/device)); cd /sys/bus/virtio/drivers/virtio_net; "
          "echo $d >unbind; echo $d >bind; cd; ifconfig eth0 %s up; ping -c 1 -W 20 %s >/dev/null")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    tool("ip", "link", "set", "lo", "up")
    made = Servers(tmp_path_factory.mktemp("servers"), SIZE)
    yield made
    made.stop()


def start(words, *more):
    vm = Terminal("--net", f"tap=tap0,vhost{words}", *more, initrd=TEST_INITRD, memory="384M")
    vm.shell()
    tool("ip", "addr", "replace", f"{HOST}/24", "dev", "tap0")
    vm.ok(f"ifconfig eth0 {GUEST} up")
    vm.ok(f"ping -c 1 -W 20 {HOST}")
    return vm


def workers(pid):
    """The kernel's threads that carry frames for a process: with older kernels they are nobody's children."""
    return tool("ps", "-eLo", "comm").split().count(f"vhost-{pid}")


@pytest.mark.parametrize("words,more", [
    ("", ()),
    (",queues=4", ("--cpus", "4")),
    ("", ("--transport", "mmio")),
    (",queues=2,offload=off", ("--transport", "mmio", "--cpus", "2")),
], ids=["plain", "4 queues", "mmio", "mmio 2 queues no offloads"])
def test_data_goes_both_ways_and_the_driver_too(words, more, servers, say):
    with start(words, *more) as vm:
        device = vm.ok("basename $(readlink -f /sys/class/net/eth0/device)")
        assert feature(vm, device, MRG_RXBUF) and not feature(vm, device, PACKED)
        assert feature(vm, device, GUEST_TSO4) == ("offload=off" not in words)
        assert workers(vm.pid) >= 1
        both_ways(vm, HOST, servers, SIZE)
        if "queues" in words:
            vm.ok("ethtool -L eth0 combined 1")
            both_ways(vm, HOST, servers, SIZE)
            vm.ok("ethtool -L eth0 combined 2")
            both_ways(vm, HOST, servers, SIZE)
        vm.ok(f"for i in $(seq 10); do {REBIND % (GUEST, HOST)} || exit 1; done")
        both_ways(vm, HOST, servers, SIZE)
        say(vm.ok(f"ping -c 100 -i 0.01 -q {HOST} | tail -1"))
        end(vm)


def test_with_msix_toyvmm_has_nothing_to_do(servers, say):
    """Frames, doorbells and interrupts pass it by: what its event loop's thread uses of the processor is next to nothing."""
    with start("") as vm:
        before = busy_ticks(f"{vm.pid}/task/{vm.pid}")
        both_ways(vm, HOST, servers, SIZE)
        used = busy_ticks(f"{vm.pid}/task/{vm.pid}") - before
        say(f"the loop's thread took {used} ticks of 10 ms for {2 * SIZE // MIB} MiB")
        assert used < 20
        end(vm)


def test_errors_are_one_clear_line():
    with Terminal("--net", "tap,vhost,packed") as vm:
        vm.expect("toyvmm: --net: vhost-net has no packed virtqueues: packed or vhost")
        assert vm.end() == 2
    with Terminal("--net", "tap,vhost,bw=1M") as vm:
        vm.expect("toyvmm: --net: with vhost the host's kernel carries the frames, and has no rate limit")
        assert vm.end() == 2
    os.rename("/dev/vhost-net", "/dev/vhost-net.away")
    try:
        with Terminal("--net", "tap,vhost") as vm:
            vm.expect("toyvmm: net0: /dev/vhost-net is not there: sudo modprobe vhost_net")
            assert vm.end() == 1
    finally:
        os.rename("/dev/vhost-net.away", "/dev/vhost-net")


def test_an_inherited_descriptor(servers):
    """Another program opens the tap; toyvmm has it as descriptor 3."""
    script = ("import fcntl, os, struct, sys; fd = os.open('/dev/net/tun', os.O_RDWR); "
              "fcntl.ioctl(fd, 0x400454ca, struct.pack('16sH22x', b'tap0', 0x5002)); "
              "os.dup2(fd, 3); os.set_inheritable(3, True); os.execv(sys.argv[1], sys.argv[1:])")
    words = command("--net", "tap,fd=3,vhost", initrd=TEST_INITRD, memory="384M")
    with Terminal(argv=["/usr/bin/python3", "-c", script] + words) as vm:
        vm.shell()
        subprocess.run(["ip", "link", "set", "tap0", "up"], check=True)
        tool("ip", "addr", "replace", f"{HOST}/24", "dev", "tap0")
        vm.ok(f"ifconfig eth0 {GUEST} up && ping -c 1 -W 20 {HOST}")
        both_ways(vm, HOST, servers, SIZE)
        end(vm)
