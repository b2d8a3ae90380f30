# SPDX-License-Identifier: Apache-2.0
"""virtio-net under DPDK's driver, which polls: dpdk-testpmd in the guest has two cards, of split and of packed rings."""
import contextlib
import os
import re
import socket
import struct
import subprocess

import pytest

from nets import FAR, GUEST, HERE, SMALL, Servers, both_ways, download, end, tool
from vm import BUILD, CTRL_Z, PATIENCE, PROMPT, Terminal

INITRD = os.path.join(BUILD, "images", "dpdk-initrd.img")
OTHER_HERE, OTHER_GUEST = "192.168.78.2", "192.168.78.10"  # the second card's network, where it has one of its own
MTU_PING = 1500 - 20 - 8
CTRL_D = "\x04"
AT_ONCE = 32  # echo requests on their way

# Its commands come by a pipe: it would take Ctrl-Z from a terminal. Not from cat, whose sendfile() stops after a character.
# The link check is nine seconds of waiting for the links of ports that were stopped.
TESTPMD = ("tee | dpdk-testpmd -d $(echo $lib/librte_net_virtio.so.*) -d $(echo $lib/librte_mempool_ring.so.*) "
           "-- --interactive --disable-link-check --no-lsc-interrupt --total-num-mbufs=4096 {}\r")
TESTPMD_PROMPT = "testpmd> "


def give(vm, driver):
    """Both cards to another driver; "" is the kernel's choice."""
    vm.ok(f'for d in $cards; do cd /sys/bus/pci/devices/$d; echo {driver} >driver_override; echo $d >driver/unbind; '
          'echo $d >/sys/bus/pci/drivers_probe; done; cd')


@pytest.fixture(scope="module", name="vm")
def vm_fixture():
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as groups:
        groups.write("0 0")
    for tap in "tap0", "tap1":
        tool("ip", "tuntap", "add", "dev", tap, "mode", "tap", "multi_queue")
    with Terminal("--cpus", "2", "--net", "tap=tap0,queues=2", "--net", "tap=tap1,queues=2,packed", initrd=INITRD,
                  memory="512M") as vm:
        for tap, address in ("tap0", HERE), ("tap1", OTHER_HERE):
            tool("ip", "addr", "add", f"{address}/24", "dev", tap)
            tool("ip", "link", "set", "dev", tap, "up")
        vm.shell()
        vm.ok("killall udhcpc; modprobe uio_pci_generic; echo 32 >/proc/sys/vm/nr_hugepages; mkdir /huge; "
              "mount -t hugetlbfs none /huge; echo 1 >/proc/sys/kernel/printk; lib=/lib/x86_64-linux-gnu; "
              "cards=$(cd /sys/bus/pci/devices; grep -l 0x1041 */device | cut -d / -f 1)")
        give(vm, "uio_pci_generic")
        yield vm
        end(vm)


@pytest.fixture(scope="module", name="servers")
def servers_fixture(vm, tmp_path_factory):
    """The second card's tap goes to a namespace: what this machine sends there comes by testpmd, and so do the answers."""
    tool("ip", "netns", "add", "far")
    tool("ip", "link", "set", "dev", "tap1", "netns", "far")
    tool("ip", "-n", "far", "addr", "add", f"{FAR}/24", "dev", "tap1")
    tool("ip", "-n", "far", "link", "set", "dev", "tap1", "up")
    tool("ip", "neigh", "flush", "dev", "tap0")
    servers = Servers(tmp_path_factory.mktemp("servers"), SMALL, "far")
    yield servers
    servers.stop()


class Here:
    """This machine, where a test of its neighbours has a guest."""

    @staticmethod
    def ok(line):
        return tool("sh", "-c", line)


def pmd(vm, *lines):
    """Commands of testpmd, and what it says to the last of them."""
    for line in lines:
        vm.send(f"{line}\r")
        vm.expect_exact(TESTPMD_PROMPT)
    return vm.tty.before


@contextlib.contextmanager
def dpdk(vm, options):
    """A run of testpmd."""
    vm.send(TESTPMD.format(options))
    vm.expect_exact(TESTPMD_PROMPT)
    yield
    vm.send("quit\r")
    vm.expect("Bye...")
    vm.send(CTRL_D)
    vm.expect_exact(PROMPT)


