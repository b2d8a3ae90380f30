# SPDX-License-Identifier: Apache-2.0
"""Taps that toyvmm makes, inherits, or cannot have; and one that is flooded while the guest does not read."""
import os
import socket
import subprocess
import sys

import pytest

from nets import FAR, GUEST, SMALL, both_ways, busy_ticks, end, set_up, tool, until
from vm import PATIENCE, TEST_INITRD, Terminal, command

MAC = "52:54:00:ab:cd:ef"

# A parent with the privilege opens the tap and hands it on as descriptor 7 (Linux' if_tun.h).
TUNSETIFF, FLAGS = 0x400454CA, 0x0002 | 0x1000 | 0x4000  # IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
INHERIT = ("import fcntl, os, struct, sys; fd = os.open('/dev/net/tun', os.O_RDWR); "
           f"fcntl.ioctl(fd, {TUNSETIFF}, struct.pack('16sH22x', b'tapfd', {FLAGS})); "
           "os.dup2(fd, 7, inheritable=True); os.execv(sys.argv[1], sys.argv[1:])")


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_new_tap_with_mtu_mac_and_no_offloads(far, transport):
    """toyvmm makes the interface, with the MTU that the guest is told."""
    assert far
    words = f"tap,offload=off,mtu=9000,mac={MAC}"
    with Terminal("--transport", transport, "--net", words, initrd=TEST_INITRD, memory="512M") as vm:
        set_up(vm, "192.168.78.10")
        tool("ip", "addr", "add", "192.168.78.1/24", "dev", "vmtap0")
        assert vm.ok("cat /sys/class/net/eth0/mtu /sys/class/net/eth0/address").split() == ["9000", MAC]
        assert "tcp-segmentation-offload: off" in vm.ok("ethtool -k eth0")
        vm.ok("ping -c 3 -s 8900 192.168.78.1")
        tool("busybox", "ping", "-c", "3", "-s", "8900", "-w", str(PATIENCE), "192.168.78.10")
        end(vm)
    assert not os.path.exists("/sys/class/net/vmtap0"), "the interface stays"


def test_inherited_descriptor(far):
    tool("ip", "tuntap", "add", "dev", "tapfd", "mode", "tap")
    tool("ip", "link", "set", "dev", "tapfd", "master", "bridge", "up")
    argv = [sys.executable, "-c", INHERIT, *command("--net", "tap,fd=7", initrd=TEST_INITRD, memory="512M")]
    with Terminal(argv=argv) as vm:
        set_up(vm)
        vm.ok(f"ping -c 3 {FAR}")
        both_ways(vm, FAR, far, SMALL)
        end(vm)


def dropped():
    with open("/sys/class/net/tap1/statistics/tx_dropped", encoding="ascii") as count:
        return int(count.read())


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_flood_that_the_guest_does_not_read_costs_next_to_nothing(far, say, transport):
    """The receive ring is full, so toyvmm does not even look; the host drops, and it goes on when the guest reads."""
    assert far
    words = f"tap=tap1,mac={MAC}"
    with Terminal("--transport", transport, "--net", words, initrd=TEST_INITRD, memory="512M") as vm:
        set_up(vm)
        tool("ip", "neigh", "replace", GUEST, "lladdr", MAC, "dev", "bridge")
        tool("bridge", "fdb", "replace", MAC, "dev", "tap1", "master", "static")
        vm.ok("ip link set eth0 down")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
            def send(count):
                for _ in range(count):
                    flood.sendto(bytes(1000), (GUEST, 9))
            before = dropped()
            until(lambda: send(500) or dropped() > before, "a full tap")
            ticks, before = busy_ticks(vm.pid), dropped()
            send(20_000)
            ticks = busy_ticks(vm.pid) - ticks
            lost = dropped() - before
        say(f"{transport}: {lost} frames dropped by the host, {ticks} ticks of toyvmm")
        assert lost >= 20_000 - 100, "somebody took them"
        assert ticks < 100
        vm.ok(f"ip link set eth0 up; until ping -c 1 -W 1 {FAR}; do :; done")
        end(vm)


@pytest.mark.parametrize("transport", ["pci", "mmio"])
def test_vlan(far, transport):
    """Tagged frames between guest and bridge, with the driver's offloads: the servers are in VLAN 7, without a tag."""
    tool("ip", "link", "set", "dev", "bridge", "type", "bridge", "vlan_filtering", "1")
    tool("bridge", "vlan", "add", "dev", "tap1", "vid", "7")
    tool("bridge", "vlan", "add", "dev", "near", "vid", "7", "pvid", "untagged")
    try:
        with Terminal("--transport", transport, "--net", "tap=tap1", initrd=TEST_INITRD, memory="512M") as vm:
            set_up(vm, "192.0.2.2")
            vm.ok("modprobe 8021q; ip link add link eth0 name eth0.7 type vlan id 7")
            vm.ok(f"ip addr add {GUEST}/24 dev eth0.7; ip link set eth0.7 up; ping -c 3 -s 1472 {FAR}")
            both_ways(vm, FAR, far, SMALL)
            end(vm)
    finally:
        tool("bridge", "vlan", "add", "dev", "near", "vid", "1", "pvid", "untagged")
        tool("ip", "link", "set", "dev", "bridge", "type", "bridge", "vlan_filtering", "0")


@pytest.mark.parametrize("user,words,say_so", [
    ("nobody", "tap=nothere", "nothere"), ("nobody", "tap=roots", "roots"), ("nobody", "tap", "tap"),
    ("root", "tap=bridge", "'bridge' is not a tap interface"), ("root", "tap=tap1,queues=2", "tap1"),
    ("root", "tap,fd=99", "descriptor 99 is not open")])
def test_tap_that_cannot_be_had_is_one_line(far, user, words, say_so):
    assert far
    if words == "tap=roots":
        tool("ip", "tuntap", "add", "dev", "roots", "mode", "tap", "user", "root")
    who = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if user == "nobody" else []
    done = subprocess.run(who + command("--net", words), capture_output=True, text=True, timeout=PATIENCE,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1 and done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("toyvmm: net0: ") and say_so in lines[0], done.stderr