def status(vm):
    """Both cards' device_status, which is in BAR 0, in the common structure."""
    return vm.ok("for d in $cards; do read bar end flags </sys/bus/pci/devices/$d/resource; devmem $((bar + 20)) 8; "
                 "done").split()


@contextlib.contextmanager
def pings(*words):
    """Pings without an end."""
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def echo(address, sizes):
    """Echo requests with random contents, many of them on their way at once: each comes back, as it was."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
        s.settimeout(PATIENCE)
        s.connect((address, 0))
        sent = {}
        for number, size in enumerate(sizes):
            sent[number] = os.urandom(size)
            s.send(struct.pack("!BxHHH", 8, 0, 0, number) + sent[number])
            while len(sent) >= AT_ONCE or sent and number == len(sizes) - 1:
                answer = s.recv(1 << 16)
                assert answer[8:] == sent.pop(struct.unpack("!6xH", answer[:8])[0])


def test_pings_of_every_size(vm):
    """Testpmd answers for any address."""
    with dpdk(vm, "--forward-mode=icmpecho"):
        pmd(vm, "start")
        for address in GUEST, OTHER_GUEST:
            echo(address, range(MTU_PING + 1))
        assert set(re.findall(r"-dropped: (\d+)", pmd(vm, "stop"))) == {"0"}


def test_wire_with_ports_stopped_and_started(vm, servers):
    """Frames pass from one card to the other, by two queues of each."""
    with dpdk(vm, "--forward-mode=io --rxq=2 --txq=2"):
        pmd(vm, "start")
        echo(FAR, range(MTU_PING + 1))
        both_ways(Here, FAR, servers, SMALL)
        with pings("busybox", "ping", "-q", "-i", "0.01", FAR):
            for _ in range(2):
                assert "Done" in pmd(vm, "stop", "port stop all", "port start all")
                pmd(vm, "start")
                echo(FAR, [MTU_PING] * 100)


def test_frames_in_many_buffers(vm, servers):
    """
    Buffers of 384 bytes. Frames of several are not sent by the packed ring: DPDK 22.11 says in its indirect tables that
    the device writes the header (vring_desc_init_indirect_packed()). They come by it, in the other direction of a wire.
    """
    with dpdk(vm, "--forward-mode=icmpecho --mbuf-size=512 --enable-scatter --tx-offloads=0x8000"):
        pmd(vm, "start")
        echo(GUEST, range(MTU_PING + 1))
        pmd(vm, "stop", "set fwd io", "start")
        tool("ip", "neigh", "flush", "dev", "tap0")  # where testpmd answered for everybody
        download(Here, FAR, servers, SMALL)


def test_linux_takes_what_a_killed_driver_leaves(vm, servers):
    """Frames go on coming, and the driver's memory will be somebody else's: uio_pci_generic clears the bus master bit."""
    assert servers
    vm.send(TESTPMD.format("--forward-mode=io"))
    vm.expect_exact(TESTPMD_PROMPT)
    pmd(vm, "start")
    with pings("ip", "netns", "exec", "far", "busybox", "ping", "-q", "-i", "0.05", HERE):
        echo(FAR, [MTU_PING] * 100)
        vm.send(CTRL_Z)
        vm.expect_exact(PROMPT)
        assert status(vm) == ["0x0F", "0x0F"]
        vm.ok("bg; kill -9 %1; wait")
        assert status(vm) == ["0x00", "0x00"]
    give(vm, "")
    vm.ok(f"ip addr add {GUEST}/24 dev eth0; ip link set eth0 up; ip addr add {OTHER_GUEST}/24 dev eth1; ip link set eth1 up")
    echo(GUEST, range(MTU_PING + 1))
    tool("ip", "-n", "far", "addr", "add", f"{OTHER_HERE}/24", "dev", "tap1")
    tool("ip", "netns", "exec", "far", "busybox", "ping", "-c", "3", "-w", str(PATIENCE), "-s", str(MTU_PING), OTHER_GUEST)
